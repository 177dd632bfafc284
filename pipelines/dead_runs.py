"""The sensor that ends runs whose process is gone.

Dagster's launcher for one machine cannot ask after a run's process, and only the code server that
started it sees it end. A sensor is evaluated by the code server, so it looks from the machine (or
container) where runs are. Does not belong here: what a run had done.
"""

import platform
from collections.abc import Iterator

import dagster as dg
import psutil

HOST = "neve/host"
HERE = {HOST: platform.node()}  # tags of runs that no code server starts


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs whose process was killed are marked as failed, and give back their slots.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Fail every run of this machine that has started and whose process is not there any more."""
    ended = list(end_dead_runs(context.instance))
    return dg.SkipReason(f"marked as failed: {', '.join(ended)}" if ended else "all runs are alive")


def end_dead_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Mark them as failed; yields their ids. Launchers that can ask for themselves do it."""
    if instance.run_launcher.supports_check_run_worker_health:
        return
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if run.tags.get(HOST, HERE[HOST]) != HERE[HOST] or _alive(instance, run.run_id):
            continue
        # A run's last word comes before its process ends: read after the process was seen gone.
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(now, "Its process is gone; was it killed?")
            yield run.run_id


def _alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the process that told of the run's start is there; another may have its id since."""
    for told in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START):
        try:
            return bool(
                psutil.Process(told.get_dagster_event().pid).create_time() <= told.timestamp
            )
        except psutil.NoSuchProcess:
            return False
    return False
