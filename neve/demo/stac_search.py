"""STAC item search over items in memory: what a request asks for.

Belongs here: turning a request into a ``Search``, all of item-search with its query, sort, fields
and filter extensions. A parameter that is not understood is refused, never ignored. Does not belong
here: finding the items (``stac_index``) and HTTP (``stac_routes``).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cql2
import shapely
from shapely import MultiPoint
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from neve.demo.stac_items import Item

Interval = tuple[datetime | None, datetime | None]

DEFAULT_LIMIT, MAX_LIMIT = 10, 10_000
DEFAULT_ORDER = (("properties.datetime", True), ("id", False))
PARAMETERS = {
    *("ids", "collections", "bbox", "intersects", "datetime", "query", "sortby", "fields"),
    *("filter", "filter-lang", "filter-crs", "limit", "token"),
}
FILTER_CRS = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
FILTER_OPERATORS = {
    *("and", "or", "not", "=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "^", "%", "div"),
    *("like", "between", "in", "isNull", "casei", "accenti"),
}
FILTER_PREFIXES = ("s_", "t_", "a_")
QUERY_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value == wanted,
    "neq": lambda value, wanted: value != wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "startsWith": lambda value, wanted: value.startswith(wanted),
    "endsWith": lambda value, wanted: value.endswith(wanted),
    "contains": lambda value, wanted: wanted in value,
    "in": lambda value, wanted: value in wanted,
}


class BadRequest(ValueError):
    """A request that the API refuses with status 400; the message says what is wrong with it."""


@dataclass(frozen=True)
class Search:
    """What is asked for; None or empty means no restriction."""

    ids: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = None
    area: BaseGeometry | None = None
    interval: Interval = (None, None)
    query: tuple[tuple[str, str, Any], ...] = ()
    filter: cql2.Expr | None = None
    order: tuple[tuple[str, bool], ...] = DEFAULT_ORDER  # field, descending
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: int = DEFAULT_LIMIT
    offset: int = 0


def from_url(params: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a GET request in the form that a POST body has; BadRequest if malformed."""
    body: dict[str, Any] = dict(params)
    try:
        for name in {"ids", "collections"} & body.keys():
            body[name] = [part for part in params[name].split(",") if part]
        if "bbox" in body:
            body["bbox"] = [float(part) for part in params["bbox"].split(",")]
        if body.get("filter-lang") == "cql2-json" and "filter" in body:
            body["filter"] = json.loads(params["filter"])
        for name in {"intersects", "query"} & body.keys():
            body[name] = json.loads(params[name])
    except ValueError as error:
        raise BadRequest(f"Malformed parameter: {error}") from error
    if "filter" in body:
        body.setdefault("filter-lang", "cql2-text")
    if "sortby" in body:
        body["sortby"] = [
            {"field": part.lstrip("+- "), "direction": "desc" if part[:1] == "-" else "asc"}
            for part in params["sortby"].split(",")
        ]
    if "fields" in body:
        parts = [part for part in params["fields"].split(",") if part]
        body["fields"] = {
            "include": [part.lstrip("+ ") for part in parts if part[0] != "-"],
            "exclude": [part[1:] for part in parts if part[0] == "-"],
        }
    return body


def parse(body: Mapping[str, Any]) -> Search:
    """A Search of a POST body; BadRequest if it makes no sense."""
    if unknown := body.keys() - PARAMETERS:
        raise BadRequest(f"Unknown parameters: {', '.join(sorted(unknown))}.")
    if "bbox" in body and "intersects" in body:
        raise BadRequest("Give bbox or intersects, not both.")
    try:
        fields = body.get("fields") or {}
        return Search(
            ids=tuple(body["ids"]) if "ids" in body else None,
            collections=tuple(body["collections"]) if "collections" in body else None,
            area=_area(body),
            interval=parse_interval(body["datetime"]) if "datetime" in body else (None, None),
            query=tuple(_query(body.get("query") or {})),
            filter=_filter(body) if "filter" in body else None,
            order=tuple(
                (part["field"], part.get("direction", "asc") == "desc")
                for part in body.get("sortby") or ()
            )
            or DEFAULT_ORDER,
            include=tuple(fields.get("include") or ()),
            exclude=tuple(fields.get("exclude") or ()),
            limit=_whole("limit", body.get("limit", DEFAULT_LIMIT), 1, MAX_LIMIT),
            offset=_whole("token", body.get("token", 0), 0, None),
        )
    except BadRequest:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
        raise BadRequest(f"Malformed request: {error!r}") from error


def _whole(name: str, value: Any, low: int, high: int | None) -> int:
    number = int(value)
    if number < low:
        raise BadRequest(f"{name} must be {low} or more, not {number}.")
    return number if high is None else min(number, high)


def _area(body: Mapping[str, Any]) -> BaseGeometry | None:
    if "intersects" in body:
        return shape(body["intersects"])
    if "bbox" not in body:
        return None
    bbox = [float(edge) for edge in body["bbox"]]
    if len(bbox) not in (4, 6):
        raise BadRequest(f"bbox needs 4 or 6 numbers, not {len(bbox)}.")
    half = len(bbox) // 2
    west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
    if south > north:
        raise BadRequest(f"bbox has its south edge {south} north of its north edge {north}.")
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    # A hull is a point or a line where a box would be a degenerate polygon.
    return shapely.union_all(
        [MultiPoint([(x, y) for x in ends for y in (south, north)]).convex_hull for ends in spans]
    )


def parse_interval(text: str) -> Interval:
    """RFC 3339 instant or interval (``a/b``, ``a/..``, ``/b``) → both ends, None where open."""
    ends = [None if part in ("", "..") else parse_instant(part) for part in text.split("/")]
    if len(ends) > 2 or (len(ends) == 1 and ends[0] is None):
        raise BadRequest(f"datetime is neither an instant nor an interval: {text!r}.")
    start, end = ends[0], ends[-1]
    if start is not None and end is not None and start > end:
        raise BadRequest(f"datetime ends before it starts: {text!r}.")
    return start, end


def parse_instant(text: str) -> datetime:
    """RFC 3339 date and time with its offset."""
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        raise BadRequest(f"Not an RFC 3339 time (date, time and offset): {text!r}.")
    return moment.astimezone(UTC)


def _query(query: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for field, conditions in query.items():
        for operator, wanted in conditions.items():
            if operator not in QUERY_OPERATORS:
                raise BadRequest(f"Unknown query operator {operator!r} on {field!r}.")
            yield field, operator, wanted


def _filter(body: Mapping[str, Any]) -> cql2.Expr:
    text = body.get("filter-lang", "cql2-json") == "cql2-text"
    if body.get("filter-crs", FILTER_CRS) != FILTER_CRS:
        raise BadRequest(f"filter-crs must be {FILTER_CRS}.")
    try:
        expression = cql2.parse_text(body["filter"]) if text else cql2.Expr(body["filter"])
        expression.validate()
    except Exception as error:  # cql2 raises bare Exception too
        raise BadRequest(f"Malformed filter: {error}") from error
    for operator in _operators(expression.to_json()):
        if operator not in FILTER_OPERATORS and not operator.startswith(FILTER_PREFIXES):
            raise BadRequest(f"Unknown filter operator {operator!r}.")
    return expression


def _operators(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "op" in node:
            yield node["op"]
        for part in node.values():
            yield from _operators(part)
    elif isinstance(node, list):
        for part in node:
            yield from _operators(part)


def value_of(item: Item, field: str) -> Any:
    """A field by its name, with or without ``properties.``; None if the item has none."""
    if field in item:
        return item[field]
    return item["properties"].get(field.removeprefix("properties."))
