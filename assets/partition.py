"""Which region and month a run is for, and when a step of it is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import dagster as dg

from neve.errors import Retry
from neve.region import Region
from resources.regions import RegionFolder

TRIES = 3
PAUSE = 60.0  # seconds before the second try, twice that before the third
MAX_RETRIES = "dagster/max_retries"


class Partition(NamedTuple):
    """A run's region and month ("YYYY-MM")."""

    region: Region
    month: str


def partition_of(context: dg.AssetExecutionContext, regions: RegionFolder) -> Partition | None:
    """The run's partition; None, with a word in the log, for a month before the region's start.

    Dagster's partitions are all regions × all months: some regions start later than others.
    """
    # A GraphQL launch that passes only the partition tag gives a plain str.
    month, _, name = str(context.partition_key).partition("|")
    region = regions.region(name)
    if month < region.start:
        context.log.warning(
            f"{name}: nothing to do, month {month} is before the region's start {region.start}; "
            "choose a later month or change start in the region file"
        )
        return None
    return Partition(region, month)


@contextmanager
def retried(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Passing trouble ends this try of the step and not the run, but where a person waits for it.

    The run of a person has Dagster's own tag for no retries.
    """
    try:
        yield
    except Retry as error:
        if context.run.tags.get(MAX_RETRIES) == "0":
            raise
        wait = PAUSE * 2**context.retry_number
        raise dg.RetryRequested(max_retries=TRIES - 1, seconds_to_wait=wait) from error
