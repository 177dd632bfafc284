"""What Dagster loads: assets, the jobs ``month`` and ``tidy``, what starts them, resources."""

import dagster as dg

from assets import month_assets
from assets.tidying import tidy as tidy_op
from pipelines.dead_runs import dead_runs
from pipelines.partitions import month_partitions
from pipelines.schedules import catalogue_watch, daily_update, weekly_tidy
from pipelines.settings import resources, tick_seconds


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

    @dg.job(
        partitions_def=dg.StaticPartitionsDefinition(sorted(regions)),
        executor_def=dg.in_process_executor,
        description="Old states of a region's cube are forgotten; refused while a run writes.",
    )
    def tidy() -> None:
        tidy_op()

    return dg.Definitions(
        assets=month_assets(partitions),
        jobs=[month, tidy],
        schedules=[
            daily_update(month.name, partitions, tick_seconds("SCHEDULE")),
            weekly_tidy(tidy.name, regions),
        ],
        sensors=[catalogue_watch(month.name, partitions, tick_seconds("SENSOR")), dead_runs],
        resources=wired,
        executor=dg.in_process_executor,
    )


defs = definitions()
