"""Chunks of coarse levels that several blocks contribute to.

Belongs here: putting the blocks' cells together and writing each chunk once. Does not belong
here: computing cells (``block``), running blocks (``build``).
"""

from collections.abc import Sequence

from icechunk.session import ForkSession

from neve.build.block import BlockResult, Stored, stored_arrays, write_level
from neve.build.levels import Arrays
from neve.cube import stored_chunks
from neve.cube.layout import Layout
from neve.grid import Block, Grid


class SharedChunks:
    """Chunks of coarse levels that several blocks contribute to, written when complete.

    ``blocks`` are those that will be added; the cells of the others stay as ``fork`` has them.
    Holds only chunks that are begun and not complete, so memory stays bounded when blocks
    arrive roughly in order.
    """

    def __init__(
        self, layout: Layout, blocks: Sequence[Block], fork: ForkSession, month_index: int
    ) -> None:
        self._layout = layout
        self._fork = fork
        self._index = month_index
        self._stored: dict[int, Stored] = {}
        self._open: dict[tuple[int, int, int], tuple[Grid, Arrays]] = {}
        self._missing: dict[tuple[int, int, int], int] = {}
        for factor in layout.factors:
            if not layout.owned(factor):
                for block in blocks:
                    for key in self._keys(factor, block.grid):
                        self._missing[key] = self._missing.get(key, 0) + 1

    def add(self, result: BlockResult) -> None:
        """Take a block's coarse arrays; write the chunks that are complete with them."""
        for factor, arrays in result.coarse.items():
            for key in self._keys(factor, result.block.grid):
                if key not in self._open:
                    self._open[key] = self._present(key)
                grid, chunk = self._open[key]
                _paste(result.block.grid.level(factor), arrays, grid, chunk)
                self._missing[key] -= 1
                if not self._missing[key]:
                    native = self._native_piece(key)
                    write_level(self._arrays(factor), factor, self._index, native, chunk)
                    del self._open[key]

    def _keys(self, factor: int, block: Grid) -> list[tuple[int, int, int]]:
        level = block.level(factor)
        size = self._layout.chunk
        rows = range(level.row // size, (level.row + level.height - 1) // size + 1)
        cols = range(level.col // size, (level.col + level.width - 1) // size + 1)
        return [(factor, i, j) for i in rows for j in cols]

    def _arrays(self, factor: int) -> Stored:
        if factor not in self._stored:
            self._stored[factor] = stored_arrays(self._fork, factor)
        return self._stored[factor]

    def _native_piece(self, key: tuple[int, int, int]) -> Grid:
        factor, i, j = key
        size = self._layout.chunk * factor
        return self._layout.grid.piece(i * size, j * size, size, size)

    def _present(self, key: tuple[int, int, int]) -> tuple[Grid, Arrays]:
        """A chunk of every variable as it is so far."""
        factor, *_ = key
        grid = self._native_piece(key).level(factor)
        stored = self._arrays(factor)
        month = slice(self._index, self._index + 1)
        rows, cols = slice(grid.row, grid.row + grid.height), slice(grid.col, grid.col + grid.width)
        return grid, {
            v.name: stored_chunks.read(stored[v.name], (month, rows, cols))[0]
            for v in self._layout.variables
        }


def _paste(source: Grid, arrays: Arrays, target: Grid, chunk: Arrays) -> None:
    """Copy the part of ``source`` that lies in ``target``; both are pieces of one level."""
    top, left = max(source.row, target.row), max(source.col, target.col)
    bottom = min(source.row + source.height, target.row + target.height)
    right = min(source.col + source.width, target.col + target.width)
    cut = (
        slice(top - source.row, bottom - source.row),
        slice(left - source.col, right - source.col),
    )
    put = (
        slice(top - target.row, bottom - target.row),
        slice(left - target.col, right - target.col),
    )
    for name, values in arrays.items():
        chunk[name][put] = values[cut]
