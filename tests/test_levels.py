"""The level of a tile: near in size, and few chunks of it."""

import morecantile
import numpy as np
import pytest
from pyproj import Transformer

from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.region import Region
from neve.serving import levels
from neve.serving.asking import Place
from neve.serving.views import Views

BBOX = [14.8, -0.2, 15.2, 0.2]
# At the equator a tile's pixels are as large as its zoom says; of factors that are 8 apart it
# takes up to 700 pixels of a level.
REGION = {
    "name": "square",
    "area": {"bbox": BBOX},
    "resolution": 7,
    "start": "2024-06",
    "bands": ["green", "red", "nir"],
    "indices": ["NDWI"],
    "overviews": [8, 64],
}


@pytest.fixture(scope="module", params=["EPSG:32633", "EPSG:4326"])
def view(request, tmp_path_factory):
    degrees = {"resolution": 0.000062} if request.param == "EPSG:4326" else {}
    region = Region.model_validate(REGION | {"crs": request.param} | degrees)
    store = str(tmp_path_factory.mktemp("levels") / "cube")
    return Views(open_cube(store, layout_of(region)).repository, "cube").at("main")


def met(view, level: str, place: Place) -> int:
    """Slow and obvious: the chunks under a fine net of points in the tile."""
    half = np.pi * 6378137
    side = 2 * half / 2**place.z
    steps = np.linspace(0, side, 250)[1:-1]
    x, y = np.meshgrid(place.x * side - half + steps, half - place.y * side - steps)
    grid = view.grid(level)
    x, y = Transformer.from_crs(3857, grid.crs, always_xy=True).transform(x, y)
    row = np.floor((grid.top - y) / grid.resolution).astype(int)
    col = np.floor((x - grid.left) / grid.resolution).astype(int)
    inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
    rows, cols = view.chunk(level)
    return len(set(zip(row[inside] // rows, col[inside] // cols, strict=True)))


@pytest.mark.parametrize(
    ("names", "arrays"), [(["red"], 1), (["NDVI"], 2), (["nir", "red", "green"], 3)]
)
def test_no_tile_reads_more_than_sixteen_chunks(view, names, arrays):
    nearest, coarser = [], 0
    for zoom in (9, 12, 13):
        tiles = list(morecantile.tms.get(levels.MATRIX).tiles(*BBOX, zoom))
        for k, tile in enumerate(tiles[:: max(1, len(tiles) // 40)]):
            place = Place(zoom, tile.y, tile.x)
            level = levels.level_of(view, place, names)
            bound = levels.chunks_of(view, level, place, ["red"])
            assert levels.chunks_of(view, level, place, names) == arrays * bound
            assert arrays * bound <= levels.MOST_CHUNKS
            if k % 8 == 0:
                assert 1 <= met(view, level, place) <= bound
            near = levels.level_of(view, place, ["red"])
            nearest.append(arrays * levels.chunks_of(view, near, place, ["red"]))
            coarser += level != near
    # Nine of one array may be read, so it must make a difference for more.
    assert (max(nearest) > levels.MOST_CHUNKS) == (coarser > 0) == (arrays > 1)


def test_a_tile_elsewhere_meets_none(view):
    assert levels.chunks_of(view, "1x", Place(10, 1, 1), ["red"]) == 0


def test_a_level_of_a_single_pixel_is_never_drawn(tmp_path):
    small = {"area": {"bbox": [14.8, 0, 14.803, 0.003]}, "crs": "EPSG:32633", "chunk": 256}
    region = Region.model_validate(REGION | small | {"block": 1024})
    repository = open_cube(str(tmp_path / "cube"), layout_of(region)).repository
    view = Views(repository, "cube").at("main")
    assert min(view.levels["64x"].attrs["spatial:shape"]) == 1
    assert levels.level_of(view, Place(0, 0, 0), ["red"]) == "8x"
