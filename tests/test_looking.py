"""Commands that only look: rows for pipes, JSON for programs, pictures in files."""

import json
import sys

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from neve.cube.sampling import Pixel, check_plane, grid_of, locate, sample
from neve.errors import AskPerson
from neve.grid import Grid
from neve.opened import open as open_tree


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("info", ["64x", "NDVI", "2024-07"]),
        ("log", ["2024-06: 3 scenes", "empty cube"]),
        ("blame", ["S2B_33TTL_20240708_0_L2A"]),
        ("status", ["2024-06", "███ ███ ███"]),
    ],
)
def test_what_is_there_is_told_in_lines_and_in_json(neve, store, command, named):
    code, lines = neve(command, store)
    assert code == 0
    for word in named:
        assert word.replace("64x", "16x") in lines
    code, told = neve(command, store, "--json")
    assert code == 0
    assert all(isinstance(rows, list) for rows in json.loads(told).values())


def test_the_difference_of_two_snapshots_counts_chunks(neve, store):
    log = json.loads(neve("log", store, "--json")[1])["commits"]
    code, told = neve("diff", store, log[1]["snapshot"], "--json")
    found = json.loads(told)
    assert (code, found["months"]) == (0, ["2024-07"])
    assert found["newer"] == log[0]["snapshot"]
    assert len(found["chunks"]["1x"]["count"]) == 30
    assert "2024-07\t1x\tcount\t30" in neve("diff", store, log[1]["snapshot"])[1]


def test_a_sample_is_the_pixel_under_the_point_with_its_count(neve, store, tmp_path):
    level = open_tree(store)["1x"].to_dataset()
    point = "12.07,45.53"
    pixel = locate(grid_of(open_tree(store)), 12.07, 45.53)
    _, told = neve("sample", store, "--point", point, "--variable", "NDVI", "--json")
    rows = json.loads(told)["samples"]
    there = level.isel(y=pixel.row, x=pixel.col)
    assert [row["month"] for row in rows] == ["2024-06", "2024-07"]
    np.testing.assert_array_equal(
        np.array([row["NDVI"] for row in rows], float), there["NDVI"].values
    )
    assert [row["count"] for row in rows] == there["count"].values.tolist()
    for name in ("s.csv", "s.parquet"):
        output = ("--variable", "NDVI", "--output", tmp_path / name)
        assert neve("sample", store, "--point", point, *output)[0] == 0
        assert (tmp_path / name).stat().st_size > 50


@pytest.mark.parametrize(
    "wrong",
    [
        ("--point", "1,2", "--variable", "NDVI"),
        ("--point", "north", "--variable", "NDVI"),
        ("--point", "12.07,45.53", "--variable", "NDWI5"),
        ("--point", "12.07,45.53", "--variable", "NDVI", "--level", "3"),
        ("--point", "12.07,45.53", "--variable", "NDVI", "--at", "v9"),
        ("--point", "12.07,45.53", "--variable", "NDVI", "--output", "s.doc"),
        ("--point", "12.07,45.53", "--variable", "NDVI", "--output", "nowhere/s.csv"),
        ("--point", "12.07,45.53", "--variable", "spatial_ref"),
    ],
)
def test_wrong_samples_ask_a_person(neve, store, wrong):
    assert neve("sample", store, *wrong)[0] == 3


def test_pictures_show_data_and_name_what_they_show(neve, store, tmp_path):
    assert neve("quicklook", store, tmp_path / "t.png")[0] == 0
    assert neve("quicklook", store, tmp_path / "n.webp", "--variable", "NDVI")[0] == 0
    assert neve("animate", store, tmp_path / "a.gif", "--variable", "NDVI")[0] == 0
    assert neve("animate", store, tmp_path / "a.png", "--width", 64)[0] == 0
    with Image.open(tmp_path / "t.png") as true:
        assert true.size == (82, 69)
        assert len(true.getcolors(10_000)) > 500
    with Image.open(tmp_path / "a.gif") as moving, Image.open(tmp_path / "a.png") as strip:
        assert moving.n_frames == 2
        assert strip.size == (2 * 41, 35 + 18)
    assert neve("quicklook", store, tmp_path / "t.png", "--month", "2020-01")[0] == 3
    assert neve("quicklook", store, tmp_path / "t.doc")[0] == 3
    assert neve("quicklook", store, tmp_path / "t.png", "--variable", "spatial_ref")[0] == 3
    for command in ("quicklook", "animate"):
        assert neve(command, store, tmp_path / "nowhere" / "t.webp")[0] == 3


def test_a_cube_without_months_has_no_picture_and_says_so(neve, tiny, tmp_path):
    tiny.cube()
    for command in ("quicklook", "animate"):
        assert neve(command, tiny.store, tmp_path / "t.png")[0] == 3


def test_a_variable_that_holds_colours_is_not_a_value():
    level = xr.Dataset(
        {"count": (("time", "y", "x"), [[[1]]]), "red": (("time", "y", "x"), [[[1]]])}
    )
    level["visual"] = (("time", "y", "x", "rgb"), [[[[1, 2, 3]]]])
    with pytest.raises(AskPerson, match=r"'visual' with one value a pixel; there are count, red$"):
        check_plane(level, "visual")


def test_without_pyarrow_a_table_is_still_a_csv(neve, store, tmp_path, monkeypatch):
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    wanted = ("--point", "12.07,45.53", "--variable", "NDVI", "--output", tmp_path / "s.parquet")
    assert neve("sample", store, *wanted)[0] == 3


def test_a_level_that_is_not_there_is_answered_with_those_that_are(store):
    with pytest.raises(AskPerson, match=r"there are 1, 2, 4, 16$"):
        sample(open_tree(store), [(12.07, 45.53)], ["NDVI"], 3)


def test_a_point_is_found_in_the_pixel_that_holds_it_over_180_degrees_too():
    grid = Grid("EPSG:4326", 0.5, 179.0, 10.0, 4, 2)
    assert locate(grid, 179.1, 9.9) == Pixel(0, 0)
    assert locate(grid, -179.3, 9.4) == Pixel(1, 3)
    assert locate(grid, 179.5, 9.5) == Pixel(1, 1)
    for lon, lat in ((178.9, 9.9), (-178.9, 9.9), (179.1, 10.1), (179.1, 8.9), (float("nan"), 9)):
        with pytest.raises(AskPerson, match="outside"):
            locate(grid, lon, lat)
