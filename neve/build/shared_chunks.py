"""Chunks of coarse levels that several blocks contribute to.

Belongs here: putting the blocks' cells together, writing each chunk once and looking at what was
written. Does not belong here: computing cells (``levels``), running blocks (``month``).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from icechunk.session import ForkSession

from neve.build.block import BlockResult, Stored, read_levels, stored_arrays, write_level
from neve.build.levels import Arrays
from neve.cube.layout import Layout
from neve.cuts import overlap, places
from neve.errors import CheckFailed
from neve.grid import Block, Grid


class SharedChunks:
    """Chunks of coarse levels that several blocks contribute to, written when complete.

    ``blocks`` are those that will be added; the cells of the others stay as ``fork`` has them.
    Holds only the cells of chunks that are not complete, so memory stays bounded when blocks
    arrive roughly in order.
    """

    def __init__(
        self, layout: Layout, blocks: Sequence[Block], fork: ForkSession, month_index: int
    ) -> None:
        self._layout = layout
        self._fork = fork
        self._index = month_index
        self._stored: dict[int, Stored] = {}
        self._parts: dict[tuple[int, int, int], list[tuple[Grid, Arrays]]] = {}
        shared = [factor for factor in layout.factors if not layout.owned(factor)]
        self._missing = Counter(
            key for factor in shared for block in blocks for key in self._keys(factor, block.grid)
        )

    def add(self, result: BlockResult) -> None:
        """Take a block's coarse arrays; write the chunks that are complete with them.

        Raises ``CheckFailed`` where what is read back is not what the blocks gave.
        """
        for factor, arrays in result.coarse.items():
            for key in self._keys(factor, result.block.grid):
                parts = self._parts.setdefault(key, [])
                parts.append((result.block.grid.level(factor), arrays))
                self._missing[key] -= 1
                if not self._missing[key]:
                    self._write(key, self._parts.pop(key))

    def _write(self, key: tuple[int, int, int], parts: Sequence[tuple[Grid, Arrays]]) -> None:
        factor, *_ = key
        level, chunk = self._present(key)
        for grid, arrays in parts:
            cut, put = overlap(grid.slices, level.slices)
            for name, values in arrays.items():
                chunk[name][put] = values[cut]
        write_level(self._arrays(factor), self._index, level, chunk)
        _, found = self._present(key)
        for grid, arrays in parts:
            cut, put = overlap(grid.slices, level.slices)
            for name, values in arrays.items():
                if not np.array_equal(found[name][put], values[cut], equal_nan=True):
                    raise CheckFailed(
                        f"{self._layout.name}: {name} at {factor}x, chunk {key[1:]}, is not what "
                        "its blocks gave; nothing was published; run again, and check the storage"
                    )

    def _keys(self, factor: int, block: Grid) -> list[tuple[int, int, int]]:
        unit = (self._layout.chunk, self._layout.chunk)
        return [(factor, i, j) for i, j in places(block.level(factor).slices, unit)]

    def _arrays(self, factor: int) -> Stored:
        if factor not in self._stored:
            self._stored[factor] = stored_arrays(self._fork.store, self._layout, factor)
        return self._stored[factor]

    def _present(self, key: tuple[int, int, int]) -> tuple[Grid, Arrays]:
        """A chunk's level piece, and every variable there as it is so far."""
        factor, i, j = key
        grid = self._layout.grid.block(i, j, self._layout.chunk * factor).grid.level(factor)
        return grid, read_levels(self._arrays(factor), self._index, grid)
