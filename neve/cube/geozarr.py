"""GeoZarr and CF metadata of a cube, as plain dictionaries.

Belongs here: the attributes of groups, coordinates and the grid mapping, after the v0.1
conventions `multiscales`, `proj` and `spatial`. Does not belong here: creating groups and
arrays (``creation``).
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from pyproj import CRS

from neve.grid import Grid

Attributes = dict[str, Any]


def _convention(name: str, uuid: str, description: str) -> Attributes:
    home = f"zarr-conventions/{name}"
    return {
        "schema_url": f"https://raw.githubusercontent.com/{home}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/{home}/blob/v0.1/README.md",
        "uuid": uuid,
        "name": name,
        "description": description,
    }


MULTISCALES = _convention(
    "multiscales", "d35379db-88df-4056-af3a-620245f8e347", "Multiscale layout of zarr datasets"
)
PROJ = _convention(
    "proj",
    "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "Coordinate reference system information for geospatial data",
)
SPATIAL = _convention(
    "spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"
)


def dimensions(grid: Grid) -> tuple[str, str]:
    """Names of the vertical and horizontal dimension, as the CRS demands."""
    return ("latitude", "longitude") if grid.geographic else ("y", "x")


def level_name(factor: int) -> str:
    """Group name of a level: its cumulative factor, native is ``1x``."""
    return f"{factor}x"


def root_attributes(grid: Grid, factors: Sequence[int], method: str = "average") -> Attributes:
    """Attributes of the root group: where each level is and how it was made.

    The root carries no ``spatial:transform``: tile servers take any group that has one for
    a level.
    """
    layout: list[Attributes] = []
    finer = 1
    for factor in (1, *factors):
        level = grid.level(factor)
        step = factor / finer
        entry: Attributes = {
            "asset": level_name(factor),
            "spatial:shape": list(level.shape),
            "spatial:transform": list(level.transform)[:6],
            "transform": {"scale": [step, step], "translation": [0.0, 0.0]},
        }
        if factor > 1:
            entry |= {"derived_from": level_name(finer), "resampling_method": method}
        layout.append(entry)
        finer = factor
    return {
        "zarr_conventions": [MULTISCALES, PROJ, SPATIAL],
        "multiscales": {"layout": layout, "resampling_method": method},
        **_where(grid),
    }


def level_attributes(grid: Grid) -> Attributes:
    """Attributes of one level's group; ``grid`` is the level's own grid."""
    return {
        "zarr_conventions": [PROJ, SPATIAL],
        **_where(grid),
        "spatial:transform": list(grid.transform)[:6],
        "spatial:shape": list(grid.shape),
    }


def is_code(crs: Any) -> bool:
    """Whether a CRS is named by authority and code, which is all that ``proj:code`` may hold."""
    return isinstance(crs, str) and re.fullmatch(r"[\w.-]+:[\w.-]+", crs) is not None


def _where(grid: Grid) -> Attributes:
    return {
        **({"proj:code": grid.crs} if is_code(grid.crs) else {}),
        "proj:wkt2": _wkt(grid.crs),
        "spatial:dimensions": list(dimensions(grid)),
        "spatial:registration": "pixel",
        "spatial:bbox": list(grid.bounds),
    }


@cache
def _wkt(crs: str) -> str:
    return CRS(crs).to_wkt("WKT2_2019")


def grid_mapping(grid: Grid) -> Attributes:
    """CF attributes of the ``spatial_ref`` variable, with GDAL's GeoTransform."""
    geotransform = " ".join(repr(float(v)) for v in grid.transform.to_gdal())
    return {**CRS(grid.crs).to_cf(), "GeoTransform": geotransform}


def axis_attributes(grid: Grid) -> tuple[Attributes, Attributes]:
    """CF attributes of the vertical and the horizontal coordinate."""
    if grid.geographic:
        return (
            {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
            {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
        )
    unit = CRS(grid.crs).axis_info[0].unit_name
    unit = "m" if unit == "metre" else unit
    return (
        {"standard_name": "projection_y_coordinate", "units": unit, "axis": "Y"},
        {"standard_name": "projection_x_coordinate", "units": unit, "axis": "X"},
    )


TIME_ATTRIBUTES: Attributes = {
    "standard_name": "time",
    "axis": "T",
    "units": "days since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "bounds": "time_bnds",
}
