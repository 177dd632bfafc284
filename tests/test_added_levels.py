"""Levels added to datasets of all kinds: odd chunks, packing, consolidated metadata, changes."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import jsonschema
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from pyproj import CRS
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import LocalStore, WrapperStore

from neve.cube import geozarr
from neve.cube.codec import ChunkCodec
from neve.cube.geozarr_check import problems
from neve.cube.stored_chunks import StoredChunks
from neve.errors import CubeMismatch
from neve.grid import Grid
from neve.overviews import pooling as overviews
from neve.pyramids import nesting
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted, planned
from neve.pyramids.building import TOGETHER
from neve.pyramids.keeping import KeptChunks
from neve.pyramids.state import STATE

SCHEMAS = Path(__file__).parents[2] / "shared" / "geozarr"
UTM = "EPSG:32633"
# A CRS that no authority has named, as many satellite and model grids have.
LOCAL = "+proj=laea +lat_0=46.13 +lon_0=11.07 +x_0=1000 +y_0=2000 +datum=WGS84 +units=m"
pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")


def native(folder, values, crs=UTM, path="1x", chunks=(50, 50), **options):
    """A dataset of one array ``red`` in a group, with coordinates; returns its root."""
    zarr_format = options.pop("zarr_format", 3)
    root = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    group = root.require_group(path) if path else root
    attributes = options.pop("attributes", {})
    dims = {"dimension_names": ("y", "x")}
    if zarr_format == 2:
        dims, attributes = {}, attributes | {"_ARRAY_DIMENSIONS": ["y", "x"]}
    red = group.create_array("red", shape=values.shape, chunks=chunks, dtype=values.dtype,
                             attributes=attributes, **dims, **options)  # fmt: skip
    red[...] = values
    height, width = values.shape
    for name, at in (("y", 5e6 - 10 * np.arange(height)), ("x", 4e5 + 10 * np.arange(width))):
        if dims:
            group.create_array(name, data=at, dimension_names=(name,))
        else:
            group.create_array(name, data=at).attrs["_ARRAY_DIMENSIONS"] = [name]
    group.attrs["proj:wkt2"] = CRS(crs).to_wkt("WKT2_2019")
    return root


def numbers(shape=(410, 330), dtype="int16", seed=1):
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def check(root, values, factors=(2, 8), method="mean", fill=None):
    for level, factor in zip(overviews.reduce(values, factors, method, fill), factors, strict=True):
        np.testing.assert_array_equal(root[f"{factor}x/red"][...], level)


class Watched(WrapperStore):
    """Counts the keys that are read, and takes its time for chunks."""

    def __init__(self, store, seconds=0.0):
        super().__init__(store)
        self.read, self.seconds = Counter(), seconds

    async def get(self, key, prototype, byte_range=None):
        self.read[key] += 1
        await asyncio.sleep(self.seconds if "/c/" in key else 0)
        return await self._store.get(key, prototype, byte_range)


# The first budget makes windows of cells that cut chunks, the second such that hold whole chunks.
@pytest.mark.parametrize("budget", [2_000, 10_000])
@pytest.mark.parametrize("chunks", [(50, 50), (96, 60), (410, 330)])
@pytest.mark.parametrize("local", [True, False])
def test_chunks_that_do_not_fit_the_cells_are_read_and_decoded_once(
    tmp_path, monkeypatch, budget, chunks, local
):
    values = numbers()
    native(tmp_path, values, chunks=chunks)
    decoded = Counter()
    decode = ChunkCodec.decode

    def counted(codec, data):
        decoded[codec.shape] += 1
        return decode(codec, data)

    monkeypatch.setattr(ChunkCodec, "decode", counted)
    store = LocalStore(tmp_path) if local else Watched(LocalStore(tmp_path))
    wanted = Wanted((2, 8), budget=budget)
    root = zarr.open_group(store, mode="r+")
    add_to_zarr(root, wanted)
    stored = -(-410 // chunks[0]) * -(-330 // chunks[1])
    assert decoded[chunks] == stored
    if not local:
        read = {key: n for key, n in store.read.items() if key.startswith("1x/red/c/")}
        assert (len(read), max(read.values())) == (stored, 1)
    check(root, values)


def test_chunks_are_forgotten_when_the_last_window_has_them_and_when_there_are_too_many(tmp_path):
    values = numbers()
    root = native(tmp_path, values)
    _, (plan,) = planned(root, Wanted((2, 8), budget=2_000))
    assert plan.rereads
    windows = plan.windows(np.argwhere(np.ones((9, 7))))
    stored = StoredChunks(root["1x/red"])
    for kept in (5_000, 20_000, 2**20):
        source, most = KeptChunks(stored, plan, windows, kept), 0
        for window in windows:
            cut = plan.cut(window)
            np.testing.assert_array_equal(source.read(cut), values[cut])
            most = max(most, len(source._kept))
        assert source._kept == {}
        assert 0 < most <= kept // 5_000


def test_damage_reaches_everyone_who_waits_for_the_chunk(tmp_path):
    root = native(tmp_path, numbers(), compressors=ZstdCodec(checksum=True))
    file = tmp_path / "1x/red/c/3/3"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises((ValueError, RuntimeError)):
        add_to_zarr(root, Wanted((2, 8), budget=2_000))


@pytest.mark.parametrize("fill", [None, 0])
def test_zarr_2_without_a_fill_value(tmp_path, fill):
    values = numbers()
    values[:60, :60] = 0
    root = native(tmp_path, values, zarr_format=2, fill_value=fill)
    add_to_zarr(root, Wanted((2, 8), budget=10_000))
    assert root["8x/red"].fill_value == fill
    check(root, values, fill=fill)


def interrupted(root, wanted):
    """With ``checkpoint=0`` after one window that is noted."""

    def interrupt(name, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_to_zarr(root, wanted, interrupt)


def test_a_resumed_build_notices_that_values_changed(tmp_path):
    values = numbers()
    root = native(tmp_path, values, compressors=None)  # so sizes stay
    often = Wanted((2, 8), budget=10_000, checkpoint=0)
    interrupted(root, often)
    root["1x/red"][0, 0] = 7
    with pytest.raises(CubeMismatch, match="red changed since"):
        add_to_zarr(root, often)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_readers_see_no_level_that_is_being_rebuilt(tmp_path, zarr_format):
    values = numbers()
    root = native(tmp_path, values, zarr_format=zarr_format)
    zarr.consolidate_metadata(root.store)
    root = zarr.open_group(tmp_path, mode="r+")
    often = Wanted((2, 8), budget=10_000, checkpoint=0)
    add_to_zarr(root, often)

    def seen():
        group = zarr.open_group(tmp_path, mode="r")
        return "multiscales" in group.attrs, group.metadata.consolidated_metadata is not None

    def watch(name, done, total):
        assert seen() == (False, False)

    assert seen() == (True, True)
    root["1x/red"][...] = values = values + 1
    add_to_zarr(root, often, watch)
    interrupted(root, often)
    assert seen() == (False, False)
    with pytest.raises(CubeMismatch, match=r"\['8x'\] are there and not asked for"):
        add_to_zarr(root, Wanted((2,)))
    add_to_zarr(root, often)
    assert seen() == (True, True)
    with xr.open_datatree(tmp_path, engine="zarr") as tree:
        assert sorted(tree.children) == ["1x", "2x", "8x"]
        np.testing.assert_array_equal(
            tree["8x/red"], overviews.reduce(values, (8,), "mean", None)[0]
        )


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


@pytest.mark.parametrize("said", [-9999, 1.5, float("nan")])
def test_a_fill_that_no_pixel_can_have_is_none(tmp_path, said):
    values = numbers(dtype="uint8")
    root = native(tmp_path, values, attributes={"_FillValue": said})
    add_to_zarr(root, Wanted((2, 8)))
    check(root, values)


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


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("stop_after", [1, 2])
def test_nesting_that_was_interrupted_goes_on(tmp_path, monkeypatch, zarr_format, stop_after):
    values = numbers()
    root = native(tmp_path, values, path="", zarr_format=zarr_format)
    root.attrs["spatial:transform"] = [10.0, 0.0, 399_995.0, 0.0, -10.0, 5_000_005.0]
    zarr.consolidate_metadata(root.store)
    root = zarr.open_group(tmp_path, mode="r+")
    with pytest.raises(CubeMismatch, match="--nest moves them"):
        add_to_zarr(root, Wanted((2, 8)))
    wanted, moved = Wanted((2, 8), nest=True), []
    rename = Path.rename

    def interrupt(path, target):
        if len(moved) == stop_after:
            raise KeyboardInterrupt
        moved.append(path.name)
        return rename(path, target)

    monkeypatch.setattr(nesting.Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_to_zarr(root, wanted)
    monkeypatch.undo()
    with pytest.raises(CubeMismatch, match="--nest moves them"):
        add_to_zarr(zarr.open_group(tmp_path, mode="r+"), Wanted((2, 8)))
    add_to_zarr(zarr.open_group(tmp_path, mode="r+"), wanted)
    root = zarr.open_group(tmp_path, mode="r")
    assert root.metadata.consolidated_metadata is not None
    assert STATE not in root.attrs
    assert list(root.array_keys()) == []
    check(root, values, fill=0 if zarr_format == 2 else None)
    with xr.open_datatree(tmp_path, engine="zarr") as tree:
        assert problems(tree) == []


def test_nothing_is_moved_for_levels_that_are_refused(tmp_path):
    root = native(tmp_path, numbers(), path="")
    with pytest.raises(ValueError, match="variables are"):
        add_to_zarr(root, Wanted((2, 8), {"blue": "max"}, nest=True))
    assert sorted(root.array_keys()) == ["red", "x", "y"]


def test_grid_with_a_crs_of_no_authority_says_so_without_a_code():
    grid = Grid(CRS(LOCAL).to_wkt("WKT2_2019"), 10.0, 0.0, 100.0, 10, 10)
    assert "proj:code" not in geozarr.level_attributes(grid)


def test_a_build_that_stops_reads_no_further_ahead(tmp_path):
    native(tmp_path, numbers((800, 800)))
    store = Watched(LocalStore(tmp_path), seconds=0.05)
    interrupted(zarr.open_group(store, mode="r+"), Wanted((2,), budget=5_000))
    read = [key for key in store.read if key.startswith("1x/red/c/")]
    assert TOGETHER <= len(read) < TOGETHER * ((os.cpu_count() or 1) + 1)
