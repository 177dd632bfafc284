"""Drawing previews: levels in, pictures of all levels out, in bounded memory.

Belongs here: which cells the statistics are taken from, and which chunks are drawn. Does not
belong here: the arithmetic (``colours``, ``components``), merging forks and commits.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil, sqrt
from typing import Any

import numpy as np
import zarr
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve.cube import chunks, geozarr
from neve.cube.layout import Preview
from neve.grid import Block, Grid
from neve.previews.colours import Floats, Stretch
from neve.previews.components import Components

# Values that the statistics of a preview are taken from, at most.
SAMPLE = 2**24
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Cells:
    """The cells that lie in some blocks of ``size`` native pixels a side.

    ``blocks``: bool (block_row, block_col) of the whole grid.
    """

    size: int
    blocks: NDArray[np.bool_]

    @classmethod
    def of(cls, grid: Grid, size: int, blocks: Iterable[Block]) -> "Cells":
        """Those of the blocks named."""
        among = np.zeros((ceil(grid.height / size), ceil(grid.width / size)), bool)
        for block in blocks:
            among[block.i, block.j] = True
        return cls(size, among)

    def within(self, factor: int, window: Window) -> NDArray[np.bool_]:
        """Which cells of a window of a level are among them."""
        places = (np.arange(s.start, s.stop) * factor // self.size for s in window)
        return self.blocks[np.ix_(*places)]


@dataclass(frozen=True)
class Canvas:
    """A period of a cube, in a fork that holds all its values.

    ``window``: the piece of the native ``grid`` that previews are of. ``drawn``: which cells are
    drawn; others stay as they are and count for nothing. ``unit``: factor → cells down and across
    that are drawn at a time, whole chunks. ``planes``: a level's group, variables and a window →
    float32 (variables, h, w), NaN for nodata. ``index``: place on the time axis. ``threads``: how
    many units are drawn at once.
    """

    grid: Grid
    window: Grid
    levels: tuple[int, ...]
    previews: tuple[Preview, ...]
    fork: ForkSession
    drawn: Cells
    unit: Callable[[int], tuple[int, int]]
    planes: Callable[[Any, tuple[str, ...], Window], Floats]
    index: int
    threads: int


def draw_previews(canvas: Canvas) -> dict[str, Any]:
    """Draw all previews at every level into the fork; returns how, as JSON values.

    A preview's statistics are those of the finest level with few enough cells, so they are the
    native pixels' own in small regions.
    """
    told: dict[str, Any] = {}
    for preview in canvas.previews:
        picture = _fitted(canvas, preview)
        for factor in canvas.levels:
            draw = partial(_draw, canvas, preview, picture, factor, _group(canvas, factor))
            with ThreadPoolExecutor(canvas.threads) as pool:
                for _ in pool.map(draw, _windows(canvas, factor)):
                    pass
        told[preview.name] = {"variables": list(preview.variables), **picture.told()}
    return told


def _group(canvas: Canvas, factor: int) -> Any:
    return zarr.open_group(canvas.fork.store, path=geozarr.level_name(factor), mode="r+")


def _fitted(canvas: Canvas, preview: Preview) -> Stretch | Components:
    if preview.name == "pca":
        return Components.fit(_sample(canvas, preview))
    if preview.stretch is not None:
        return Stretch((preview.stretch,) * 3)
    return Stretch.fit(_sample(canvas, preview))


def _sample(canvas: Canvas, preview: Preview) -> Floats:
    """float32 (variables, n): cells of the drawn blocks where every variable is finite."""
    window, most = canvas.window, SAMPLE // len(preview.variables)
    cells = {factor: np.prod(window.level(factor).shape) for factor in canvas.levels}
    fitting = [factor for factor in cells if cells[factor] <= most]
    factor = min(fitting, default=canvas.levels[-1])
    step = ceil(sqrt(max(cells[factor] / most, 1)))
    group = _group(canvas, factor)
    found = [np.empty((len(preview.variables), 0), np.float32)]
    for rows, cols in _windows(canvas, factor):
        thin = (slice(-rows.start % step, None, step), slice(-cols.start % step, None, step))
        planes = canvas.planes(group, preview.variables, (rows, cols))[:, *thin]
        valid = np.isfinite(planes).all(axis=0) & canvas.drawn.within(factor, (rows, cols))[thin]
        found.append(planes[:, valid])
    return np.concatenate(found, axis=1)


def _windows(canvas: Canvas, factor: int) -> Iterator[Window]:
    """Whole chunks of a level that drawn blocks reach into, row by row."""
    down, across = canvas.unit(factor)
    level, whole = canvas.window.level(factor), canvas.grid.level(factor)
    for top in range(level.row // down * down, level.row + level.height, down):
        for left in range(level.col // across * across, level.col + level.width, across):
            rows = slice(top, min(top + down, whole.height))
            cols = slice(left, min(left + across, whole.width))
            if canvas.drawn.within(factor, (rows, cols)).any():
                yield rows, cols


def _draw(
    canvas: Canvas,
    preview: Preview,
    picture: Stretch | Components,
    factor: int,
    group: Any,
    window: Window,
) -> None:
    pixels = picture.render(canvas.planes(group, preview.variables, window))
    ours = canvas.drawn.within(factor, window)
    array = group[preview.name]
    if not ours.all():
        pixels = np.where(ours[..., None], pixels, array[canvas.index, *window])
    start = (canvas.index, window[0].start, window[1].start, 0)
    chunks.write([(array, start, pixels[None])])
