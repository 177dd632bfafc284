"""Items: one STAC item → one checked Scene, or the reason why not.

Belongs here: preflight, identity of an observation, solar day; all from the item alone, whoever
published it. Does not belong here: single fields (``item_fields``), the images and their offsets
(``item_assets``), the choice among items (``choosing``) and any reading.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from neve.errors import SceneRejected
from neve.scenes import fields
from neve.scenes.bands import band_asset
from neve.scenes.footprints import cut_at_180, footprint
from neve.scenes.hrefs import ANYWHERE, Reach
from neve.scenes.values import Asset, Scene

UNREADABLE = "neve:unreadable"  # set by a catalogue on what stands for an unreadable item file
_HOURS_PER_DEGREE = 1 / 15
_MARGIN = 1000.0  # metres by which a footprint's centre may lie outside the images
_TAKE = re.compile(r"(S2[A-Z])_(?:MSIL2A_)?([0-9]{8}T[0-9]{6})_")
_TILE = re.compile(r"(?:^|MGRS-|_T)([0-9]{1,2})([A-Z]{3})(?:_|$|\.)")
_STRIP = re.compile(r"_S([0-9]{8}T[0-9]{6})_")
_NUMBER = re.compile(r"_N([0-9]{2})([0-9]{2})_")
_MADE = re.compile(r"_([0-9]{8}T[0-9]{6})(?:\.SAFE)?$")


@dataclass(frozen=True)
class Copy:
    """What tells copies of one observation apart.

    ``observation`` is the same for all processings of one granule: satellite, start of the
    datatake, tile, and start of the datastrip (ids hold processing time and baseline besides,
    so they differ). None where the item does not tell. ``age`` sorts the newest last.
    """

    observation: tuple[str, ...] | None
    age: tuple[str, datetime, datetime]


def scene_from_item(item: object, bands: Sequence[str], reach: Reach = ANYWHERE) -> Scene:
    """The Scene that a STAC item (a dict) describes, with ``bands`` (common names) and ``scl``.

    ``reach``: where its hrefs may lead. ``day`` is the date of UTC plus longitude / 15 h of the
    footprint's centroid. Raises SceneRejected, and nothing else, for whatever JSON it is given:
    the reason names the item, the field and what was found.
    """
    try:
        return _scene(_item(item), bands, reach)
    except SceneRejected as error:
        raise SceneRejected(f"item {item_id(item)}: {error}") from None


def item_id(item: object) -> str:
    """The id, fit for messages; a stand-in where there is none."""
    try:
        return fields.text("id", item["id"] if isinstance(item, dict) else None)
    except (SceneRejected, KeyError):
        return "(no id)"


def item_time(item: object) -> datetime:
    """The item's datetime in UTC, or SceneRejected."""
    properties = fields.mapping("properties", fields.mapping("item", item).get("properties"))
    return fields.instant("properties.datetime", properties.get("datetime"))


def copy_of(item: Mapping[str, Any]) -> Copy:
    """Identity and age of an item that ``scene_from_item`` took."""
    properties = item["properties"]
    names = _product_names(item)
    take = _search(_TAKE, _texts(properties, "s2:datatake_id", "eopf:datatake_id") + names)
    tile = _search(_TILE, _texts(properties, "grid:code", "s2:mgrs_tile") + names)
    strip = _search(_STRIP, _texts(properties, "s2:datastrip_id", "eopf:datastrip_id"))
    # Earth Search v0 has no datastrip: there the time of the granule's own first line serves.
    start = strip or (f"{item_time(item):%Y%m%dT%H%M%S}",)
    made = _search(_MADE, names)
    generated = properties.get("s2:generation_time", properties.get("processing:datetime"))
    age = (
        _baseline(item),
        _moment(generated or (made[0] if made else None)),
        _moment(properties.get("updated")),
    )
    if take is None or tile is None:
        return Copy(None, age)
    return Copy((*take, tile[0].zfill(2) + tile[1], *start), age)


def _scene(item: dict[str, Any], bands: Sequence[str], reach: Reach) -> Scene:
    properties = item["properties"]
    when = item_time(item)
    geometry = footprint(item.get("geometry"))
    baseline = _baseline(item)
    updated = properties.get("updated")
    assets: dict[str, Asset] = {}
    crs = ""
    for band in [*(name for name in bands if name != "scl"), "scl"]:
        key, assets[band] = band_asset(item, band, baseline, reach)
        own = fields.utm(f"assets.{key}.proj:code", properties, item["assets"][key])
        if crs not in ("", own):
            raise fields.rejection(f"assets.{key}.proj:code", own, f"others are in {crs}")
        crs = own
        _check_place(f"assets.{key}.proj:transform", assets[band], crs, geometry)
    lon = (geometry.centroid.x + 180) % 360 - 180
    return Scene(
        id=fields.text("id", item.get("id")),
        datetime=when,
        day=(when + timedelta(hours=lon * _HOURS_PER_DEGREE)).date().isoformat(),
        crs=crs,
        assets=assets,
        footprint=shapely.to_wkt(cut_at_180(geometry), rounding_precision=9),
        baseline=baseline,
        updated="" if updated is None else fields.text("properties.updated", updated),
    )


def _item(item: object) -> dict[str, Any]:
    """The item with its objects where they belong."""
    found = fields.mapping("item", item)
    if UNREADABLE in found:
        raise SceneRejected(f"unreadable: {fields.text('reason', found[UNREADABLE])}")
    fields.text("id", found.get("id"))
    fields.mapping("properties", found.get("properties"))
    fields.mapping("assets", found.get("assets"))
    return found


def _baseline(item: Mapping[str, Any]) -> str:
    """The processing baseline, "" where nothing tells."""
    properties = item["properties"]
    for key in ("s2:processing_baseline", "sentinel:processing_baseline"):
        if properties.get(key) is not None:
            return fields.baseline(f"properties.{key}", properties[key])
    version = properties.get("processing:version")  # CDSE; elsewhere it may mean other things
    if isinstance(version, str) and re.fullmatch(r"[0-9]{2}\.[0-9]{2}", version):
        return version
    named = _search(_NUMBER, _product_names(item))
    return f"{named[0]}.{named[1]}" if named else ""


def _check_place(field: str, asset: Asset, crs: str, geometry: BaseGeometry) -> None:
    """The centre of the footprint must lie in the image: else the zone or transform is wrong."""
    x, y = _to_utm(crs).transform(geometry.centroid.x, geometry.centroid.y)
    left, top, right, bottom = 0.0, 1e7, 1e6, 0.0
    if asset.transform is not None and asset.shape is not None:
        size, left, top = asset.transform[0], asset.transform[2], asset.transform[5]
        right, bottom = left + asset.shape[1] * size, top - asset.shape[0] * size
    inside = left - _MARGIN <= x <= right + _MARGIN and bottom - _MARGIN <= y <= top + _MARGIN
    if not inside:
        found = [round(edge) for edge in (left, bottom, right, top)]
        centre = f"{geometry.centroid.x:.3f}, {geometry.centroid.y:.3f}"
        raise fields.rejection(field, found, f"the image in {crs} misses its footprint ({centre})")


@lru_cache(maxsize=120)
def _to_utm(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _product_names(item: Mapping[str, Any]) -> list[str]:
    return _texts(item["properties"], "s2:product_uri", "sentinel:product_id") + _texts(item, "id")


def _texts(source: Mapping[str, Any], *keys: str) -> list[str]:
    return [source[key] for key in keys if isinstance(source.get(key), str)]


def _search(pattern: re.Pattern[str], texts: Sequence[str]) -> tuple[str, ...] | None:
    found = (pattern.search(text) for text in texts)
    return next((match.groups() for match in found if match), None)


def _moment(value: object) -> datetime:
    """A time for comparing ages; the beginning of time where there is none."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
        if when is not None:
            return when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return datetime.min.replace(tzinfo=UTC)
