"""The daily schedule and the sensor that start runs for months whose scenes changed; tidying.

All are off until someone turns them on in the UI. They read catalogues and commits, no pixel.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg

from neve.build.watching import Finding, look, months_to_watch
from neve.cube.history import Commit
from neve.errors import NeveError, RegionInvalid
from neve.region import Region
from pipelines.partitions import partition_key
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.regions import RegionFolder

CONCURRENT_SEARCHES = 8
SENSOR_SECONDS = 900
UNKNOWN = "the code server has not loaded this partition; reload it after a change of region files"


@dataclass(frozen=True)
class Watch:
    """What is looked at: every region's window, or everything."""

    regions: RegionFolder
    catalogs: Catalogs
    cubes: Cubes
    instance: dg.DagsterInstance
    today: date
    everything: bool
    partitions: dg.MultiPartitionsDefinition

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """One for each month of each region; what cannot be looked at is held back."""
        looks: list[tuple[str, Callable[[], Finding]]] = []
        for region in self.regions.each():
            if isinstance(region, RegionInvalid):
                yield "", Finding("", held=f"held back: {region}")
                continue
            try:
                catalog, published = self.catalogs.catalog(region), self.cubes.published(region)
            except NeveError as error:
                yield region.name, Finding("", held=f"{region.name}: held back: {error}")
                continue
            for month in months_to_watch(region, self.today, self.everything):
                if not self.partitions.has_partition_key(partition_key(region.name, month)):
                    held = f"{region.name} {month}: held back: {UNKNOWN}"
                    yield region.name, Finding(month, held=held)
                    continue
                commit = published.get(month)
                seen = _seen(self.instance, region, commit) if commit else None
                looks.append((region.name, partial(look, region, month, catalog, commit, seen)))
        with ThreadPoolExecutor(CONCURRENT_SEARCHES) as pool:
            found = pool.map(lambda one: one[1](), looks)
            yield from zip((name for name, _ in looks), found, strict=True)

    def requests(self, log: Callable[[str], None]) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """A run for each month that changed: at most one a day for the same scenes."""
        reasons = []
        started = False
        for name, finding in self.findings():
            if finding.held:
                log(finding.held)
                reasons.append(finding.held)
            elif finding.fingerprint:
                started = True
                yield dg.RunRequest(
                    run_key=f"{name} {finding.month} {finding.fingerprint[:16]} {self.today}",
                    partition_key=partition_key(name, finding.month),
                    tags={"neve/fingerprint": finding.fingerprint[:16]},
                )
        if not started:
            yield dg.SkipReason("\n".join(reasons) or "no month's scenes changed")


def _seen(instance: dg.DagsterInstance, region: Region, commit: Commit) -> str | None:
    """The newest fingerprint for which a later run has found the commit right as it is."""
    key = partition_key(region.name, commit.month or "")
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("composite"), asset_partitions=[key]), limit=1
    ).records
    for record in records:
        if record.asset_materialization is not None:
            told: Any = record.asset_materialization.metadata
            if told["snapshot"].value == commit.snapshot and record.run_id != commit.run_id:
                return str(told["fingerprint"].value)
    return None


def daily_update(job_name: str, partitions: dg.MultiPartitionsDefinition) -> dg.ScheduleDefinition:
    """Every morning (UTC) each region's last days; on the first of a month all of its months."""

    @dg.schedule(job_name=job_name, cron_schedule="0 5 * * *", name="daily_update")
    def schedule(
        context: dg.ScheduleEvaluationContext,
        regions: RegionFolder,
        catalogs: Catalogs,
        cubes: Cubes,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        today = context.scheduled_execution_time.date()
        everything = today.day == 1
        watch = Watch(regions, catalogs, cubes, context.instance, today, everything, partitions)
        yield from watch.requests(context.log.warning)

    return schedule


def catalogue_watch(job_name: str, partitions: dg.MultiPartitionsDefinition) -> dg.SensorDefinition:
    """The same within minutes, of each region's last days."""

    @dg.sensor(job_name=job_name, minimum_interval_seconds=SENSOR_SECONDS, name="catalogue_watch")
    def sensor(
        context: dg.SensorEvaluationContext,
        regions: RegionFolder,
        catalogs: Catalogs,
        cubes: Cubes,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        today = datetime.now(UTC).date()
        watch = Watch(regions, catalogs, cubes, context.instance, today, False, partitions)
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
