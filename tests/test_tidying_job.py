"""The job and the schedule that tidy: which runs they wait for, and what they ask for each cube."""

from contextvars import Context
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from test_store import months
from tidied_cube import cube

from assets.tidying import refuse_open
from neve.errors import Retry
from pipelines.definitions import definitions
from pipelines.settings import resources

__all__ = ["cube"]


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
