"""Point series in OGC EDR's words: one pixel through the months, as CoverageJSON or CSV.

Belongs here: what a position query asks and answers; xpublish-edr writes the formats. Does not
belong here: routes, where a value comes from (``passport``).

xpublish-edr's own routes are not mounted: they take any number of points, any CRS and any
selection, and answer a point outside with the nearest pixel of the edge.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from pyproj import Transformer
from xpublish_edr.formats.to_covjson import to_cf_covjson
from xpublish_edr.formats.to_csv import to_csv

from neve.cube.derived import loaded
from neve.cube.sampling import locate
from neve.errors import AskPerson
from neve.serving.counting import MOST_MONTHS, most_months
from neve.serving.describing import Json
from neve.serving.views import View

MOST_NAMES = 8
POINT = re.compile(r"POINT ?\(\s*(-?\d+(?:\.\d+)?)\s+(-?\d+(?:\.\d+)?)\s*\)", re.I)
REFERENCING = [
    {
        "coordinates": ["x", "y"],
        "system": {
            "type": "GeographicCRS",
            "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        },
    },
    {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
]


@dataclass(frozen=True)
class Position:
    """A position query: WKT, names split by commas, a month or an interval of EDR's."""

    coords: str
    names: str
    datetime: str


def series(view: View, asked: Position) -> xr.Dataset:
    """The native pixel under a point: dimensions (time, latitude, longitude), ``count`` with it.

    The coordinates are the pixel's centre. Raises ``AskPerson`` for what is no point in the cube,
    for names and months that it has not, for more than ``MOST_NAMES`` names, and for more months
    than ``most_months`` of what is read.
    """
    point = POINT.fullmatch(asked.coords.strip())
    if point is None:
        raise AskPerson(f"coords {asked.coords!r}: give one point, e.g. POINT(16.37 48.21)")
    grid, level = view.native_grid, view.native
    pixel = locate(grid, float(point[1]), float(point[2]))
    window = _months(view.months, asked.datetime)
    y, x = level.attrs["spatial:dimensions"]
    place = {y: [pixel.row], x: [pixel.col], "time": window}
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*(grid.transform @ (pixel.col + 0.5, pixel.row + 0.5)))
    names = _names(view, asked.names)
    arrays = view.arrays(names)
    _check_reads(len(arrays), window.stop - window.start)
    found = loaded(level[sorted({*arrays, *names})].isel(place), names, view.given)
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {name: (dims, found[name].to_numpy(), found[name].attrs) for name in names},
        {
            "time": ("time", level["time"].to_numpy()[window], {"axis": "T"}),
            "latitude": ("latitude", [lat], {"axis": "Y"}),
            "longitude": ("longitude", [lon], {"axis": "X"}),
        },
    )


def coverage(found: xr.Dataset) -> Json:
    """CoverageJSON of a series."""
    told: Any = to_cf_covjson(found)
    told["domain"]["referencing"] = REFERENCING
    return dict(told)


def table(found: xr.Dataset) -> bytes:
    """CSV of a series: a line for each month."""
    return bytes(to_csv(found).body)


FORMATS: dict[str, tuple[Callable[[xr.Dataset], Any], str]] = {
    "CoverageJSON": (coverage, "application/prs.coverage+json"),
    "csv": (table, "text/csv"),
}


def _names(view: View, wanted: str) -> list[str]:
    names = list(dict.fromkeys([*wanted.split(","), *["count"] * ("count" in view.variables)]))
    if len(names) > MOST_NAMES + 1:
        raise AskPerson(f"parameter-name: at most {MOST_NAMES} at once")
    for name in names:
        if name not in view.variables or view.variables[name].colours:
            raise AskPerson(f"no variable {name!r} with one value a pixel; /api/cube lists them")
    return names


def _check_reads(arrays: int, months: int) -> None:
    if months > (most := most_months(arrays)):
        raise AskPerson(
            f"{arrays} stored variables in {months} months are too many: ask for at most {most} "
            "months at once (datetime), or fewer variables"
        )


def _months(months: Sequence[str], wanted: str) -> slice:
    """The months from the first to the last instant that an interval names."""
    first, _, last = wanted.partition("/")
    low, high = (part[:7] if part.strip(".") else "" for part in (first, last or first))
    chosen = np.flatnonzero([low <= month and (not high or month <= high) for month in months])
    if not chosen.size:
        raise AskPerson(f"no month in {wanted!r}; there are {', '.join(months) or 'none'}")
    return slice(max(chosen[0], chosen[-1] + 1 - MOST_MONTHS), chosen[-1] + 1)
