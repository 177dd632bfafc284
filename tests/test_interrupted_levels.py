"""Levels that are interrupted, built again or beside another writer: all are shown, or none."""

import numpy as np
import pytest
import xarray as xr
import zarr
from icechunk import Repository, local_filesystem_storage
from raster_datasets import (
    SHAPE,
    WANTED,
    again,
    check_levels,
    dataset,
    fill_native,
    interrupted,
    native,
    numbers,
)

from neve.errors import CubeMismatch, MonthConflict
from neve.overviews import pooling as overviews
from neve.pyramids.adding import WORK_BRANCH, add_to_icechunk, add_to_zarr
from neve.pyramids.asked import Wanted
from neve.pyramids.nesting import nest_icechunk
from neve.pyramids.state import STATE

__all__ = ["dataset"]


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


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
def test_a_resumed_build_notices_that_values_changed(tmp_path):
    values = numbers()
    root = native(tmp_path, values, compressors=None)  # so sizes stay
    often = Wanted((2, 8), budget=10_000, checkpoint=0)
    interrupted(root, often)
    root["1x/red"][0, 0] = 7
    with pytest.raises(CubeMismatch, match="red changed since"):
        add_to_zarr(root, often)


def test_rebuilding_leaves_nothing_of_the_old_levels(dataset):
    root, data = dataset
    add_to_zarr(root, WANTED)
    values = np.full(SHAPE, -32768, "int16")
    root["1x/red"][...] = values
    add_to_zarr(root, WANTED)
    check_levels(root, data | {"red": (values, -32768)})
    with pytest.raises(CubeMismatch, match=r"levels \['8x'\] are there"):
        add_to_zarr(root, Wanted(factors=(2,)))


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
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
