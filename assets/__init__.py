"""Dagster assets: what is made of a region × month, in five steps that the UI shows.

Belongs here: thin steps from resources to ``neve`` and the metadata that the UI shows. Does
not belong here: computing, configuration, jobs.
"""

import dagster as dg

from assets.blocks import blocks_asset
from assets.cube import cube_assets
from assets.scenes import scenes_asset


def month_assets(partitions: dg.MultiPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """All assets over the given region × month partitions."""
    return [scenes_asset(partitions), blocks_asset(partitions), cube_assets(partitions)]
