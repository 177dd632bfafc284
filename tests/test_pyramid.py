"""Levels of whole datasets, in real Zarr and Icechunk stores, against slow loops and xarray."""

import numpy as np
import pytest
import xarray as xr
import zarr
from icechunk import Repository, local_filesystem_storage
from zarr.storage import LocalStore, WrapperStore

from neve.errors import CubeMismatch, MonthConflict
from neve.overviews import pooling as overviews
from neve.pyramids.adding import WORK_BRANCH, add_to_icechunk, add_to_zarr
from neve.pyramids.asked import Wanted
from neve.pyramids.nesting import nest_icechunk, nest_local
from neve.pyramids.state import STATE

SHAPE = (3, 205, 331)
WANTED = Wanted(factors=(2, 8), budget=40_000)


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


@pytest.mark.parametrize("stop_after", [1, 40])
def test_an_interrupted_build_goes_on_where_it_was(dataset, stop_after):
    root, data = dataset
    seen = []

    def interrupt(name, done, total):
        seen.append((name, done))
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    often = Wanted(factors=(2, 8), budget=40_000, checkpoint=0)
    with pytest.raises(KeyboardInterrupt):
        add_to_zarr(root, often, interrupt)
    root = again(root)
    assert STATE in root.attrs
    assert "multiscales" not in root.attrs
    assert "spatial:transform" not in root["8x"].attrs
    rest = []
    add_to_zarr(root, often, lambda name, done, total: rest.append((name, done)))
    assert set(seen) & set(rest) <= {seen[-1]}
    check_levels(root, data)


def test_a_change_of_the_native_arrays_between_two_calls_is_refused(dataset):
    root, _ = dataset

    def interrupt(name, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_to_zarr(root, Wanted(factors=(2, 8), budget=40_000, checkpoint=0), interrupt)
    root = again(root)
    root.attrs[STATE] = root.attrs[STATE] | {"done": {"evi": ["another", 3]}}
    with pytest.raises(CubeMismatch, match="evi changed since"):
        add_to_zarr(root, WANTED)


def test_rebuilding_leaves_nothing_of_the_old_levels(dataset):
    root, data = dataset
    add_to_zarr(root, WANTED)
    values = np.full(SHAPE, -32768, "int16")
    root["1x/red"][...] = values
    add_to_zarr(root, WANTED)
    check_levels(root, data | {"red": (values, -32768)})
    with pytest.raises(CubeMismatch, match=r"levels \['8x'\] are there"):
        add_to_zarr(root, Wanted(factors=(2,)))


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


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
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


def test_icechunk_shows_all_levels_or_none_in_one_commit(tmp_path):
    repo = Repository.create(local_filesystem_storage(str(tmp_path)))
    session = repo.writable_session("main")
    data = fill_native(zarr.open_group(session.store, mode="w"))
    session.commit("native")
    base = nest_icechunk(repo)
    seen = []

    def interrupt(name, done, total):
        seen.append((name, done))
        if len(seen) == 9:
            raise KeyboardInterrupt

    often = Wanted(factors=(2, 8), budget=40_000, checkpoint=0)
    with pytest.raises(KeyboardInterrupt):
        add_to_icechunk(repo, often, progress=interrupt)
    assert repo.lookup_branch("main") == base
    rest = []
    snapshot = add_to_icechunk(repo, often, progress=lambda n, done, t: rest.append((n, done)))
    assert set(seen) & set(rest) <= {seen[-1]}
    assert [entry.id for entry in repo.ancestry(branch="main")][:2] == [snapshot, base]
    assert WORK_BRANCH not in repo.list_branches()
    store = repo.readonly_session("main").store
    check_levels(zarr.open_group(store, mode="r"), data)
    with xr.open_datatree(store, engine="zarr", consolidated=False) as tree:
        assert sorted(tree.children) == ["1x", "2x", "8x"]


def test_another_writer_on_icechunk_is_not_overwritten(tmp_path):
    repo = Repository.create(local_filesystem_storage(str(tmp_path)))
    session = repo.writable_session("main")
    data = fill_native(zarr.open_group(session.store, mode="w").create_group("1x"))
    session.commit("native")

    def meddle(name, done, total):
        if (name, done) == ("red", 1):
            other = repo.writable_session("main")
            zarr.open_array(other.store, path="1x/red")[0, 0, 0] = 7
            other.commit("meddled")

    with pytest.raises(MonthConflict, match="build them again"):
        add_to_icechunk(repo, WANTED, progress=meddle)
    data["red"][0][0, 0, 0] = 7
    add_to_icechunk(repo, WANTED)
    check_levels(zarr.open_group(repo.readonly_session("main").store, mode="r"), data)


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
