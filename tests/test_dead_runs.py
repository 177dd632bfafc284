"""Slots of runs whose process was killed are given back, others are not; the queue's limits."""

import os
import shutil
import subprocess
import sys

import dagster as dg
import psutil
import pytest
from conftest import PROJECT
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from pipelines.dead_runs import HERE, HOST, dead_runs, end_dead_runs

QUEUED = dg.DagsterRunStatus.QUEUED
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("nowhere", 1), "__repository__"), "empty"
)
# As neve build does it, with an asset that tells its run's id and waits.
PROGRAM = """
import time
import dagster as dg
from pipelines.dead_runs import HERE

@dg.asset(pool="build")
def waiting(context) -> None:
    print(context.run_id, flush=True)
    time.sleep(600)

dg.materialize([waiting], instance=dg.DagsterInstance.get(), tags=HERE)
"""


@dg.op
def nothing() -> None: ...


@dg.job
def empty() -> None:
    nothing()


@pytest.fixture
def home(tmp_path, monkeypatch):
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)  # where its folders are
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return tmp_path


def next_runs(instance):
    """What the daemon would take from the queue now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    found = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.run_id for run in found]


@pytest.mark.slow
def test_killed_builds_give_back_their_slots(home):
    with dg.DagsterInstance.get() as instance:  # makes the tables, which only one may
        queued = instance.create_run_for_job(empty, status=QUEUED, remote_job_origin=ORIGIN)
        builds = [
            subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        try:
            ids = [build.stdout.readline().decode().strip() for build in builds]
            assert all(ids)
            for build in builds[:2]:
                build.kill()
                build.wait()
            assert next_runs(instance) == []
            told = dead_runs(dg.build_sensor_context(instance=instance))
            assert all(run_id in told.skip_message for run_id in ids[:2])
            states = [instance.get_run_by_id(run_id).status for run_id in ids]
            assert states == [*2 * [dg.DagsterRunStatus.FAILURE], dg.DagsterRunStatus.STARTED]
            assert next_runs(instance) == [queued.run_id]
        finally:
            for build in builds:
                build.kill()
                build.communicate()


def started(instance, seconds, tags):
    """A run that told of its start from this process, so long after the process began."""
    run = instance.create_run_for_job(empty, tags=tags)
    event = DagsterEvent(DagsterEventType.RUN_START.value, empty.name, pid=os.getpid())
    began = psutil.Process().create_time() + seconds
    instance.report_dagster_event(event, run.run_id, timestamp=began)
    return run.run_id


def test_a_process_with_the_same_number_is_another(home):
    with dg.DagsterInstance.get() as instance:
        alive = started(instance, 1, HERE)
        elsewhere = started(instance, -3600, {HOST: "another machine"})
        dead = [started(instance, -3600, tags) for tags in (HERE, {})]
        assert sorted(end_dead_runs(instance)) == sorted(dead)
        assert list(end_dead_runs(instance)) == []
        for run_id in (alive, elsewhere):
            assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED


def test_a_run_that_nothing_tells_of_holds_no_slot(home):
    with dg.DagsterInstance.get() as instance:
        for _ in range(2):
            instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED)
        queued = instance.create_run_for_job(empty, status=QUEUED, remote_job_origin=ORIGIN)
        assert next_runs(instance) == []
        assert len(list(end_dead_runs(instance))) == 2
        assert next_runs(instance) == [queued.run_id]


def test_runs_of_one_month_come_one_by_one_and_of_one_region_four_at_a_time(home):
    file = home / "dagster.yaml"
    file.write_text(
        file.read_text("utf-8").replace("max_concurrent_runs: 2", "max_concurrent_runs: 9")
    )

    def run(region, month, status):
        tags = {"dagster/partition": f"{month}|{region}", "dagster/partition/region": region}
        return instance.create_run_for_job(
            empty, tags=tags, status=status, remote_job_origin=ORIGIN
        ).run_id

    with dg.DagsterInstance.get() as instance:
        run("vienna", "2024-01", dg.DagsterRunStatus.STARTED)
        run("vienna", "2024-01", QUEUED)
        months = [run("vienna", f"2024-{month:02}", QUEUED) for month in range(2, 6)]
        other = run("graz", "2024-01", QUEUED)
        assert next_runs(instance) == [*months[:3], other]
