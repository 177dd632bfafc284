"""Values of a cube at points: every month, and how many observations stand behind each.

Belongs here: from lon/lat to pixels of a level and their values. Does not belong here: formats,
pictures, serving.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr
from pyproj import Transformer

from neve.errors import AskPerson
from neve.grid import Grid


@dataclass(frozen=True)
class Pixel:
    """One pixel of a level: counted from the level's top left."""

    row: int
    col: int


def grid_of(tree: xr.DataTree, factor: int = 1) -> Grid:
    """The grid of a level of a monthly cube of neve's; raises ``AskPerson`` for another one."""
    if "blocks" not in tree.children:
        raise AskPerson("no monthly cube of neve's: open it with neve.open or neve serve")
    return Grid(**tree.attrs["neve"]["grid"]).level(factor)


def locate(grid: Grid, lon: float, lat: float) -> Pixel:
    """The pixel that holds a point; raises ``AskPerson`` for one outside the grid.

    A point on an edge belongs to the pixel right of it and below it.
    """
    x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lon, lat)
    if grid.geographic and x < grid.left:
        x += 360  # a region over the antimeridian runs from 179 to 181
    col, row = ~grid.transform @ (x, y)
    if not (0 <= row < grid.height and 0 <= col < grid.width):
        west, south, east, north = grid.lonlat_bounds()
        raise AskPerson(
            f"point {lon:g}, {lat:g} lies outside the cube; it reaches from "
            f"{west:.4f}, {south:.4f} to {east:.4f}, {north:.4f} (lon, lat)"
        )
    return Pixel(int(row), int(col))


def check_plane(level: xr.Dataset, variable: str) -> None:
    """Raise ``AskPerson`` unless a level has this variable, with one value a pixel and month."""
    there = [str(name) for name, held in level.items() if held.dims == level["count"].dims]
    if variable not in there:
        raise AskPerson(
            f"no variable {variable!r} with one value a pixel; there are {', '.join(there)}"
        )


def sample(
    tree: xr.DataTree, points: Sequence[tuple[float, float]], variables: Sequence[str], factor: int
) -> list[dict[str, object]]:
    """One row per point (lon, lat) and month: the variables' values, None where nodata.

    Each row also has the pixel's ``count`` and ``valid_fraction``. Raises ``AskPerson`` for a
    point outside, a variable or a level that the cube has not.
    """
    name = f"{factor}x"
    if name not in tree.children:
        factors = sorted(int(n[:-1]) for n, node in tree.children.items() if n[:-1].isdigit())
        raise AskPerson(f"no level {factor}; there are {', '.join(map(str, factors))}")
    grid, level = grid_of(tree, factor), tree[name].to_dataset()
    wanted = [*variables, "count", "valid_fraction"]
    for variable in wanted:
        check_plane(level, variable)
    rows: list[dict[str, object]] = []
    _, y, x = level["count"].dims
    for lon, lat in points:
        pixel = locate(grid, lon, lat)
        series = level[wanted].isel({y: pixel.row, x: pixel.col}).load()
        for month in range(series.sizes["time"]):
            at = series.isel(time=month)
            date = str(at["time"].values)[:7]
            values = {v: None if at[v].isnull() else at[v].item() for v in wanted}
            rows.append({"lon": lon, "lat": lat, "month": date, **values})
    return rows
