"""The daily schedule: off until someone turns it on in the UI."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg

from neve.region import Region
from pipelines.partitions import partition_key

# Scenes arrive and are reprocessed for some weeks after they were taken.
WINDOW = timedelta(days=60)


def daily_update(job_name: str, regions: Sequence[Region]) -> dg.ScheduleDefinition:
    """Runs every region's months of the last 60 days, every morning (UTC)."""

    @dg.schedule(job_name=job_name, cron_schedule="0 5 * * *", name="daily_update")
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        now = context.scheduled_execution_time
        months = sorted({f"{now - timedelta(days=d):%Y-%m}" for d in range(WINDOW.days + 1)})
        for region in regions:
            for month in months:
                if month >= region.start:
                    yield dg.RunRequest(
                        run_key=f"{region.name} {month} {now:%Y-%m-%d}",
                        partition_key=partition_key(region.name, month),
                    )

    return schedule
