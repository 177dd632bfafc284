"""Levels of whole datasets, in real Zarr stores, against slow loops and xarray."""

import numpy as np
import pytest
import xarray as xr
import zarr
from raster_datasets import SHAPE, WANTED, again, check_levels, dataset, fill_native
from zarr.storage import LocalStore, WrapperStore

from neve.errors import CubeMismatch
from neve.overviews import pooling as overviews
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted
from neve.pyramids.state import STATE

__all__ = ["dataset"]


def test_levels_hold_what_the_kernels_give_for_the_whole_array(dataset):
    root, data = dataset
    methods = {"mask": "mode", "evi": "max"}
    add_to_zarr(root, Wanted(factors=(2, 8), methods=methods, budget=40_000))
    check_levels(root, data, methods=methods)
    assert STATE not in again(root).attrs
    assert root["2x/mask"].shards is not None


def test_xarray_opens_the_tree_with_exact_coordinates(dataset):
    root, _ = dataset
    add_to_zarr(root, WANTED)
    with xr.open_datatree(root.store, engine="zarr", consolidated=False) as tree:
        native, level = tree["1x"].to_dataset(), tree["8x"].to_dataset()
        assert level.sizes == {"time": 3, "y": 26, "x": 42}
        np.testing.assert_array_equal(level.time, native.time)
        np.testing.assert_array_equal(level.x, 4e5 + 80 * (np.arange(42) + 0.5))
        np.testing.assert_array_equal(level.y, 5e6 - 80 * (np.arange(26) + 0.5))
        assert np.isnan(level.red.values).any()
        assert level.red.attrs["units"] == "1"
        assert level.red.attrs["grid_mapping"] == "spatial_ref"
    root = again(root)
    layout = root.attrs["multiscales"]["layout"]
    assert [entry["asset"] for entry in layout] == ["1x", "2x", "8x"]
    assert [entry["spatial:shape"] for entry in layout] == [[205, 331], [103, 166], [26, 42]]
    assert root["8x"].attrs["spatial:transform"] == [80.0, 0.0, 4e5, 0.0, -80.0, 5e6]
    assert root["8x"].attrs["proj:code"] == "EPSG:32633"
    assert "spatial:transform" in root["1x"].attrs
    assert "spatial:transform" not in root.attrs


class Watched(WrapperStore):
    """Counts what goes through: keys read (with bytes) and written."""

    def __init__(self, store):
        super().__init__(store)
        self.read, self.written = [], []

    async def get(self, key, prototype, byte_range=None):
        value = await self._store.get(key, prototype, byte_range)
        if value is not None:
            self.read.append((key, len(value)))
        return value

    async def set(self, key, value):
        self.written.append(key)
        await self._store.set(key, value)


def test_native_objects_are_read_once_and_level_objects_written_once(dataset, tmp_path):
    root, data = dataset
    store = Watched(LocalStore(tmp_path / "cube.zarr"))
    add_to_zarr(zarr.open_group(store, mode="r+"), WANTED)
    stored = {
        f"{file.relative_to(tmp_path / 'cube.zarr')}": file.stat().st_size
        for name in ("red", "evi")
        for file in (tmp_path / "cube.zarr/1x" / name / "c").rglob("*")
        if file.is_file()
    }
    read = [(key, n) for key, n in store.read if key in stored]
    assert dict(read) == stored
    assert len(read) == len(stored)
    written = [key for key in store.written if "/c/" in key]
    assert len(set(written)) == len(written)
    assert not [key for key, _ in store.read if "x/" in key and "/c/" in key and key[0] != "1"]
    check_levels(root, data)


def test_empty_chunks_of_levels_are_not_written(tmp_path):
    root = zarr.open_group(tmp_path / "cube.zarr", mode="w")
    data = fill_native(root.create_group("1x"))
    values = data["red"][0]
    values[:, :, 64:] = -32768
    root["1x/red"][...] = values
    add_to_zarr(root, WANTED)
    keys = sorted(p.name for p in (tmp_path / "cube.zarr/2x/red/c/0/0").iterdir())
    assert keys == ["0"]
    check_levels(root, {"red": (values, -32768)})


def test_a_valid_value_of_absent_chunks_counts(tmp_path):
    root = zarr.open_group(tmp_path / "cube.zarr", mode="w")
    data = fill_native(root.create_group("1x"))
    values = np.zeros(SHAPE[1:], "int16")
    values[:40, :40] = 4
    snow = root["1x"].create_array(
        "snow", shape=values.shape, chunks=(32, 32), dtype="int16", fill_value=0,
        dimension_names=("y", "x"), attributes={"_FillValue": -1},
    )  # fmt: skip
    snow[...] = values
    for method in ("sum", "mean", "median"):
        add_to_zarr(root, Wanted((2, 8), {"snow": method}, budget=40_000))
        for level, factor in zip(overviews.reduce(values, (2, 8), method, -1), (2, 8), strict=True):
            np.testing.assert_array_equal(root[f"{factor}x/snow"][...], level)
    check_levels(root, data)


def test_spatial_dimensions_may_come_first(tmp_path):
    """Embedding cubes: (y, x, band)."""
    root = zarr.open_group(tmp_path / "cube.zarr", mode="w")
    data = fill_native(root.create_group("1x"))
    values = np.moveaxis(data["red"][0], 0, -1)
    root["1x"].create_array(
        "embeddings", shape=values.shape, chunks=(32, 32, 3), dtype="int16", fill_value=-32768,
        dimension_names=("y", "x", "band"), attributes={"_FillValue": -32768},
    )[...] = values  # fmt: skip
    add_to_zarr(root, WANTED)
    for factor in (2, 8):
        np.testing.assert_array_equal(
            root[f"{factor}x/embeddings"][...], np.moveaxis(root[f"{factor}x/red"][...], 0, -1)
        )


def test_datasets_without_a_right_answer_are_refused(dataset):
    root, _ = dataset
    with pytest.raises(ValueError, match="variables are"):
        add_to_zarr(root, Wanted(methods={"blue": "mean"}))
    with pytest.raises(ValueError, match="must be above 1"):
        add_to_zarr(root, Wanted(factors=(4, 6)))
    root["1x"].create_array(
        "wide", shape=SHAPE[1:], chunks=(32, 32), dtype="int64", dimension_names=("y", "x")
    )
    with pytest.raises(CubeMismatch, match="wide by mean: overviews of int64: sums may overflow"):
        add_to_zarr(root, WANTED)
    del root["1x/wide"]
    y = root["1x/y"]
    y[...] = y[...][::-1]
    with pytest.raises(CubeMismatch, match="north-up"):
        add_to_zarr(root, WANTED)
    y[3] = 0
    with pytest.raises(CubeMismatch, match="not evenly spaced"):
        add_to_zarr(root, WANTED)
    assert sorted(root.group_keys()) == ["1x"]
    fill_native(root.create_group("other"))
    with pytest.raises(CubeMismatch, match="groups with rasters"):
        add_to_zarr(root, WANTED)
