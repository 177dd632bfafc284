"""Levels keep what a dataset says of itself: fill, packing, classes, codecs, CRS."""

import json
from pathlib import Path

import jsonschema
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from pyproj import CRS
from raster_datasets import UTM, check, native, numbers
from zarr.codecs import BloscCodec, ZstdCodec

from neve.cube import geozarr
from neve.cube.geozarr_check import problems
from neve.errors import CubeMismatch
from neve.grid import Grid
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted

SCHEMAS = Path(__file__).parents[2] / "shared" / "geozarr"
# A CRS that no authority has named, as many satellite and model grids have.
LOCAL = "+proj=laea +lat_0=46.13 +lon_0=11.07 +x_0=1000 +y_0=2000 +datum=WGS84 +units=m"
pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")


@pytest.mark.parametrize("fill", [None, 0])
def test_zarr_2_without_a_fill_value(tmp_path, fill):
    values = numbers()
    values[:60, :60] = 0
    root = native(tmp_path, values, zarr_format=2, fill_value=fill)
    add_to_zarr(root, Wanted((2, 8), budget=10_000))
    assert root["8x/red"].fill_value == fill
    check(root, values, fill=fill)


@pytest.mark.parametrize("said", [-9999, 1.5, float("nan")])
def test_a_fill_that_no_pixel_can_have_is_none(tmp_path, said):
    values = numbers(dtype="uint8")
    root = native(tmp_path, values, attributes={"_FillValue": said})
    add_to_zarr(root, Wanted((2, 8)))
    check(root, values)


def test_packed_values_get_what_is_true_of_the_unpacked_or_a_refusal(tmp_path):
    values = numbers()
    packed = {"scale_factor": 0.5, "add_offset": -100.0}
    root = native(tmp_path, values, attributes=packed)
    with pytest.raises(CubeMismatch, match="add_offset -100 would count once"):
        add_to_zarr(root, Wanted((2, 8), {"red": "sum"}))
    add_to_zarr(root, Wanted((2, 8), {"red": "max"}))
    root["1x/red"].attrs.update({"scale_factor": -0.5})
    with pytest.raises(CubeMismatch, match=r"scale_factor -0.5 is negative.*name the other"):
        add_to_zarr(root, Wanted((2, 8), {"red": "max"}))
    add_to_zarr(root, Wanted((2, 8)))
    with xr.open_datatree(tmp_path, engine="zarr", consolidated=False) as tree:
        mean = (values[:8, :8] * -0.5 - 100).mean()
        np.testing.assert_allclose(tree["8x/red"][0, 0], mean, atol=0.25)


@pytest.mark.parametrize("key", ["flag_values", "flag_masks"])
def test_classes_take_their_mode_where_nothing_is_said(tmp_path, key):
    values = numbers() % 4
    root = native(tmp_path, values, attributes={key: [0, 1, 2, 3]})
    add_to_zarr(root, Wanted((2, 8)))
    check(root, values, method="mode")
    assert root["8x/red"].attrs["overview_method"] == "mode"
    assert "overview_method" not in root["1x/red"].attrs
    root = native(tmp_path, values)
    add_to_zarr(root, Wanted((2, 8)))
    assert "overview_method" not in root["8x/red"].attrs


def test_levels_keep_the_codecs_except_the_default_zstd(tmp_path):
    kinds = [
        ("auto", ZstdCodec(level=1, checksum=False)),
        (ZstdCodec(level=0, checksum=True), ZstdCodec(level=1, checksum=True)),
        (ZstdCodec(level=9), ZstdCodec(level=9)),
        (blosc := BloscCodec(cname="lz4", typesize=2, shuffle="shuffle"), blosc),
    ]
    for given, wanted in kinds:
        root = native(tmp_path, numbers(), compressors=given)
        add_to_zarr(root, Wanted((2, 8)))
        assert root["2x/red"].compressors == (wanted,)
    root = native(tmp_path, numbers(), compressors=numcodecs.Zstd(level=0), zarr_format=2)
    add_to_zarr(root, Wanted((2, 8)))
    assert root["2x/red"].compressors == (numcodecs.Zstd(level=0),)


@pytest.mark.parametrize("crs", [UTM, LOCAL])
def test_proj_code_holds_a_code_or_nothing_and_all_is_valid_by_the_schemas(tmp_path, crs):
    native(tmp_path, numbers(), crs=crs)
    for _ in range(2):  # what was written is understood
        add_to_zarr(zarr.open_group(tmp_path, mode="r+"), Wanted((2, 8)))
    with xr.open_datatree(tmp_path, engine="zarr", consolidated=False) as tree:
        assert problems(tree) == []
        for node in tree.subtree:
            assert node.attrs.get("proj:code") == (UTM if crs == UTM else None)
            assert CRS(node.attrs["proj:wkt2"]) == CRS(crs)
        tree["2x"].attrs["proj:code"] = CRS(crs).to_wkt()
        assert any("/2x: proj:code" in line for line in problems(tree))
    if not SCHEMAS.is_dir():
        return
    for name in ("multiscales", "proj", "spatial"):
        schema = json.loads((SCHEMAS / f"{name}-v0.1.json").read_text("utf-8"))
        if name == "proj":  # its only reference out of the file
            schema["$defs"]["projAttributes"]["properties"]["proj:projjson"] = {}
        for path in [""] if name == "multiscales" else ["", "1x", "2x", "8x"]:
            group = json.loads((tmp_path / path / "zarr.json").read_text("utf-8"))
            jsonschema.validate(group, schema)


def test_a_crs_that_is_none_is_refused(tmp_path):
    root = native(tmp_path, numbers())
    del root["1x"].attrs["proj:wkt2"]
    with pytest.raises(CubeMismatch, match="CRS 'moon'"):
        add_to_zarr(root, Wanted((2, 8), crs="moon"))


def test_grid_with_a_crs_of_no_authority_says_so_without_a_code():
    grid = Grid(CRS(LOCAL).to_wkt("WKT2_2019"), 10.0, 0.0, 100.0, 10, 10)
    assert "proj:code" not in geozarr.level_attributes(grid)
