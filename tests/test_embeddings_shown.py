"""Embedding cubes on the map server, on the page and by the commands."""

import sys

import httpx
import morecantile
import numpy as np
import pytest
from embedding_tiles import TILES, YEAR, consolidated, folder, lonlat, opened, write_tile
from page_browser import CHROMIUM, FLAGS, colours, pixels, served

from neve import page
from neve.cli.app import run
from neve.cube.tidying import LEAST

__all__ = ["folder"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(address of its map server, layout, report, root group) of a cube."""
    place = tmp_path_factory.mktemp("shown")
    for name in TILES:
        write_tile(place / "mirror", name)
    found, report = consolidated(place / "mirror", place / "cube", (4, 16))
    with served(str(place / "cube")) as url:
        yield url, found, report, opened(place / "cube")[1]


def test_the_map_server_tells_of_it_and_draws_it(shown):
    url, found, report, root = shown
    lon, lat = lonlat(50_440, 480_020)
    with httpx.Client(base_url=url, timeout=60) as client:
        cube = client.get("/api/cube").json()
        assert (cube["months"], cube["period"]) == (["2024-01"], "year")
        assert [v["name"] for v in cube["variables"]] == ["pca", "visual", "scales"]
        assert [level["name"] for level in cube["levels"]] == ["1x", "4x", "16x"]
        assert np.allclose(cube["bounds"], found.window.lonlat_bounds())
        newest, first = client.get("/api/history").json()
        assert (newest["snapshot"], newest["month"]) == (report.snapshot, "2024-01")
        (month,) = client.get("/api/months").json()
        valid = month["valid_fraction"] * found.window.height * found.window.width
        assert valid == pytest.approx(report.valid_pixels)
        for variable, zoom, level in [
            ("visual", 12, "4x"),
            ("pca", 13, "1x"),
            ("scales", 13, "1x"),
        ]:
            place = morecantile.tms.get("WebMercatorQuad").tile(lon, lat, zoom)
            tile = client.get(f"/tiles/main/{variable}/{zoom}/{place.y}/{place.x}.png")
            assert tile.headers["X-Multiscale-Level"] == level
            assert 1 <= int(tile.headers["X-Chunks-Read"]) <= 16
            assert colours(pixels(tile.content)) > 50
        pixel = client.get(f"/api/pixel?lon={lon}&lat={lat}&variable=scales").json()
        assert pixel["value"] == pytest.approx(
            float(root["1x/scales"][0, pixel["row"], pixel["col"]])
        )
        assert pixel["chunk"] == [pixel["row"] // 1024, pixel["col"] // 1024]
        assert pixel["snapshot"] == report.snapshot
        changed = client.get(f"/api/diff?from={first['snapshot']}").json()
        assert changed["months"] == ["2024-01"]
        assert changed["variables"] == ["pca", "scales", "visual"]
        assert [pixel["row"] // 256, pixel["col"] // 256] in changed["levels"]["1x"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.skipif(not (page.vendor() / "maplibre-gl").is_dir(), reason="npm ci has not run")
def test_the_page_opens_on_it_and_calls_it_by_its_year(shown):
    from page_visitor import Visitor
    from playwright.sync_api import sync_playwright

    lon, lat = lonlat(50_440, 480_020)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=["--headless"]
        )
        visitor = Visitor(browser, shown[0]).open()
        told = visitor.text("#month-name")
        assert told.startswith("2024")
        assert "median" not in told
        assert colours(visitor.picture()) > 500
        visitor.show(f"low=0&v=scales&px={lon:.5f},{lat:.5f}")
        assert "scales, 2024" in visitor.text("#passport-title")
        assert visitor.wrong == []
        browser.close()


def test_the_command_says_what_it_made(folder, tmp_path, monkeypatch, capsys):
    def neve(*arguments):
        monkeypatch.setattr(sys, "argv", ["neve", *map(str, arguments)])
        return run()

    options = ["--year", YEAR, "--store", tmp_path / "cube", "--workers", -1, "--factors", "4,16"]
    assert neve("embed", folder, "--zone", "33N", *options) == 0
    assert "tiles\t3\n" in capsys.readouterr().out
    assert neve("info", tmp_path / "cube") == 0  # which checks its GeoZarr metadata
    told = capsys.readouterr().out
    assert "embeddings" in told
    assert "2024-01" in told
    assert neve("tidy", tmp_path / "cube", "--keep-days", LEAST.days) == 0
    point = ["--point", "15.1,46.9", "--variable", "scales"]
    for asked in (["status"], ["verify"], ["sample", *point]):
        assert neve(asked[0], tmp_path / "cube", *asked[1:]) == 3
        assert "no monthly cube" in capsys.readouterr().err
    assert neve("embed", folder, "--zone", "61N", *options) == 3
    assert "33N" in capsys.readouterr().err
