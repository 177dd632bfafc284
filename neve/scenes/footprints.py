"""Footprints: areas in lon/lat, whole over 180° or cut there.

Belongs here: GeoJSON of an item → checked polygons, and boxes and polygons at 180°. Does not
belong here: the other fields of an item (``item_fields``) and pixel grids (``grid``).
"""

import json
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from neve.scenes.fields import rejection

Bounds = tuple[float, float, float, float]
# A granule is 110 km across: about 1° of latitude, at 84° N some 10° of longitude.
_LARGEST_HEIGHT, _LARGEST_WIDTH = 3.0, 30.0
_MOST_VERTICES = 20_000
# Mending takes time with the square of the vertices: 0.1 s for these.
_MOST_MENDED = 100
_EXPECTED = "expected the GeoJSON polygon of a granule in lon/lat"


def footprint(value: object) -> BaseGeometry:
    """Polygon(s) in lon/lat from GeoJSON, in one piece: over 180° longitudes run on beyond 180.

    Raises SceneRejected (without the item's id) for what is no polygon on the Earth, or larger
    than a granule can be.
    """
    try:
        geometry = _parsed(value)
        west, _, east, _ = geometry.bounds
        if west < -180 or east - west > 180:
            geometry = shapely.transform(geometry, _unwrapped)
        geometry = polygons(_valid(shapely.force_2d(geometry), value))
    except (shapely.errors.ShapelyError, TypeError, ValueError, RecursionError):
        raise rejection("geometry", value, _EXPECTED) from None
    if geometry.is_empty:
        raise rejection("geometry", value, f"{_EXPECTED} with an area")
    west, south, east, north = geometry.bounds
    if east - west > _LARGEST_WIDTH or north - south > _LARGEST_HEIGHT:
        raise rejection("geometry", list(geometry.bounds), f"{_EXPECTED}, 110 km across")
    return geometry


def cut_at_180(geometry: BaseGeometry) -> BaseGeometry:
    """The same area with longitudes −180…180, in two parts where it crosses 180°."""
    if geometry.bounds[2] <= 180:
        return geometry
    near = shapely.intersection(geometry, shapely.box(-180, -90, 180, 90))
    far = shapely.intersection(geometry, shapely.box(180, -90, 540, 90))
    moved = shapely.transform(far, lambda xy: xy - (360, 0))
    return polygons(shapely.union_all([near, moved]))


def boxes(bounds: Bounds) -> list[Bounds]:
    """West, south, east, north as one box, or two where east < west (it crosses 180°)."""
    west, south, east, north = bounds
    if west <= east:
        return [bounds]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Only the areas of a geometry (lines and points fall out); may be empty."""
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type.endswith("Polygon")]
    return shapely.union_all(parts)


def _parsed(value: object) -> BaseGeometry:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise rejection("geometry", value, _EXPECTED)
    geometry = shapely.from_geojson(json.dumps(value))
    if geometry is None or not 4 <= shapely.get_num_coordinates(geometry) <= _MOST_VERTICES:
        raise rejection("geometry", value, _EXPECTED)
    west, south, east, north = geometry.bounds
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise rejection("geometry", [west, south, east, north], _EXPECTED)
    return geometry


def _valid(geometry: BaseGeometry, value: object) -> BaseGeometry:
    if shapely.is_valid(geometry):
        return geometry
    if shapely.get_num_coordinates(geometry) > _MOST_MENDED:
        raise rejection("geometry", value, f"{_EXPECTED}, whose rings do not cross")
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def _unwrapped(xy: Any) -> Any:
    xy = xy.copy()
    xy[xy[:, 0] < 0, 0] += 360
    return xy
