"""A local folder of STAC items as a catalogue.

Belongs here: finding, reading and filtering item files. Does not belong here: judging the items
(``items``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from neve.documents import TooLarge, parsed_json, read_bytes
from neve.errors import AskPerson, CatalogUnavailable, SceneRejected
from neve.scenes.fields import printable
from neve.scenes.footprints import Bounds, boxes, cut_at_180, footprint
from neve.scenes.hrefs import Reach, joined
from neve.scenes.items import UNREADABLE, item_time
from neve.scenes.values import month_bounds

_COLLECTION = b'"FeatureCollection"'
_LARGEST = 2**28  # bytes of a file; an item has some 40,000


@dataclass(frozen=True)
class LocalCatalog:
    """A folder, all ``*.json`` below it being items or item-collections, or one such file.

    Catalogs and collections between them are passed over. What cannot be read as an item is
    handed on as a broken one, so that it is recorded rather than missed; an item-collection that
    cannot be read holds the month back. ``hosts``: those that
    the region names.
    """

    path: Path
    hosts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def reach(self) -> Reach:
        """See Catalog."""
        return Reach(base=str(self._folder), hosts=self.hosts)

    @property
    def _folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def search(self, collection: str, bounds: Bounds, month: str) -> list[dict[str, Any]]:
        """See Catalog."""
        files = sorted(self.path.rglob("*.json")) if self.path.is_dir() else [self.path]
        area = shapely.union_all([shapely.box(*box) for box in boxes(bounds)])
        start, end = month_bounds(month)
        here, held, empty = [], set(), True
        for item in chain.from_iterable(map(self._items, files)):  # all at once fill the memory
            own, empty = item.get("collection"), False
            if own is not None:
                held.add(str(own))
            if own in (collection, None) and _may_match(item, area, start, end):
                here.append(item)
        if empty or (held and collection not in held):
            found = printable(", ".join(sorted(held)) or "no items")
            raise AskPerson(
                f"catalogue {self.path} holds no items of {collection!r} (found: {found}); "
                "correct the path or the collection"
            )
        return here

    def _items(self, file: Path) -> Iterator[dict[str, Any]]:
        name = str(file.relative_to(self._folder))
        text = b""
        try:
            text = read_bytes(file, _LARGEST)
            content = parsed_json(str(text, "utf-8"))
            kind = content.get("type") if isinstance(content, dict) else None
            features = content["features"] if kind == "FeatureCollection" else [content]
            if not isinstance(features, list):
                raise ValueError("features are no list")
        except (OSError, ValueError, KeyError) as error:
            # Of a collection nobody knows how many scenes it holds.
            if file == self.path or isinstance(error, TooLarge) or _COLLECTION in text:
                raise CatalogUnavailable(
                    f"catalogue {file}: an item collection that cannot be read: "
                    f"{printable(error)}; mend the file, then run the month again"
                ) from error
            yield _broken(name, f"{name}: {error}")
            return
        if kind in ("Catalog", "Collection"):
            return
        for item in features:
            if isinstance(item, dict) and item.get("type") == "Feature":
                yield joined(item, str(file.parent))
            else:
                yield _broken(name, f"{name}: not a STAC item")


def _may_match(item: dict[str, Any], area: BaseGeometry, start: datetime, end: datetime) -> bool:
    """Whether place and time match; true where they cannot be read, so that it is recorded."""
    try:
        if not start <= item_time(item) < end:
            return False
        return bool(cut_at_180(footprint(item.get("geometry"))).intersects(area))
    except SceneRejected:
        return True


def _broken(name: str, reason: str) -> dict[str, Any]:
    return {"id": name[-200:], UNREADABLE: printable(reason, 200)}
