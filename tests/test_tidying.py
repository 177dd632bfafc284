"""Tidying: what is needed stays, whoever is at work; what was forgotten is still told of."""

import json
import pickle
import sys
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg
import icechunk as ic
import numpy as np
import pytest
import zarr
from conftest import BY
from hypothesis import given
from hypothesis import strategies as st
from test_store import months

from assets.tidying import refuse_open
from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cli.app import run
from neve.cube import tidying
from neve.cube.history import Commit, commits, last_change, last_changes, tag
from neve.cube.places import open_repository
from neve.cube.store import LONGEST
from neve.cube.verifying import verify
from neve.errors import AskPerson, CubeMismatch, MonthConflict, Retry
from pipelines.definitions import definitions
from pipelines.settings import resources

KEEP = tidying.LEAST


def write(fork, index, value):
    """Noise around the first pixel's value: chunks that are too large to lie in manifests."""
    red = zarr.open_group(fork.store, path="1x", mode="r+")["red"]
    values = np.random.default_rng(value).integers(-32767, 32767, red.shape[1:], "int16")
    values[0, 0] = value
    red[index] = values


def commit(transaction, value):
    write(transaction.fork, transaction.cube.layout.month_index(transaction.month), value)
    told = {"month": transaction.month, "region": "tiny"}
    return transaction.commit([transaction.fork], "test", told)


def soon(repository, keep=KEEP):
    """Now, for a cube whose newest commit is exactly as old as is kept."""
    return next(commits(repository)).written_at + keep


def tidy(cube, now=None):
    repository = cube.repository
    return tidying.tidy(repository, KEEP, now or soon(repository), cube.lock)


def reds(repository, ref):
    held = repository.readonly_session(snapshot_id=ref).store
    return zarr.open_array(held, path="1x/red", mode="r")[:, 0, 0].tolist()


@pytest.fixture
def cube(tiny):
    made = tiny.cube()
    for month, value in (("2024-06", 1), ("2024-07", 2), ("2024-06", 3), ("2024-08", 4)):
        commit(made.begin(month), value)
    return made


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


def test_a_session_that_began_before_loses_nothing(cube, tiny):
    """The state it began from is no longer main's, and its chunks are older than the tidying."""
    open_session = cube.begin("2024-06")
    write(open_session.fork, 0, 9)
    fork = pickle.loads(pickle.dumps(open_session.fork))
    commit(cube.begin("2024-09"), 5)
    # Later by LONGEST than any session may commit.
    assert tidy(cube, open_session.began + KEEP).snapshots
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


@pytest.fixture
def loaded(cube, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.file))
    monkeypatch.setenv("NEVE_WORK", str(tmp_path / ".neve"))
    return Context().run(lambda: definitions().get_repository_def())


def test_the_job_waits_for_runs_of_its_cube(cube, tiny, loaded, tmp_path_factory):
    job = loaded.get_job("tidy")
    home = str(tmp_path_factory.mktemp("home"))
    with dg.instance_for_test(temp_dir=home) as instance:

        def under_way(**tags):
            return instance.create_run_for_job(
                job_def=loaded.get_job("month"), status=dg.DagsterRunStatus.STARTED, tags=tags
            )

        def attempt(days=14):
            return job.execute_in_process(
                instance=instance,
                partition_key="tiny",
                run_config={"ops": {"forget": {"config": {"keep_days": days}}}},
                raise_on_error=False,
            )

        def refusal(result):
            (failure,) = (e for e in result.all_events if e.is_step_failure)
            return failure.step_failure_data.error.cause.message

        for tags in (
            {"dagster/partition": "2024-06|tiny", "dagster/partition/region": "tiny"},
            {"dagster/partition": "2024-06|tiny"},
            {},  # a range of months
        ):
            busy = under_way(**tags)
            result = attempt()
            assert not result.success
            assert f"run {busy.run_id}" in refusal(result)
            instance.delete_run(busy.run_id)
        assert "keep 14 days or more" in refusal(attempt(13))
        under_way(**{"dagster/partition/region": "elsewhere"})
        result = attempt()
        assert result.success
        (output,) = (e for e in result.all_node_events if e.is_successful_output)
        told = {k: v.value for k, v in output.step_output_data.metadata.items()}
        assert (told["store"], told["snapshots"]) == (tiny.store, 0)
    assert months(cube) == [3, 2, 4]


def test_a_run_killed_long_ago_is_waited_for_no_more(monkeypatch, loaded):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(
            job_def=loaded.get_job("month"), status=dg.DagsterRunStatus.STARTED
        )
        with pytest.raises(Retry, match="under way"):
            refuse_open(instance, {"tiny"}, "")
        monkeypatch.setattr("assets.tidying.LEAST", timedelta(0))
        refuse_open(instance, {"tiny"}, "")


def test_every_sunday_each_cube_is_tidied_once(loaded, tiny, monkeypatch):
    """A region file that is newer than the code server, of the same cube, stops nothing."""
    text = tiny.file.read_text("utf-8").replace("name: tiny", "name: added")
    (tiny.folder / "added.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.folder))
    schedule = loaded.get_schedule_def("weekly_tidy")
    wired = resources()
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2024, 7, 7, 3, tzinfo=UTC),
        resources={name: wired[name] for name in ("regions", "cubes")},
        repository_def=loaded,
    )
    (asked,) = schedule.evaluate_tick(context).run_requests
    assert asked.partition_key == "tiny"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
