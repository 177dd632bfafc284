"""The op ``tidy``: a region's old states go, while nobody writes to its cube.

It belongs to no asset: what is published stays as it is.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from neve.cube.tidying import LEAST
from neve.errors import RegionInvalid, Retry
from resources.cubes import Cubes
from resources.regions import RegionFolder

OPEN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
REGION_TAG = "dagster/partition/region"


class Tidying(dg.Config):
    """``keep_days``: every state that main had within so many days stays; 14 or more."""

    keep_days: int = 30


@dg.op(
    name="forget",  # a job and its op may not share a name
    out=dg.Out(dg.Nothing),
    description="Forgets states of a region's cube that are older than keep_days, but tags and "
    "branches, and deletes what no state needs any more.",
)
def tidy(
    context: dg.OpExecutionContext, config: Tidying, regions: RegionFolder, cubes: Cubes
) -> None:
    """Tidy the cube of the run's region; raises ``Retry`` while a run may write to it."""
    region = regions.region(context.partition_key)
    place = cubes.location(region)
    known = (r for r in regions.each() if not isinstance(r, RegionInvalid))
    sharing = {r.name for r in known if cubes.location(r) == place}
    refuse_open(context.instance, sharing, context.run_id)
    tidied = cubes.tidy(region, timedelta(days=config.keep_days))
    context.add_output_metadata(
        {
            "store": place,
            "snapshots": len(tidied.snapshots),
            "staging branches": len(tidied.branches),
            "chunks": tidied.chunks,
            "bytes": tidied.bytes,
        }
    )


def refuse_open(instance: dg.DagsterInstance, regions: set[str], but: str) -> None:
    """Raise ``Retry`` while another run of one of the regions, or of nobody knows which, is open.

    One that began so long ago that it cannot commit any more counts no more: it was killed.
    """
    since = datetime.now(UTC) - LEAST
    wanted = dg.RunsFilter(statuses=OPEN, created_after=since)
    for run in instance.get_runs(filters=wanted):
        # A GraphQL launch may tell the partition alone.
        key = run.tags.get(REGION_TAG) or run.tags.get("dagster/partition", "").rpartition("|")[2]
        if run.run_id != but and key in {*regions, ""}:
            raise Retry(
                f"run {run.run_id} ({run.job_name} {run.tags.get('dagster/partition', '')}) is "
                "under way; tidy when it has ended, and if it was killed, terminate it in the UI"
            )
