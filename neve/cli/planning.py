"""What a build would take: asked from the catalogue and the region, no pixel read."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from neve.build.budget import GIB, block_memory, piece_size
from neve.build.plan import MonthPlan, Work, plan_month
from neve.build.watching import list_scenes
from neve.catalog.opening import open_catalog
from neve.cli.building import land_folder
from neve.cube.layout import Layout, layout_of
from neve.errors import AskPerson
from neve.land import enumerate_blocks, load_land
from neve.region import load

MIB = 2**20
# 1.87 to 2.21 CPU s for 4 images of 25 scenes on 1200 × 1200 px: docs/reading.md, docs/scale.md.
NANOSECONDS_PER_PIXEL = 15
METRES_PER_DEGREE = 111_320
# A header and the tiles that a block needs, if they lie side by side.
READS_PER_IMAGE = 2
PRICES = "0.04,0.023,0.0004,0.005"


@dataclass(frozen=True)
class Prices:
    """In any currency: of a CPU hour, of a GB stored for a month, of 1,000 reads and writes."""

    hour: float
    gigabyte: float
    reads: float
    writes: float

    @classmethod
    def parse(cls, text: str) -> "Prices":
        """Four numbers with commas between; raises ``AskPerson`` for anything else."""
        try:
            hour, gigabyte, reads, writes = map(float, text.split(","))
        except ValueError as error:
            raise AskPerson(
                f"prices {text!r}: give four numbers with commas between, those of a CPU hour, a "
                "GB and month, 1,000 reads, 1,000 writes"
            ) from error
        return cls(hour, gigabyte, reads, writes)


@dataclass(frozen=True)
class Amounts:
    """What is counted of a month; ``seconds`` of CPU, ``bytes`` before compression."""

    seconds: float
    bytes: float
    reads: int
    writes: int

    def cost(self, prices: Prices) -> tuple[float, float]:
        """Of making the month, and of keeping it for a month of time."""
        requests = self.reads * prices.reads + self.writes * prices.writes
        made = self.seconds / 3600 * prices.hour + requests / 1000
        return made, self.bytes / 1e9 * prices.gigabyte


def planned(
    file: Path, month: str, catalog: str = "", workers: int = 1, prices: str = PRICES
) -> tuple[str, dict[str, object]]:
    """A title, and blocks, scenes, pixels, memory and cost of one month."""
    region = load(file)
    source = open_catalog(catalog or region.catalog, region.hosts)
    layout = layout_of(region)
    scenes = list_scenes(region, month, source)
    land = load_land(land_folder()) if region.land else None
    blocks = enumerate_blocks(layout.window, layout.block, land, region.area.shape())
    plan = plan_month(region, month, scenes, blocks)
    told = (*_rows(plan, len(scenes.rejected)), *_amounts(plan, workers, Prices.parse(prices)))
    return f"{region.name} {month}, from {source.name}", dict(told)


def _rows(plan: MonthPlan, rejected: int) -> list[tuple[str, object]]:
    grid, recipe = plan.layout.grid, plan.region.recipe()
    rows, cols = (part.stop - part.start for part in plan.layout.blocks_window())
    budget = plan.region.memory * GIB
    blocks = [(work.block.grid, len(work.scenes)) for work in plan.works]
    needed = [block_memory(plan.layout, recipe, piece, n, budget) for piece, n in blocks]
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


def _amounts(plan: MonthPlan, workers: int, prices: Prices) -> list[tuple[str, object]]:
    """Bytes and time: at most, since every file may be read whole and nothing compresses."""
    layout = plan.layout
    images = {
        (scene.id, name): asset
        for work in plan.works
        for scene in work.scenes
        for name, asset in scene.assets.items()
        if name in (*plan.region.bands, "scl")
    }
    sizes = [asset.size for asset in images.values() if asset.size is not None]
    # An item that tells no size is taken for as large as the mean of those that do.
    taken_in = sum(sizes) / max(len(sizes), 1) * len(images)
    levels = sum(_shares(layout))
    pixels = sum(work.block.grid.height * work.block.grid.width for work in plan.works)
    stored = sum(np.dtype(variable.dtype).itemsize for variable in layout.variables)
    seconds = sum(map(_source_pixels, plan.works)) * (len(plan.region.bands) + 1)
    seconds *= NANOSECONDS_PER_PIXEL * 1e-9
    writes = sum(ceil(pixels * share / layout.chunk**2) for share in _shares(layout))
    found = Amounts(
        seconds=seconds,
        bytes=pixels * stored * levels,
        reads=READS_PER_IMAGE * sum(len(w.scenes) for w in plan.works) * (len(layout.bands) + 1),
        writes=writes * len(layout.variables),
    )
    made, kept = found.cost(prices)
    told = f"{len(sizes)} of {len(images)} files tell their size"
    return [
        ("bytes in, at most", f"{taken_in / MIB:.2f} MiB; {told}" if sizes else told),
        ("bytes out, uncompressed", f"{found.bytes / MIB:.2f} MiB"),
        ("requests", f"{found.reads} reads and {found.writes} writes, or more"),
        (
            "cost",
            f"{made:.4g} to make, {kept:.4g} a month to keep, at most, for {prices.hour:g} a CPU "
            f"hour, {prices.gigabyte:g} a GB and month, {prices.reads:g} for 1,000 reads, "
            f"{prices.writes:g} for 1,000 writes",
        ),
        (
            f"time on {workers} workers",
            f"{seconds / workers:.2f} s of {seconds:.2f} CPU s for reading and composing "
            f"({NANOSECONDS_PER_PIXEL} ns a source pixel); indices and writing come on top",
        ),
    ]


def _shares(layout: Layout) -> list[float]:
    """Pixels of each level as shares of the native ones."""
    return [1 / factor**2 for factor in layout.levels]


def _source_pixels(work: Work) -> float:
    """Pixels of 10 m that the block covers, once for each of its scenes."""
    grid = work.block.grid
    side = grid.resolution * (METRES_PER_DEGREE if grid.geographic else 1) / 10
    return grid.height * grid.width * side**2 * len(work.scenes)
