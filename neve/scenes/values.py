"""Scenes: the plain values that a STAC item becomes, and a month's frozen list of them.

Belongs here: Asset, Scene, SceneList, the bounds of a month and the fingerprint of a list. Does
not belong here: what an item says (``items``), which of several copies counts (``choosing``),
searching a catalogue (``catalog``) and reading pixels (``reading``).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

REFLECTANCE_UNIT = 1e-4
FILL = -32768
# Pixels a side; at 10 m a granule has 10980.
LARGEST_SIDE = 2**14


@dataclass(frozen=True)
class Asset:
    """One image of a scene.

    ``shift`` is what is added to the stored number (DN) to get reflectance in units of
    0.0001: 0 where the offset is applied already or there was none, −1000 where it is not.
    ``size`` and ``checksum`` (a multihash in hex, the STAC file extension) are None where
    the item has none. ``shape`` (height, width) and ``transform`` (six numbers, row-major
    affine) are what the item says of the file, or None. ``hosts``: see ``reading.Reads``.
    """

    href: str
    shift: int = 0
    size: int | None = None
    checksum: str | None = None
    shape: tuple[int, int] | None = None
    transform: tuple[float, ...] | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One Sentinel-2 L2A granule.

    ``assets`` holds one entry per band of the region under its common name, and ``scl``.
    ``day`` is the solar day (ISO date) of the observation; scenes of one day are one
    observation. ``footprint`` is the item's geometry as WKT in lon/lat (cut at 180°).
    """

    id: str
    datetime: datetime
    day: str
    crs: str
    assets: Mapping[str, Asset]
    footprint: str
    baseline: str = ""
    updated: str = ""


@dataclass(frozen=True)
class SceneList:
    """The scenes of a region and month: ordered by (day, id), the same for any order of items.

    ``rejected`` holds (item id, reason), sorted: what failed preflight and what a newer copy
    superseded. ``fingerprint`` changes when the pixels of the month may have changed.
    ``unjudged``: ids of scenes whose offset the quarantine could not try out.
    """

    scenes: tuple[Scene, ...]
    rejected: tuple[tuple[str, str], ...]
    fingerprint: str
    unjudged: tuple[str, ...] = ()


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month ("2023-08") and of the next one: the half-open UTC interval.

    Raises ValueError where ``month`` is not four digits, a hyphen and 01…12.
    """
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise ValueError(f"month {month!r}: expected year and month such as 2023-08")
    year, number = int(month[:4]), int(month[5:])
    start = datetime(year, number, 1, tzinfo=UTC)
    return start, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def fingerprint(scenes: Iterable[Scene]) -> str:
    """SHA-256 (hex) over all that may change the pixels which the scenes give, in their order.

    That is id, update, baseline, solar day and zone; and of every image its place, offset, size
    and checksum. The query of a href is left out: it holds signatures that change from hour to
    hour.
    """
    digest = hashlib.sha256()
    for scene in scenes:
        images = [
            [name, asset.href.split("?")[0], asset.shift, asset.size, asset.checksum]
            for name, asset in sorted(scene.assets.items())
        ]
        told = [scene.id, scene.updated, scene.baseline, scene.day, scene.crs, images]
        digest.update(json.dumps(told).encode() + b"\n")
    return digest.hexdigest()
