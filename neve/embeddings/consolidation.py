"""Consolidation: a zone's tiles into blocks, levels and previews, and one commit.

Belongs here: which tiles meet in a block, the order of the steps, publishing. Does not belong
here: reading a tile (``tiles``), the arrays (``layout``), arithmetic (``vectors``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import icechunk as ic
import numpy as np
import zarr
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve.build.engine import Engine
from neve.cube import chunks, geozarr, places
from neve.cube.locking import lock_of, locked
from neve.cube.store import MAIN, refuse_old
from neve.embeddings import vectors
from neve.embeddings.layout import BLOCK, PREVIEW_CHUNK, EmbeddingLayout, create
from neve.embeddings.tiles import Tile
from neve.errors import MonthConflict
from neve.grid import Block
from neve.previews.colours import Floats
from neve.previews.drawing import Canvas, Cells, Window, draw_previews

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """One block and the tiles that reach into it, by name; ``fork``: what it is written into."""

    layout: EmbeddingLayout
    block: Block
    tiles: tuple[Tile, ...]
    fork: ForkSession


@dataclass(frozen=True)
class Done:
    """A written block; ``valid``: its native pixels with a vector."""

    block: Block
    fork: ForkSession
    valid: int


@dataclass(frozen=True)
class Report:
    """What was published."""

    snapshot: str
    tiles: int
    blocks: int
    valid_pixels: int


def consolidate(
    tiles: list[Tile],
    layout: EmbeddingLayout,
    location: str,
    engine: Engine,
    progress: Progress = lambda done, total: None,
    s3_options: Mapping[str, Any] | None = None,
) -> Report:
    """Put a zone's tiles of a year together in a store, in one commit.

    Where tiles overlap, a pixel is that of the first tile by name that has land and a scale
    there. A store that holds these embeddings already is made anew, in one commit too. Raises
    ``CubeMismatch`` over another cube, ``MonthConflict`` when another writer was faster or this
    took longer than ``store.LONGEST``; the store is then as it was.
    """
    lock, began = lock_of(location), datetime.now(UTC)
    with locked(lock):
        config = ic.RepositoryConfig.default()
        repository = places.open_or_create(location, config, s3_options)
    session = repository.writable_session(MAIN)
    create(session.store, layout)
    fork = session.fork()
    done: list[Done] = []
    tasks = [Task(layout, block, met, fork) for block, met in _meetings(tiles, layout)]
    for result in engine.map(write_block, tasks):
        done.append(result)
        progress(len(done), len(tasks))
    own = session.fork()
    own.merge(*{id(result.fork): result.fork for result in done}.values())
    drawn = [result.block for result in done if result.valid]
    previews = draw_previews(_canvas(layout, own, drawn))
    session.merge(own)
    valid = sum(result.valid for result in done)
    pixels = sum(result.block.grid.height * result.block.grid.width for result in done)
    told = {
        "month": layout.step,
        "year": layout.year,
        "tiles": [tile.name for tile in tiles],
        "previews": previews,
        "valid_pixels": valid,
        "valid_fraction": valid / pixels,
    }
    message = f"embeddings of {layout.year} in {layout.grid.crs}: {len(tiles)} tiles"
    with locked(lock):
        refuse_old(began, f"{location}: this", "run again, with more workers")
        snapshot = _committed(session, location, message, told)
    return Report(snapshot, len(tiles), len(tasks), valid)


def _committed(session: ic.Session, location: str, message: str, told: dict[str, Any]) -> str:
    try:
        return str(session.commit(message, metadata=told))
    except ic.ConflictError as error:
        raise MonthConflict(f"{location}: another writer committed meanwhile; run again") from error


def _meetings(tiles: list[Tile], layout: EmbeddingLayout) -> list[tuple[Block, tuple[Tile, ...]]]:
    """Every block that a tile reaches into, with its tiles in their order."""
    met: dict[tuple[int, int], list[Tile]] = {}
    for tile in tiles:
        piece = layout.grid.covering(tile.grid.bounds, BLOCK)
        for block in piece.blocks(BLOCK):
            key = piece.row // BLOCK + block.i, piece.col // BLOCK + block.j
            met.setdefault(key, []).append(tile)
    return [(layout.grid.block(*key, BLOCK), tuple(met[key])) for key in sorted(met)]


def write_block(task: Task) -> Done:
    """Compose one block and write its chunk of every level into the task's fork."""
    layout, grid = task.layout, task.block.grid
    values = np.zeros((BLOCK, BLOCK, layout.bands), np.int8)
    scales = np.full((BLOCK, BLOCK), np.nan, np.float32)
    for tile in task.tiles:
        _paste(tile, task.block, values, scales)
    levels = [(values, scales), *vectors.coarser(values, scales, layout.factors)]
    for factor, (level_values, level_scales) in zip(layout.levels, levels, strict=True):
        level = grid.level(factor)
        group: Any = zarr.open_group(task.fork.store, path=geozarr.level_name(factor), mode="r+")
        part = (None, slice(level.height), slice(level.width))
        start = (0, level.row, level.col)
        chunks.write(
            [
                (group["embeddings"], (*start, 0), level_values[part]),
                (group["scales"], start, level_scales[part]),
            ]
        )
    return Done(task.block, task.fork, int(np.isfinite(scales).sum()))


def _paste(tile: Tile, block: Block, values: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
    """Fill what is empty in a block with the tile's pixels."""
    here, there = block.grid, tile.grid
    left, _, _, top = here.bounds
    row = round((there.top - top) / there.resolution)  # of the block's corner in the tile
    col = round((left - there.left) / there.resolution)
    rows = slice(max(row, 0), min(row + here.height, there.height))
    cols = slice(max(col, 0), min(col + here.width, there.width))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    put = slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col)
    found, found_scales = tile.read(rows, cols)
    new = np.isnan(scales[put]) & np.isfinite(found_scales)
    values[put][new] = found[new]
    scales[put][new] = found_scales[new]


def _canvas(layout: EmbeddingLayout, fork: ForkSession, blocks: Iterable[Block]) -> Canvas:
    """The year as something to draw previews on; ``blocks``: those with data."""

    def unit(factor: int) -> tuple[int, int]:
        height, width = layout.grid.level(factor).shape
        side = max(BLOCK // factor, PREVIEW_CHUNK)
        return min(side, height), min(side, width)

    return Canvas(
        grid=layout.grid,
        window=layout.window,
        levels=layout.levels,
        previews=layout.previews,
        fork=fork,
        drawn=Cells.of(layout.grid, BLOCK, blocks),
        unit=unit,
        planes=_planes,
        index=0,
        threads=1,  # a block of 128 bands takes half a GiB when it is dequantised
    )


def _planes(group: Any, variables: tuple[str, ...], window: Window) -> Floats:
    """float32 (bands, h, w), NaN for nodata."""
    bands = [int(name) for name in variables]
    values = np.asarray(group["embeddings"][0, *window])[..., bands]
    scales = np.asarray(group["scales"][0, *window])
    return np.moveaxis(vectors.dequantised(values, scales), -1, 0)
