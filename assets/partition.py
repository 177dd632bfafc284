"""Which region and month a run is for."""

from typing import NamedTuple

import dagster as dg

from neve.errors import RegionInvalid
from neve.region import Region
from resources.regions import RegionFolder


class Partition(NamedTuple):
    """A run's region and month ("YYYY-MM")."""

    region: Region
    month: str


def partition_of(context: dg.AssetExecutionContext, regions: RegionFolder) -> Partition:
    """The run's partition; raises ``RegionInvalid`` for a month before the region's start."""
    # A GraphQL launch that passes only the partition tag gives a plain str.
    month, _, name = str(context.partition_key).partition("|")
    region = regions.region(name)
    if month < region.start:
        raise RegionInvalid(
            f"{name}: month {month} is before the region's start {region.start}; "
            "choose a later month or change start in the region file"
        )
    return Partition(region, month)
