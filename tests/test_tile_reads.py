"""What map tiles of a cube as regions make it read and show, over HTTP."""

import numpy as np
import pytest
from cubes import make
from map_server import AFFINE, map_server
from pyproj import Transformer
from served_cube import centre, expected, pixels, tile_of

from neve.cube import creation
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.store import MAIN
from neve.grid import Grid
from neve.opened import open as open_tree
from neve.region import Region

pytestmark = pytest.mark.filterwarnings(AFFINE)
WEST, SOUTH, EAST, NORTH = AREA = (14.6, 0.2, 15.4, 1.0)  # at the equator tiles are widest
# What a tile shows → bands it needs. A chunk that two of three indices need is read once.
SHOWN = {"red": 1, "red,green,blue": 3, "EVI": 3, "NDVI,EVI,MSAVI": 4}


@pytest.fixture
def empty(tmp_path) -> str:
    """A cube of one month, with default chunks and levels, that stores no chunk: what is asked
    for is counted all the same.
    """
    region = Region.model_validate(
        {
            "name": "wide", "area": {"bbox": AREA}, "crs": "EPSG:32633", "resolution": 10,
            "start": "2024-06", "bands": ["blue", "green", "red", "nir"], "indices": ["NDVI"],
            "land": False,
        }
    )  # fmt: skip
    cube = open_cube(str(tmp_path / "cube"), layout_of(region))
    session = cube.repository.writable_session(MAIN)
    creation.extend_time(session.store, cube.layout, "2024-06")
    session.commit("a month")
    return str(tmp_path / "cube")


def at_a_corner(grid: Grid, zoom: int, factor: int) -> tuple[int, int]:
    """The tile that holds a corner of four chunks of a level, and so reads most of it."""
    side = 512 * factor * grid.resolution
    corner = grid.left + side, grid.top - side
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    return tile_of(*to_lonlat.transform(*corner), zoom)


def test_a_tile_says_its_level_and_how_many_chunks_it_read(empty):
    """A few tiles of each kind; the bound of 16 for any tile is what test_levels.py shows."""
    grid = Grid(**open_tree(empty).attrs["neve"]["grid"])
    most = 0
    with map_server(empty) as client:
        for zoom, factor in {6: 64, 9: 16, 12: 4, 15: 1}.items():
            middle = tile_of((WEST + EAST) / 2, (SOUTH + NORTH) / 2, zoom)
            place = middle if factor == 64 else at_a_corner(grid, zoom, factor)
            for names, bands in SHOWN.items() if zoom in (9, 12) else {"red": 1}.items():
                row, column = place
                answer = client.get(f"/tiles/main/{names}/{zoom}/{row}/{column}.png")
                assert answer.status_code == 200, answer.text
                assert answer.headers["x-multiscale-level"] == f"{factor}x"
                read = int(answer.headers["x-chunks-read"])
                assert 1 <= read <= 4 * bands, (zoom, names)
                most = max(most, read)
    assert most == 16


def test_previews_are_shown_as_they_are_stored(tmp_path):
    more = "visual: true\npca: [blue, green, red, nir, NDVI]"
    store = make(tmp_path, "small", "[NDVI]", more, ("blue", "green", "red", "nir"))
    tree = open_tree(store)
    grid = Grid(**tree.attrs["neve"]["grid"])
    with map_server(store) as client:
        place = (15, *tile_of(*centre(client), 15))
        for name in ("visual", "pca"):
            stored = np.asarray(tree["1x"][name][0], np.float64)
            answer = client.get(f"/tiles/main/{name}/{'/'.join(map(str, place))}.png")
            assert answer.headers["x-multiscale-level"] == "1x"
            shown = pixels(answer)
            wanted = [expected(stored[..., k], grid, place)[0] for k in range(3)]
            known = np.stack(wanted, axis=-1)
            there = (shown[..., 3] > 0) & np.isfinite(known).all(axis=-1) & (known > 0).all(axis=-1)
            assert there.mean() > 0.2
            same = (shown[..., :3] == known)[there].all(axis=-1)
            assert same.mean() > 0.9  # edges of cells may fall on either side of a pixel's centre
        for path in (
            f"/tiles/main/red,green,visual/{'/'.join(map(str, place))}.png",
            "/legend/main/visual.png",
            "/api/pixel?lon=12.07&lat=45.53&variable=visual",
            "/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=visual",
        ):
            assert client.get(path).status_code == 422, path
