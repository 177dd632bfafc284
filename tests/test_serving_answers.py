"""The map server's answers against the cube: what there is, when it came, what a pixel holds."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from map_server import AFFINE
from pyproj import Transformer
from served_cube import client, cube

from neve.cube.history import changes
from neve.opened import open as open_tree
from neve.serving import counting, describing
from neve.serving.counting import CountingStore
from neve.serving.describing import median_of
from neve.serving.views import Views

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


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


def test_versions_that_lie_too_far_apart_are_not_compared(client, cube, monkeypatch):
    """As many commits as the chunks that they may touch are few."""
    empty = cube.cube().history()[-1].id
    paths = [f"/api/diff?from={older}" for older in (empty, "first")]
    assert [client.get(path).status_code for path in paths] == [200, 200]
    monkeypatch.setattr(counting, "MOST_LISTED", 1)
    refused, answered = map(client.get, paths)
    assert (refused.status_code, answered.status_code) == (422, 200)
    assert "3 commits lie between" in refused.json()["error"]
    touched = changes(cube.cube().repository, "first", "main").chunks
    listed = sum(len(places) for level in touched.values() for places in level.values())
    view = Views(cube.cube().repository, "cube").at("main")
    assert describing._chunks_of_a_month(view) >= listed > 100


def test_a_long_history_is_told_in_pieces(client, monkeypatch):
    whole = client.get("/api/history").json()
    monkeypatch.setattr(describing, "MOST_COMMITS", 2)
    begin = client.get("/api/history").json()
    rest = client.get("/api/history", params={"at": begin[-1]["parent"]}).json()
    assert (len(begin), begin + rest) == (2, whole)


def test_the_outlines_of_a_difference_share_one_projection(client, monkeypatch):
    made, real = [], describing.Transformer

    def from_crs(*arguments, **options):
        made.append(arguments)
        return real.from_crs(*arguments, **options)

    monkeypatch.setattr(describing, "Transformer", SimpleNamespace(from_crs=from_crs))
    assert len(client.get("/api/diff?from=first").json()["outlines"]["1x"]) > 1
    assert len(made) <= 1


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
    monkeypatch.setattr(counting, "MOST_CHUNKS", 6)
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
    reads.clear()
    monkeypatch.setattr(counting, "MOST_CHUNKS", 3)
    asked = {"lon": 12.07, "lat": 45.53, "variable": "MSAVI", "month": "2024-06"}
    series = client.get("/api/pixel", params=asked).json()["series"]
    assert [entry["month"] for entry in series] == ["2024-06"]
    assert len({key for key in reads if "/c/" in key and "blocks" not in key}) == 3


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
