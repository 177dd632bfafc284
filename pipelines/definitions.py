"""What Dagster loads: the assets, the job ``month``, what starts it, and the resources."""

import dagster as dg

from assets import month_assets
from pipelines.partitions import month_partitions
from pipelines.schedules import catalogue_watch, daily_update
from pipelines.settings import resources


def definitions() -> dg.Definitions:
    """Definitions for the region files that the environment names."""
    wired = resources()
    regions = wired["regions"].regions()
    partitions = month_partitions(regions.values())
    month = dg.define_asset_job(
        "month",
        selection=dg.AssetSelection.all(),
        description="Scenes, blocks and the published cube of one region × month.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        assets=month_assets(partitions),
        jobs=[month],
        schedules=[daily_update(month.name, partitions)],
        sensors=[catalogue_watch(month.name, partitions)],
        resources=wired,
        executor=dg.in_process_executor,
    )


defs = definitions()
