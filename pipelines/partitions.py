"""Region × month partitions, from the region files."""

from collections.abc import Iterable
from datetime import datetime

import dagster as dg

from neve.region import Region


def month_partitions(regions: Iterable[Region]) -> dg.MultiPartitionsDefinition:
    """Months from the earliest start to the current, still open one, for every region."""
    listed = list(regions)
    start = min((region.start for region in listed), default="2015-07")
    return dg.MultiPartitionsDefinition(
        {
            "month": dg.MonthlyPartitionsDefinition(
                start_date=datetime.strptime(start, "%Y-%m"), fmt="%Y-%m", end_offset=1
            ),
            "region": dg.StaticPartitionsDefinition(sorted(region.name for region in listed)),
        }
    )


def partition_key(region: str, month: str) -> dg.MultiPartitionKey:
    """The key of one region's month ("YYYY-MM")."""
    return dg.MultiPartitionKey({"region": region, "month": month})
