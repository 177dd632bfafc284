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

from neve.cube.history import last_changes, require_cube, resolve
from neve.cube.layout import CLEAR, NEVER, month_after
from neve.cube.pooled import coarser, shares
from neve.cube.variable import packed
from neve.errors import CubeMismatch
from neve.grid import Block, Grid
from neve.indices import Index, compute, tree_of
from neve.indices.expression import bands as bands_of
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
        cut = block.grid.level(factor).slices
        return np.asarray(self._array(f"{factor}x/{name}")[self.number, *cut])

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
        factors, methods, native = self.told["overviews"], self.told["overview_methods"], levels[1]
        bands, indices = self.told["bands"], _stored(self.told)
        pooled = ["count", *(index.name for index in indices if index.name in methods)]
        values = {b: packed(native[b]) for b in bands} | {name: native[name] for name in pooled}
        wanted = {name: coarser(name, v, factors, methods) for name, v in values.items()}
        wanted["valid_fraction"] = shares(native["valid_fraction"] == 1, factors)
        for name, each in wanted.items():
            for factor, cells in zip(factors, each, strict=True):
                found = levels[factor][name]
                if not _same(packed(found) if name in bands else found, cells):
                    yield factor, name, "not the native pixels pooled"
        for factor, arrays in levels.items():
            own = [index for index in indices if factor == 1 or index.name not in methods]
            for name, cells in compute(own, {b: packed(arrays[b]) for b in bands}).items():
                if not _same(arrays[name], cells):
                    yield factor, name, "not its formula of the stored reflectance"

    def _previews(self, levels: dict[int, Arrays]) -> Iterator[tuple[int, str, str]]:
        for name, (variables, _) in self.told["previews"].items():
            for factor, arrays in levels.items():
                shown = np.logical_and.reduce([_there(arrays[v]) for v in variables])
                if ((arrays[name] != 0) != shown[..., None]).any():
                    yield factor, name, "colours where its variables have no values, or the reverse"


def _there(values: NDArray[Any]) -> NDArray[np.bool_]:
    return values != FILL if values.dtype == np.int16 else np.isfinite(values)


def _same(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    return np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")


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
