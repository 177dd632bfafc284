"""One block of one month, end to end, in a worker: scenes → composite → levels → storage.

Belongs here: the order of the steps and what is written where. Does not belong here: the
kernels themselves, what a level holds (``levels``), which blocks there are (``plan``), commits
(``store``).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import zarr
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve import indices
from neve.build.checks import verify_block
from neve.build.levels import Arrays, level_arrays, with_indices
from neve.compositing import composite as composing
from neve.compositing.composite import Composite, Recipe
from neve.cube import chunks, geozarr, stored_chunks
from neve.cube.codec import Array
from neve.cube.layout import CLEAR, CLOUDY, LAND_FILTERED, NO_SCENES, Layout
from neve.cube.records import Records
from neve.grid import Block, Grid
from neve.reading.ranges import Reads
from neve.scenes.values import FILL, Scene

Stored = Mapping[str, Array]

# Further pieces would read more source pixels at their seams than they save memory.
SMALLEST_PIECE = 256


@dataclass(frozen=True)
class Means:
    """What a block may use: bytes of memory, ``threads`` for computing, ways to read files."""

    memory: float
    threads: int
    reads: Reads


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs: pure values, and the fork that it writes into."""

    layout: Layout
    recipe: Recipe
    means: Means
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
    composite = compose_in_budget(task.block.grid, task.scenes, task.recipe, task.means)
    levels = level_arrays(composite, task.layout, task.block.grid)
    coarse: dict[int, Arrays] = {}
    for factor, arrays in levels.items():
        if not task.layout.owned(factor):
            coarse[factor], _ = with_indices(arrays, task.layout)
        elif factor == 1:
            invalid = write_owned(task, factor, arrays)
        else:
            write_owned(task, factor, arrays)
    valid = int(np.count_nonzero(levels[1]["valid_fraction"]))
    days = len({scene.day for scene in task.scenes})
    stored = {factor: stored_arrays(task.fork, factor) for factor in levels if factor not in coarse}
    odd = verify_block(
        task.layout,
        task.block,
        lambda factor, name: (
            coarse[factor][name] if factor in coarse else _read(task, factor, stored[factor][name])
        ),
        days,
    )
    return BlockResult(
        block=task.block,
        fork=task.fork,
        status=NO_SCENES if not task.scenes else CLEAR if valid else CLOUDY,
        coarse=coarse,
        counts=np.bincount(composite.count.ravel()),
        valid_pixels=valid,
        invalid=invalid,
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
        stored = stored_arrays(task.fork, factor)
        write_level(stored, factor, task.month_index, grid, levels[factor])
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


def piece_size(grid: Grid, scenes: int, recipe: Recipe, budget: float) -> int:
    """Pixels a side of the largest piece of a block whose predicted memory fits the budget."""
    size = max(grid.shape)
    while (
        composing.predict_memory(grid.piece(0, 0, size, size), scenes, recipe) > budget
        and size > SMALLEST_PIECE
    ):
        size = -(-size // 2)
    return size


def predict_memory(layout: Layout, recipe: Recipe, grid: Grid, scenes: int, budget: float) -> int:
    """Most bytes that ``run_block`` takes above what the worker has before.

    Either the largest piece is being composed beside the block's finished bands, or the bands
    of all levels are there and one chunk of every variable is computed and encoded.
    """
    pixels = grid.height * grid.width
    size = piece_size(grid, scenes, recipe, budget)
    composed = composing.predict_memory(grid.piece(0, 0, size, size), scenes, recipe)
    bands = (2 * len(recipe.bands) + 2) * pixels
    each = sum(np.dtype(variable.dtype).itemsize for variable in layout.variables)
    chunk = each * min(layout.chunk**2, pixels)
    shared = [each * pixels // f**2 for f in layout.factors if not layout.owned(f)]
    pools = 12 * len(recipe.bands) * pixels // layout.factors[0] ** 2 if layout.factors else 0
    written = (bands + 4 * pixels) * 4 // 3 + chunk + sum(shared) + pools
    return max(composed + (bands if size < max(grid.shape) else 0), written)


def compose_in_budget(
    grid: Grid, scenes: tuple[Scene, ...], recipe: Recipe, means: Means
) -> Composite:
    """``composing.compose``, in as few pieces as the memory allows.

    The pieces' pixels are bit-identical to those of the whole.
    """
    size = piece_size(grid, len(scenes), recipe, means.memory)
    if size >= max(grid.shape):
        return composing.compose(grid, scenes, recipe, means.reads, means.threads)
    bands = {band: np.full(grid.shape, FILL, np.int16) for band in recipe.bands}
    count = np.zeros(grid.shape, np.uint16)
    used: set[str] = set()
    lost: set[tuple[str, str, str]] = set()
    for piece in grid.blocks(size):
        part = composing.compose(piece.grid, scenes, recipe, means.reads, means.threads)
        rows = slice(piece.i * size, piece.i * size + piece.grid.height)
        cols = slice(piece.j * size, piece.j * size + piece.grid.width)
        count[rows, cols] = part.count
        for band, values in part.bands.items():
            bands[band][rows, cols] = values
        used.update(part.used)
        lost.update(part.lost)
    return Composite(bands, count, tuple(sorted(used)), tuple(sorted(lost)))


def write_owned(task: BlockTask, factor: int, arrays: Arrays) -> NDArray[np.int64]:
    """Complete and write one level of a block, chunk by chunk; ``BlockResult.invalid`` of it.

    Only one chunk of every variable is in memory at a time.
    """
    level = task.block.grid.level(factor)
    stored = stored_arrays(task.fork, factor)
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
    stored: Stored, factor: int, month_index: int, grid: Grid, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a block's arrays of one level; ``grid`` is the block's native piece."""
    level = grid.level(factor)
    start = (month_index, level.row, level.col)
    chunks.write([(stored[name], start, values[None]) for name, values in arrays.items()])


def stored_arrays(fork: ForkSession, factor: int) -> Stored:
    """The arrays of a level in a fork, by name."""
    group = zarr.open_group(fork.store, path=geozarr.level_name(factor), mode="r+")
    return dict(group.arrays())


def _read(task: BlockTask, factor: int, array: Array) -> NDArray[Any]:
    """A variable of a block's level as the fork has it."""
    level, month = task.block.grid.level(factor), task.month_index
    rows = slice(level.row, level.row + level.height)
    cols = slice(level.col, level.col + level.width)
    return stored_chunks.read(array, (slice(month, month + 1), rows, cols))[0]
