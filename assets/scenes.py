"""The asset ``scenes``: the frozen list of STAC items of a region × month."""

from collections.abc import Iterator

import dagster as dg

from assets.partition import partition_of, retried
from assets.results import SHOWN
from neve.build.watching import list_scenes
from neve.compositing.quarantine import quarantine
from neve.errors import AskPerson
from neve.scenes.values import SceneList
from resources.catalogs import Catalogs
from resources.regions import RegionFolder


def scenes_asset(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """``scenes`` over the given partitions."""

    @dg.asset(
        partitions_def=partitions,
        output_required=False,
        group_name="inputs",
        kinds={"stac"},
        owners=["team:earth-observation"],
        description="Sentinel-2 scenes of the month: ordered, deduplicated, checked, with a "
        "fingerprint. Items that cannot be used are listed with their reason.",
    )
    def scenes(
        context: dg.AssetExecutionContext, regions: RegionFolder, catalogs: Catalogs
    ) -> Iterator[dg.MaterializeResult[SceneList]]:
        if (partition := partition_of(context, regions)) is None:
            return
        region, month = partition
        with retried(context):
            catalog = catalogs.catalog(region)
            listed = list_scenes(region, month, catalog)
            found = quarantine(listed, region.recipe(), region.reading.reads())
        for _, reason in found.rejected:
            context.log.warning(f"left out: {reason}")
        for scene in found.unjudged:
            context.log.warning(f"offset not tried out, the image could not be looked at: {scene}")
        if found.rejected and not found.scenes:
            raise AskPerson(
                f"{catalog.name}: none of the {len(found.rejected)} items of {month} can be used; "
                f"the first: {found.rejected[0][1]}; is this the right collection?"
            )
        yield dg.MaterializeResult(
            value=found,
            metadata={
                "scenes": len(found.scenes),
                "solar days": len({scene.day for scene in found.scenes}),
                "fingerprint": found.fingerprint,
                "catalogue": catalog.name,
                "rejected": len(found.rejected),
                "unjudged": len(found.unjudged),
                "scene ids": dg.MetadataValue.json([s.id for s in found.scenes][:SHOWN]),
                "rejections": dg.MetadataValue.json([list(r) for r in found.rejected[:SHOWN]]),
            },
        )

    return scenes
