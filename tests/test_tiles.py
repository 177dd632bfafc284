"""The map server's tiles and legends against the stored values."""

import asyncio
import io
import math
import re

import numpy as np
import pytest
import xpublish
from map_server import AFFINE, running
from PIL import Image
from served_cube import centre, client, cube, expected, pixels, tile_of
from xpublish import Plugin, hookimpl
from xpublish_tiles.config import config
from xpublish_tiles.xpublish.tiles.plugin import TilesPlugin

from neve.cube.places import open_repository
from neve.errors import Retry
from neve.opened import open as open_tree
from neve.serving import tiles
from neve.serving.views import Views

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


def test_tiles_at_every_zoom_show_the_stored_values(client, cube):
    tree, lonlat, seen = open_tree(cube.store), centre(client), []
    for zoom in range(5, 17):
        place = (zoom, *tile_of(*lonlat, zoom))
        url = "/tiles/main/NDVI/{}/{}/{}.png?month=2024-06&lo=-1&hi=1&colormap=gray"
        answer = client.get(url.format(*place))
        shown = pixels(answer)
        level = answer.headers["x-multiscale-level"]
        seen.append(int(level[:-1]))
        chunks = math.prod(math.ceil(n / 16) for n in tree[level]["NDVI"].shape[1:])
        assert 1 <= int(answer.headers["x-chunks-read"]) <= chunks
        assert re.fullmatch(r"wait;dur=[\d.]+, tile;dur=[\d.]+", answer.headers["server-timing"])
        grid = cube.plan().layout.grid.level(seen[-1])
        wanted, least, largest = expected(tree[level]["NDVI"][0].to_numpy(), grid, place)
        both = (shown[..., 3] > 0) & np.isfinite(wanted)
        # Edges of cells may fall on either side of a pixel's centre.
        agree = (shown[..., 3] > 0) == np.isfinite(wanted)
        assert agree.mean() > 0.97
        values = shown[both, 0] / 255 * 2 - 1
        within = (least[both] - 0.02 < values) & (values < largest[both] + 0.02)
        assert within.mean() > 0.99
        if zoom > 12:  # a pixel of the level is wider than one of the tile
            assert (np.abs(values - wanted[both]) < 0.02).mean() > 0.9
    assert seen == sorted(seen, reverse=True)
    assert set(seen) >= {1, 4, 16}


def test_three_bands_are_one_picture(client):
    lonlat = centre(client)
    place = (13, *tile_of(*lonlat, 13))
    look = "?month=2024-06&lo=0&hi=0.4&colormap=gray"
    bands = ("red", "green", "blue")
    where = "/".join(map(str, place))
    colours = pixels(client.get(f"/tiles/main/{','.join(bands)}/{where}.png{look}"))
    for k, band in enumerate(bands):
        grey = pixels(client.get(f"/tiles/main/{band}/{where}.png{look}"))
        valid = grey[..., 3] > 0
        assert valid.any()
        difference = colours[valid, k].astype(int) - grey[valid, 0]
        assert np.abs(difference).max() <= 2


def test_a_tile_elsewhere_is_empty(client):
    assert (pixels(client.get("/tiles/main/NDVI/10/1/1.png"))[..., 3] == 0).all()


def test_a_tile_of_more_pixels_than_are_sensible_is_refused(client):
    place = "/".join(map(str, (12, *tile_of(*centre(client), 12))))
    with config.set(max_renderable_size=100):
        answer = client.get(f"/tiles/main/red/{place}.png")
    assert answer.status_code == 422
    assert "no coarser level" in answer.json()["error"]


def test_every_tile_along_the_edge_answers(client):
    west, south, east, north = client.get("/api/cube").json()["bounds"]
    for zoom in (8, 12, 14):
        top, left = tile_of(west, north, zoom)
        bottom, right = tile_of(east, south, zoom)
        edge = {
            (r, c) for r in range(top - 1, bottom + 2) for c in (left - 1, left, right, right + 1)
        }
        for row, column in sorted(edge):
            answer = client.get(f"/tiles/main/red/{zoom}/{row}/{column}.png")
            assert answer.status_code == 200, (zoom, row, column, answer.text)


def test_drawing_is_compiled_once_for_all_variables_of_a_kind(cube):
    view = Views(open_repository(cube.store), "cube").at("main")
    looks = [tiles.look_of(view, name, None, (None, None), None) for name in ("red", "nir")]
    one, other = (set(tiles._plane(view.native, look, 0).data_vars) for look in looks)
    assert one == other


def test_legends_have_the_limits_that_were_asked_for(client):
    png = client.get("/legend/main/NDVI.png?lo=0&hi=1")
    assert Image.open(io.BytesIO(png.content)).format == "PNG"
    told = client.get("/legend/main/NDVI.json?lo=0&hi=1&colormap=gray").json()
    assert told["range"] == [0, 1]
    assert told["colours"][0] == "#000000ff"
    assert told["colours"][-1] == "#ffffffff"
    assert len(told["colours"]) == 256


def test_no_more_tiles_are_drawn_at_once_than_allowed(monkeypatch):
    now, most = 0, 0

    async def draw(*_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return "drawn"

    async def staying():
        return False

    async def gone():
        return True

    async def many():
        painter = tiles.Painter()
        asked = [
            painter.tile(None, None, None, staying) for _ in range(tiles.AT_ONCE + tiles.WAITING)
        ]
        tasks = [asyncio.ensure_future(one) for one in asked]
        await asyncio.sleep(0)
        with pytest.raises(Retry, match="ask again"):
            await painter.tile(None, None, None, staying)
        assert await asyncio.gather(*tasks) == ["drawn"] * len(tasks)
        assert await painter.tile(None, None, None, gone) is None

    monkeypatch.setattr(tiles, "_draw", draw)
    asyncio.run(many())
    assert most == tiles.AT_ONCE


class Cubes(Plugin):
    """A provider of datasets, as the documentation of xpublish has it."""

    name: str = "cubes"
    store: str

    @hookimpl
    def get_datasets(self):
        return ["main", "first"]

    @hookimpl
    def get_datatree(self, dataset_id: str, group: str):
        return open_tree(self.store, dataset_id)


def test_a_plain_xpublish_tiles_server_understands_the_levels(cube, client):
    """No route of ours between: the metadata alone must lead it to the right level."""
    plugins = {"cubes": Cubes(store=cube.store), "tiles": TilesPlugin()}
    with running(xpublish.Rest(plugins=plugins).app) as plain:
        for zoom in range(6, 16):
            row, column = tile_of(*centre(client), zoom)
            answer = plain.get(
                f"/datasets/main/tiles/WebMercatorQuad/{zoom}/{row}/{column}"
                "?variables=NDVI&width=256&height=256&f=image/png&colorscalerange=-1,1"
            )
            assert answer.status_code == 200, answer.text
            ours = client.get(f"/tiles/main/NDVI/{zoom}/{row}/{column}.png?lo=-1&hi=1")
            assert answer.headers["x-multiscale-level"] == ours.headers["x-multiscale-level"]
