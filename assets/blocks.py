"""The asset ``blocks``: a region's land-filtered enumeration of blocks."""

from collections.abc import Iterator

import dagster as dg

from assets.partition import partition_of
from neve.cube.layout import layout_of
from neve.grid import BlockList
from neve.land import enumerate_blocks
from resources.lands import Lands
from resources.regions import RegionFolder


def blocks_asset(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """``blocks`` over the given partitions."""

    @dg.asset(
        partitions_def=partitions,
        output_required=False,
        group_name="inputs",
        kinds={"naturalearth"},
        owners=["team:earth-observation"],
        description="Blocks of the region that touch its area and, unless the region says "
        "land: false, Natural Earth land or minor islands.",
    )
    def blocks(
        context: dg.AssetExecutionContext, regions: RegionFolder, lands: Lands
    ) -> Iterator[dg.MaterializeResult[BlockList]]:
        if (partition := partition_of(context, regions)) is None:
            return
        region = partition.region
        layout = layout_of(region)
        land = lands.land() if region.land else None
        found = enumerate_blocks(layout.window, layout.block, land, region.area.shape())
        filtered = land.source if land else "not filtered"
        rows, cols = (part.stop - part.start for part in layout.blocks_window())
        yield dg.MaterializeResult(
            value=BlockList(tuple(found), filtered),
            metadata={
                "blocks": len(found),
                "blocks left out": rows * cols - len(found),
                "land": filtered,
                "grid": f"{layout.grid.width} × {layout.grid.height} px in {layout.grid.crs}",
                "block size": f"{layout.block} px",
            },
        )

    return blocks
