"""Find items in memory: which match a search, in what order, which fields of them are shown.

Belongs here: evaluating a ``Search``. Does not belong here: what a request means
(``stac_search``) and HTTP (``stac_routes``).
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import cql2
import numpy as np
from shapely import STRtree
from shapely.geometry import shape

from neve.demo.stac_items import Item
from neve.demo.stac_search import QUERY_OPERATORS, Interval, Search, parse_instant, value_of

REQUIRED_FIELDS = ("type", "stac_version", "id", "collection", "links")


class Index:
    """Items with a spatial index over their footprints; collections are those they name."""

    def __init__(self, items: Sequence[Item]) -> None:
        """Keep ``items`` in their order; each needs a geometry and a time."""
        self.items = list(items)
        shapes = [shape(item["geometry"]) for item in self.items]
        self._tree = STRtree(shapes)
        self._times = [_item_interval(item) for item in self.items]

    def find(self, search: Search) -> list[Item]:
        """Every matching item, in the order asked for (newest first unless said otherwise)."""
        candidates = range(len(self.items))
        if search.area is not None:
            candidates = np.sort(self._tree.query(search.area, predicate="intersects")).tolist()
        found = [
            self.items[k]
            for k in candidates
            if overlaps(self._times[k], search.interval) and matches(self.items[k], search)
        ]
        for field, descending in reversed(search.order):
            known = [item for item in found if value_of(item, field) is not None]
            missing = [item for item in found if value_of(item, field) is None]
            known.sort(key=lambda item: value_of(item, field), reverse=descending)
            found = known + missing
        return found


def _item_interval(item: Item) -> Interval:
    properties = item["properties"]
    if properties.get("datetime"):
        moment = parse_instant(properties["datetime"])
        return moment, moment
    return parse_instant(properties["start_datetime"]), parse_instant(properties["end_datetime"])


def overlaps(one: Interval, other: Interval) -> bool:
    """Whether two closed intervals meet; None is an open end."""
    (start, end), (begin, finish) = one, other
    before = end is not None and begin is not None and end < begin
    after = start is not None and finish is not None and start > finish
    return not before and not after


def matches(item: Item, search: Search) -> bool:
    """Whether an item meets all of a search but its area and time."""
    return (
        (search.ids is None or item["id"] in search.ids)
        and (search.collections is None or item["collection"] in search.collections)
        and all(_meets(value_of(item, field), op, wanted) for field, op, wanted in search.query)
        and (search.filter is None or _passes(item, search.filter))
    )


def _meets(value: Any, operator: str, wanted: Any) -> bool:
    if value is None:
        return False
    try:
        return QUERY_OPERATORS[operator](value, wanted)
    except (TypeError, AttributeError):  # values of another kind than what they are compared to
        return False


def _passes(item: Item, expression: cql2.Expr) -> bool:
    try:
        return bool(expression.matches(item))
    except Exception as error:
        # What is left over compares a property that the item has not: unknown, so no match.
        if "Could not reduce expression to boolean" in str(error):
            return False
        raise


def select_fields(item: Item, search: Search) -> Item:
    """The item reduced by the fields extension; ids and links always stay unless excluded."""
    shown = deepcopy(item)
    if search.include:
        shown = {name: shown[name] for name in REQUIRED_FIELDS if name in shown}
        for path in search.include:
            _copy(item, shown, path.split("."))
    for path in search.exclude:
        *parents, name = path.split(".") if path.split(".")[0] in item else ("properties", path)
        place: Any = shown
        for parent in parents:
            place = place.get(parent, {})
        place.pop(name, None)
    return shown


def _copy(source: Item, target: Item, path: list[str]) -> None:
    if path[0] not in source and path[0] != "properties" and "properties" in source:
        path = ["properties", ".".join(path)]
    for name in path[:-1]:
        if not isinstance(source.get(name), dict):
            return
        source, target = source[name], target.setdefault(name, {})
    if path[-1] in source:
        target[path[-1]] = deepcopy(source[path[-1]])
