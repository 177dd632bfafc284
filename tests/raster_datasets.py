"""Datasets to which levels are added, of one array or several, and what their levels must hold."""

import numpy as np
import pytest
import zarr
from pyproj import CRS

from neve.overviews import pooling as overviews
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted

SHAPE = (3, 205, 331)
WANTED = Wanted(factors=(2, 8), budget=40_000)
UTM = "EPSG:32633"


def pixels(seed, dtype="int16", fill=-32768):
    """A stack with gaps, in which about a third of the 32² chunks is empty."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 10000, SHAPE).astype(dtype)
    values[rng.random(SHAPE) < 0.3] = fill
    empty = np.kron(rng.random((3, 7, 11)) < 0.35, np.ones((1, 32, 32), bool))
    values[empty[:, : SHAPE[1], : SHAPE[2]]] = fill
    return values


def fill_native(group, dims=("y", "x")):
    """Arrays of several kinds, with CF coordinates, into a group; returns name → (values, fill)."""
    names = ("time", *dims)
    data = {
        "red": (pixels(1), -32768),
        "mask": (pixels(2, "uint8", 255), 255),
        "evi": (pixels(3, "float32", np.nan), None),
    }
    for name, (values, fill) in data.items():
        attributes = {"grid_mapping": "spatial_ref", "units": "1"}
        attributes |= {} if fill is None else {"_FillValue": fill}
        group.create_array(
            name,
            shape=SHAPE,
            chunks=(1, 32, 32),
            shards=(1, 64, 64) if name == "mask" else None,
            dtype=values.dtype,
            fill_value=np.nan if fill is None else fill,
            dimension_names=names,
            attributes=attributes,
        )[...] = values
    coordinates = {
        "time": np.arange(3),
        dims[0]: 5e6 - 10 * (np.arange(SHAPE[1]) + 0.5),
        dims[1]: 4e5 + 10 * (np.arange(SHAPE[2]) + 0.5),
    }
    for name, values in coordinates.items():
        group.create_array(name, data=values, dimension_names=(name,))
    group["time"].attrs.update({"units": "days since 1970-01-01", "calendar": "standard"})
    crs = group.create_array("spatial_ref", shape=(), dtype="int64", fill_value=0)
    crs.attrs.update({"crs_wkt": "EPSG:32633", "grid_mapping_name": "transverse_mercator"})
    return data


def check_levels(root, data, factors=(2, 8), methods=None, prefix=""):
    for name, (values, fill) in data.items():
        method = (methods or {}).get(name, "mean")
        planes = [overviews.reduce(plane, factors, method, fill) for plane in values]
        for k, factor in enumerate(factors):
            level = root[f"{prefix}{factor}x/{name}"]
            wanted = np.stack([plane[k] for plane in planes])
            assert level.dtype == wanted.dtype
            np.testing.assert_array_equal(level[...], wanted)


def again(root):
    """The group with the attributes it has now."""
    return zarr.open_group(root.store, path=root.path, mode="r+")


@pytest.fixture
def dataset(tmp_path):
    root = zarr.open_group(tmp_path / "cube.zarr", mode="w")
    return root, fill_native(root.create_group("1x"))


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


def interrupted(root, wanted):
    """With ``checkpoint=0`` after one window that is noted."""

    def interrupt(name, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_to_zarr(root, wanted, interrupt)
