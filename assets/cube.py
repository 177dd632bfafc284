"""The assets ``composite``, ``indices`` and ``overviews``: one step, one transaction, one commit.

They cannot be materialised apart: a month's native data, indices and overviews appear to
readers together or not at all.
"""

from collections.abc import Iterator
from typing import NoReturn

import dagster as dg
from tqdm import tqdm

from assets.partition import partition_of
from neve import __version__
from neve.build.month import MonthReport, Provenance, build_month
from neve.build.plan import plan_month
from neve.grid import BlockList
from neve.scenes.values import SceneList
from resources.cubes import Cubes
from resources.engines import Engines
from resources.regions import RegionFolder

OWNERS = ["team:earth-observation"]
SHOWN = 200


def cube_assets(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The three assets of the cube over the given partitions."""
    inputs = [dg.AssetKey("scenes"), dg.AssetKey("blocks")]

    @dg.multi_asset(
        partitions_def=partitions,
        group_name="cube",
        pool="build",
        specs=[
            dg.AssetSpec(
                "composite",
                deps=inputs,
                kinds={"icechunk", "numba"},
                owners=OWNERS,
                description="Monthly cloud-free composite per band, with the number of clear "
                "observations in every pixel.",
            ),
            dg.AssetSpec(
                "indices",
                deps=["composite"],
                kinds={"icechunk", "spyndex"},
                owners=OWNERS,
                description="Spectral indices of the stored reflectance, at every level.",
            ),
            dg.AssetSpec(
                "overviews",
                deps=["composite", "indices"],
                kinds={"icechunk", "geozarr"},
                owners=OWNERS,
                description="Coarser levels for maps, exact under missing data.",
            ),
        ],
    )
    def cube(
        context: dg.AssetExecutionContext,
        regions: RegionFolder,
        cubes: Cubes,
        engines: Engines,
        scenes: SceneList,
        blocks: BlockList,
    ) -> Iterator[dg.MaterializeResult[None]]:
        region, month = partition_of(context, regions)
        plan = plan_month(region, month, scenes, blocks.blocks)
        with tqdm(total=len(plan.works), desc=f"{region.name} {month}", unit="block") as bar:
            report = build_month(
                plan,
                cubes.cube(region),
                engines.engine(),
                Provenance(context.run.run_id, __version__),
                lambda done, _: _show(bar, done),
            )
        yield from _results(report, cubes.location(region), scenes)

    return cube


def _show(bar: "tqdm[NoReturn]", done: int) -> None:
    bar.update(done - bar.n)


def _results(
    report: MonthReport, location: str, scenes: SceneList
) -> Iterator[dg.MaterializeResult[None]]:
    published = {"snapshot": report.snapshot, "parent": report.parent, "store": location}
    yield dg.MaterializeResult(
        "composite",
        metadata={
            **published,
            "valid fraction": report.valid_pixels / max(report.pixels, 1),
            "median clear observations": report.median_count,
            "scenes used": len(report.used),
            "scenes lost": dg.MetadataValue.json([list(loss) for loss in report.lost]),
            "fingerprint": scenes.fingerprint,
            "pixels by observations": dg.MetadataValue.json(list(report.counts)),
            "blocks": report.blocks,
            "seconds": report.seconds,
        },
    )
    yield dg.MaterializeResult("indices", metadata=published)
    yield dg.MaterializeResult(
        "overviews",
        metadata={
            **published,
            "levels": dg.MetadataValue.table(
                [
                    dg.TableRecord({"level": name, "height": shape[0], "width": shape[1]})
                    for name, shape in report.levels
                ]
            ),
        },
    )
