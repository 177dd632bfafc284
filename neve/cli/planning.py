"""What a build would take: asked from the catalogue and the region, no pixel read."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from neve.build.block import piece_size, predict_memory
from neve.build.month import GIB
from neve.build.plan import MonthPlan, plan_month
from neve.catalog.opening import open_catalog
from neve.cli.building import project_folder
from neve.cube.layout import layout_of
from neve.land import enumerate_blocks, load_land
from neve.region import load
from neve.scenes.choosing import choose

MIB = 2**20


def print_plan(file: Path, month: str, catalog: str) -> None:
    """Blocks, scenes, pixels and memory of one month, as a table on stdout."""
    region = load(file)
    source = open_catalog(catalog or region.catalog)
    layout = layout_of(region)
    items = source.search(region.collection, layout.grid.lonlat_bounds(), month)
    scenes = choose(items, region.bands, month, source.base)
    land = load_land(project_folder() / "node_modules" / "world-atlas") if region.land else None
    blocks = enumerate_blocks(layout.grid, layout.block, land, region.area.shape())
    plan = plan_month(region, month, scenes, blocks)
    table = Table("what", "how much", title=f"{region.name} {month}, from {source.name}")
    for what, amount in _rows(plan, len(scenes.rejected)):
        table.add_row(what, amount)
    Console(soft_wrap=True).print(table)


def _rows(plan: MonthPlan, rejected: int) -> list[tuple[str, str]]:
    grid, recipe = plan.layout.grid, plan.region.recipe()
    rows, cols = plan.layout.blocks_shape()
    budget = plan.region.memory * GIB
    blocks = [(work.block.grid, len(work.scenes)) for work in plan.works]
    needed = [predict_memory(plan.layout, recipe, piece, n, budget) for piece, n in blocks]
    memory = max(needed, default=0) / MIB
    size = min((piece_size(piece, n, recipe, budget) for piece, n in blocks), default=0)
    return [
        ("grid", f"{grid.width} × {grid.height} px of {grid.resolution:g} in {grid.crs}"),
        ("scenes", f"{len(plan.promised)} (left out: {rejected})"),
        ("blocks", f"{len(plan.works)} of {rows * cols}, {plan.layout.block} px"),
        ("most scenes in a block", str(max((n for _, n in blocks), default=0))),
        (
            "memory of a block",
            f"{memory:.0f} MiB, composed in pieces of {size} px",
        ),
        ("variables", str(len(plan.layout.variables))),
        ("levels", " ".join(f"{factor}x" for factor in plan.layout.levels)),
    ]
