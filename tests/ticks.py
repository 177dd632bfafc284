"""Ticks of the schedule and the sensor on a tiny region, and the runs that they ask for."""

from datetime import UTC, datetime

import dagster as dg

from assets.cube import wishes_config
from pipelines.partitions import month_partitions
from pipelines.schedules import catalogue_watch, daily_update
from pipelines.settings import resources
from pipelines.watching import RUN_KEY

NOON = datetime(2024, 7, 10, 5, tzinfo=UTC)


def parts(instance):
    """What a tick is given beside its clock."""
    wired = resources()
    return {
        "instance": instance,
        "resources": {name: wired[name] for name in ("regions", "catalogs", "cubes")},
    }


def told(found):
    """(partition → request) of what an evaluation gave, and why others were left."""
    found = list(found or [])
    skipped = [reason.skip_message for reason in found if isinstance(reason, dg.SkipReason)]
    requests = [request for request in found if isinstance(request, dg.RunRequest)]
    return {str(request.partition_key): request for request in requests}, skipped


def tick(instance, now=NOON, seconds=30):
    """One evaluation of the schedule, ``told``."""
    context = dg.build_schedule_context(scheduled_execution_time=now, **parts(instance))
    return told(daily_update("month", partitions(), seconds)(context))


def sense(instance):
    """One evaluation of the sensor, ``told``."""
    context = dg.build_sensor_context(**parts(instance))
    return told(catalogue_watch("month", partitions(), 30)(context))


def partitions():
    return month_partitions(resources()["regions"].regions().values())


def run(job, instance, request, allow_shrink=False):
    """The run of a request, with the tags that Dagster's daemon gives it."""
    return job.execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        run_config=wishes_config(False, allow_shrink),
        tags=request.tags | ({RUN_KEY: request.run_key} if request.run_key else {}),
        raise_on_error=False,
    )
