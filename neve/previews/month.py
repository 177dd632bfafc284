"""A month of a region as a canvas for its previews.

Belongs here: how a cube's variables are read as numbers. Does not belong here: drawing.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from icechunk.session import ForkSession

from neve.cube.layout import Layout
from neve.grid import Block
from neve.previews.colours import Floats
from neve.previews.drawing import Canvas, Cells, Window

THREADS = 4


def month_canvas(layout: Layout, fork: ForkSession, index: int, blocks: Iterable[Block]) -> Canvas:
    """A month in a fork that holds all that was built; ``blocks`` are drawn."""

    def planes(group: Any, variables: tuple[str, ...], window: Window) -> Floats:
        return np.stack([_decoded(group[name], index, window) for name in variables])

    return Canvas(
        grid=layout.grid,
        window=layout.window,
        levels=layout.levels,
        previews=layout.previews,
        fork=fork,
        drawn=Cells.of(layout.grid, layout.block, blocks),
        unit=lambda factor: layout.chunk_shape(factor)[1:],
        planes=planes,
        index=index,
        threads=THREADS,
    )


def _decoded(array: Any, index: int, window: Window) -> Floats:
    """float32 (h, w), NaN for nodata."""
    values = np.asarray(array[index, *window])
    if values.dtype == np.float32:
        return values
    scaled = values.astype(np.float32) * np.float32(array.attrs["scale_factor"])
    return np.where(values == array.fill_value, np.float32("nan"), scaled)
