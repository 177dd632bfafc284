"""What a block may use, and how it is composed within that.

Belongs here: predicting a block's memory, and composing it in pieces that fit. Does not belong
here: the composite itself (``compositing``), the other steps of a block (``block``).
"""

from dataclasses import dataclass

import numpy as np

from neve.compositing.composite import Composite, Recipe, compose, predict_memory
from neve.cube.layout import Layout
from neve.grid import Grid
from neve.reading.ranges import Reads
from neve.region import Region
from neve.scenes.values import FILL, Scene

GIB = 2**30
# Further pieces would read more source pixels at their seams than they save memory.
SMALLEST_PIECE = 256


@dataclass(frozen=True)
class Budget:
    """What a block may use: bytes of memory, ``threads`` for computing, ways to read files."""

    memory: float
    threads: int
    reads: Reads

    @classmethod
    def of(cls, region: Region, threads: int) -> "Budget":
        """As the region says."""
        return cls(region.memory * GIB, threads, region.reading.reads())


def piece_size(grid: Grid, scenes: int, recipe: Recipe, memory: float) -> int:
    """Pixels a side of the largest piece of a block whose predicted memory fits into ``memory``."""
    size = max(grid.shape)
    while (
        predict_memory(grid.piece(0, 0, size, size), scenes, recipe) > memory
        and size > SMALLEST_PIECE
    ):
        size = -(-size // 2)
    return size


def block_memory(layout: Layout, recipe: Recipe, grid: Grid, scenes: int, memory: float) -> int:
    """Most bytes that ``block.run_block`` takes above what the worker has before, given ``memory``.

    Either the largest piece is being composed beside the block's finished bands, or the bands
    of all levels are there and one chunk of every variable is computed and encoded.
    """
    pixels = grid.height * grid.width
    size = piece_size(grid, scenes, recipe, memory)
    composed = predict_memory(grid.piece(0, 0, size, size), scenes, recipe)
    bands = (2 * len(recipe.bands) + 2) * pixels
    each = sum(np.dtype(variable.dtype).itemsize for variable in layout.variables)
    chunk = each * min(layout.chunk**2, pixels)
    shared = [each * pixels // f**2 for f in layout.factors if not layout.owned(f)]
    pools = 12 * len(recipe.bands) * pixels // layout.factors[0] ** 2 if layout.factors else 0
    written = (bands + 4 * pixels) * 4 // 3 + chunk + sum(shared) + pools
    return max(composed + (bands if size < max(grid.shape) else 0), written)


def compose_in_budget(
    grid: Grid, scenes: tuple[Scene, ...], recipe: Recipe, budget: Budget
) -> Composite:
    """``composite.compose``, in as few pieces as the memory allows.

    The pieces' pixels are bit-identical to those of the whole.
    """
    size = piece_size(grid, len(scenes), recipe, budget.memory)
    if size >= max(grid.shape):
        return compose(grid, scenes, recipe, budget.reads, budget.threads)
    bands = {band: np.full(grid.shape, FILL, np.int16) for band in recipe.bands}
    count = np.zeros(grid.shape, np.uint16)
    used: set[str] = set()
    lost: set[tuple[str, str, str]] = set()
    for piece in grid.blocks(size):
        part = compose(piece.grid, scenes, recipe, budget.reads, budget.threads)
        rows = slice(piece.i * size, piece.i * size + piece.grid.height)
        cols = slice(piece.j * size, piece.j * size + piece.grid.width)
        count[rows, cols] = part.count
        for band, values in part.bands.items():
            bands[band][rows, cols] = values
        used.update(part.used)
        lost.update(part.lost)
    return Composite(bands, count, tuple(sorted(used)), tuple(sorted(lost)))
