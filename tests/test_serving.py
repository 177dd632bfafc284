"""The map server over HTTP: tiles against the stored values, answers against the cube."""

import asyncio
import io
import json
import math
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import icechunk as ic
import numpy as np
import pytest
import xpublish
import zarr
from conftest import BY, REGION, Tiny
from fastapi import FastAPI
from map_server import AFFINE, map_server, running
from PIL import Image
from pyproj import Transformer
from xpublish import Plugin, hookimpl
from xpublish_tiles.xpublish.tiles.plugin import TilesPlugin

from neve import page
from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.places import open_repository
from neve.errors import CubeMismatch, MetadataInvalid, Retry
from neve.grid import Grid
from neve.opened import open as open_tree
from neve.serving import describing, positions, tiles
from neve.serving.app import create_app
from neve.serving.counting import CountingStore
from neve.serving.describing import median_of
from neve.serving.files import add_page
from neve.serving.views import Views

pytestmark = pytest.mark.filterwarnings(AFFINE)
GRIDS = {
    "EPSG:32633": {},
    "EPSG:4326": {"crs: EPSG:32633": "crs: EPSG:4326", "resolution: 60": "resolution: 0.0006"},
}


@pytest.fixture(scope="module", params=GRIDS)
def cube(request, tmp_path_factory, scenes) -> Tiny:
    """Two months in two commits, the first of them tagged."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(scenes, folder / "scenes")
    text = REGION
    for old, new in GRIDS[request.param].items():
        text = text.replace(old, new)
    (folder / "tiny.yaml").write_text(text, "utf-8")
    tiny = Tiny(folder)
    first = build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    tiny.cube().repository.create_tag("first", first.snapshot)
    build_month(tiny.plan("2024-07"), tiny.cube(), Inline(), BY)
    return tiny


@pytest.fixture(scope="module")
def client(cube):
    with map_server(cube.store) as client:
        yield client


def tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """(row, column) of the web map's tile that holds a point."""
    column = (lon + 180) / 360 * 2**zoom
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom
    return int(row), int(column)


def centre(client) -> tuple[float, float]:
    west, south, east, north = client.get("/api/cube").json()["bounds"]
    return (west + east) / 2, (south + north) / 2


def expected(level, grid: Grid, place: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """For each of the tile's 256 × 256 pixels the level's pixel under its centre, and the least
    and the largest of that one and its eight neighbours.
    """
    z, row, column = place
    half = math.pi * 6378137
    steps = (np.arange(256) + 0.5) / 256
    x = (column + steps) / 2**z * 2 * half - half
    y = half - (row + steps) / 2**z * 2 * half
    to_grid = Transformer.from_crs(3857, grid.crs, always_xy=True)
    x, y = to_grid.transform(*np.meshgrid(x, y))
    cols = np.floor((x - grid.left) / grid.resolution).astype(int)
    rows = np.floor((grid.top - y) / grid.resolution).astype(int)
    inside = (cols >= 0) & (cols < grid.width) & (rows >= 0) & (rows < grid.height)
    padded = np.pad(level, 1, constant_values=np.nan)
    around = [
        padded[rows.clip(0, grid.height - 1) + i, cols.clip(0, grid.width - 1) + j]
        for i in range(3)
        for j in range(3)
    ]
    least, largest = np.fmin.reduce(around), np.fmax.reduce(around)
    return tuple(np.where(inside, v, np.nan) for v in (around[4], least, largest))


def pixels(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (256, 256)
    return np.asarray(image.convert("RGBA"))


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


def test_the_cube_is_described_as_it_is(client, cube):
    told = client.get("/api/cube").json()
    tree = open_tree(cube.store)
    assert told["name"] == "tiny"
    assert told["months"] == ["2024-06", "2024-07"]
    assert [level["name"] for level in told["levels"]] == ["1x", "2x", "4x", "16x"]
    for level in told["levels"]:
        assert tree[level["name"]]["red"].shape[1:] == (level["height"], level["width"])
    named = {variable["name"]: variable for variable in told["variables"]}
    assert list(named)[:4] == ["blue", "green", "red", "nir"]
    assert named["NDVI"]["kind"] == "index"
    assert named["NDVI"]["formula"] == tree["1x/NDVI"].attrs["formula"]
    assert named["NDVI"]["range"] == tree["1x/NDVI"].attrs["display_range"]
    assert named["count"]["range"][1] == len(client.get("/api/months").json()[0]["counts"]) - 1
    assert told["refs"]["branches"] == {"main": told["snapshot"]}
    assert list(told["refs"]["tags"]) == ["first"]
    assert told["snapshot"] == cube.cube().tip()
    assert client.get("/api/cube?at=first").json()["months"] == ["2024-06"]


def test_history_months_and_blocks_are_those_of_the_commits(client, cube):
    commits = cube.cube().history()
    told = client.get("/api/history").json()
    assert [c["snapshot"] for c in told] == [c.id for c in commits]
    assert told[0]["scenes"] == commits[0].metadata["scenes"]
    months = client.get("/api/months").json()
    assert [month["snapshot"] for month in months] == [commits[1].id, commits[0].id]
    counts = cube.cube() and open_tree(cube.store)["1x/count"].to_numpy()
    for month, values in zip(months, counts, strict=True):
        assert month["median_count"] == int(np.sort(values.ravel())[(values.size - 1) // 2])
    blocks = client.get("/api/blocks?month=2024-07").json()
    status = open_tree(cube.store)["blocks/status"].to_numpy()
    assert blocks["status"] == status[1].tolist()
    grid = cube.plan().layout.grid
    assert len(blocks["corners"]) == blocks["rows"] + 1
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    last = to_lonlat.transform(grid.bounds[2], grid.bounds[1])
    np.testing.assert_allclose(blocks["corners"][-1][-1], last, atol=1e-6)


@pytest.mark.parametrize("counts", [[], [0, 0], [3], [0, 1], [1, 1, 1], [5, 1, 2, 9], [2, 2]])
def test_median_of_a_histogram(counts):
    values = [n for n, times in enumerate(counts) for _ in range(times)]
    assert median_of(counts) == (sorted(values)[(len(values) - 1) // 2] if values else None)


def test_the_difference_of_two_versions_is_the_second_month(client, cube):
    told = client.get("/api/diff?from=first&to=main").json()
    assert told["months"] == ["2024-07"]
    assert {"red", "NDVI", "count"} <= set(told["variables"])
    rows, cols = (math.ceil(n / 16) for n in cube.plan().layout.grid.shape)
    assert told["levels"]["1x"] == [[i, j] for i in range(rows) for j in range(cols)]
    assert len(told["outlines"]["1x"]) == rows * cols
    corners = client.get("/api/blocks").json()["corners"]
    assert told["outlines"]["1x"][0][0] == corners[0][0]
    assert told["outlines"]["1x"][-1][2] == corners[-1][-1]
    same = client.get("/api/diff?from=main&to=main").json()
    assert (same["months"], same["levels"], same["variables"]) == ([], {}, [])
    backwards = client.get("/api/diff?from=main&to=first")
    assert backwards.status_code == 422
    assert "older snapshot first" in backwards.json()["error"]


def test_a_pixel_tells_its_value_count_and_origin(client, cube):
    tree, rng = open_tree(cube.store), np.random.default_rng(1)
    tip = cube.cube().history()[0]
    for name in ("1x", "4x"):
        grid = cube.plan().layout.grid.level(int(name[:-1]))
        to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
        for _ in range(5):
            row, col = int(rng.integers(grid.height)), int(rng.integers(grid.width))
            lon, lat = to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5)))
            asked = {"lon": lon, "lat": lat, "variable": "EVI", "level": name, "month": "2024-07"}
            told = client.get("/api/pixel", params=asked).json()
            assert (told["row"], told["col"]) == (row, col)
            assert told["chunk"] == [row // 16, col // 16]
            assert told["snapshot"] == tip.id
            assert told["scenes"] == tip.metadata["scenes"]
            factor = int(name[:-1])
            block = told["block"]
            assert (block["row"], block["col"]) == (row * factor // 32, col * factor // 32)
            assert block["status"] == tree["blocks/status"][1, block["row"], block["col"]]
            for k, entry in enumerate(told["series"]):
                for key, variable in (("value", "EVI"), ("count", "count")):
                    value = float(tree[name][variable][k, row, col])
                    assert entry[key] == (value if np.isfinite(value) else None)
            assert told["value"] == told["series"][1]["value"]


def test_a_position_query_is_the_series_of_the_pixel_under_the_point(client, cube):
    tree, grid = open_tree(cube.store), cube.plan().layout.grid
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*(grid.transform @ (40.3, 30.2)))
    asked = {"coords": f"POINT({lon} {lat})", "parameter-name": "NDVI,MSAVI"}
    answer = client.get("/edr/main/position", params=asked)
    assert answer.headers["content-type"] == "application/prs.coverage+json"
    told = answer.json()
    axes = told["domain"]["axes"]
    assert axes["t"]["values"] == ["2024-06-01T00:00:00", "2024-07-01T00:00:00"]
    centre = to_lonlat.transform(*(grid.transform @ (40.5, 30.5)))
    np.testing.assert_allclose([axes["x"]["values"][0], axes["y"]["values"][0]], centre)
    assert [set(r["coordinates"]) for r in told["domain"]["referencing"]] == [{"x", "y"}, {"t"}]
    assert set(told["ranges"]) == set(told["parameters"]) == {"NDVI", "MSAVI", "count"}
    for name, found in told["ranges"].items():
        assert (found["axisNames"], found["shape"]) == (["t", "y", "x"], [2, 1, 1])
        np.testing.assert_array_equal(
            np.array(found["values"], float), tree["1x"][name][:, 30, 40].to_numpy()
        )
    lines = client.get("/edr/main/position", params={**asked, "f": "csv"}).text.splitlines()
    assert lines[0] == "time,latitude,longitude,NDVI,MSAVI,count"
    assert [line[:7] for line in lines[1:]] == ["2024-06", "2024-07"]
    for when, months in {
        "2024-07": 1,
        "2024-06-15": 1,
        "2024-05/2024-06-30": 1,
        "../2024-07": 2,
        "2024-07-01T00:00:00Z/..": 1,
        "..": 2,
    }.items():
        found = client.get("/edr/first/position", params={**asked, "datetime": when})
        if when.startswith("2024-07"):  # not yet there
            assert found.status_code == 422
        found = client.get("/edr/main/position", params={**asked, "datetime": when}).json()
        assert len(found["domain"]["axes"]["t"]["values"]) == months, when


def test_a_position_query_reads_each_chunk_once_and_not_too_many(client, monkeypatch):
    reads, get = [], CountingStore.get

    async def noting(self, key, *arguments, **options):
        reads.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(CountingStore, "get", noting)
    monkeypatch.setattr(positions, "MOST_CHUNKS", 6)
    asked = {"coords": "POINT(12.07 45.53)", "parameter-name": "MSAVI,SAVI,OSAVI,red"}
    told = client.get("/edr/main/position", params=asked).json()
    assert set(told["ranges"]) == {"MSAVI", "SAVI", "OSAVI", "red", "count"}
    chunks = [key for key in reads if "/c/" in key]
    assert len(chunks) == len(set(chunks)) == 2 * 3
    asked["parameter-name"] += ",blue"
    refused = client.get("/edr/main/position", params=asked)
    assert refused.status_code == 422
    assert "4 stored variables in 2 months" in refused.json()["error"]
    assert client.get("/edr/main/position", params={**asked, "datetime": "2024-07"}).is_success


def test_raw_keys_are_the_store_s_own_bytes(client, cube):
    store = cube.cube().repository.readonly_session("main").store
    red = zarr.open_array(store, path="1x/red", mode="r")
    for key in ("zarr.json", "1x/red/zarr.json"):
        answer = client.get(f"/zarr/main/{key}")
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.content)["zarr_format"] == 3
    chunk = client.get("/zarr/main/1x/red/c/0/0/0").content
    from numcodecs import blosc

    decoded = np.frombuffer(blosc.decompress(chunk), "<i2").reshape(16, 16)
    np.testing.assert_array_equal(decoded, red[0, :16, :16])
    for key in ("1x/red/c/9/9/9", "1x/red/c/0", "1x/red/c/999999999/0/0", "1x/nope/c/0/0/0"):
        assert client.get(f"/zarr/main/{key}").status_code == 404


def test_what_a_snapshot_names_is_kept_and_branches_are_asked_again(client, cube):
    tip = cube.cube().tip()
    place = "/".join(map(str, (13, *tile_of(*centre(client), 13))))
    for path in (f"/tiles/{{}}/red/{place}.png", "/zarr/{}/zarr.json", "/api/months?at={}"):
        fixed, moving = client.get(path.format(tip)), client.get(path.format("main"))
        holds = "public, max-age=" + ("31536000, immutable" if "zarr" in path else "86400")
        assert fixed.headers["cache-control"] == holds
        assert moving.headers["cache-control"] == "no-cache"
        assert moving.content == fixed.content
        again = client.get(path.format("main"), headers={"If-None-Match": moving.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        other = client.get(path.format("first"), headers={"If-None-Match": moving.headers["etag"]})
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/cube?at=nowhere", 404),
        ("/api/cube?at=1CECHNKREP0F1RSTCMT0", 404),
        ("/api/cube?at=..%2F..", 422),
        ("/api/cube?expression=1", 422),
        (f"/api/cube?at=staging.{63 * 'r'}.2024-06", 404),
        (f"/api/cube?at={80 * 'r'}", 422),
        ("/api/blocks?month=2023-01", 422),
        ("/api/blocks?month=June", 422),
        ("/api/pixel?lon=0&lat=0&variable=NDVI", 422),
        ("/api/pixel?lon=nan&lat=0&variable=NDVI", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=NDVI&level=3x", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=spatial_ref", 422),
        ("/edr/main/position?coords=POINT(0 0)&parameter-name=NDVI", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NOPE", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&crs=EPSG:3857", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&f=netcdf", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&datetime=June", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&datetime=2030-01", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=" + "NDVI," * 30, 422),
        ("/edr/main/position?coords=MULTIPOINT((12 45),(12 46))&parameter-name=NDVI", 422),
        ("/edr/nowhere/position?coords=POINT(12.07 45.53)&parameter-name=NDVI", 404),
        ("/edr/main/area?coords=POLYGON((0 0,1 1,1 0,0 0))", 404),
        ("/tiles/main/NOPE/5/1/1.png", 422),
        ("/tiles/main/red,green/5/1/1.png", 422),
        ("/tiles/main/red/5/32/1.png", 404),
        ("/tiles/main/red/23/1/1.png", 422),
        ("/tiles/main/red/-1/1/1.png", 422),
        ("/tiles/main/red/5/1/1.png?lo=1&hi=0", 422),
        ("/tiles/main/red/5/1/1.png?lo=nan", 422),
        ("/tiles/main/red/5/1/1.png?colormap=rainbowish", 422),
        ("/tiles/main/red/5/1/1.png?width=100000", 422),
        ("/tiles/main/red%2B1/5/1/1.png", 422),
        ("/legend/main/red.svg", 422),
        ("/legend/main/NDVI.png?lo=-1e308&hi=1e308", 422),
        ("/zarr/main/1x/red/c/x/0/0", 422),
        ("/zarr/main/1x/red/c/99999999999/0/0", 422),
        ("/zarr/main/..%2F..%2Fetc%2Fpasswd", 422),
        ("/zarr/main/1x/.hidden", 422),
        ("/zarr/main/" + "a" * 400, 422),
        ("/nothing", 404),
        ("/datasets/main/tiles", 404),
    ],
)
def test_bad_input_is_refused_with_a_sentence(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["error"]) > 5
    assert answer.headers["cache-control"] == "no-store"
    assert "Traceback" not in answer.text


def test_what_was_not_foreseen_is_a_sentence_too(client, monkeypatch):
    monkeypatch.setattr(describing, "history", lambda view: 1 // 0)
    answer = client.get("/api/history")
    assert answer.status_code == 500
    assert "log" in answer.json()["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_repository_is_told_of_before_anything_listens(tmp_path):
    repository = ic.Repository.create(ic.local_filesystem_storage(str(tmp_path / "bare")))
    with pytest.raises(CubeMismatch, match=r"^bare: an empty repository"):
        create_app(repository, str(tmp_path / "bare"), ["*"])


def test_only_the_files_that_the_page_needs_are_handed_out(tmp_path):
    for name in ("uplot/LICENSE", "uplot/package.json", "zarrita/dist/src/a/b.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", "utf-8")
    app = FastAPI()
    add_page(app, page.STATIC, tmp_path)
    with running(app) as client:
        for path in (
            "/",
            "/page/app.js",
            "/vendor/uplot/LICENSE",
            "/vendor/zarrita/dist/src/a/b.js",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["cache-control"] == "no-cache"
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == (200 if path == "/" else 304)
        for path in (
            "uplot/package.json",
            "zarrita/dist/src/../../package.json",
            ".package-lock.json",
        ):
            assert client.get(f"/vendor/{path}").status_code == 404


def test_drawing_is_compiled_once_for_all_variables_of_a_kind(cube):
    view = Views(open_repository(cube.store), "cube").at("main")
    looks = [tiles.look_of(view, name, None, (None, None), None) for name in ("red", "nir")]
    one, other = (set(tiles._plane(view.native, look, 0).data_vars) for look in looks)
    assert one == other


def test_it_is_read_only_and_answers_its_own_page_alone(client):
    assert client.post("/api/cube").status_code == 405
    assert client.delete("/zarr/main/zarr.json").status_code == 405
    answer = client.get("/api/cube", headers={"Origin": "https://example.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    # a page elsewhere whose name was made to point here
    assert client.get("/api/cube", headers={"Host": "evil.test"}).status_code == 400
    assert "text/html" in client.get("/").headers["content-type"]


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


def test_only_the_last_few_snapshots_stay_open(cube, monkeypatch):
    monkeypatch.setattr("neve.serving.views.KEPT", 1)
    views = Views(open_repository(cube.store), "cube")
    main = views.at("main")
    assert views.at(main.snapshot) is main
    assert views.at("first") is not main
    assert views.at("main") is not main


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


@pytest.mark.slow
def test_the_command_serves_and_stops_and_refuses_wrong_metadata(tiny):
    """Of an empty cube, too, there is something to tell."""
    cube = tiny.cube()
    program = str(Path(sys.executable).with_name("neve"))
    with subprocess.Popen(
        [program, "serve", tiny.store, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = server.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            assert httpx.get(f"{url}api/cube", timeout=30).json()["months"] == []
            assert httpx.get(f"{url}tiles/main/red/5/1/1.png").status_code == 422
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130)
    session = cube.repository.writable_session("main")
    group = zarr.open_group(session.store, path="4x", mode="r+")
    group.attrs["spatial:shape"] = [1, 1]
    session.commit("a slip")
    refused = subprocess.run(
        [program, "info", tiny.store], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 3, refused.stderr
    assert "/4x: spatial:shape is [1, 1]" in refused.stderr
    with pytest.raises(MetadataInvalid):
        Views(cube.repository, tiny.store).at("main")
