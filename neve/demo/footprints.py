"""Where an orbit sees the ground: swath edges and footprints.

Belongs here: geometry of tiles and swaths. Does not belong here: pixels and items.
"""

import math
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Polygon, box
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from neve.demo.landscape import lonlat, plane
from neve.demo.plan import DayPlan, ScenePlan, Swath, TilePlan

SWATH_LEAN = 0.25  # km east per km north: how the ground track of a descending orbit leans
FAR = 40_000.0  # km, beyond every tile on Earth


def across_track(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """km across the ground track, eastwards, of points of the landscape's plane."""
    return x - SWATH_LEAN * y


def edge(plan: ScenePlan, tile: TilePlan, steps: int = 16) -> tuple[NDArray[Any], NDArray[Any]]:
    """(x, y) km in the landscape's plane along a tile's edge, ``steps`` points a side."""
    left, bottom, right, top = plan.bounds(tile)
    ring = box(left, bottom, right, top).exterior.segmentize((right - left) / steps)
    to_lonlat = Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True)
    return plane(*to_lonlat.transform(*np.asarray(ring.coords).T))


def swath_cuts(plan: ScenePlan, swath: Swath) -> tuple[float, float]:
    """Where the swath begins and ends, in km across the track; ±inf where nothing is cut."""
    reach = np.concatenate([across_track(*edge(plan, tile)) for tile in plan.tiles])
    west, span = float(reach.min()), float(np.ptp(reach))
    return (
        west + span * swath.begin if swath.begin > 0 else -math.inf,
        west + span * swath.end if swath.end < 1 else math.inf,
    )


def footprint(plan: ScenePlan, tile: TilePlan, day: DayPlan) -> BaseGeometry:
    """What the orbit sees of a tile, in degrees; longitudes run on past 180°. Maybe empty."""
    begin, end = (min(max(cut, -FAR), FAR) for cut in swath_cuts(plan, day.swath))
    lean = SWATH_LEAN * FAR
    seen = [(begin - lean, -FAR), (end - lean, -FAR), (end + lean, FAR), (begin + lean, FAR)]
    part = Polygon(np.transpose(edge(plan, tile))).intersection(Polygon(seen))
    if part.area == 0:
        return Polygon()
    degrees = shapely.transform(part, lambda points: np.transpose(lonlat(*points.T)))
    return shapely.orient_polygons(degrees)


def cut_at_antimeridian(footprint: BaseGeometry) -> BaseGeometry:
    """The same place with longitudes in ±180°, as GeoJSON wants it: in two parts if need be."""
    _, south, east, north = footprint.bounds
    if east <= 180:
        return footprint
    west_part = footprint.intersection(box(-180, south, 180, north))
    beyond = footprint.intersection(box(180, south, 540, north))
    return shapely.orient_polygons(west_part.union(translate(beyond, -360)))
