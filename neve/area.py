"""Areas: where a region lies, as a box or a GeoJSON file.

Belongs here: reading and checking the area of a region file, and the base of its parts. Does
not belong here: the region's other keys (``region``), pixels (``grid``).
"""

import json
from pathlib import Path
from typing import Self

import shapely
from pydantic import BaseModel, ConfigDict, model_validator
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from neve.documents import read_json
from neve.errors import RegionInvalid

# A coastline in detail has some tens of thousands; making a valid area of more takes long.
MOST_VERTICES = 100_000
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Part(BaseModel):
    """A part of a region file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Area(Part):
    """Where: a lon/lat box [west, south, east, north] (east < west: over 180°) or a GeoJSON."""

    bbox: tuple[float, float, float, float] | None = None
    geometry: Path | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.bbox is None) == (self.geometry is None):
            raise ValueError("give either bbox: [west, south, east, north] or geometry: <file>")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (-180 <= west <= 180 and -180 <= east <= 360 and -90 <= south < north <= 90):
                raise ValueError("bbox is [west, south, east, north] in degrees, south < north")
            if west == east:
                raise ValueError("bbox has no width: west and east are equal")
        return self

    def shape(self) -> BaseGeometry:
        """Lon/lat parts, perhaps overlapping or invalid; x runs past 180° where it is crossed."""
        if self.bbox is not None:
            west, south, east, north = self.bbox
            return shapely.box(west, south, east + 360 if east < west else east, north)
        assert self.geometry is not None
        return _read_geojson(self.geometry)


def _read_geojson(path: Path) -> BaseGeometry:
    try:
        data = read_json(path)
        parts = data["features"] if data.get("type") == "FeatureCollection" else [data]
        shapes = [shapely.from_geojson(json.dumps(p.get("geometry", p))) for p in parts]
    except (*_UNUSABLE, shapely.errors.GEOSException) as error:
        raise RegionInvalid(f"area.geometry {path}: not usable as GeoJSON: {error}") from error
    # Not their union: GEOS fails at, or takes for ever over, polygons that cross themselves.
    shape = shapely.GeometryCollection(list(shapely.get_parts(shapes)))
    if shape.area == 0:
        raise RegionInvalid(f"area.geometry {path}: holds no polygon; give an area")
    if shapely.get_num_coordinates(shape) > MOST_VERTICES:
        raise RegionInvalid(f"area.geometry {path}: more than {MOST_VERTICES} points; simplify it")
    return _joined_at_180(shape)


def _joined_at_180(shape: shapely.GeometryCollection) -> shapely.GeometryCollection:
    """An area cut at ±180° (as RFC 7946 asks) side by side again, running past 180°."""
    west, _, east, _ = shape.bounds
    if east - west <= 180 or any(p.bounds[2] - p.bounds[0] > 180 for p in shape.geoms):
        return shape
    moved = [translate(p, 360) if p.bounds[2] <= 0 else p for p in shape.geoms]
    joined = shapely.GeometryCollection(moved)
    return joined if joined.bounds[2] - joined.bounds[0] < east - west else shape
