"""Write synthetic Sentinel-2 L2A scenes: real COGs and, beside them, items as Earth Search has.

Belongs here: the plan of what to write (frozen values), the view of one tile on one day, and the
files. Does not belong here: what the ground looks like (``landscape``), what an item says
(``stac_items``), serving (``stac_api``).
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from neve.demo import landscape
from neve.demo.footprints import across_track, footprint, swath_cuts
from neve.demo.landscape import truth as truth
from neve.demo.plan import DEMO as DEMO
from neve.demo.plan import DayPlan as DayPlan
from neve.demo.plan import ScenePlan as ScenePlan
from neve.demo.plan import Swath as Swath
from neve.demo.plan import TilePlan as TilePlan
from neve.demo.stac_items import BAND_FILES, Item, Written, make_item

SHADOW_KM = (-1.3, 1.6)  # from a cloud to its shadow, east and north: the sun is in the south-east
SHADOW_DEPTH = 0.6
SCL_NODATA, SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER = 0, 3, 4, 5, 6
SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS = 8, 9, 10


@dataclass(frozen=True)
class View:
    """One tile on one day, pixel by pixel: opacity of cloud, light left on the ground, seen."""

    opacity: NDArray[np.float32]
    light: NDArray[np.float32]
    seen: NDArray[np.bool_]


def pixel_lonlat(plan: ScenePlan, tile: TilePlan) -> tuple[NDArray[Any], NDArray[Any]]:
    """(lon, lat) in degrees of a tile's pixel centres at ``plan.resolution``, (size, size) each."""
    steps = (np.arange(plan.size) + 0.5) * plan.resolution
    to_lonlat = Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True)
    return to_lonlat.transform(*np.meshgrid(tile.left + steps, tile.top - steps))


def look(plan: ScenePlan, tile: TilePlan, day: DayPlan) -> View:
    """What the sensor sees of a tile on a day, in (size, size) arrays."""
    lon, lat = pixel_lonlat(plan, tile)
    x, y = landscape.plane(lon, lat)
    begin, end = swath_cuts(plan, day.swath)
    across = across_track(x, y)
    dlat = SHADOW_KM[1] / landscape.KM_PER_DEGREE
    dlon = SHADOW_KM[0] / landscape.KM_PER_DEGREE / math.cos(math.radians(landscape.ORIGIN[1]))
    opacity = _sky(plan, day, lon, lat)
    shadow = _sky(plan, day, lon - dlon, lat - dlat)
    return View(opacity, 1 - SHADOW_DEPTH * shadow, (across >= begin) & (across < end))


def _sky(
    plan: ScenePlan, day: DayPlan, lon: NDArray[Any], lat: NDArray[Any]
) -> NDArray[np.float32]:
    ordinal = np.datetime64(day.date).astype(int)
    opacity = landscape.clouds(lon, lat, plan.seed * 100_000 + int(ordinal), day.clouds)
    if day.cloud_box is not None:
        west, south, east, north = day.cloud_box
        opacity[(lon >= west) & (lon < east) & (lat >= south) & (lat < north)] = 1
    return opacity


def digital_numbers(
    ground: NDArray[Any], view: View, day: DayPlan, ratio: int
) -> NDArray[np.uint16]:
    """Stored numbers of one band: ``ground`` reflectance under the sky, averaged over ratio²."""
    white = 0.42 + 0.4 * view.opacity
    seen = ground * view.light * (1 - view.opacity) + white * view.opacity
    reflectance = _fold(seen, ratio).mean(axis=(1, 3)) * day.gain
    numbers = np.clip(np.rint(reflectance * 10_000) - day.shift, 1, 65_535).astype(np.uint16)
    return np.where(_fold(view.seen, ratio).all(axis=(1, 3)), numbers, np.uint16(0))


def classify(land: NDArray[np.uint8], view: View, ratio: int = 2) -> NDArray[np.uint8]:
    """Scene classification: a class of clear ground (4, 5, 6) only where all ratio² are clear."""
    opacity = _fold(view.opacity, ratio).max(axis=(1, 3))
    light = _fold(view.light, ratio).min(axis=(1, 3))
    classes = land[::ratio, ::ratio].copy()
    classes[light < 1] = SCL_SHADOW
    classes[opacity > 0] = SCL_CIRRUS
    classes[opacity > 0.2] = SCL_CLOUD_MEDIUM
    classes[opacity > 0.6] = SCL_CLOUD_HIGH
    classes[~_fold(view.seen, ratio).all(axis=(1, 3))] = SCL_NODATA
    return classes


def _fold(values: NDArray[Any], ratio: int) -> NDArray[Any]:
    rows, cols = values.shape
    if rows % ratio or cols % ratio:
        raise ValueError(
            f"A tile of {rows} by {cols} pixels cannot hold pixels {ratio} times as large: "
            f"choose a ScenePlan.size that {ratio} divides."
        )
    return values.reshape(rows // ratio, ratio, cols // ratio, ratio)


@lru_cache(maxsize=4)
def _ground(plan: ScenePlan, tile: TilePlan, month: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """(band, size, size) reflectance of the cloud-free ground, and its SCL class."""
    shares, bright = landscape.cover(*pixel_lonlat(plan, tile), month)
    water = sum(shares[name] for name in landscape.WATER)
    bare = sum(shares[name] for name in landscape.BARE)
    classes = np.where(bare > 0.5, SCL_BARE, SCL_VEGETATION)
    classes = np.where(water > 0.5, SCL_WATER, classes).astype(np.uint8)
    return landscape.reflectance(shares, bright, plan.bands), classes


def write_cog(path: Path, values: NDArray[Any], tile: TilePlan, resolution: float) -> None:
    """A deflate COG with predictor 2, 256 px tiles, two overviews, nodata 0."""
    profile = {
        "driver": "COG",
        "compress": "deflate",
        "predictor": 2,
        "level": 6,
        "blocksize": 256,
        "overview_count": 2,
        "overview_resampling": "nearest" if values.dtype == np.uint8 else "average",
    }
    height, width = values.shape
    transform = Affine(resolution, 0, tile.left, 0, -resolution, tile.top)
    shape = {"height": height, "width": width, "count": 1, "dtype": values.dtype, "nodata": 0}
    with rasterio.open(path, "w", crs=tile.crs, transform=transform, **shape, **profile) as out:
        out.write(values, 1)


def write_scene(folder: Path, plan: ScenePlan, tile: TilePlan, day: DayPlan) -> Item:
    """Write one scene to ``<folder>/<id>/`` and return its item; hrefs are relative to it."""
    place = folder / day.scene_id(tile)
    place.mkdir(parents=True, exist_ok=True)
    ground, land = _ground(plan, tile, int(day.date[5:7]))
    view = look(plan, tile, day)
    images: dict[str, NDArray[Any]] = {
        band: digital_numbers(ground[k], view, day, BAND_FILES[band].ratio)
        for k, band in enumerate(plan.bands)
    }
    images["scl"] = classify(land, view)
    for band, values in images.items():
        file = BAND_FILES[band]
        write_cog(place / file.name, values, tile, plan.resolution * file.ratio)
    written = Written(place, plan.bounds(tile), {b: v.shape for b, v in images.items()})
    item = make_item(tile, day, written, footprint(plan, tile, day), images["scl"])
    (place / f"{item['id']}.json").write_text(json.dumps(item, indent=1))
    return item


def write_scenes(
    folder: Path, plan: ScenePlan = DEMO, progress: Callable[[int, int], None] | None = None
) -> list[Item]:
    """Write every scene of the plan; the same plan gives the same bytes.

    A tile that the day's swath does not touch has no scene that day.

    ``progress`` is called with (scenes written, scenes in all). Returns the items in order of
    day, then tile, with hrefs relative to the item (``./B02.tif``), as in the files.
    """
    pairs = [
        (day, tile)
        for day in plan.days
        for tile in plan.tiles
        if not footprint(plan, tile, day).is_empty
    ]
    items = []
    for done, (day, tile) in enumerate(pairs, start=1):
        items.append(write_scene(folder, plan, tile, day))
        if progress is not None:
            progress(done, len(pairs))
    return items
