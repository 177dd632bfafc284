"""Verifying a snapshot: every chunk is read, and every promise of a cube is held against it.

Belongs here: what must be true of stored values, block by block, told as findings. Does not
belong here: mending, and judging scenes (nothing here knows them).

The promises: valid native pixels have every band and a count; each block's record tells of its
pixels; a coarser level is exactly the native pixels pooled; an index is exactly its formula of
the stored reflectance of its level; a preview has colours exactly where its variables have values;
a commit's totals are those of its months.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import icechunk as ic
import numpy as np
import zarr
from numpy.typing import NDArray

from neve.cube.derived import packed
from neve.cube.history import last_changes, require_cube, resolve
from neve.cube.layout import CLEAR, NEVER, month_after
from neve.errors import CubeMismatch
from neve.grid import Block, Grid
from neve.indices import Index, compute, tree_of
from neve.indices.expression import bands as bands_of
from neve.overviews import pooling
from neve.scenes.values import FILL

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Finding:
    """A promise that does not hold; ``block`` is "" where it is the whole month's."""

    month: str
    block: str
    level: str
    variable: str
    what: str


def verify(repository: ic.Repository, ref: str) -> Iterator[Finding | None]:
    """Findings in a branch, tag or snapshot; None after each block that was looked at.

    Reads a block of one month at a time. Raises ``CubeMismatch`` where there is no cube of neve's.
    """
    snapshot = resolve(repository, ref)
    told = require_cube(repository, snapshot)
    root = zarr.open_group(repository.readonly_session(snapshot_id=snapshot).store, mode="r")
    if "blocks" not in root:
        raise CubeMismatch("no monthly cube of neve's: there are no blocks to verify")
    # In a zone's cube a commit tells of one region's blocks only.
    commits = {c.month: c for c in last_changes(repository, snapshot) if c.region == told["region"]}
    for number in range(root["1x/count"].shape[0]):  # type: ignore[union-attr]
        month = _Month(root, told, number)
        for i, j in np.argwhere(month.status != NEVER).tolist():
            yield from month.findings(month.grid.block(i, j, told["block"]))
            yield None
        if month.name in commits:
            yield from month.totals(commits[month.name].counts)


class _Month:
    """One month of an opened cube."""

    def __init__(self, root: zarr.Group, told: dict[str, Any], number: int) -> None:
        self.root, self.told, self.number = root, told, number
        self.name = month_after(told["start"], number)
        self.grid = Grid(**told["grid"])
        self.status = self._array("blocks/status")[number]
        self.seen: NDArray[np.int64] = np.zeros(1, np.int64)
        self.whole = True

    def _array(self, path: str) -> Any:
        return self.root[path]

    def findings(self, block: Block) -> Iterator[Finding]:
        """What does not hold in one block."""

        def found(level: int, variable: str, what: str) -> Finding:
            return Finding(self.name, block.key, f"{level}x", variable, what)

        levels: dict[int, Arrays] = {}
        for factor in (1, *self.told["overviews"]):
            levels[factor] = {}
            for name in (*self.told["dtypes"], *self.told["previews"]):
                try:
                    levels[factor][name] = self._read(factor, name, block)
                except Exception as error:  # a codec's error may be of any kind
                    yield found(factor, name, f"cannot be read: {error}")
        names = len(self.told["dtypes"]) + len(self.told["previews"])
        if any(len(arrays) < names for arrays in levels.values()):
            self.whole = False
            return
        wrong = (*self._native(block, levels[1]), *self._derived(levels), *self._previews(levels))
        for level, variable, what in wrong:
            yield found(level, variable, what)

    def totals(self, counts: tuple[int, ...]) -> Iterator[Finding]:
        """Whether the month's commit tells of the pixels that are there."""
        seen = tuple(np.trim_zeros(self.seen, "b").tolist()) or (0,)
        if self.whole and seen != counts:
            what = f"the commit says {counts}, the blocks hold {seen}"
            yield Finding(self.name, "", "1x", "count", what)

    def _read(self, factor: int, name: str, block: Block) -> NDArray[Any]:
        part = block.grid.level(factor)
        rows, cols = slice(part.row, part.row + part.height), slice(part.col, part.col + part.width)
        return np.asarray(self._array(f"{factor}x/{name}")[self.number, rows, cols])

    def _native(self, block: Block, native: Arrays) -> Iterator[tuple[int, str, str]]:
        valid, count = native["valid_fraction"] == 1, native["count"]
        if not (valid | (native["valid_fraction"] == 0)).all():
            yield 1, "valid_fraction", "neither 0 nor 1"
        for band in self.told["bands"]:
            if wrong := np.count_nonzero((packed(native[band]) != FILL) != valid):
                yield 1, band, f"{wrong} pixels with a value and no data, or the reverse"
        if wrong := np.count_nonzero(valid & (count < self.told["recipe"]["min_obs"])):
            yield 1, "count", f"{wrong} pixels with data and too few observations"
        if (self.status[block.i, block.j] == CLEAR) != valid.any():
            yield 1, "valid_fraction", f"the block's status is {self.status[block.i, block.j]}"
        here = self.number, block.i, block.j
        if self._array("blocks/valid_pixels")[here] != np.count_nonzero(valid):
            yield 1, "valid_fraction", "another number of valid pixels than recorded"
        counts = np.bincount(count.ravel())
        recorded = np.asarray(self._array("blocks/observations")[here])
        clear = self.status[block.i, block.j] == CLEAR
        if clear and not np.array_equal(np.trim_zeros(recorded, "b"), counts):
            yield 1, "count", "other observations than recorded"
        self.seen = _added(self.seen, recorded)

    def _derived(self, levels: dict[int, Arrays]) -> Iterator[tuple[int, str, str]]:
        told, methods = self.told, self.told["overview_methods"]
        bands = {b: packed(levels[1][b]) for b in told["bands"]}
        wanted = {
            b: _pooled(v, told["overviews"], methods.get(b, "mean")) for b, v in bands.items()
        }
        for k, factor in enumerate(told["overviews"]):
            for band, cells in wanted.items():
                if not np.array_equal(packed(levels[factor][band]), cells[k]):
                    yield factor, band, "not the native pixels pooled"
        shares = pooling.pools(levels[1]["valid_fraction"] == 1, told["overviews"] or [1], None)
        for pooled, factor in zip(shares, told["overviews"], strict=False):
            native = pooling.cells(levels[1]["count"].shape, factor)
            share = (pooled.total / native).astype(np.float32)
            if not np.array_equal(levels[factor]["valid_fraction"], share):
                yield factor, "valid_fraction", "not the share of native pixels with data"
        stored = [index for index in _stored(told) if index.name not in methods]
        for factor, arrays in levels.items():
            found = compute(stored, {b: packed(arrays[b]) for b in told["bands"]})
            for name, values in found.items():
                floating = values.dtype.kind == "f"
                if not np.array_equal(arrays[name], values, equal_nan=floating):
                    yield factor, name, "not its formula of the stored reflectance"

    def _previews(self, levels: dict[int, Arrays]) -> Iterator[tuple[int, str, str]]:
        for name, (variables, _) in self.told["previews"].items():
            for factor, arrays in levels.items():
                shown = np.logical_and.reduce([_there(arrays[v]) for v in variables])
                if ((arrays[name] != 0) != shown[..., None]).any():
                    yield factor, name, "colours where its variables have no values, or the reverse"


def _there(values: NDArray[Any]) -> NDArray[np.bool_]:
    return values != FILL if values.dtype == np.int16 else np.isfinite(values)


def _pooled(values: NDArray[np.int16], factors: list[int], method: str) -> list[NDArray[Any]]:
    return pooling.reduce(values, factors, method, FILL) if factors else []


def _stored(told: dict[str, Any]) -> tuple[Index, ...]:
    """The indices that have arrays, with the formulas and constants that the cube tells."""
    found = []
    for name, (formula, given) in told["indices"].items():
        if name in told["aliases"]:
            continue
        constants = tuple(sorted(given.items()))
        bands = bands_of(tree_of(formula, constants))
        dtype = told["dtypes"][name]
        found.append(Index(name, formula, "", "", "", bands, dtype, (0, 1), "", constants))
    return tuple(found)


def _added(a: NDArray[np.int64], b: NDArray[Any]) -> NDArray[np.int64]:
    total = np.zeros(max(len(a), len(b)), np.int64)
    total[: len(a)] += a
    total[: len(b)] += b
    return total
