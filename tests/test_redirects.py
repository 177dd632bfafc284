"""An image leads to no other host: not by redirects, nor by files or overviews that it names."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import rasterio
import urllib3
from images import UTM33, images, north_up, scene
from web_server import HASTY, OURS, web

from neve.compositing.composite import compose
from neve.compositing.recipe import Recipe
from neve.errors import BlockFailed, ReadFailed
from neve.grid import Grid
from neve.reading.connections import get, pool_manager
from neve.reading.image import open_image, read_window
from neve.reading.rasters import Raster
from neve.scenes.values import Asset


@pytest.mark.parametrize("kind", ["raw", "lzw", "jp2"])
def test_a_redirect_ends_before_the_second_request(tmp_path, kind):
    body = images(tmp_path)[kind].read_bytes()
    with web(body) as secret, web(body) as first:
        away = {
            "/other": secret.at("localhost"),  # another name, not the one that a person named
            "/metadata": "http://169.254.169.254/latest/meta-data/",
            "/decimal": secret.at("2130706433"),
            "/file": "file:///etc/passwd",
            "/user": secret.at("u:hidden@127.0.0.1"),
            "/escape": "ftp://data.example.com/\x1b[2J",
            "/steer": "http://data\x1b.example.com/a.tif",
            "/bent": "http://[::1/a.tif",
            "/again": "/again",
            "/near": "/a.tif",
        }
        first.moved.update(away)
        for path in away:
            asset = Asset(first.at("127.0.0.1", path + "?sig=hidden"), hosts=OURS)
            first.asked.clear()
            if path == "/near":
                assert open_image(asset, UTM33, HASTY).levels[0].width == 64
                continue
            with pytest.raises(ReadFailed) as caught:
                open_image(asset, UTM33, HASTY)
            assert "redirect" in str(caught.value) and "hidden" not in str(caught.value)
            assert str(caught.value).isprintable()
            assert first.asked == [path] * (6 if path == "/again" else 1)
        assert secret.asked == []
        # Where both are named, it is followed.
        asset = Asset(first.at("127.0.0.1", "/other"), hosts=(*OURS, "localhost"))
        assert open_image(asset, UTM33, HASTY).levels[0].width == 64
        assert secret.asked


def test_a_redirect_may_lead_back_to_the_host_that_the_item_named():
    with web(b"0123456789") as first, web() as second:
        first.moved = {"/a.tif": second.at("localhost", "/b.tif")}
        second.moved = {"/b.tif": first.at("127.0.0.1", "/c.tif")}
        pool = pool_manager((*OURS, "localhost"), 2, 1)
        asked = {"Range": "bytes=0-3"}
        with closing(get(pool, first.at("127.0.0.1"), asked, 5, ("localhost",))) as answer:
            assert answer.read() == b"0123"
        first.moved["/c.tif"] = second.at("127.0.0.2")  # neither named, nor the item's
        with pytest.raises(ReadFailed, match=r"another host, 127.0.0.2"):
            get(pool, first.at("127.0.0.1"), asked, 5, ("localhost",))
        pool.clear()


@pytest.mark.parametrize("place", ["http://data.example.com/a", "ftp://data.example.com/a"])
def test_a_redirect_never_leaves_https(place):
    """No server here has a certificate: its answer alone is given."""
    moved = urllib3.HTTPResponse(status=302, headers={"Location": place})
    pool = urllib3.PoolManager()
    with (
        patch.object(pool, "request", lambda *_, **__: moved),
        pytest.raises(ReadFailed, match="no safe URL"),
    ):
        get(pool, "https://data.example.com/a.tif", {}, 5, ())


def test_a_redirect_in_the_middle_of_an_image_is_refused_too(tmp_path):
    """The header is served, the tiles are sent elsewhere: within a composite."""
    pixels = np.random.default_rng(1).integers(1, 9000, (256, 256)).astype(np.uint16)
    at = north_up(500_000, 5_000_000, 10)
    classes = np.full((256, 256), 4, np.uint8)
    sound = scene(tmp_path, "s1", {"red": (pixels, at), "scl": (classes, at)})
    path = Path(sound.assets["red"].href)
    with web() as secret, web(path.read_bytes()) as first:
        counted = {"n": 0}

        class Turning(dict[str, str]):
            def __contains__(self, key: object) -> bool:
                counted["n"] += 1
                return counted["n"] > 1

            def __getitem__(self, key: str) -> str:
                return secret.at("localhost")

        first.moved = Turning()
        asset = replace(sound.assets["red"], href=first.at("127.0.0.1"), hosts=OURS)
        bad = replace(sound, assets=sound.assets | {"red": asset})
        with pytest.raises(BlockFailed, match="redirected to another host, localhost"):
            compose(Grid(UTM33, 10, 500_000, 5_000_000, 128, 128), [bad], Recipe(("red",)), HASTY)
        assert secret.asked == []


@pytest.mark.parametrize("place", ["web", "folder"])
def test_files_that_name_further_files_are_not_opened(tmp_path, place):
    inner = images(tmp_path)["raw"]
    with web(inner.read_bytes()) as secret:
        source = f"/vsicurl/{secret.at('127.0.0.1')}" if place == "web" else str(inner)
        text = (
            '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS>'
            "<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>"
            '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>'
            f"{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        file = tmp_path / "a.tif"
        file.write_text(text)
        assert open_image(Asset(str(inner)), UTM33, HASTY)
        for opening in (
            lambda: open_image(Asset(str(file)), UTM33, HASTY),
            lambda: Raster(str(file), HASTY),
        ):
            with pytest.raises(ReadFailed):
                read_window(opening(), (0, 0), (64, 64))
        assert secret.asked == []


def test_overviews_that_an_image_says_lie_elsewhere_are_not_asked_for(tmp_path):
    file = images(tmp_path)["lzw"]
    with web() as secret:
        with rasterio.open(file, "r+") as image:
            image.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{secret.at('127.0.0.1')}")
        found = read_window(open_image(Asset(str(file)), UTM33, HASTY), (0, 0), (64, 64))
        assert found[0, 0] == 1
        assert secret.asked == []
        with rasterio.open(file) as image:  # as GDAL would do for smaller pictures
            assert "vsicurl" in image.tags(ns="OVERVIEWS")["OVERVIEW_FILE"]
