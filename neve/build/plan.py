"""The plan of a month: pure values that say which block will read which scenes.

Belongs here: what can be known before a pixel is read. Does not belong here: doing it (``build``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from neve.cube.layout import Layout, layout_of
from neve.errors import RegionInvalid
from neve.grid import Block, Grid
from neve.region import Region
from neve.scenes.values import Scene, SceneList

# Degrees around a footprint, where an item does not say where its image lies.
FOOTPRINT_MARGIN = 0.1


@dataclass(frozen=True)
class Work:
    """One block to build and the scenes whose footprint touches it."""

    block: Block
    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class MonthPlan:
    """All that will be done for a month, before a pixel is read."""

    region: Region
    layout: Layout
    month: str
    fingerprint: str
    works: tuple[Work, ...]

    @property
    def promised(self) -> tuple[str, ...]:
        """Ids of the scenes that at least one block will read."""
        return tuple(sorted({scene.id for work in self.works for scene in work.scenes}))


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
    works = tuple(
        Work(block, touched)
        for block, touched in zip(blocks, _touching(blocks, scenes.scenes), strict=True)
    )
    return MonthPlan(region, layout, month, scenes.fingerprint, works)


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
