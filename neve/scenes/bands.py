"""Item assets: which image of an item holds a band, and how its numbers become reflectance.

Belongs here: band names, the choice among several images of one band, offset and scale. Does
not belong here: the rest of the item (``items``) and where an href may point (``hrefs``).

Offsets, as real items have them (L2A products from baseline 04.00 on store DN + 1000):

- Earth Search v0 and v1 have COGs with the offset taken off already, and a flag that says so
  (``sentinel:`` or ``earthsearch:boa_offset_applied``). True: nothing is left to do, although
  v1's ``raster:bands`` still say −0.1. False: the baseline decides (02.14: nothing to do; 04.00:
  −1000). The flag speaks of the COGs, never of the JP2 files listed beside them.
- Earth Search C1 and CDSE have no flag; their offset (−0.1) stands in ``raster:bands`` or
  ``raster:offset`` and is to be applied.
- Planetary Computer and early v0 items are silent and hold ESA's numbers: the baseline decides.

Some v1 flags are wrong; only the pixels tell (see the gate on clear pixels below −0.02).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from neve.errors import SceneRejected
from neve.scenes.fields import mapping, number, rejection, shape, transform
from neve.scenes.hrefs import Reach, checked_href
from neve.scenes.values import REFLECTANCE_UNIT, Asset

# STAC common name (as Earth Search spells it) → (ESA's band, native pixel size in metres)
BANDS: dict[str, tuple[str, int]] = {
    "coastal": ("b01", 60),
    "blue": ("b02", 10),
    "green": ("b03", 10),
    "red": ("b04", 10),
    "rededge1": ("b05", 20),
    "rededge2": ("b06", 20),
    "rededge3": ("b07", 20),
    "nir": ("b08", 10),
    "nir08": ("b8a", 20),
    "nir09": ("b09", 60),
    "swir16": ("b11", 20),
    "swir22": ("b12", 20),
    "scl": ("scl", 20),
}
OFFSET_SINCE = (4, 0)  # processing baseline
_OFFSET = -0.1
_OFFSET_DN = round(_OFFSET / REFLECTANCE_UNIT)
_ALIASES = {alias: name for name, (esa, _) in BANDS.items() for alias in (name, esa)}
# "rededge" is left out: Earth Search and Planetary Computer call three bands so.
_SUFFIX = re.compile(r"[-_](jp2|[0-9]{1,3}m)$")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_COG, _JP2 = 0, 1  # in order of preference


def band_asset(
    item: Mapping[str, Any], band: str, baseline: str, reach: Reach
) -> tuple[str, Asset]:
    """Key and Asset of the image that holds ``band`` (a key of BANDS, such as "red" or "scl").

    Found by asset key, common name or band name; of several the one nearest to the native
    resolution, then COG before JP2. Raises SceneRejected (without the item's id) where there
    is none, or where its fields cannot be right.
    """
    found = {}
    for key, asset in item["assets"].items():
        if isinstance(asset, dict) and _format(asset) is not None:
            names = _names(key, asset)
            if names == {band}:
                found[key] = asset
            elif band in names:
                raise rejection(f"assets.{key}", sorted(names), "its key and its band disagree")
    if not found:
        raise SceneRejected(f"assets hold no COG or JP2 of {band!r}; found {_keys(item)}")
    key = min(found, key=lambda name: (*_rank(found[name], band), name))
    return key, _asset(f"assets.{key}", found[key], item, band, baseline, reach)


def shift(asset: Mapping[str, Any], properties: Mapping[str, Any], baseline: str) -> int:
    """What to add to the DN of a reflectance asset (see the module), 0 or −1000.

    ``baseline`` is "" where the item has none. Raises SceneRejected for a scale other than
    0.0001, an offset other than 0 or −0.1, and where nothing tells.
    """
    scale, offset = _declared(asset, "scale"), _declared(asset, "offset")
    if scale is not None and not math.isclose(scale, REFLECTANCE_UNIT, rel_tol=1e-6):
        raise rejection("scale", scale, f"expected {REFLECTANCE_UNIT}")
    if offset is not None and not any(math.isclose(offset, x, abs_tol=1e-9) for x in (0, _OFFSET)):
        raise rejection("offset", offset, f"expected 0 or {_OFFSET}")
    flag = _applied(properties)
    if flag and _format(asset) == _COG:
        return 0
    major_minor = tuple(int(part) for part in baseline.split(".")) if baseline else None
    if flag is None and offset is not None:
        if offset < 0 and major_minor is not None and major_minor < OFFSET_SINCE:
            raise rejection("offset", offset, f"baseline {baseline} has no offset")
        return _OFFSET_DN if offset < 0 else 0
    if major_minor is None or major_minor[0] > 9:  # 99.99: made with somebody's own Sen2Cor
        raise rejection("processing baseline", baseline, "it cannot tell whether an offset applies")
    return _OFFSET_DN if major_minor >= OFFSET_SINCE else 0


def _asset(
    field: str,
    asset: dict[str, Any],
    item: Mapping[str, Any],
    band: str,
    baseline: str,
    reach: Reach,
) -> Asset:
    properties = item["properties"]
    size, checksum = asset.get("file:size"), asset.get("file:checksum")
    if size is not None and (type(size) is not int or size < 1):
        raise rejection(f"{field}.file:size", size, "expected a number of bytes")
    sound = isinstance(checksum, str) and re.fullmatch(r"([0-9a-fA-F]{2}){4,130}", checksum)
    if checksum is not None and not sound:
        raise rejection(f"{field}.file:checksum", checksum, "expected a multihash in hex")
    try:
        href = checked_href(asset.get("href"), reach)
        if _declared(asset, "nodata") not in (None, 0):
            raise rejection("nodata", _declared(asset, "nodata"), "expected 0")
        add = 0 if band == "scl" else shift(asset, properties, baseline)
    except SceneRejected as error:
        raise SceneRejected(f"{field}: {error}") from None
    own_transform = asset.get("proj:transform", properties.get("proj:transform"))
    own_shape = asset.get("proj:shape", properties.get("proj:shape"))
    return Asset(
        href=href,
        shift=add,
        size=size,
        checksum=checksum.lower() if checksum else None,
        shape=shape(f"{field}.proj:shape", own_shape),
        transform=transform(f"{field}.proj:transform", own_transform),
        hosts=reach.trusted,
    )


def _declared(asset: Mapping[str, Any], name: str) -> float | None:
    """A value of the raster extension, version 1 (``raster:bands``) or 2, or STAC 1.1."""
    for key in ("raster:bands", "bands"):
        bands = asset.get(key)
        if isinstance(bands, list) and bands:
            for spelled in (name, f"raster:{name}"):
                value = number(f"{key}.{spelled}", mapping(key, bands[0]).get(spelled))
                if value is not None:
                    return value
    value = asset.get(f"raster:{name}", asset.get(name))
    return number(name, value)


def _applied(properties: Mapping[str, Any]) -> bool | None:
    said = [properties[flag] for flag in _FLAGS if properties.get(flag) is not None]
    if any(type(value) is not bool for value in said) or len(set(said)) > 1:
        raise rejection(_FLAGS[0], said, "expected true or false")
    return said[0] if said else None


def _names(key: str, asset: Mapping[str, Any]) -> set[str]:
    """The common names that key and band description stand for: more than one is a conflict."""
    bands = asset.get("eo:bands", asset.get("bands"))
    described = bands[0] if isinstance(bands, list) and bands else {}
    if not isinstance(described, dict) or (isinstance(bands, list) and len(bands) > 1):
        return set()  # a picture of several bands
    fields = [described.get(field) for field in ("name", "common_name", "eo:common_name")]
    names = [field.lower() for field in fields if isinstance(field, str)]
    spelled = [_SUFFIX.sub("", key.lower()), *names]
    return {_ALIASES[name] for name in spelled if name in _ALIASES}


def _format(asset: Mapping[str, Any]) -> int | None:
    """COG, JP2, or None for what cannot be an image of a band."""
    kind, href = asset.get("type"), asset.get("href")
    if isinstance(kind, str):
        named = kind.lower().split(";")[0].strip()
        return {"image/tiff": _COG, "image/vnd.stac.geotiff": _COG, "image/jp2": _JP2}.get(named)
    ending = href.lower().split("?")[0].rsplit(".", 1)[-1] if isinstance(href, str) else ""
    return {"tif": _COG, "tiff": _COG, "jp2": _JP2}.get(ending)


def _rank(asset: Mapping[str, Any], band: str) -> tuple[float, int]:
    affine, gsd = asset.get("proj:transform"), asset.get("gsd")
    pixel = affine[0] if isinstance(affine, list) and affine else gsd
    known = isinstance(pixel, int | float) and 0 < pixel < 1e6
    away = abs(math.log2(pixel / BANDS[band][1])) if known and pixel else 0.0
    return away, _format(asset) or 0


def _keys(item: Mapping[str, Any]) -> str:
    return ", ".join(sorted(str(key) for key in item["assets"]))[:120] or "none"
