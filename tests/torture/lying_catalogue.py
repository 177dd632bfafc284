"""A STAC API that lies: what may befall single items, and whole answers.

An item's fault says which features are served instead, and which of them a careful reader takes.
"""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping, shape
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from neve.demo.stac_api import serve

Item = dict[str, Any]
Served = tuple[list[Item], bool]  # features, and whether the observation still counts

JUNK: tuple[Any, ...] = (None, True, 7, -1e300, "x", "", [], {}, [[1]], {"a": {"b": []}}, "٣" * 300)


def changed(item: Item, *path: str, to: Any) -> Item:
    made = copy.deepcopy(item)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return made


def duplicate(item: Item, chance: random.Random) -> Served:
    return [item] * chance.randint(2, 4), True


def older_copy(item: Item, chance: random.Random) -> Served:
    older = changed(item, "properties", "s2:generation_time", to="2020-01-01T00:00:00Z")
    served = [item, older | {"id": f"{item['id']}_old"}]
    return chance.sample(served, 2), True


def broken_newer_copy(item: Item, chance: random.Random) -> Served:
    newer = changed(item, "properties", "s2:generation_time", to="2030-01-01T00:00:00Z")
    newer["id"] += "_new"  # before it is broken: that may be what breaks
    broken, _ = chance.choice(REJECTED)(newer, chance)
    return chance.sample([item, *broken], 2), True


def halves(item: Item, chance: random.Random) -> Served:
    """Two datastrips of the same pixels: one day with the same values."""
    area = shape(item["geometry"])
    west, south, east, north = area.bounds
    cut = west + (east - west) * chance.uniform(0.3, 0.7)
    strip = item["properties"]["s2:datastrip_id"]
    other = re.sub(r"_S([0-9]{8})T[0-9]{6}_", r"_S\1T235959_", strip)
    assert other != strip
    parts = []
    for name, box in (("", (west, south, cut, north)), ("_b", (cut, south, east, north))):
        half = changed(item, "geometry", to=mapping(shapely.intersection(area, shapely.box(*box))))
        half["id"] += name
        half["properties"]["s2:datastrip_id"] = other if name else strip
        parts.append(half)
    return parts, True


def harmless(item: Item, chance: random.Random) -> Served:
    """Nonsense where nobody looks."""
    field_ = chance.choice(["links", "bbox", "stac_extensions"])
    return [item | {field_: chance.choice(JUNK)}], True


def another_month(item: Item, chance: random.Random) -> Served:
    return [changed(item, "properties", "datetime", to="2024-05-31T23:59:59.999Z")], False


def no_datetime(item: Item, chance: random.Random) -> Served:
    junk = [*JUNK, "2024-06-31T10:00:00Z", "2024-06-03T10:00:00", "0001-01-01T00:00:00Z"]
    return [changed(item, "properties", "datetime", to=chance.choice(junk))], False


def missing_asset(item: Item, chance: random.Random) -> Served:
    made = copy.deepcopy(item)
    del made["assets"][chance.choice(["red", "nir", "scl"])]
    return [made], False


def wrong_transform(item: Item, chance: random.Random) -> Served:
    asset = chance.choice(["red", "nir", "scl"])
    right = item["assets"][asset]["proj:transform"]
    far, rotated, flipped = [*right], [*right], [*right]
    far[chance.choice([2, 5])] += chance.choice([-1, 1]) * 10 ** chance.uniform(5.5, 300)
    rotated[1] = 0.1
    flipped[4] *= -1
    wrong = [far, rotated, flipped, right[:5], [0] * 6, [str(n) for n in right], *JUNK[1:]]
    return [changed(item, "assets", asset, "proj:transform", to=chance.choice(wrong))], False


def wrong_place(item: Item, chance: random.Random) -> Served:
    """A geometry that no granule has, among them huge ones."""
    world = [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]
    many = [[[12 + k * 1e-6, 45 + k % 7 * 1e-3] for k in range(30_000)]]
    far = [[[100, 0], [101, 0], [101, 1], [100, 1], [100, 0]]]
    rings = chance.choice([world, many, far, [], [[]], [[[12, 45]]], [[["a", "b"]] * 4]])
    geometry = chance.choice([{"type": "Polygon", "coordinates": rings}, *JUNK])
    return [changed(item, "geometry", to=geometry)], False


def wrong_type(item: Item, chance: random.Random) -> Served:
    path = chance.choice(
        [
            ("id",), ("properties",), ("assets",), ("assets", "red"), ("assets", "scl"),
            ("assets", "red", "href"), ("assets", "nir", "href"), ("properties", "proj:epsg"),
            ("assets", "red", "proj:shape"), ("properties", "s2:processing_baseline"),
        ]
    )  # fmt: skip
    # Absent is allowed for the last two; a short text is an id, or a relative href.
    junk = [one for one in JUNK if one is not None and one != "x"]
    return [changed(item, *path, to=chance.choice(junk))], False


REJECTED = (no_datetime, missing_asset, wrong_transform, wrong_place, wrong_type)
FAULTS = (duplicate, older_copy, broken_newer_copy, halves, harmless, another_month, *REJECTED)


@dataclass
class Lies:
    """What an API says of its pages: the numbers are those of searches, from 0."""

    kind: str = ""
    at: int = 0
    count: int = 1
    kept: list[Item] = field(default_factory=list)

    # A reader gets over these, and must not believe those.
    PASSING = ("", "busy", "repeat")
    HELD = ("fewer", "dead", "empty", "cut", "not json", "no features")

    def answer(self, n: int, page: Item) -> Response:
        self.kept.append(page)
        if self.kind == "fewer":
            page = page | {"numberMatched": page["numberMatched"] + self.count}
        if self.kind == "busy" and self.at <= n < self.at + self.count:
            return Response(status_code=(502, 503, 429)[n % 3])
        if self.kind == "dead" and n >= self.at:
            return Response(status_code=502)
        if n == self.at:
            match self.kind:
                case "repeat" if n:  # the link leads to this very page once more
                    page = page | {"links": self.kept[n - 1]["links"]}
                case "empty":
                    page = {}
                case "cut":
                    page = page | {"features": page["features"][:-1], "links": []}
                case "not json":
                    return Response("<html>busy</html>")
                case "no features":
                    page = page | {"features": None}
        return JSONResponse(page)


@contextmanager
def lying(folder: Path, served: dict[str, list[Item]], lies: Lies) -> Iterator[str]:
    """The API over a folder's scenes; ``served``: an item's id → what is served in its place."""
    seen = [0]
    total = len({json.dumps(one, sort_keys=True) for ones in served.values() for one in ones})

    async def tamper(request: Request, call_next: Callable[..., Any]) -> Response:
        response = await call_next(request)
        if not request.url.path.endswith("/search"):
            return response
        page = json.loads(b"".join([part async for part in response.body_iterator]))
        features = [new for old in page["features"] for new in located(served[old["id"]], old)]
        n, seen[0] = seen[0], seen[0] + 1
        return lies.answer(n, page | {"features": features, "numberMatched": total})

    with serve(folder, middleware=[Middleware(BaseHTTPMiddleware, dispatch=tamper)]) as url:
        yield url


def located(items: Sequence[Item], shown: Item) -> list[Item]:
    """The items with the hrefs that the API shows, where they still have hrefs of ours."""
    made = copy.deepcopy(list(items))
    for item in made:
        assets = item["assets"] if isinstance(item["assets"], dict) else {}
        for name, asset in assets.items():
            href = asset.get("href") if isinstance(asset, dict) else None
            if isinstance(href, str) and href.startswith("./"):
                asset["href"] = shown["assets"][name]["href"]
    return made
