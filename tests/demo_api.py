"""Small items on known days and places, and plain calls of a STAC API, for the demo's tests."""

import json
from urllib.parse import urlencode
from urllib.request import Request, urlopen

COLLECTION = "sentinel-2-l2a"


def item(number, west, south, **properties):
    """A small item: a box of 1° on day ``number`` of January 2024; cut where it passes 180°."""
    east, north = west + 1, south + 1
    spans = [(west, east)] if east <= 180 else [(west, 180), (-180, east - 360)]
    rings = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans]
    geometry = {"type": "MultiPolygon", "coordinates": rings}
    when = f"2024-01-{number:02d}T10:00:00Z"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{number:02d}",
        "collection": properties.pop("collection", COLLECTION),
        "geometry": geometry,
        "bbox": [spans[0][0], south, spans[-1][1], north],
        "properties": {"datetime": when, **properties},
        "links": [],
        "assets": {"red": {"href": f"https://example.test/{number}.tif"}},
    }


ITEMS = [
    *(
        item(
            k,
            10 + k % 4,
            40 + k % 3,
            **{"eo:cloud_cover": 7 * k % 50, "platform": f"s2{'ab'[k % 2]}"},
        )
        for k in range(1, 10)
    ),
    item(10, 179.5, -17, **{"eo:cloud_cover": 1, "platform": "s2a"}),
    item(11, -179.8, -17, platform="s2b"),
    item(12, 10, 40, collection="other", platform="s2a"),
]


def get(url, **params):
    with urlopen(f"{url}?{urlencode(params)}" if params else url, timeout=10) as answer:
        return json.load(answer)


def post(url, body, raw=None):
    data = raw if raw is not None else json.dumps(body).encode()
    request = Request(f"{url}/search", data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def ids(answer):
    return [feature["id"] for feature in answer["features"]]


def wanted(test):
    """Ids of the items that pass a plain Python test, newest first."""
    return [it["id"] for it in sorted(ITEMS, key=lambda it: it["id"], reverse=True) if test(it)]
