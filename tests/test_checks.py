"""What is checked before a month is published: nothing wrong gets in, and a person sees why."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import BY
from patches import MONTH, REGION, Counting, contents, cube_at, make, plan_of

from neve.build import block as building
from neve.build import shared_chunks
from neve.build.checks import NAMES
from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.errors import CheckFailed, ScenesVanished

ALL, NEAR = slice(None), slice(0, 32)
OWNED = REGION.model_copy(update={"overviews": (2, 4)})  # 2x is the blocks' own, 4x is shared


@pytest.fixture
def scenes(tmp_path):
    return [
        make(tmp_path / "scenes", "whole", (ALL, ALL), 1, 1),
        make(tmp_path / "scenes", "west", (ALL, NEAR), 2, 2),
    ]


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", ["red", "count", "valid_fraction"])
def test_one_wrong_cell_of_a_level_is_not_published(scenes, tmp_path, monkeypatch, factor, name):
    cube, right = cube_at(tmp_path / "cube", OWNED), building.level_arrays
    plan = plan_of(scenes, OWNED)
    blocks = (work.block.key for work in plan.works)

    def wrong(composite, layout):
        levels = right(composite, layout)
        if next(blocks) == "1-0":
            levels[factor][name][1, 1] += 1
        return levels

    monkeypatch.setattr(building, "level_arrays", wrong)
    before = contents(cube)
    with pytest.raises(CheckFailed, match=f"block 1-0: {name} at {factor}x"):
        build_month(plan, cube, Inline(), BY)
    assert contents(cube) == before
    monkeypatch.undo()
    assert build_month(plan, cube, Inline(), BY).published


@pytest.mark.parametrize("name", ["red", "valid_fraction"])
def test_a_shared_chunk_that_is_stored_wrongly_is_not_published(
    scenes, tmp_path, monkeypatch, name
):
    cube, right = cube_at(tmp_path / "cube", OWNED), shared_chunks.write_level

    def wrong(stored, index, grid, arrays):
        right(stored, index, grid, {**arrays, name: np.zeros_like(arrays[name])})

    monkeypatch.setattr(shared_chunks, "write_level", wrong)
    before = contents(cube)
    with pytest.raises(CheckFailed, match=rf"{name} at 4x, chunk \(0, 0\)"):
        build_month(plan_of(scenes, OWNED), cube, Inline(), BY)
    assert contents(cube) == before


def test_a_month_that_would_lose_its_data_is_held_back(scenes, tmp_path):
    cube = cube_at(tmp_path / "cube")
    build_month(plan_of(scenes), cube, Inline(), BY)
    tip = cube.tip()
    # As many scenes as before, but nearly all of them cloudy.
    scl = tmp_path / "scenes" / "whole" / "scl.tif"
    import rasterio

    for name in ("whole", "west"):
        with rasterio.open(scl.parents[1] / name / "scl.tif", "r+") as image:
            image.write(np.full((1, *image.shape), 9, np.uint8))
    corrected = [replace(scene, updated="2023-10-01") for scene in scenes]
    with pytest.raises(ScenesVanished, match="0 native pixels would have data"):
        build_month(plan_of(corrected), cube, Inline(), BY)
    assert cube.tip() == tip
    wishes = Wishes(allow_shrink=True)
    assert build_month(plan_of(corrected), cube, Inline(), BY, wishes=wishes).published


def test_verdicts_name_losses_and_odd_values(scenes, tmp_path):
    cube, engine = cube_at(tmp_path / "cube"), Counting()
    checks = {c.name: c for c in build_month(plan_of(scenes), cube, engine, BY).checks}
    assert all(check.passed for check in checks.values())
    again = build_month(plan_of(scenes), cube, engine, BY)
    assert not again.published and {c.name for c in again.checks} == {
        "scenes_complete",
        "no_shrink",
    }
    assert set(checks) == set(NAMES) - {"valid_fraction"}  # there is no earlier year
    assert checks["levels_consistent"].told == {"blocks": 4}
    bright = {b: replace(a, shift=20_000) for b, a in scenes[0].assets.items()}
    gone = {b: replace(a, href=a.href + ".gone") for b, a in scenes[1].assets.items()}
    odd = [replace(scenes[0], assets=bright), replace(scenes[1], assets=gone)]
    report = build_month(plan_of(odd), cube, engine, BY)
    failed = {check.name for check in report.checks if not check.passed}
    assert report.published and failed == {"value_ranges", "scenes_complete"}


def test_a_month_is_held_against_earlier_years(scenes, tmp_path):
    from neve.build.plan import plan_month
    from neve.scenes.values import SceneList

    cube = cube_at(tmp_path / "cube")
    build_month(plan_of(scenes), cube, Inline(), BY)
    blocks = [work.block for work in plan_of(scenes).works]
    empty = plan_month(REGION, "2024-08", SceneList((), (), ""), blocks)
    verdict = {c.name: c for c in build_month(empty, cube, Inline(), BY).checks}["valid_fraction"]
    assert MONTH == "2023-08" and not verdict.passed
    assert verdict.told["change"] == -verdict.told["earlier years"] < -0.5
    # Two years later one of the two earlier ones was never built.
    late = plan_month(REGION, "2026-08", SceneList((), (), ""), blocks)
    report = build_month(late, cube, Inline(), BY, wishes=Wishes(allow_shrink=True))
    later = {c.name: c for c in report.checks}
    assert later["valid_fraction"].told["earlier years"] == verdict.told["earlier years"] / 2
    assert "no_shrink" not in later and "value_ranges" not in later


def test_odd_values_are_held_against_the_blocks_that_were_made(scenes, tmp_path):
    cube = cube_at(tmp_path / "cube")
    corner = make(tmp_path / "scenes", "corner", (slice(32, None), slice(32, None)), 3, 3)
    build_month(plan_of(scenes), cube, Inline(), BY)
    bright = {b: replace(a, shift=90_000) for b, a in corner.assets.items()}
    report = build_month(plan_of([*scenes, replace(corner, assets=bright)]), cube, Inline(), BY)
    share = {c.name: c for c in report.checks}["value_ranges"].told["share beyond −0.1…1.6"]
    assert report.recomputed == 1 and share > 0.5


def test_a_month_is_judged_before_it_is_published(scenes, tmp_path, monkeypatch):
    cube = cube_at(tmp_path / "cube")
    tip = cube.tip()
    monkeypatch.setattr("neve.build.month.month_checks", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_month(plan_of(scenes), cube, Inline(), BY)
    assert cube.tip() == tip
