"""A killed attempt's finished blocks are taken over, while they are wanted, and never shown."""

import multiprocessing as mp
import os
from dataclasses import replace

import icechunk
import pytest
from conftest import BY, PROJECT
from patches import MONTH, REGION, Counting, contents, cube_at, make, plan_of

from neve.build import staging
from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.cube.opening import open_cube
from neve.cube.store import Cube

ALL, NEAR = slice(None), slice(0, 32)
SMALL = REGION.model_copy(update={"block": 16})
BRANCH = f"staging.patches.{MONTH}"


@pytest.fixture
def scenes(tmp_path):
    return [
        make(tmp_path / "scenes", "whole", (ALL, ALL), 1, 1),
        make(tmp_path / "scenes", "west", (ALL, NEAR), 2, 2),
    ]


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)


class Telling(Inline):
    """Tells of each finished block, and waits for leave to go on."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe

    def map(self, function, tasks):
        for task in tasks:
            yield function(task)
            self.pipe.send(task.block.key)
            self.pipe.recv()


def attempt(folder, scenes, pipe) -> None:
    staging.SECONDS, staging.SHARE = 0.0, 1e9
    build_month(plan_of(scenes, SMALL), cube_at(folder, SMALL), Telling(pipe), BY)


class Dies(Inline):
    """Ends after some blocks, as if the process were killed: nobody cleans up."""

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks

    def map(self, function, tasks):
        for number, task in enumerate(tasks):
            if number == self.blocks:
                raise SystemExit("killed")
            yield function(task)


def test_a_process_killed_at_80_percent_costs_a_quarter_at_most(scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]))
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(
        target=attempt, args=(tmp_path / "cube", scenes, theirs)
    )
    process.start()
    plan = plan_of(scenes, SMALL)
    for number in range(1, len(plan.works) + 1):
        assert ours.poll(120)
        ours.recv()
        if number >= 0.8 * len(plan.works):
            process.kill()
            break
        ours.send(True)
    process.join()
    cube, fresh, engine = (
        cube_at(tmp_path / "cube", SMALL),
        cube_at(tmp_path / "fresh", SMALL),
        (Counting()),
    )
    assert len(cube.history()) == 2
    report = build_month(plan, cube, engine, BY)
    assert len(plan.works) == 16
    assert len(engine.blocks) == report.recomputed <= len(plan.works) // 4
    assert report.resumed == len(plan.works) - report.recomputed
    build_month(plan, fresh, Inline(), BY)
    assert contents(cube) == contents(fresh)
    assert cube.repository.list_branches() == {"main"}


def test_staged_blocks_count_only_while_they_are_wanted(scenes, tmp_path, at_once):
    cube, fresh, engine = cube_at(tmp_path / "cube"), cube_at(tmp_path / "fresh"), Counting()
    with pytest.raises(SystemExit):
        build_month(plan_of(scenes), cube, Dies(3), BY)
    before = cube.history()
    assert BRANCH in cube.repository.list_branches()
    # The west is withdrawn, and main moves on meanwhile: 0-0 and 1-0 are wanted otherwise.
    other = cube.begin("2023-09")
    other.commit([other.own_fork], "another month", {"month": "2023-09"})
    report = build_month(plan_of(scenes[:1]), cube, engine, BY)
    assert engine.blocks == ["0-0", "1-0", "1-1"]
    assert report.resumed == 1
    assert [c.id for c in cube.history()][2:] == [c.id for c in before]
    other = fresh.begin("2023-09")
    other.commit([other.own_fork], "another month", {"month": "2023-09"})
    build_month(plan_of(scenes[:1]), fresh, Inline(), BY)
    assert contents(cube) == contents(fresh)
    assert cube.repository.list_branches() == {"main"}


def test_what_was_staged_twice_is_taken_over_whole(scenes, tmp_path, at_once):
    cube, engine = cube_at(tmp_path / "cube"), Counting()
    for blocks in (1, 2):
        with pytest.raises(SystemExit):
            build_month(plan_of(scenes), cube, Dies(blocks), BY)
    again = open_cube(str(tmp_path / "cube"), cube.layout)
    assert build_month(plan_of(scenes), again, engine, BY).resumed == 3
    assert engine.blocks == ["1-1"]


@pytest.mark.parametrize(("ours", "theirs"), [("both", "whole"), ("west", "both")])
def test_the_loser_of_a_conflict_computes_nothing_again(scenes, tmp_path, ours, theirs):
    """Also where the winner has data and the loser none: those chunks are taken back."""
    listed = {"both": scenes, "whole": scenes[:1], "west": scenes[1:]}
    cube, fresh = cube_at(tmp_path / "cube"), cube_at(tmp_path / "fresh")
    shrunk = Wishes(allow_shrink=True)

    class Beaten(Counting):
        def map(self, function, tasks):
            yield from super().map(function, tasks)
            if len(cube.history()) == 2:
                build_month(plan_of(listed[theirs]), cube, Inline(), BY)

    engine = Beaten()
    report = build_month(plan_of(listed[ours]), cube, engine, BY, wishes=shrunk)
    assert sorted(engine.blocks) == ["0-0", "0-1", "1-0", "1-1"]
    assert (report.recomputed, report.resumed > 0) == (0, True)
    build_month(plan_of(listed[ours]), fresh, Inline(), BY)
    assert contents(cube) == contents(fresh)
    assert cube.repository.list_branches() == {"main"}


class Losing(Dies):
    """Says of the first block that a scene of it was lost, and writes it all the same."""

    def map(self, function, tasks):
        for number, result in enumerate(super().map(function, tasks)):
            yield result if number else replace(result, lost=(("whole", "gone", "here"),))


def test_pixels_of_a_loss_are_not_taken_for_those_staged_before(scenes, tmp_path, at_once):
    """All blocks of an inline engine are in one fork: staging one block's pixels stages all."""
    cube, fresh = cube_at(tmp_path / "cube"), cube_at(tmp_path / "fresh")
    for listed, engine in ((scenes, Dies(2)), (scenes[:1], Losing(2))):
        with pytest.raises(SystemExit):
            build_month(plan_of(listed), cube, engine, BY)
    build_month(plan_of(scenes), cube, Inline(), BY)
    build_month(plan_of(scenes), fresh, Inline(), BY)
    assert contents(cube) == contents(fresh)


def test_a_rebuild_stages_nothing(scenes, tmp_path, at_once):
    cube = cube_at(tmp_path / "cube")
    build_month(plan_of(scenes), cube, Inline(), BY)
    with pytest.raises(SystemExit):
        build_month(plan_of(scenes), cube, Dies(3), BY, wishes=Wishes(rebuild=True))
    assert cube.repository.list_branches() == {"main"}


def test_a_short_month_is_not_staged(scenes, tmp_path):
    cube = cube_at(tmp_path / "cube")
    with pytest.raises(SystemExit):
        build_month(plan_of(scenes), cube, Dies(3), BY)
    assert cube.repository.list_branches() == {"main"}


@pytest.mark.parametrize("name", ["staged", "stage", "unstage"])
def test_a_month_is_published_without_staging(scenes, tmp_path, at_once, monkeypatch, name):
    def dropped(*_):
        raise icechunk.RefNotFoundError("dropped by another run")

    monkeypatch.setattr(Cube, name, dropped)
    report = build_month(plan_of(scenes), cube_at(tmp_path / "cube"), Inline(), BY)
    assert report.published and "dropped by another run" in report.unstaged


def test_what_is_taken_over_is_not_held(scenes, tmp_path, at_once, monkeypatch):
    cube, plan = cube_at(tmp_path / "cube"), plan_of(scenes)
    with pytest.raises(SystemExit):
        build_month(plan, cube, Dies(3), BY)
    fork = cube.begin(MONTH).own_fork
    taken = staging.Staging(plan, cube).take_over(plan.works, fork)
    copied = []
    right = staging.Staging._copied
    monkeypatch.setattr(staging.Staging, "_copied", lambda *args: copied.append(1) or right(*args))
    next(iter(taken))
    assert len(copied) == 1
