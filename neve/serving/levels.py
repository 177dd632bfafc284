"""Which level a tile is drawn from.

Belongs here: the level whose pixels are nearest to the tile's, and how many chunks a tile may
read. Does not belong here: drawing (``tiles``).
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import morecantile
import xarray as xr
from pyproj import Transformer
from xpublish_tiles.multiscale import get_resolution_level
from xpublish_tiles.xpublish.tiles.tile_matrix import extract_tile_bbox_and_crs

from neve.errors import AskPerson
from neve.serving.asking import Place
from neve.serving.views import View

# xpublish-tiles chooses levels as if a tile had 256 pixels, whatever it is asked for.
SIZE = 256
MATRIX = "WebMercatorQuad"
MOST_CHUNKS = 16
# Pixels of the level that xpublish-tiles reads around a tile.
PADDING = 2


def level_of(view: View, place: Place, names: Sequence[str]) -> str:
    """The level nearest in pixel size, or the next coarser one of which few chunks are read.

    Few: ``MOST_CHUNKS``. Of a cube whose chunks are smaller than a tile it is the nearest one in
    any case. Where every level has more, it is the finest of those with the fewest. Raises
    ``AskPerson`` where every level is a single pixel wide or high: that cannot be drawn.
    """
    drawable = [n for n, level in view.levels.items() if min(level.attrs["spatial:shape"]) > 1]
    sizes = tuple((name, view.grid(name).resolution) for name in drawable)
    nearest = _nearest(sizes, view.native_grid.crs, place.z)
    if min(view.chunk(drawable[0])) < SIZE:
        return nearest
    further = drawable[drawable.index(nearest) :]
    met = {level: chunks_of(view, level, place, names) for level in further}
    return next((n for n in further if met[n] <= MOST_CHUNKS), min(further, key=met.__getitem__))


def chunks_of(view: View, level: str, place: Place, names: Sequence[str]) -> int:
    """Chunks of a level that a tile meets, those around its edge included.

    Of all arrays together that ``names`` are made from.
    """
    grid = view.grid(level)
    box, crs = extract_tile_bbox_and_crs(MATRIX, place.z, place.y, place.x)
    bounds = _to_grid(crs, grid.crs).transform_bounds(box.west, box.south, box.east, box.north)
    west, south, east, north = bounds
    if not all(map(math.isfinite, (west, south, east, north))):
        west, south, east, north = grid.bounds  # far beyond where the projection is defined
    if grid.geographic and east < grid.left:
        west, east = west + 360, east + 360  # a region over the antimeridian runs from 179 to 181
    edges = (
        (grid.top - north, grid.top - south, grid.height),
        (west - grid.left, east - grid.left, grid.width),
    )
    pixels = [(a / grid.resolution, b / grid.resolution, size) for a, b, size in edges]
    arrays = view.arrays(names)
    return sum(
        math.prod(_met(*edge, side) for edge, side in zip(pixels, chunk, strict=True)) * count
        for chunk, count in Counter(view.chunk(level, array) for array in arrays).items()
    )


def _met(first: float, last: float, size: int, chunk: int) -> int:
    """Chunks along one axis between two edges, given in pixels."""
    low, high = max(0, math.floor(first) - PADDING), min(size, math.ceil(last) + PADDING)
    return 0 if low >= high else (high - 1) // chunk - low // chunk + 1


@lru_cache(maxsize=256)
def _nearest(sizes: tuple[tuple[str, float], ...], crs: str, zoom: int) -> str:
    """What xpublish-tiles takes of levels with these pixel sizes."""
    nodes = {
        name: xr.Dataset({"x": 0}, attrs={"spatial:transform": [size], "proj:code": crs})
        for name, size in sizes
    }
    chosen = get_resolution_level(
        xr.DataTree.from_dict(nodes), zoom=zoom, tms=morecantile.tms.get(MATRIX)
    )
    if chosen is None or chosen.path is None:
        raise AskPerson("the cube is a single pixel wide or high; a map cannot show it")
    return chosen.path


@lru_cache(maxsize=16)
def _to_grid(crs: Any, grid: str) -> Transformer:
    return Transformer.from_crs(crs, grid, always_xy=True)
