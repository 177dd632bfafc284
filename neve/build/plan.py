"""The plan of a month: pure values that say which block will read which scenes.

Belongs here: what can be known before a pixel is read, and what of it an earlier build has done
already. Does not belong here: doing it (``month``).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from neve.cube.layout import CLEAR, CLOUDY, LAND_FILTERED, NEVER, Layout, layout_of
from neve.cube.records import Records
from neve.errors import RegionInvalid
from neve.grid import Block, Grid
from neve.land import enumerate_blocks
from neve.region import Region
from neve.scenes.values import Scene, SceneList, fingerprint

# Degrees around a footprint, where an item does not say where its image lies.
FOOTPRINT_MARGIN = 0.1
# Raised whenever a kernel gives other bits for the same scenes: every block is made again then.
PIXELS = 1


@dataclass(frozen=True)
class Work:
    """One block to build and the scenes whose footprint touches it.

    ``fingerprint``: 64 bits over the scenes, all that the cube says of how pixels come from
    them, and ``PIXELS``; blocks with the same one hold the same bits.
    """

    block: Block
    scenes: tuple[Scene, ...]
    fingerprint: int


@dataclass(frozen=True)
class MonthPlan:
    """All that will be done for a month, before a pixel is read.

    ``left_out``: blocks that the region might have had, and the land filter took away; in the
    cube of a zone those that touch the region's area.
    """

    region: Region
    layout: Layout
    month: str
    fingerprint: str
    works: tuple[Work, ...]
    left_out: tuple[Block, ...]

    @property
    def promised(self) -> tuple[str, ...]:
        """Ids of the scenes that at least one block will read."""
        return tuple(sorted({scene.id for work in self.works for scene in work.scenes}))


@dataclass(frozen=True)
class Change:
    """What a month's plan asks for beyond what is recorded.

    ``works``: blocks to make; ``marked``: blocks to record as left out; ``emptied``: those of
    them that hold data or counts of observations.
    """

    works: tuple[Work, ...]
    marked: tuple[Block, ...]
    emptied: tuple[Block, ...]


def change_of(plan: MonthPlan, recorded: Records, rebuild: bool = False) -> Change:
    """What is to be done where ``recorded`` is published; all blocks if ``rebuild``.

    In the cube of a zone, data of a block that is left out may be another region's: it stays.
    """
    works = tuple(
        work
        for work in plan.works
        if rebuild or recorded.fingerprint[recorded.place(work.block)] != work.fingerprint
    )
    found = [(block, recorded.status[recorded.place(block)]) for block in plan.left_out]
    if plan.layout.shared:
        return Change(works, tuple(block for block, status in found if status == NEVER), ())
    return Change(
        works,
        tuple(block for block, status in found if status != LAND_FILTERED),
        tuple(block for block, status in found if status in (CLEAR, CLOUDY)),
    )


def plan_month(region: Region, month: str, scenes: SceneList, blocks: Sequence[Block]) -> MonthPlan:
    """Give each block the scenes whose images reach into it, in the list's order.

    Raises ``RegionInvalid`` for blocks or scenes that were listed for an earlier region file.
    """
    layout = layout_of(region)
    for block in blocks:
        if block != layout.grid.block(block.i, block.j, layout.block):
            raise RegionInvalid(
                f"{region.name}: block {block.key} was enumerated for another grid than the "
                "region file now describes; materialise blocks again"
            )
    for scene in scenes.scenes:
        if missing := set(region.bands) - set(scene.assets):
            raise RegionInvalid(
                f"{region.name}: scene {scene.id} was listed without {sorted(missing)}, which the "
                "region file now asks for; materialise scenes again"
            )
    identity = json.dumps([PIXELS, layout.identity()], sort_keys=True).encode()
    prints = {scene.id: fingerprint([scene]).encode() for scene in scenes.scenes}

    def work(block: Block, touched: tuple[Scene, ...]) -> Work:
        digest = hashlib.sha256(identity + b"".join(prints[scene.id] for scene in touched))
        return Work(block, touched, int.from_bytes(digest.digest()[:8]))

    works = tuple(map(work, blocks, _touching(blocks, scenes.scenes)))
    area = region.area.shape() if layout.shared else None
    planned = {block.key for block in blocks}
    possible = enumerate_blocks(layout.window, layout.block, None, area)
    left_out = tuple(block for block in possible if block.key not in planned)
    return MonthPlan(region, layout, month, scenes.fingerprint, works, left_out)


def _touching(blocks: Sequence[Block], scenes: Sequence[Scene]) -> list[tuple[Scene, ...]]:
    """For each block the scenes whose images reach into it, antimeridian-safe."""
    tree = shapely.STRtree([_extent(scene) for scene in scenes])
    return [
        tuple(scenes[k] for k in sorted(tree.query(_lonlat_box(block.grid), "intersects")))
        for block in blocks
    ]


def _extent(scene: Scene) -> BaseGeometry:
    """Lon/lat box of a scene's image; footprints are drawn too coarsely to decide on pixels."""
    image = scene.assets["scl"]
    if image.shape is None or image.transform is None:
        return shapely.from_wkt(scene.footprint).buffer(FOOTPRINT_MARGIN)
    height, width = image.shape
    resolution, _, left, _, _, top = image.transform[:6]
    return _lonlat_box(Grid(scene.crs, resolution, left, top, width, height))


def _lonlat_box(grid: Grid) -> BaseGeometry:
    west, south, east, north = grid.lonlat_bounds()
    if grid.geographic:  # such a grid may run past 180°
        west, east = ((lon + 180) % 360 - 180 if lon > 180 else lon for lon in (west, east))
    if east >= west:
        return shapely.box(west, south, east, north)
    return shapely.union(
        shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)
    )
