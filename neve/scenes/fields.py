"""Item fields: typed look-ups in JSON that somebody else wrote.

Belongs here: one field of an item → a checked value, or SceneRejected naming the field and what
was found (the item's id is added by ``items``). Does not belong here: what several fields mean
together (``items``, ``item_assets``) and areas (``footprints``).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from reprlib import Repr
from typing import Any

from neve.errors import SceneRejected
from neve.scenes.values import LARGEST_SIDE

FIRST_YEAR = 2015  # launch of Sentinel-2A
_BASELINE = re.compile(r"[0-9]{2}\.[0-9]{2}")
_UTM = re.compile(r"EPSG:32[67](0[1-9]|[1-5][0-9]|60)")


class _Short(Repr):
    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to print what is longer than some thousand digits."""
        return super().repr_int(x, level) if abs(x) < 10**30 else "a huge number"


_short = _Short()
_short.maxstring = _short.maxother = 120


def rejection(field: str, found: object, expected: str) -> SceneRejected:
    """The error to raise for a field: what it holds (shortened) and what was expected."""
    return SceneRejected(f"{field} is {_short.repr(found)}; {expected}")


def printable(said: object, most: int = 300) -> str:
    """What somebody else wrote, as the part of one line that is fit for messages and logs."""
    return "".join(char if char.isprintable() else " " for char in str(said)[:most])


def mapping(field: str, value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise rejection(field, value, "expected an object")
    return value


def text(field: str, value: object) -> str:
    """A printable string of 1 to 200 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise rejection(field, value, "expected a printable text of 1 to 200 characters")
    return value


def instant(field: str, value: object) -> datetime:
    """An RFC 3339 time, in UTC; without time zone, or before Sentinel-2 flew: rejected."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
        if when is not None and when.tzinfo is not None:
            when = when.astimezone(UTC)
            if FIRST_YEAR <= when.year < datetime.max.year:
                return when
    except (ValueError, OverflowError):
        pass
    raise rejection(field, value, f"expected a time such as {FIRST_YEAR}-08-01T10:00:00Z")


def number(field: str, value: object) -> float | None:
    """A finite number, or None where there is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise rejection(field, value, "expected a finite number")
    return float(value)


def transform(field: str, value: object) -> tuple[float, ...] | None:
    """Six numbers of a north-up affine with square pixels (nine are cut), or None."""
    if value is None:
        return None
    entries = value if isinstance(value, list) else []
    if len(entries) not in (6, 9) or any(number(field, entry) is None for entry in entries):
        raise rejection(field, value, "expected six (or nine) finite numbers")
    six = tuple(float(entry) for entry in entries[:6])
    north_up = six[1] == six[3] == 0 and six[0] > 0 and six[4] == -six[0]
    if not north_up or (len(entries) == 9 and entries[6:] != [0, 0, 1]):
        raise rejection(field, value, "expected north-up square pixels [r, 0, x, 0, -r, y]")
    return six


def shape(field: str, value: object) -> tuple[int, int] | None:
    """Height and width in pixels, or None."""
    if value is None:
        return None
    sides = value if isinstance(value, list) else []
    if len(sides) != 2 or any(
        type(side) is not int or not 0 < side <= LARGEST_SIDE for side in sides
    ):
        raise rejection(field, value, f"expected [height, width] up to {LARGEST_SIDE} pixels")
    return sides[0], sides[1]


def utm(field: str, properties: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """``EPSG:326xx`` or ``EPSG:327xx`` from proj:code or proj:epsg, an asset's own first."""
    for source in (own, properties):
        code, epsg = source.get("proj:code"), source.get("proj:epsg")
        if code is None and epsg is None:
            continue
        spelled = f"EPSG:{epsg}" if type(epsg) is int and 0 < epsg < 100_000 else None
        named = spelled if code is None else code
        agree = epsg is None or (isinstance(named, str) and named == spelled)
        if not isinstance(named, str) or not _UTM.fullmatch(named) or not agree:
            raise rejection(field, [code, epsg], "expected a UTM zone, EPSG:326xx or 327xx")
        return named
    raise rejection(field, None, "expected proj:code or proj:epsg of the item or the asset")


def baseline(field: str, value: object) -> str:
    """A processing baseline such as ``05.09``."""
    if not isinstance(value, str) or not _BASELINE.fullmatch(value):
        raise rejection(field, value, "expected a processing baseline such as 05.09")
    return value


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
