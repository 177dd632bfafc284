"""Tiles and legends: one snapshot, variable and month as PNG, drawn by xpublish-tiles.

Belongs here: handing xpublish-tiles just what a tile shows, bounding how
much is drawn at once. Does not belong here: routes and their checks (``app``),
which level (``levels``).
"""

import io
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import matplotlib as mpl
import morecantile
import xarray as xr
from xpublish_tiles.lib import AsyncLoadTimeoutError, TileTooBigError
from xpublish_tiles.pipeline import pipeline
from xpublish_tiles.render.raster import DatashaderRasterRenderer
from xpublish_tiles.types import ContinuousData, ImageFormat, QueryParams
from xpublish_tiles.xpublish.tiles.tile_matrix import extract_tile_bbox_and_crs

from neve.errors import AskPerson, Retry
from neve.serving.asking import Place
from neve.serving.counting import counted
from neve.serving.levels import MATRIX, SIZE, level_of
from neve.serving.stacked import stacked
from neve.serving.turns import Turns
from neve.serving.variables import VISIBLE_RANGE, Shown
from neve.serving.views import View

AT_ONCE, WAITING = 4, 256
PREWARMED_ZOOM = 12
# Drawing is compiled for each name of a variable: with one name, once for each dtype.
SHOWN = "shown"

logging.getLogger("xpublish_tiles").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Look:
    """What a tile shows: one variable, or three of one month as red, green and blue."""

    names: tuple[str, ...]
    month: str
    range: tuple[float, float]
    colormap: str


@dataclass(frozen=True)
class Drawn:
    """A tile, the level it was drawn from, and what it took."""

    png: bytes
    level: str
    chunks: int
    waited_ms: float
    drawn_ms: float


class Painter:
    """Draws tiles, at most ``AT_ONCE`` at a time; further ones wait their turn."""

    def __init__(self) -> None:
        self._turns = Turns(AT_ONCE, WAITING, "tiles")

    async def tile(
        self,
        view: View,
        place: Place,
        look: Look,
        gone: Callable[[], Awaitable[bool]],
    ) -> Drawn | None:
        """The tile at a place; None if the client went away while it waited.

        Raises ``Retry`` when too many wait already, ``AskPerson`` for a tile that would need
        more of the finest level than is sensible.
        """
        began = perf_counter()
        async with self._turns.turn():
            return None if await gone() else await _draw(view, place, look, began)


def look_of(
    view: View,
    names: str,
    month: str | None,
    limits: tuple[float | None, float | None],
    colormap: str | None,
) -> Look:
    """A request's words, checked against what the snapshot holds; raises ``AskPerson``."""
    chosen = tuple(names.split(","))
    for name in chosen:
        if name not in view.variables:
            raise AskPerson(f"no variable {name!r} here; /api/cube lists them")
    first = view.variables[chosen[0]]
    if len(chosen) not in (1, 3) or (len(chosen) == 3 and _any_colours(view, chosen)):
        raise AskPerson("name one variable, or three of a single plane: red,green,blue")
    month = view.month(month)
    default = first.range if len(chosen) == 1 else VISIBLE_RANGE
    low, high = (d if v is None else v for v, d in zip(limits, default, strict=True))
    if not low < high:
        raise AskPerson(f"lo {low:g} must be below hi {high:g}")
    colormap = colormap or first.colormap
    if colormap not in mpl.colormaps:
        raise AskPerson(f"no colormap {colormap!r}; matplotlib's names are known, e.g. viridis")
    return Look(chosen, month, (low, high), colormap)


def _any_colours(view: View, names: tuple[str, ...]) -> bool:
    return any(view.variables[name].colours for name in names)


async def _draw(view: View, place: Place, look: Look, began: float) -> Drawn:
    started = perf_counter()
    level = level_of(view, place, look.names)
    shown = _plane(view.levels[level], look, view.months.index(look.month))
    bbox, crs = extract_tile_bbox_and_crs(MATRIX, place.z, place.y, place.x)
    colours = len(look.names) == 3 or view.variables[look.names[0]].colours
    query = QueryParams(
        variables=[SHOWN],
        crs=crs,
        bbox=bbox,
        selectors={},
        style="raster",
        variant="rgb" if colours else look.colormap,
        width=SIZE,
        height=SIZE,
        format=ImageFormat.PNG,
        colorscalerange=look.range,
    )
    with counted() as chunks:
        try:
            buffer = await pipeline(shown, query)
        except AsyncLoadTimeoutError as error:
            raise Retry(f"zoom {place.z}: reading took too long; ask again") from error
        except TileTooBigError as error:
            raise AskPerson(f"zoom {place.z}: {error}; the cube has no coarser level") from error
    waited, drawn = started - began, perf_counter() - started
    return Drawn(buffer.getvalue(), level, len(chunks), waited * 1000, drawn * 1000)


def _plane(level: xr.Dataset, look: Look, month: int) -> xr.Dataset:
    """Just what a tile shows: one variable without time, its coordinates and grid mapping."""
    scalars = {name: array for name, array in level.data_vars.items() if not array.dims}
    planes = [level.variables[name].isel(time=month) for name in look.names]
    variable = planes[0] if len(planes) == 1 else stacked(planes)
    coordinates = {dim: level[dim] for dim in level.attrs["spatial:dimensions"]}
    values: dict[Any, Any] = {SHOWN: variable, **scalars}
    return xr.Dataset(values, coords=coordinates, attrs=level.attrs)


async def prewarm(view: View, painter: Painter) -> None:
    """Draw a tile of each kind, so that compiling does not fall to the first visitor."""
    west, south, _, north = view.window.lonlat_bounds()
    tile = morecantile.tms.get(MATRIX).tile(west, (south + north) / 2, PREWARMED_ZOOM)
    place = Place(tile.z, tile.y, tile.x)
    if not view.months:
        return
    kinds = {(view.native[name].dtype, told.colours): name for name, told in view.variables.items()}
    plain = next(name for name, told in view.variables.items() if not told.colours)
    for names in (*kinds.values(), ",".join([plain] * 3)):
        await painter.tile(view, place, look_of(view, names, None, (None, None), None), _here)


async def _here() -> bool:
    return False


def legend(told: Shown, look: Look, form: str) -> bytes | dict[str, Any]:
    """A legend with its label and limits as ``png``, or what such a picture shows, plainly."""
    if told.colours:
        raise AskPerson(f"{told.name} holds colours itself: it has no legend")
    if form == "json":
        return {"range": look.range, "colormap": look.colormap, "colours": colours(look)}
    buffer = io.BytesIO()
    DatashaderRasterRenderer().render_legend(
        buffer=buffer,
        width=320,
        height=64,
        vertical=False,
        variant=look.colormap,
        datatype=ContinuousData(*look.range),
        colorscalerange=look.range,
        label=told.long_name,
    )
    return buffer.getvalue()


def colours(look: Look) -> list[str]:
    """256 colours (#rrggbbaa) from the lower to the upper limit."""
    colormap = mpl.colormaps[look.colormap].resampled(256)
    return [mpl.colors.to_hex(colormap(k), keep_alpha=True) for k in range(256)]
