"""The daily schedule and the sensor that start runs for months whose scenes changed; tidying.

All are off until someone turns them on in the UI. They read catalogues and commits, no pixel.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import dagster as dg

from neve.errors import NeveError, RegionInvalid
from pipelines.watching import UNKNOWN, Watch
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.regions import RegionFolder

SENSOR_SECONDS = 900


def daily_update(
    job_name: str, partitions: dg.MultiPartitionsDefinition, seconds: float
) -> dg.ScheduleDefinition:
    """Every morning (UTC) each region's last days, and once a month all its months.

    ``seconds``: how long a tick may take.
    """

    @dg.schedule(job_name=job_name, cron_schedule="0 5 * * *", name="daily_update")
    def schedule(
        context: dg.ScheduleEvaluationContext,
        regions: RegionFolder,
        catalogs: Catalogs,
        cubes: Cubes,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        today = context.scheduled_execution_time.date()
        watch = Watch(regions, catalogs, cubes, context.instance, partitions, today, seconds)
        yield from watch.requests(context.log.warning)

    return schedule


def catalogue_watch(
    job_name: str, partitions: dg.MultiPartitionsDefinition, seconds: float
) -> dg.SensorDefinition:
    """The same within minutes."""

    @dg.sensor(job_name=job_name, minimum_interval_seconds=SENSOR_SECONDS, name="catalogue_watch")
    def sensor(
        context: dg.SensorEvaluationContext,
        regions: RegionFolder,
        catalogs: Catalogs,
        cubes: Cubes,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        today = datetime.now(UTC).date()
        watch = Watch(regions, catalogs, cubes, context.instance, partitions, today, seconds)
        yield from watch.requests(context.log.warning)

    return sensor


def weekly_tidy(job_name: str, partitions: Collection[str]) -> dg.ScheduleDefinition:
    """Every Sunday (UTC) each cube once, in the name of the first region that is in it.

    ``partitions``: the job's regions; others came after the code server and are passed over.
    """

    @dg.schedule(job_name=job_name, cron_schedule="0 3 * * 0", name="weekly_tidy")
    def schedule(
        context: dg.ScheduleEvaluationContext, regions: RegionFolder, cubes: Cubes
    ) -> Iterator[dg.RunRequest]:
        stores: set[str] = set()
        for region in regions.each():
            if isinstance(region, RegionInvalid) or cubes.location(region) in stores:
                continue
            if region.name not in partitions:
                context.log.warning(f"{region.name}: not tidied: {UNKNOWN}")
                continue
            try:
                published = cubes.published(region)
            except NeveError as error:
                context.log.warning(f"{region.name}: not tidied: {error}")
                continue
            if published:
                stores.add(cubes.location(region))
                key = f"{region.name} {context.scheduled_execution_time.date()}"
                yield dg.RunRequest(run_key=key, partition_key=region.name)

    return schedule
