"""Cubes of UTM zones: regions that share one never touch each other."""

import icechunk
import numpy as np
import pytest
import zarr
from conftest import BY
from zone_regions import EAST, WEST, WHOLE, parts

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.cube.history import last_changes
from neve.cube.layout import CLEAR, NEVER, layout_of
from neve.cube.places import open_repository
from neve.errors import CubeMismatch
from neve.opened import open as open_tree
from neve.scenes.values import SceneList

__all__ = ["parts"]


def read(store, window):
    """Month 0 of every level and variable in a window, as numpy."""
    session = icechunk.Repository.open(icechunk.local_filesystem_storage(store))
    root = zarr.open_group(session.readonly_session("main").store, mode="r")
    values = {}
    for name, group in root.groups():
        if name != "blocks":
            level = window.level(int(name[:-1]))
            rows = slice(level.row, level.row + level.height)
            cols = slice(level.col, level.col + level.width)
            for key in ("visual", "blue", "red", "NDVI", "EVI", "count", "valid_fraction"):
                values[name, key] = group[key][0, rows, cols]
    return values


def same(a, b):
    return all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)


def test_regions_built_one_by_one_are_those_built_as_one(parts, tmp_path):
    west, east, whole = parts("west", WEST), parts("east", EAST), parts("whole", WHOLE, "other")
    build_month(west.plan(), west.cube(), Inline(), BY)
    alone = read(west.store, layout_of(west.region).window)
    build_month(east.plan(), east.cube(), Inline(), BY)
    build_month(whole.plan(), whole.cube_at("other"), Inline(), BY)
    window = layout_of(whole.region).window
    both, one = read(west.store, window), read(str(tmp_path / "other"), window)
    assert same(both, one)
    after = read(west.store, layout_of(west.region).window)
    assert all(same({k: v}, alone) for k, v in after.items() if k[0] in ("1x", "2x"))
    assert (both["1x", "count"] > 0).mean() > 0.5
    # the coarsest chunk is one for both regions: neither build emptied the other's cells
    assert (one["16x", "valid_fraction"] > 0).sum() > (alone["16x", "valid_fraction"] > 0).sum()


def test_each_region_has_its_own_months(parts):
    west, east = parts("west", WEST), parts("east", EAST)
    for region in (west, east):
        build_month(region.plan(), region.cube(), Inline(), BY)
    build_month(west.plan("2024-07"), west.cube(), Inline(), BY)
    found = last_changes(open_repository(west.store))
    built = [("2024-06", "east"), ("2024-06", "west"), ("2024-07", "west")]
    assert [(commit.month, commit.region) for commit in found] == built
    assert all(0.3 < commit.valid_fraction <= 1 for commit in found)


def test_a_build_marks_and_clears_nothing_of_another_region(parts):
    west, east = parts("west", WEST), parts("east", EAST)
    for region in (west, east):
        build_month(region.plan(), region.cube(), Inline(), BY)
    layout, plan = layout_of(west.region), west.plan()
    window = layout_of(parts("whole", WHOLE).region).blocks_window()
    around = tuple(slice(part.start - 3, part.stop + 3) for part in window)
    status = open_tree(west.store)["blocks/status"][0, *around].values
    before = read(west.store, layout.window)
    assert (status == CLEAR).sum() == len({w.block for p in (plan, east.plan()) for w in p.works})
    assert set(np.unique(status)) == {NEVER, CLEAR}
    less = plan_month(
        plan.region,
        plan.month,
        SceneList(plan.works[0].scenes, (), plan.fingerprint),
        [plan.works[0].block],
    )
    build_month(less, west.cube(), Inline(), BY)
    assert np.array_equal(open_tree(west.store)["blocks/status"][0, *around].values, status)
    assert same(read(west.store, layout.window), before)


class During(Inline):
    """Builds another region while this one's blocks have just been done, the first time."""

    def __init__(self, other):
        self.other, self.attempts = other, 0

    def map(self, function, tasks):
        yield from map(function, tasks)
        self.attempts += 1
        if self.attempts == 1:
            build_month(self.other.plan(), self.other.cube(), Inline(), BY)


def test_a_month_of_two_regions_at_once(parts):
    west, east, whole = parts("west", WEST), parts("east", EAST), parts("whole", WHOLE, "other")
    engine = During(east)
    build_month(west.plan(), west.cube(), engine, BY)
    assert engine.attempts == 2  # they share a chunk of the coarsest level
    build_month(whole.plan(), whole.cube_at("other"), Inline(), BY)
    window = layout_of(whole.region).window
    assert same(read(west.store, window), read(whole.store.replace("cube", "other"), window))


def test_far_regions_of_a_zone_do_not_hinder_each_other(parts):
    near, far = parts("near", WEST), parts("far", "[12.04, 43.51, 12.10, 43.545]")
    scenes = parts("near", WEST).plan()
    engine = During(far)
    build_month(scenes, near.cube(), engine, BY)
    assert engine.attempts == 1
    assert {c.region for c in last_changes(open_repository(near.store))} == {"near", "far"}


def test_regions_of_other_cubes_are_refused_by_name(parts):
    west = parts("west", WEST)
    west.cube()
    text = west.file.read_text("utf-8")
    west.file.write_text(text.replace("start: 2024-06", "start: 2024-05"))
    with pytest.raises(CubeMismatch, match=r"utm33n-60m.*start"):
        west.cube()
    west.file.write_text(text + "collection: sentinel-2-c1-l2a\n")
    with pytest.raises(CubeMismatch, match=r"utm33n-60m.*collection"):
        west.cube()
