"""The plan of a dataset's overviews: levels, windows of native pixels, and their order.

Belongs here: arithmetic on shapes, chunks and shards. Does not belong here: reading, writing
(``building``) and the dataset around it (``dataset``).

A window is one read. It is aligned to native chunks and to the cells of every level, so that
each chunk is read once and all levels come from it while it is in memory; where that would be too
large, to cells only, and chunks are kept for the next windows (``rereads``). Windows follow each
other such that about one object of each level is open at a time: memory does not grow with the
raster.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, lcm, prod

import numpy as np
from numpy.typing import NDArray

from neve.cuts import Cut, bounds
from neve.overviews import pooling as overviews
from neve.pyramids.dataset import Raster

BUDGET = 4 * 2**20  # bytes of native pixels in a window: those of all threads stay in the L3 cache
WHOLE = 16  # times the budget that a window may take so that it cuts no chunk
SMALL = 4  # smaller windows are joined up to this share of the budget, which stays in the L2 cache
Shape = tuple[int, ...]
Window = tuple[int, ...]  # counted in windows from the array's origin, one number per dimension


@dataclass(frozen=True)
class Level:
    """How a raster is stored at one level: shapes of the array, of its storage objects (shards,
    or chunks without sharding) and of its chunks."""

    factor: int
    shape: Shape
    unit: Shape
    chunks: Shape


@dataclass(frozen=True)
class RasterPlan:
    """One raster's levels, and the shape of its windows in native pixels (all dimensions)."""

    raster: Raster
    method: str
    levels: tuple[Level, ...]
    window: Shape

    @cached_property
    def factors(self) -> tuple[int, ...]:
        """Factors of the levels, finest first."""
        return tuple(level.factor for level in self.levels)

    @property
    def rereads(self) -> bool:
        """Whether windows cut chunks, so that several need the same one."""
        sizes = zip(self.window, self.raster.chunks, self.raster.shape, strict=True)
        return any(window % chunk and window < size for window, chunk, size in sizes)

    def windows(self, stored: NDArray[np.int64]) -> list[Window]:
        """The windows with something to reduce, in building order.

        ``stored``: (n, dimensions) coordinates of the storage objects that exist. Windows
        without any are left out: absent chunks of a level read as what they would hold.
        """
        shape, window = np.array(self.raster.shape), np.array(self.window)
        if self._absent_counts():
            found = np.indices(-(-shape // window)).reshape(len(shape), -1).T
        else:
            corners = stored * np.array(self.raster.unit)
            ends = np.minimum(corners + self.raster.unit, shape) - 1
            touched = spanned(corners // window, ends // window)
            found = np.array(list(touched), np.int64).reshape(-1, len(shape))
        coarsest_first = [self.objects(found, level)[0] for level in reversed(self.levels)]
        keys = np.hstack([*coarsest_first, found])
        return list(map(tuple, found[np.lexsort(keys.T[::-1])].tolist()))

    def objects(
        self, windows: NDArray[np.int64], level: Level
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last storage object of a level that each of (n, dimensions) windows fills."""
        start, stop = self._bounds(windows)
        coarse = [level.factor if a in self.raster.axes else 1 for a in range(start.shape[1])]
        return start // coarse // level.unit, (-(-stop // coarse) - 1) // level.unit

    def uses(self, windows: Sequence[Window]) -> Counter[Window]:
        """How many of the windows need each native chunk, by its place among the chunks."""
        start, stop = self._bounds(np.array(windows).reshape(len(windows), -1))
        return spanned(start // self.raster.chunks, (stop - 1) // self.raster.chunks)

    def fingerprint(self, windows: Sequence[Window], stamps: Sequence[object] = ()) -> str:
        """Changes with the plan and with what is stored: of what a resumed build must know."""
        return hashlib.sha256(repr((self, windows, stamps)).encode()).hexdigest()[:16]

    def cut(self, window: Window) -> Cut:
        """The window as slices of the native array."""
        return bounds(window, self.window, self.raster.shape)

    def place(self, cut: Cut, factor: int) -> Cut:
        """Where the cells of a native window lie in a level's array."""
        return tuple(
            slice(s.start // factor, ceil(s.stop / factor)) if axis in self.raster.axes else s
            for axis, s in enumerate(cut)
        )

    def _bounds(self, windows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        start = windows * np.array(self.window)
        return start, np.minimum(start + self.window, self.raster.shape)

    def _absent_counts(self) -> bool:
        """Whether an absent native chunk gives other cells than an absent chunk of a level."""
        absent, nodata = self.raster.background, self.raster.nodata
        return self.method == "sum" and not (absent == nodata or np.isnan(absent))


def spanned(first: NDArray[np.int64], last: NDArray[np.int64]) -> Counter[Window]:
    """How many spans, from ``first`` to ``last`` on each axis ((n, dimensions)), hold a place."""
    found: Counter[Window] = Counter()
    spans, counts = np.unique(np.stack([first, last], -1), axis=0, return_counts=True)
    for span, n in zip(spans.tolist(), counts.tolist(), strict=True):
        for place in product(*(range(a, b + 1) for a, b in span)):
            found[place] += n
    return found


def plan_raster(
    raster: Raster, factors: Sequence[int], method: str = "mean", budget: int = BUDGET
) -> RasterPlan:
    """Plan one raster's levels; ``budget``: bytes of native pixels in a window.

    Levels keep the chunks of the native array, and its shards where one is within the budget.
    Windows hold whole shards if one fits, else whole chunks if these fit ``WHOLE`` budgets or a
    chunk is whole cells, however large it is, else whole cells (``rereads``). Raises ValueError
    for wrong factors.
    """
    factors = overviews.check_factors(factors)
    levels = tuple(_level(raster, factor, budget) for factor in factors)
    return RasterPlan(raster, method, levels, _window(raster, factors[-1], budget))


def _level(raster: Raster, factor: int, budget: int) -> Level:
    shape = tuple(
        ceil(size / factor) if axis in raster.axes else size
        for axis, size in enumerate(raster.shape)
    )
    chunks = tuple(map(min, raster.chunks, shape))
    if raster.unit == raster.chunks or prod(raster.unit) * raster.dtype.itemsize > budget:
        return Level(factor, shape, chunks, chunks)
    sizes = zip(raster.unit, chunks, shape, strict=True)
    unit = tuple(min(u // c, ceil(size / c)) * c for u, c, size in sizes)
    return Level(factor, shape, unit, chunks)


def _window(raster: Raster, coarsest: int, budget: int) -> Shape:
    """Shards, chunks or cells, as ``plan_raster`` says, doubled while small in the budget."""

    def aligned(unit: Shape) -> Shape:
        return tuple(lcm(u, coarsest) if a in raster.axes else u for a, u in enumerate(unit))

    def fits(window: Shape, most: int = budget) -> bool:
        return prod(map(min, window, raster.shape)) * raster.dtype.itemsize <= most

    cells = tuple(coarsest if a in raster.axes else u for a, u in enumerate(raster.chunks))
    window = aligned(raster.unit)
    if not fits(window):
        window = aligned(raster.chunks)
        if window != raster.chunks and not fits(window, WHOLE * budget):
            window = cells
    while any(w < size for w, size in zip(window, raster.shape, strict=True)):
        larger = tuple(2 * w if a in raster.axes else w for a, w in enumerate(window))
        if larger == window or not fits(larger, budget // SMALL):
            break
        if all(window[a] >= raster.shape[a] for a in raster.axes):
            break
        window = larger
    return window
