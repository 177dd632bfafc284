"""Tidying: what is needed stays; what was forgotten is still told of."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import icechunk as ic
import pytest
from conftest import BY
from hypothesis import given
from hypothesis import strategies as st
from test_store import months
from tidied_cube import KEEP, commit, cube, reds, soon, tidy

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cli.app import run
from neve.cube import tidying
from neve.cube.history import Commit, commits, last_change, last_changes, tag
from neve.cube.places import open_repository
from neve.cube.verifying import verify
from neve.errors import AskPerson, CubeMismatch

__all__ = ["cube"]


def test_only_what_nobody_needs_goes(cube):
    before = {c.month: c for c in last_changes(cube.repository)}
    tip, ids = cube.tip(), [c.snapshot for c in commits(cube.repository)]
    tidied = tidy(cube)
    assert tidied.snapshots == tuple(ids[1:-1])
    # June's first ones; those of the edge are so small that they lie in a manifest.
    assert tidied.chunks == 4 * 5
    assert tidied.bytes > 20 * 512
    assert cube.tip() == tip
    assert months(cube) == [3, 2, 4]
    assert [c.snapshot for c in commits(cube.repository)] == [ids[0], ids[-1]]
    with pytest.raises(ic.IcechunkError, match="not found"):
        reds(cube.repository, ids[1])
    then = {c.month: c for c in last_changes(open_repository(str(cube.lock.with_suffix(""))))}
    spoken = {m: replace(c, snapshot=tip, parent=None) for m, c in before.items()}
    spoken["2024-08"] = replace(before["2024-08"], parent=ids[-1])
    assert then == spoken
    again = tidy(cube, soon(cube.repository, 2 * KEEP))
    assert (again.snapshots, again.chunks) == ((), 0)
    assert {c.month: c for c in last_changes(cube.repository)} == spoken


def test_word_is_kept_through_any_number_of_tidyings(cube):
    for number in range(3):
        commit(cube.begin("2024-09"), number)
        told = {(c.month, c.written_at, c.message) for c in last_changes(cube.repository)}
        tidy(cube)
        left = last_changes(cube.repository)
        assert {(c.month, c.written_at, c.message) for c in left} == told
        assert {c.snapshot for c in left} == {cube.tip()}
    assert last_change(cube.repository, "2024-06", "tiny").parent is None


def test_word_is_kept_where_tidying_was_killed_before_anything_went(cube, monkeypatch):
    tidy(cube)
    for month, value in (("2024-09", 5), ("2024-10", 6)):
        commit(cube.begin(month), value)
    told = {(c.month, c.written_at) for c in last_changes(cube.repository)}
    assert len(told) == 5

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ic.Repository, "expire_snapshots", killed)
        with pytest.raises(KeyboardInterrupt):
            tidy(cube)
    assert {(c.month, c.written_at) for c in last_changes(cube.repository)} == told
    assert tidy(cube).snapshots
    assert {(c.month, c.written_at) for c in last_changes(cube.repository)} == told


def test_what_main_was_within_the_time_kept_stays(cube):
    line = list(commits(cube.repository))
    for younger, older in pairwise(line):
        # As old as is kept, to the microsecond; then all but.
        at = younger.written_at + KEEP
        assert tidying.planned(cube.repository, KEEP, at).cut == younger.written_at
        within = at - timedelta(microseconds=1)
        found = tidying.planned(cube.repository, KEEP, within)
        assert found.cut == older.written_at
        assert older.snapshot not in found.snapshots


def test_tags_and_branches_are_read_as_before(cube):
    ids = [c.snapshot for c in commits(cube.repository)]
    tag(cube.repository, "first", ids[3])
    cube.repository.create_branch("mine", ids[2])
    told = [(c.month, c.written_at) for c in last_changes(cube.repository, "mine")]
    tidied = tidy(cube)
    assert tidied.snapshots == (ids[1], ids[4])
    assert reds(cube.repository, ids[3]) == [1]
    assert reds(cube.repository, ids[2]) == [1, 2]
    assert [c.month for c in last_changes(cube.repository, "first")] == ["2024-06"]
    assert [(c.month, c.written_at) for c in last_changes(cube.repository, "mine")] == told


def test_a_built_cube_verifies_afterwards_and_is_built_on(tiny):
    cube = tiny.cube()
    build_month(tiny.plan("2024-06"), cube, Inline(), BY)
    scenes = last_change(cube.repository, "2024-06", "tiny").scenes
    build_month(tiny.plan("2024-07"), cube, Inline(), BY)
    assert tidy(cube).snapshots
    assert [found for found in verify(cube.repository, "main") if found] == []
    assert last_change(cube.repository, "2024-06", "tiny").scenes == scenes
    again = build_month(tiny.plan("2024-06"), cube, Inline(), BY)
    assert (again.published, again.snapshot) == (False, cube.tip())


def test_a_preview_touches_nothing(cube):
    before = [c.snapshot for c in commits(cube.repository)]
    found = tidying.preview(cube.repository, KEEP, soon(cube.repository))
    assert found.snapshots == tuple(before[1:-1])
    assert [c.snapshot for c in commits(cube.repository)] == before
    assert reds(cube.repository, before[-2]) == []


def test_a_short_memory_is_refused_with_the_reason(cube):
    with pytest.raises(AskPerson, match="keep 14 days or more"):
        tidying.planned(cube.repository, KEEP - timedelta(days=1), datetime.now(UTC))


def test_a_repository_without_a_cube_is_left_alone(tmp_path):
    repository = ic.Repository.create(ic.in_memory_storage())
    with pytest.raises(CubeMismatch, match="no neve cube"):
        tidying.tidy(repository, KEEP, datetime.now(UTC), None)


START = datetime(2024, 1, 1, tzinfo=UTC)


def line_of(ages, name="m"):
    """A line of commits of these ages in days, the last the repository's first."""
    none = (None,) * 5
    return [
        Commit(f"{name}{k}", None if k == len(ages) - 1 else f"{name}{k + 1}",
               START - timedelta(days=age), "", *none, (), (), None, ())
        for k, age in enumerate(ages)
    ]  # fmt: skip


@given(
    st.lists(st.integers(0, 90), min_size=2, max_size=12).map(sorted),
    st.sets(st.integers(0, 11), max_size=3),
    st.integers(0, 60),
)
def test_a_state_of_any_moment_within_the_time_kept_stays(ages, tagged, keep):
    main = line_of(ages)
    tags = {str(k): main[k % len(main) :] for k in tagged}
    found = tidying.plan({"main": main}, tags, START - timedelta(days=keep))
    for day in range(keep + 1):  # what main was so many days ago
        was = next((c for c in main if c.written_at <= START - timedelta(days=day)), main[-1])
        assert was.snapshot not in found.snapshots
    assert not {line[0].snapshot for line in tags.values()} & set(found.snapshots)
    assert {c.snapshot for c in main} == found.kept | set(found.snapshots)
    for newer, older in pairwise(main):
        cut = newer.snapshot in found.kept and older.snapshot not in found.kept
        assert (found.cuts.get(newer.snapshot) == older.snapshot) == cut


def test_the_command_tells_and_then_does(cube, tiny, monkeypatch, capsys):
    def neve(*arguments):
        monkeypatch.setattr(sys, "argv", ["neve", "tidy", tiny.store, "--json", *arguments])
        code = run()
        return code, capsys.readouterr()

    code, told = neve("--keep-days", "3")
    assert code == 3 and "keep 14 days or more" in told.err
    monkeypatch.setattr("neve.cube.tidying.LEAST", timedelta(0))
    code, told = neve("--dry-run", "--keep-days", "0")
    row = json.loads(told.out)["would go"][0]
    assert (code, len(row["snapshots"])) == (0, 4)
    assert len(list(commits(cube.repository))) == 6
    code, told = neve("--keep-days", "0")
    assert (code, json.loads(told.out)["gone"][0]["chunks"]) == (0, 20)
    assert months(cube) == [3, 2, 4]
