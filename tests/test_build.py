"""A month through plan, engine and transaction: what readers find afterwards."""

import numpy as np
import pytest
import xarray as xr
from conftest import BY

from neve import indices
from neve.build.engine import Inline, Processes
from neve.build.month import Wishes, build_month
from neve.build.plan import plan_month
from neve.compositing.composite import compose
from neve.cube.layout import CLEAR, CLOUDY, LAND_FILTERED, NO_SCENES
from neve.errors import BlockFailed
from neve.opened import open as open_tree
from neve.overviews import pooling as overviews
from neve.scenes.values import FILL, SceneList


def read(store: str) -> xr.DataTree:
    return open_tree(store, derived=False).load()


def test_levels_are_what_the_whole_region_gives_at_once(tiny):
    plan = tiny.plan()
    build_month(plan, tiny.cube(), Inline(), BY)
    whole = compose(plan.layout.grid, plan.works[0].scenes, plan.region.recipe())
    tree = open_tree(tiny.store)
    for factor in plan.layout.levels:
        level = tree[f"{factor}x"]
        stored = {}
        for band, native in whole.bands.items():
            pooled = overviews.pool(native, factor, FILL)
            stored[band] = overviews.mean(pooled, np.int16, FILL)
            expected = np.where(stored[band] == FILL, np.nan, stored[band] * 1e-4)
            np.testing.assert_allclose(level[band][0], expected, atol=1e-9)
        share = overviews.pool(whole.bands["red"], factor, FILL).valid
        cells = overviews.cells(plan.layout.grid.shape, factor)
        np.testing.assert_allclose(level["valid_fraction"][0], share / cells, rtol=1e-6)
        count = overviews.mean(overviews.pool(whole.count, factor, None), np.float32, np.nan)
        np.testing.assert_allclose(level["count"][0], count, rtol=1e-6)
        for name, values in indices.compute(plan.layout.indices, stored).items():
            found = level[name][0].values
            if values.dtype == np.int16:
                values = np.where(values == FILL, np.nan, values * 1e-4)
            np.testing.assert_allclose(found, values, atol=1e-7)


def test_processes_and_one_process_give_the_same_bits(tiny, tmp_path):
    plan = tiny.plan()
    build_month(plan, tiny.cube(), Inline(), BY)
    one = read(tiny.store)
    report = build_month(plan, tiny.cube_at("other"), Processes(2), BY)
    assert report.blocks == len(plan.works) == 9
    assert read(str(tmp_path / "other")).identical(one)


def test_a_second_month_lengthens_the_axis_and_keeps_the_first(tiny):
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    first = read(tiny.store)
    build_month(tiny.plan("2024-07"), tiny.cube(), Inline(), BY)
    both = read(tiny.store)
    assert [str(t)[:10] for t in both["4x"].time.values] == ["2024-06-01", "2024-07-01"]
    for name in ("1x", "16x"):
        assert both[name].to_dataset().isel(time=[0]).identical(first[name].to_dataset())
    bounds = both["1x"]["time_bnds"].values.astype("datetime64[D]").astype(str)
    assert bounds.tolist()[1] == ["2024-07-01", "2024-08-01"]


def test_a_failed_block_leaves_main_as_it_was(tiny, tmp_path):
    cube = tiny.cube()
    before = cube.tip()
    plan = tiny.plan()
    for file in (tmp_path / "scenes").glob("*20240608*/B04.tif"):
        file.unlink()
    with pytest.raises(BlockFailed, match=r"20240608.*B04\.tif"):
        build_month(plan, cube, Inline(), BY)
    assert cube.tip() == before


def test_status_tells_the_four_kinds_of_emptiness_apart(tiny):
    region, plan = tiny.region, tiny.plan()
    blocks = list(plan.layout.grid.blocks(plan.layout.block))
    cloudy = region.model_copy(
        update={"mask": region.mask.model_copy(update={"drop": tuple(range(12))})}
    )
    scenes = SceneList(plan.works[0].scenes, (), "f")
    cases = [
        (region, scenes, CLEAR),
        (cloudy, scenes, CLOUDY),
        (region, SceneList((), (), "f"), NO_SCENES),
    ]
    for case, listed, status in cases:
        less = plan_month(case, "2024-06", listed, blocks[:-1])
        build_month(less, tiny.cube(), Inline(), BY, wishes=Wishes(allow_shrink=True))
        found = open_tree(tiny.store)["blocks/status"].values[0]
        assert found.ravel().tolist() == [status] * 8 + [LAND_FILTERED]
        if status != CLEAR:  # what an earlier attempt had published is gone
            assert open_tree(tiny.store)["4x/red"].isnull().all()


def test_the_commit_says_where_the_month_comes_from(tiny):
    plan = tiny.plan()
    report = build_month(plan, tiny.cube(), Inline(), BY)
    commit = tiny.cube().history()[0]
    assert commit.id == report.snapshot
    assert commit.metadata["region"] == "tiny"
    assert commit.metadata["month"] == "2024-06"
    assert commit.metadata["fingerprint"] == plan.fingerprint
    assert commit.metadata["scenes"] == list(plan.promised) == list(report.used)
    assert commit.metadata["run_id"] == "test"
    assert sum(report.counts) == report.pixels == np.prod(plan.layout.grid.shape)


def test_a_tight_memory_budget_changes_no_pixel(tiny, monkeypatch):
    plan = tiny.plan()
    build_month(plan, tiny.cube(), Inline(), BY)
    ample = read(tiny.store)
    tight = plan_month(
        plan.region.model_copy(update={"memory": 1e-6}),
        plan.month,
        SceneList(plan.works[0].scenes, (), plan.fingerprint),
        [work.block for work in plan.works],
    )
    monkeypatch.setattr("neve.build.budget.SMALLEST_PIECE", 8)
    build_month(tight, tiny.cube(), Inline(), BY, wishes=Wishes(rebuild=True))
    assert read(tiny.store).identical(ample)


def test_a_block_left_out_in_a_later_build_is_emptied_at_every_level(tiny, tmp_path):
    plan = tiny.plan()
    region, blocks = plan.region, [work.block for work in plan.works]
    scenes = SceneList(plan.works[0].scenes, (), plan.fingerprint)
    less = plan_month(region, plan.month, scenes, blocks[1:5])
    build_month(plan, tiny.cube(), Inline(), BY)
    build_month(less, tiny.cube(), Inline(), BY)
    again = read(tiny.store)
    build_month(less, tiny.cube_at("other"), Inline(), BY)
    assert again.identical(read(str(tmp_path / "other")))
    assert again["1x/red"][0, :32, :32].isnull().all()
    assert not again["1x/red"][0, :32, 32:64].isnull().all()
