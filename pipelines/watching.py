"""A tick: what it looks at in the time that Dagster gives it, and the runs that it asks for.

Belongs here: order, time and memory of ticks. Does not belong here: when they come
(``schedules``), comparing one month (``neve.build.watching``).
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from time import monotonic
from typing import Any

import dagster as dg

from neve.build.watching import Finding, look, months_to_watch
from neve.catalog.opening import Catalog
from neve.cube.history import Commit
from neve.errors import NeveError, RegionInvalid
from neve.region import Region
from pipelines.partitions import partition_key
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.regions import RegionFolder

CONCURRENT_SEARCHES = 8  # of one catalogue
FAILURES = 3  # of one catalogue, after which a tick leaves it alone
UNKNOWN = "the code server has not loaded this partition; reload it after a change of region files"
NO_TIME = "this tick's time is over, the next one goes on"
DOWN = "the catalogue {} failed several times, the next tick asks it again"
SCENES, COMPOSITE = dg.AssetKey("scenes"), dg.AssetKey("composite")
RUN_KEY = "dagster/run_key"


@dataclass(frozen=True)
class Ask:
    """A month to look at; ``sweep``: not in the window, looked at once in a calendar month."""

    region: Region
    month: str
    catalog: Catalog
    commit: Commit | None
    sweep: bool

    @property
    def key(self) -> str:
        """Its partition."""
        return str(partition_key(self.region.name, self.month))


@dataclass(frozen=True)
class Watch:
    """What is looked at in ``seconds``: every region's window, and what else this month asks for.

    Months outside of the window are looked at until they were found right once in the calendar
    month: an observation of the asset ``scenes`` keeps which.
    """

    regions: RegionFolder
    catalogs: Catalogs
    cubes: Cubes
    instance: dg.DagsterInstance
    partitions: dg.MultiPartitionsDefinition
    today: date
    seconds: float

    def requests(self, log: Callable[[str], None]) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """A run for each month that changed: none for scenes that had one today or have one now."""
        reasons, right, started = [], [], False
        for ask, finding in self._findings():
            asked = self._request(ask, finding) if ask and finding.fingerprint else None
            if isinstance(asked, dg.RunRequest):
                started = True
                yield asked
            elif told := asked or finding.held:
                log(told)
                reasons.append(told)
            elif ask and ask.sweep:
                right.append(ask.key)
        if right:
            self._remember(right)
        if not started:
            yield dg.SkipReason("\n".join(reasons) or "no month's scenes changed")

    def _findings(self) -> Iterator[tuple[Ask | None, Finding]]:
        """One for each month that was looked at, and one for each reason why others were not."""
        ends = monotonic() + self.seconds
        asks: list[Ask] = []
        left: dict[tuple[str, str], list[str]] = defaultdict(list)
        swept = self._swept()
        for found in self._opened(ends):
            if isinstance(found, str):
                yield None, Finding("", held=found)
                continue
            for ask in self._asks(*found, swept):
                if self.partitions.has_partition_key(partition_key(ask.region.name, ask.month)):
                    asks.append(ask)
                else:
                    left[ask.region.name, UNKNOWN].append(ask.month)
        # Months that fail again and again must not keep the same others waiting for ever.
        asks.sort(key=lambda ask: (ask.sweep, random.random()))
        failed: list[str] = []
        calls = [(ask.catalog.name, partial(self._look, ask, failed)) for ask in asks]
        for ask, finding in zip(asks, in_time(calls, ends, NO_TIME), strict=True):
            if isinstance(finding, str):
                left[ask.region.name, finding].append(ask.month)
            else:
                yield ask, finding
        for (name, why), months in left.items():
            told = f"{min(months)} to {max(months)} ({len(months)})"
            yield None, Finding("", held=f"{name}: held back: {told}: {why}")

    def _opened(self, ends: float) -> Iterator[tuple[Region, Catalog, dict[str, Commit]] | str]:
        """Each region with its catalogue and what is published of it, or why it is held back."""
        regions = []
        for region in self.regions.each():
            if isinstance(region, RegionInvalid):
                yield f"held back: {region}"
            else:
                regions.append(region)
        calls = [(self.cubes.location(region), partial(self._open, region)) for region in regions]
        for region, opened in zip(regions, in_time(calls, ends, NO_TIME), strict=True):
            yield (
                f"{region.name}: held back: {opened}"
                if isinstance(opened, str)
                else (region, *opened)
            )

    def _open(self, region: Region) -> tuple[Catalog, dict[str, Commit]] | str:
        try:
            return self.catalogs.hurried(region), self.cubes.published(region)
        except NeveError as error:
            return str(error)

    def _asks(
        self,
        region: Region,
        catalog: Catalog,
        published: dict[str, Commit],
        swept: Collection[str],
    ) -> Iterator[Ask]:
        window = set(months_to_watch(region, self.today, False))
        for month in months_to_watch(region, self.today, True):
            ask = Ask(region, month, catalog, published.get(month), month not in window)
            if ask.key not in swept or not ask.sweep:
                yield ask

    def _look(self, ask: Ask, failed: list[str]) -> Finding | str:
        """``failed``: a catalogue's name for each search of it that failed in this tick."""
        if failed.count(ask.catalog.name) >= FAILURES:
            return DOWN.format(ask.catalog.name)
        seen = partial(self._seen, ask)
        finding = look(ask.region, ask.month, ask.catalog, ask.commit, seen)
        if finding.unanswered:
            failed.append(ask.catalog.name)
        return finding

    def _seen(self, ask: Ask) -> str | None:
        """The newest fingerprint for which a later run has found the commit right as it is."""
        wanted = dg.AssetRecordsFilter(COMPOSITE, asset_partitions=[ask.key])
        by = ask.commit.run_id if ask.commit else ""
        for record in self.instance.fetch_materializations(wanted, limit=1).records:
            # One that a person reported tells nothing.
            told = record.asset_materialization.metadata if record.asset_materialization else {}
            if "committed by" in told and told["committed by"].value == by != record.run_id:
                return str(told["fingerprint"].value)
        return None

    def _request(self, ask: Ask, finding: Finding) -> dg.RunRequest | str:
        """The run, or why there is none.

        Dagster knows a run's key by the schedule's tick or the sensor's name alone: which runs
        the other one, or an earlier tick, has asked for is looked at here.
        """
        scenes = finding.fingerprint[:16]
        run_key = f"{ask.region.name} {ask.month} {scenes} {self.today}"
        tags = {"neve/fingerprint": scenes}
        wanted = dg.RunsFilter(tags={**tags, "dagster/partition": ask.key})
        for run in self.instance.get_runs(wanted, limit=1):
            if not run.is_finished:
                return f"{ask.region.name} {ask.month}: run {run.run_id} of these scenes is open"
            if run.tags.get(RUN_KEY) == run_key:
                return f"{ask.region.name} {ask.month}: run {run.run_id} of today had these scenes"
        return dg.RunRequest(run_key=run_key, partition_key=ask.key, tags=tags)

    def _swept(self) -> set[str]:
        """Partitions outside of the window that were found right in this calendar month."""
        began = datetime.combine(self.today.replace(day=1), time(), UTC).timestamp()
        wanted = dg.AssetRecordsFilter(SCENES, after_timestamp=began)
        found: set[str] = set()
        for record in self.instance.fetch_observations(wanted, limit=1000).records:
            told: Any = record.asset_observation.metadata if record.asset_observation else {}
            if "sweep" in told and told["sweep"].value == f"{self.today:%Y-%m}":
                found.update(told["found right"].value)
        return found

    def _remember(self, right: Sequence[str]) -> None:
        told: dict[str, Any] = {
            "sweep": f"{self.today:%Y-%m}",
            "found right": dg.MetadataValue.json(sorted(right)),
        }
        self.instance.report_runless_asset_event(dg.AssetObservation(SCENES, metadata=told))


def in_time[T, L](
    calls: Sequence[tuple[str, Callable[[], T]]], ends: float, late: L
) -> Iterator[T | L]:
    """Results in order; calls of each name run beside those of the others, 8 at a time.

    ``late`` stands for what has not ended when the clock says ``ends``; what runs then runs on.
    """
    pools: dict[str, ThreadPoolExecutor] = {}
    for name, _ in calls:
        if name not in pools:
            pools[name] = ThreadPoolExecutor(CONCURRENT_SEARCHES)
    futures = [pools[name].submit(call) for name, call in calls]
    try:
        for future in futures:
            try:
                yield future.result(max(ends - monotonic(), 0))
            except TimeoutError:
                yield late
    finally:
        for pool in pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
