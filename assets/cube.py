"""The assets ``composite``, ``indices`` and ``overviews``: one step, one transaction, one commit.

They cannot be materialised apart: a month's native data, indices and overviews appear to
readers together or not at all. ``plan_month`` says which block reads which scenes; ``build_month``
makes the blocks, judges them (``checks``) and publishes the month in one commit.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, NoReturn

import dagster as dg
from icechunk import IcechunkError
from tqdm import tqdm

from assets.partition import partition_of, retried
from assets.portrait import portrait
from assets.results import Shown, results
from neve import __version__
from neve.build.checks import NAMES
from neve.build.month import Provenance, Wishes, build_month
from neve.build.plan import MonthPlan, plan_month
from neve.build.report import MonthReport
from neve.cube.weighing import Weight
from neve.errors import NeveError
from neve.grid import BlockList
from neve.scenes.choosing import rechecked
from neve.scenes.values import SceneList
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.engines import Engines
from resources.regions import RegionFolder

OWNERS = ["team:earth-observation"]
SPECS = [
    dg.AssetSpec(
        "composite",
        deps=["scenes", "blocks"],
        kinds={"icechunk", "numba"},
        owners=OWNERS,
        skippable=True,
        description="Monthly cloud-free composite per band, with the number of clear "
        "observations in every pixel.",
    ),
    dg.AssetSpec(
        "indices",
        deps=["composite"],
        kinds={"icechunk", "spyndex"},
        owners=OWNERS,
        skippable=True,
        description="Spectral indices of the stored reflectance, at every level.",
    ),
    dg.AssetSpec(
        "overviews",
        deps=["composite", "indices"],
        kinds={"icechunk", "geozarr"},
        owners=OWNERS,
        skippable=True,
        description="Coarser levels for maps, exact under missing data.",
    ),
]


def wishes_config(rebuild: bool, allow_shrink: bool) -> dict[str, Any]:
    """The run config that asks for ``Wishes``."""
    return {"ops": {"cube": {"config": {"rebuild": rebuild, "allow_shrink": allow_shrink}}}}


def cube_assets(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The three assets of the cube over the given partitions."""

    @dg.multi_asset(
        partitions_def=partitions,
        group_name="cube",
        pool="build",
        specs=SPECS,
        check_specs=[
            dg.AssetCheckSpec(name, asset="composite", description=told)
            for name, told in NAMES.items()
        ],
        config_schema={wish.name: dg.Field(bool, default_value=False) for wish in fields(Wishes)},
    )
    def cube(  # noqa: PLR0913, PLR0917 (Dagster hands each resource over as an argument)
        context: dg.AssetExecutionContext,
        regions: RegionFolder,
        catalogs: Catalogs,
        cubes: Cubes,
        engines: Engines,
        scenes: SceneList,
        blocks: BlockList,
    ) -> Iterator[dg.MaterializeResult[None]]:
        if (partition := partition_of(context, regions)) is None:
            return
        region, month = partition
        kept = rechecked(scenes, catalogs.catalog(region).reach)
        plan = plan_month(region, month, kept, blocks.blocks)
        with retried(context), tqdm(desc=f"{region.name} {month}", unit="block") as bar:
            report = build_month(
                plan,
                cubes.cube(region),
                engines.engine(),
                Provenance(context.run.run_id, __version__),
                lambda done, total: _show(bar, done, total),
                Wishes(**context.op_execution_context.op_config),
            )
        shown, weights = _looked_at(plan, report, cubes, context.log.warning)
        yield from results(report, cubes.location(region), scenes, shown, weights)

    return cube


def _show(bar: "tqdm[NoReturn]", done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


def _looked_at(
    plan: MonthPlan, report: MonthReport, cubes: Cubes, warn: Callable[[str], None]
) -> tuple[Shown, dict[str, Weight]]:
    """A published month's picture and map, and what its levels weigh, as far as can be told."""
    region, month, snapshot = plan.region, plan.month, report.snapshot
    map_ = dg.MetadataValue.url(f"{cubes.viewer}/#at={snapshot}&month={month}")
    shown: Shown = {"map": map_}
    weights: dict[str, Weight] = {}
    try:
        picture = portrait(cubes.tree(region, snapshot), month, plan.layout.window)
        shown = {"picture": picture["picture"], "map": map_, "quicklook": picture["quicklook"]}
        weights = cubes.weights(region, snapshot) if report.published else {}
    except (NeveError, IcechunkError, OSError) as error:
        # The month is published: its run must not be told to have failed.
        warn(f"no picture of {region.name} {month}: {error}")
    return shown, weights
