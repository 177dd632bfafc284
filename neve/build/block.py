"""One block of one month, end to end, in a worker: scenes → composite → levels → storage.

Belongs here: the order of the steps and what is written where. Does not belong here: the
kernels themselves, what fits into memory (``budget``), what a level holds (``levels``), which
blocks there are (``plan``), commits (``store``).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from icechunk import IcechunkStore
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve import indices
from neve.build.budget import Budget, compose_in_budget
from neve.build.checks import verify_block
from neve.build.levels import Arrays, level_arrays, with_indices
from neve.compositing.recipe import Recipe
from neve.cube import chunks, geozarr, handles, stored_chunks
from neve.cube.codec import Array
from neve.cube.layout import CLEAR, CLOUDY, LAND_FILTERED, NO_SCENES, Layout
from neve.cube.records import Records
from neve.grid import Block, Grid
from neve.scenes.values import Scene

Stored = Mapping[str, Array]


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs: pure values, and the fork that it writes into."""

    layout: Layout
    recipe: Recipe
    budget: Budget
    month_index: int
    block: Block
    scenes: tuple[Scene, ...]
    fork: ForkSession


@dataclass(frozen=True)
class BlockResult:
    """What became of a block.

    ``coarse``: level factor → arrays of that level which other blocks share chunks of; the
    parent writes them. ``counts``: number of pixels with 0, 1, 2, … observations. ``invalid``:
    native pixels whose bands are there but that have no value of an index, per stored index.
    ``odd``: valid band values that no real ground has.
    """

    block: Block
    fork: ForkSession
    status: int
    coarse: dict[int, Arrays]
    counts: NDArray[np.int64]
    valid_pixels: int
    invalid: NDArray[np.int64]
    used: tuple[str, ...]
    lost: tuple[tuple[str, str, str], ...]
    seconds: float
    odd: int = 0


def run_block(task: BlockTask) -> BlockResult:
    """Build one block and write the levels that it owns into the task's fork.

    Raises ``BlockFailed`` when a scene could not be read, ``CheckFailed`` when what is read back
    is not what was computed; nothing is published then.
    """
    began = time.perf_counter()
    composite = compose_in_budget(task.block.grid, task.scenes, task.recipe, task.budget)
    levels = level_arrays(composite, task.layout)
    owned = list(filter(task.layout.owned, levels))
    stored = {factor: stored_arrays(task.fork.store, task.layout, factor) for factor in owned}
    invalid = {
        factor: write_owned(task, factor, stored[factor], levels[factor]) for factor in owned
    }
    coarse = {
        factor: with_indices(levels[factor], task.layout)[0]
        for factor in levels
        if factor not in owned
    }

    def written(factor: int, name: str) -> NDArray[Any]:
        if factor in coarse:
            return coarse[factor][name]
        return read_level(stored[factor][name], task.month_index, task.block.grid.level(factor))

    days = len({scene.day for scene in task.scenes})
    odd = verify_block(task.layout, task.block, written, days)
    valid = int(np.count_nonzero(levels[1]["valid_fraction"]))
    return BlockResult(
        block=task.block,
        fork=task.fork,
        status=NO_SCENES if not task.scenes else CLEAR if valid else CLOUDY,
        coarse=coarse,
        counts=np.bincount(composite.count.ravel()),
        valid_pixels=valid,
        invalid=invalid[1],
        used=composite.used,
        lost=composite.lost,
        seconds=time.perf_counter() - began,
        odd=odd,
    )


def clear_block(task: BlockTask) -> BlockResult:
    """Take back what an earlier build of the month wrote into a block that is left out now."""
    grid = task.block.grid
    levels = {
        factor: {
            v.name: np.full(
                grid.level(factor).shape, v.fill, v.dtype if factor == 1 else v.overview_dtype
            )
            for v in task.layout.variables
        }
        for factor in task.layout.levels
    }
    for factor in filter(task.layout.owned, levels):
        stored = stored_arrays(task.fork.store, task.layout, factor)
        write_level(stored, task.month_index, grid.level(factor), levels[factor])
    coarse = {factor: arrays for factor, arrays in levels.items() if not task.layout.owned(factor)}
    counts = np.zeros(1, np.int64)
    none = np.zeros(len(task.layout.stored), np.int64)
    return BlockResult(task.block, task.fork, LAND_FILTERED, coarse, counts, 0, none, (), (), 0.0)


def record(records: Records, result: BlockResult, fingerprint: int) -> None:
    """Put down what became of a block; one that lost a scene is to be made again."""
    place = records.place(result.block)
    records.status[place] = result.status
    records.fingerprint[place] = 0 if result.lost else fingerprint
    records.valid_pixels[place] = result.valid_pixels
    records.observations[place] = 0
    records.observations[place][: len(result.counts)] = result.counts
    records.invalid[place] = result.invalid


def write_owned(task: BlockTask, factor: int, stored: Stored, arrays: Arrays) -> NDArray[np.int64]:
    """Complete and write one level of a block, chunk by chunk; ``BlockResult.invalid`` of it.

    Only one chunk of every variable is in memory at a time.
    """
    level = task.block.grid.level(factor)
    size, buffers = task.layout.chunk, indices.Buffers()
    invalid = np.zeros(len(task.layout.stored), np.int64)
    for row, col in product(range(0, level.height, size), range(0, level.width, size)):
        window = slice(row, row + size), slice(col, col + size)
        part = {name: values[window] for name, values in arrays.items()}
        part, bad = with_indices(part, task.layout, buffers)
        start = task.month_index, level.row + row, level.col + col
        chunks.write([(stored[name], start, values[None]) for name, values in part.items()])
        invalid += bad
    return invalid


def write_level(
    stored: Stored, month_index: int, level: Grid, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write arrays of one level, of whole chunks; ``level`` is their piece of it."""
    start = (month_index, level.row, level.col)
    chunks.write([(stored[name], start, values[None]) for name, values in arrays.items()])


def stored_arrays(store: IcechunkStore, layout: Layout, factor: int) -> Stored:
    """The arrays of a level in a session's store, by name."""
    names, level = [v.name for v in layout.variables], geozarr.level_name(factor)
    found = handles.opened(store, [f"{level}/{name}" for name in names])
    return dict(zip(names, found, strict=True))


def read_levels(stored: Stored, month_index: int, level: Grid) -> Arrays:
    """A month's values of every variable in a piece of a level."""
    cut = slice(month_index, month_index + 1), *level.slices
    values = stored_chunks.read_each((array, cut) for array in stored.values())
    return {name: month[0] for name, month in zip(stored, values, strict=True)}


def read_level(array: Array, month_index: int, level: Grid) -> NDArray[Any]:
    """A month's values of a variable in a piece of its level."""
    return stored_chunks.read(array, (slice(month_index, month_index + 1), *level.slices))[0]
