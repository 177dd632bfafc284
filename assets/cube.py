"""The assets ``composite``, ``indices`` and ``overviews``: one step, one transaction, one commit.

They cannot be materialised apart: a month's native data, indices and overviews appear to
readers together or not at all.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NoReturn

import dagster as dg
from icechunk import IcechunkError
from tqdm import tqdm

from assets.partition import partition_of
from assets.portrait import portrait
from neve import __version__
from neve.build.checks import NAMES
from neve.build.month import MonthReport, Provenance, Wishes, build_month
from neve.build.plan import plan_month
from neve.cube.weighing import Weight
from neve.errors import NeveError
from neve.grid import BlockList
from neve.scenes.values import SceneList
from resources.cubes import Cubes
from resources.engines import Engines
from resources.regions import RegionFolder


def wishes_config(rebuild: bool, allow_shrink: bool) -> dict[str, Any]:
    """The run config that asks for ``Wishes``."""
    return {"ops": {"cube": {"config": {"rebuild": rebuild, "allow_shrink": allow_shrink}}}}


OWNERS = ["team:earth-observation"]
SHOWN = 200


def cube_assets(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The three assets of the cube over the given partitions."""
    inputs = [dg.AssetKey("scenes"), dg.AssetKey("blocks")]

    @dg.multi_asset(
        partitions_def=partitions,
        group_name="cube",
        pool="build",
        check_specs=[
            dg.AssetCheckSpec(name, asset="composite", description=told)
            for name, told in NAMES.items()
        ],
        config_schema={wish.name: dg.Field(bool, default_value=False) for wish in fields(Wishes)},
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
        with tqdm(desc=f"{region.name} {month}", unit="block") as bar:
            report = build_month(
                plan,
                cubes.cube(region),
                engines.engine(),
                Provenance(context.run.run_id, __version__),
                lambda done, total: _show(bar, done, total),
                Wishes(**context.op_execution_context.op_config),
            )
        place = cubes.location(region)
        map_ = dg.MetadataValue.url(f"{cubes.viewer}/#at={report.snapshot}&month={month}")
        shown: dict[str, dg.MetadataValue[str]] = {"map": map_}
        weights: dict[str, Weight] = {}
        try:
            tree = cubes.tree(region, report.snapshot)
            picture = portrait(tree, month, plan.layout.window)
            shown = {"picture": picture["picture"], "map": map_, "quicklook": picture["quicklook"]}
            weights = cubes.weights(region, report.snapshot) if report.published else {}
        except (NeveError, IcechunkError, OSError) as error:
            # The month is published: its run must not be told to have failed.
            context.log.warning(f"no picture of {region.name} {month}: {error}")
        yield from _results(report, place, scenes, shown, weights)

    return cube


def _show(bar: "tqdm[NoReturn]", done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


def _results(
    report: MonthReport,
    location: str,
    scenes: SceneList,
    shown: dict[str, dg.MetadataValue[str]],
    weights: dict[str, Weight],
) -> Iterator[dg.MaterializeResult[None]]:
    published = {"snapshot": report.snapshot, "parent": report.parent, "store": location}
    rows = []
    for name, (height, width) in report.levels:
        weight = weights.get(name, Weight(0, 0))
        size = {"height": height, "width": width}
        size |= {"chunks": weight.chunks, "bytes": weight.bytes}
        rows.append(dg.TableRecord({"level": name, **size}))
    levels = dg.MetadataValue.table(rows)
    yield dg.MaterializeResult(
        "composite",
        metadata={
            **shown,
            "valid fraction": report.valid_pixels / max(report.pixels, 1),
            "median clear observations": report.median_count,
            "scenes used": len(report.used),
            "scenes listed": len(scenes.scenes),
            "scenes lost": dg.MetadataValue.json([list(loss) for loss in report.lost]),
            "bytes": sum(weight.bytes for weight in weights.values()),
            "chunks": sum(weight.chunks for weight in weights.values()),
            "seconds": report.seconds,
            "levels": levels,
            **published,
            "scene ids": dg.MetadataValue.json([s.id for s in scenes.scenes][:SHOWN]),
            "blocks": report.blocks,
            "blocks recomputed": report.recomputed,
            "blocks resumed": report.resumed,
            **({"not staged": report.unstaged} if report.unstaged else {}),
            "pixels by observations": dg.MetadataValue.json(list(report.counts)),
            "fingerprint": scenes.fingerprint,
        },
        check_results=_verdicts(report),
    )
    yield dg.MaterializeResult("indices", metadata=published)
    yield dg.MaterializeResult("overviews", metadata={"levels": levels, **published})


def _verdicts(report: MonthReport) -> list[dg.AssetCheckResult]:
    """One for each declared check: Dagster asks for it even where there was nothing to judge."""
    judged = [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata=check.told,
        )
        for check in report.checks
    ]
    left = [name for name in NAMES if name not in {check.name for check in report.checks}]
    made = {"blocks recomputed": report.recomputed}
    return judged + [
        dg.AssetCheckResult(
            check_name=name, passed=True, description="nothing to judge", metadata=made
        )
        for name in left
    ]
