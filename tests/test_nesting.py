"""Flat datasets: what is moved into the group 1x, and when; interrupted, it goes on."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from raster_datasets import WANTED, check, native, numbers, pixels

from neve.cube.geozarr_check import problems
from neve.errors import CubeMismatch
from neve.pyramids import nesting
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted
from neve.pyramids.nesting import nest_local
from neve.pyramids.state import STATE

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_xarray_writes_flat_is_nested_and_gets_levels(tmp_path, zarr_format):
    values = pixels(5)[:, :64, :96].astype("float32")
    values[values == -32768] = np.nan
    flat = xr.Dataset(
        {"t": (("time", "lat", "lon"), values)},
        {
            "time": np.arange(3),
            "lat": 48 - (np.arange(64) + 0.5) / 128,
            "lon": 9 + (np.arange(96) + 0.5) / 128,
        },
    )
    encoding = {"t": {"dtype": "int16", "_FillValue": -32768, "scale_factor": 0.5}}
    flat.to_zarr(
        tmp_path / "flat.zarr", encoding=encoding, zarr_format=zarr_format, consolidated=True
    )
    root = zarr.open_group(tmp_path / "flat.zarr", mode="r+")
    wanted = Wanted(factors=(2, 8), crs="EPSG:4326", budget=40_000)
    with pytest.raises(CubeMismatch, match="--nest moves them into the group 1x"):
        add_to_zarr(root, wanted)
    nest_local(root)
    with pytest.raises(CubeMismatch, match="no CRS"):
        add_to_zarr(root, WANTED)
    add_to_zarr(zarr.open_group(tmp_path / "flat.zarr", mode="r+"), wanted)
    with xr.open_datatree(tmp_path / "flat.zarr", engine="zarr") as tree:
        assert sorted(tree.children) == ["1x", "2x", "8x"]
        level = tree["2x"].to_dataset()
        wanted = flat.t.coarsen(lat=2, lon=2).mean()
        np.testing.assert_allclose(level.t, wanted, atol=0.25)
        np.testing.assert_allclose(level.lat, wanted.lat)


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
