"""One block of one month, end to end, in a worker: scenes → composite → levels → storage.

Belongs here: the order of the steps and what is written where. Does not belong here: the
kernels themselves, which blocks there are (``build``), commits (``store``).

An index is a function of the *stored* reflectance of its own level, so that a reader who
derives it gets the very same value; the reflectance of a level is the mean of its valid
native pixels.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve import indices
from neve.compositing import composite as composing
from neve.compositing.composite import Composite, Recipe
from neve.cube import chunks, geozarr
from neve.cube.layout import CLEAR, CLOUDY, LAND_FILTERED, NO_SCENES, Layout
from neve.grid import Block, Grid
from neve.overviews import pooling as overviews
from neve.scenes.values import FILL, REFLECTANCE_UNIT, Scene

Arrays = dict[str, NDArray[np.generic]]
# Further pieces would read more source pixels at their seams than they save memory.
SMALLEST_PIECE = 256


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs: pure values, and the fork that it writes into."""

    layout: Layout
    recipe: Recipe
    memory: float
    month_index: int
    block: Block
    scenes: tuple[Scene, ...]
    fork: ForkSession


@dataclass(frozen=True)
class BlockResult:
    """What became of a block.

    ``coarse``: level factor → arrays of that level which other blocks share chunks of; the
    parent writes them. ``counts``: number of pixels with 0, 1, 2, … observations.
    """

    block: Block
    fork: ForkSession
    status: int
    coarse: dict[int, Arrays]
    counts: NDArray[np.int64]
    valid_pixels: int
    used: tuple[str, ...]
    lost: tuple[tuple[str, str, str], ...]
    seconds: float


def run_block(task: BlockTask) -> BlockResult:
    """Build one block and write the levels that it owns into the task's fork.

    Raises ``BlockFailed`` when a scene could not be read; nothing is published then.
    """
    began = time.perf_counter()
    composite = compose_in_budget(task.block.grid, task.scenes, task.recipe, task.memory)
    levels = level_arrays(composite, task.layout, task.block.grid)
    owned = [factor for factor in levels if task.layout.owned(factor)]
    for factor in owned:
        write_level(task.fork, factor, task.month_index, task.block.grid, levels[factor])
    valid = int(np.count_nonzero(levels[1]["valid_fraction"]))
    return BlockResult(
        block=task.block,
        fork=task.fork,
        status=NO_SCENES if not task.scenes else CLEAR if valid else CLOUDY,
        coarse={factor: arrays for factor, arrays in levels.items() if factor not in owned},
        counts=np.bincount(composite.count.ravel()),
        valid_pixels=valid,
        used=composite.used,
        lost=composite.lost,
        seconds=time.perf_counter() - began,
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
        write_level(task.fork, factor, task.month_index, grid, levels[factor])
    coarse = {factor: arrays for factor, arrays in levels.items() if not task.layout.owned(factor)}
    counts = np.zeros(1, np.int64)
    return BlockResult(task.block, task.fork, LAND_FILTERED, coarse, counts, 0, (), (), 0.0)


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

    Either the largest piece is being composed beside the block's finished bands, or all
    variables of all levels are there and one level is being encoded.
    """
    pixels = grid.height * grid.width
    size = piece_size(grid, scenes, recipe, budget)
    composed = composing.predict_memory(grid.piece(0, 0, size, size), scenes, recipe)
    bands = (2 * len(recipe.bands) + 2) * pixels
    native = sum(np.dtype(variable.dtype).itemsize for variable in layout.variables) * pixels
    pools = 12 * len(recipe.bands) * pixels // layout.factors[0] ** 2 if layout.factors else 0
    return max(composed + (bands if size < max(grid.shape) else 0), native * 4 // 3 + pools)


def compose_in_budget(
    grid: Grid, scenes: tuple[Scene, ...], recipe: Recipe, budget: float
) -> Composite:
    """``composing.compose``, in as few pieces as the memory budget (bytes) allows.

    The pieces' pixels are bit-identical to those of the whole.
    """
    size = piece_size(grid, len(scenes), recipe, budget)
    if size >= max(grid.shape):
        return composing.compose(grid, scenes, recipe)
    bands = {band: np.full(grid.shape, FILL, np.int16) for band in recipe.bands}
    count = np.zeros(grid.shape, np.uint16)
    used: set[str] = set()
    lost: set[tuple[str, str, str]] = set()
    for piece in grid.blocks(size):
        part = composing.compose(piece.grid, scenes, recipe)
        rows = slice(piece.i * size, piece.i * size + piece.grid.height)
        cols = slice(piece.j * size, piece.j * size + piece.grid.width)
        count[rows, cols] = part.count
        for band, values in part.bands.items():
            bands[band][rows, cols] = values
        used.update(part.used)
        lost.update(part.lost)
    return Composite(bands, count, tuple(sorted(used)), tuple(sorted(lost)))


def level_arrays(composite: Composite, layout: Layout, grid: Grid) -> dict[int, Arrays]:
    """Every variable of every level of one block, in storage dtypes; keys are the factors."""
    native = composite.bands[layout.bands[0]] != FILL
    levels = {
        1: _variables(composite.bands, layout)
        | {"count": composite.count, "valid_fraction": native.astype(np.float32)}
    }
    if not layout.factors:
        return levels
    pools = {b: overviews.pools(v, layout.factors, FILL) for b, v in composite.bands.items()}
    observed = overviews.pools(composite.count, layout.factors, None)
    for k, factor in enumerate(layout.factors):
        bands = {b: overviews.mean(pooled[k], np.int16, FILL) for b, pooled in pools.items()}
        share = pools[layout.bands[0]][k].valid / overviews.cells(grid.shape, factor)
        levels[factor] = _variables(bands, layout) | {
            "count": overviews.mean(observed[k], np.float32, np.nan),
            "valid_fraction": share.astype(np.float32),
        }
    return levels


def write_level(
    fork: ForkSession, factor: int, month_index: int, grid: Grid, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a block's arrays of one level; ``grid`` is the block's native piece."""
    level = grid.level(factor)
    group = zarr.open_group(fork.store, path=geozarr.level_name(factor), mode="r+")
    start = (month_index, level.row, level.col)
    chunks.write([(group[name], start, values[None]) for name, values in arrays.items()])  # type: ignore[misc]


def _variables(bands: Mapping[str, NDArray[np.int16]], layout: Layout) -> Arrays:
    """Bands and indices of one level in the layout's storage dtypes."""
    arrays: Arrays = {**bands}
    if layout.indices:
        arrays |= indices.compute(layout.indices, bands)
    return {
        variable.name: _unpacked(arrays[variable.name])
        if variable.dtype == "float32" and arrays[variable.name].dtype == np.int16
        else arrays[variable.name]
        for variable in layout.variables
        if variable.name in arrays
    }


def _unpacked(values: NDArray[np.generic]) -> NDArray[np.float32]:
    scaled = values.astype(np.float32) * np.float32(REFLECTANCE_UNIT)
    return np.where(values == FILL, np.float32("nan"), scaled)
