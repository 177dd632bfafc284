"""Tidying beside others at work: open sessions and staged blocks lose nothing that they need."""

import pickle
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import icechunk as ic
import pytest
from test_store import months
from tidied_cube import KEEP, commit, cube, reds, tidy, write

from neve.cube import tidying
from neve.cube.store import LONGEST
from neve.errors import MonthConflict

__all__ = ["cube"]


def test_a_staging_branch_may_go_at_any_time_beside_tidying(cube, monkeypatch):
    for month in ("2024-06", "2024-07"):
        cube.stage(f"staging.tiny.{month}", month, lambda session: write(session, 0, 7))
    commit(cube.begin("2024-09"), 5)
    listed, kept = ic.Repository.list_branches, tidying.keep_word

    def list_and_lose(repository):
        names = listed(repository)
        if "staging.tiny.2024-06" in names:  # while it is planned
            repository.delete_branch("staging.tiny.2024-06")
        return names

    def keep_and_lose(repository, *more):
        kept(repository, *more)
        repository.delete_branch("staging.tiny.2024-07")  # between the plan and its deletion

    monkeypatch.setattr(ic.Repository, "list_branches", list_and_lose)
    monkeypatch.setattr(tidying, "keep_word", keep_and_lose)
    assert tidy(cube).snapshots
    assert cube.repository.list_branches() == {"main"}
    assert months(cube) == [3, 2, 4, 5]


def test_a_session_that_began_before_loses_nothing(cube, tiny):
    """The state it began from is no longer main's, and its chunks are older than the tidying."""
    time.sleep(1.1)  # nothing finer than a second is asked of the tidying
    open_session = cube.begin("2024-06")
    write(open_session.fork, 0, 9)
    fork = pickle.loads(pickle.dumps(open_session.fork))
    commit(cube.begin("2024-09"), 5)
    # Later by LONGEST than any session may commit.
    assert tidy(cube, open_session.began + KEEP - timedelta(seconds=1)).snapshots
    snapshot = open_session.commit([fork], "test", {"month": "2024-06", "region": "tiny"})
    assert reds(cube.repository, snapshot) == [9, 2, 4, 5]


def test_a_session_too_old_to_be_safe_cannot_commit(cube, monkeypatch):
    old = cube.begin("2024-06")
    late = replace(old, began=old.began - LONGEST - timedelta(seconds=1))
    write(late.fork, 0, 9)
    with pytest.raises(MonthConflict, match="longer than 7 days"):
        late.commit([late.fork], "test", {})
    assert months(cube) == [3, 2, 4]


def test_without_the_guards_a_session_would_lose_its_chunks(cube):
    """What the two tests above protect from: Icechunk commits, and the chunks are gone."""
    open_session = cube.begin("2024-06")
    write(open_session.fork, 0, 9)
    cube.repository.garbage_collect(datetime.now(UTC) + timedelta(seconds=1))
    snapshot = open_session.commit([open_session.fork], "test", {})
    with pytest.raises(ic.IcechunkError, match="not found"):
        reds(cube.repository, snapshot)


def test_staged_blocks_stay_while_anyone_may_want_them(cube):
    cube.stage("staging.tiny.2024-06", "2024-06", lambda session: write(session, 0, 7))
    staged = cube.repository.lookup_branch("staging.tiny.2024-06")
    commit(cube.begin("2024-09"), 5)
    at = cube.repository.lookup_snapshot(staged).written_at
    assert tidy(cube, at + KEEP).branches == ()
    assert reds(cube.repository, staged) == [7, 2, 4]
    assert tidy(cube).branches == ("staging.tiny.2024-06",)
    assert cube.repository.list_branches() == {"main"}
    assert months(cube) == [3, 2, 4, 5]
