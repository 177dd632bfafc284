"""Items of a place and a month, and their catalogues: an API that is tampered with, a folder."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from item_kinds import item_of
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response

from neve.catalog.api import StacApi
from neve.catalog.opening import open_catalog
from neve.demo.stac_api import serve

AREA = (16.0, 44.0, 18.0, 45.5)
COLLECTION = "sentinel-2-l2a"
Answer = Callable[[int, dict[str, Any]], Any]


def _item(name, when="2022-03-15T09:58:11Z", west=16.3, south=44.2):
    item = item_of("c1")
    east = west + 1 if west + 1 <= 180 else west - 359
    ring = [[west, south], [east, south], [east, south + 1], [west, south + 1], [west, south]]
    item |= {"id": name, "bbox": [west, south, east, south + 1]}
    item["geometry"]["coordinates"] = [ring]
    item["properties"]["datetime"] = when
    return item


def _days(count):
    return [_item(f"i{k:03d}", f"2022-03-{k % 28 + 1:02d}T10:00:00Z") for k in range(count)]


def _ids(found):
    return sorted(item["id"] for item in found)


@contextmanager
def _faulty(items, answer: Answer):
    """The API; ``answer(n, page)`` gives what its n-th search (from 0) says instead."""
    seen = [0]

    async def tamper(request, call_next):
        response = await call_next(request)
        if not request.url.path.endswith("/search"):
            return response
        body = b"".join([part async for part in response.body_iterator])
        said = answer(seen[0], json.loads(body))
        seen[0] += 1
        return said if isinstance(said, Response) else JSONResponse(said)

    with serve(items, middleware=[Middleware(BaseHTTPMiddleware, dispatch=tamper)]) as url:
        yield StacApi(url, timeout=5, retries=3, pause=0), seen


def _folder(tmp_path, items):
    for item in items:
        place = tmp_path / item["id"]
        place.mkdir()
        item["assets"]["red"]["href"] = "./B04.tif"
        (place / "item.json").write_text(json.dumps(item))
    return open_catalog(str(tmp_path))
