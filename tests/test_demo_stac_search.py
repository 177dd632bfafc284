"""Item search of the demo's STAC API over HTTP, against plain Python over the same items."""

import json
from urllib.error import HTTPError

import cql2
import pytest
from demo_api import COLLECTION, ITEMS, get, ids, post, wanted
from hypothesis import given, settings
from hypothesis import strategies as st

from neve.demo.stac_api import serve


@pytest.fixture(scope="module")
def url():
    with serve(ITEMS) as address:
        yield address


def both(url, parameters, body, test):
    """GET and POST give what plain Python gives, and count it right."""
    expected = wanted(test)
    for answer in (
        get(f"{url}/search", limit=100, **parameters),
        post(url, {"limit": 100, **body}),
    ):
        assert ids(answer) == expected
        assert answer["numberMatched"] == answer["numberReturned"] == len(expected)


def test_ids_and_collections(url):
    both(
        url,
        {"ids": "item-03,item-12"},
        {"ids": ["item-03", "item-12"]},
        lambda it: it["id"] in ("item-03", "item-12"),
    )
    both(
        url,
        {"collections": "other"},
        {"collections": ["other"]},
        lambda it: it["collection"] == "other",
    )
    assert ids(post(url, {"collections": ["nowhere"]})) == []


def touches(it, west, south, east, north):
    """Whether an item's boxes touch a box: plain comparisons, ring by ring."""
    for (ring,) in it["geometry"]["coordinates"]:
        (w, s), (e, n) = ring[0], ring[2]
        if w <= east and e >= west and s <= north and n >= south:
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8, 10.5, 12, 179, 179.9, -180, -179.9, -170]),
    st.sampled_from([-20, -16.5, 0, 40.5, 42]),
    st.sampled_from([0, 0.5, 1.5, 20, 359]),
    st.sampled_from([0, 0.25, 60]),
)
def test_bbox(url, west, south, width, height):
    east, north = west + width, south + height
    spans = [(west, east)] if east <= 180 else [(west, 180), (-180, east - 360)]
    box = [west, south, spans[-1][1], north]
    text = ",".join(map(str, box))
    both(
        url,
        {"bbox": text},
        {"bbox": box},
        lambda it: any(touches(it, w, south, e, north) for w, e in spans),
    )


def test_bbox_with_heights_and_intersects(url):
    both(
        url,
        {"bbox": "10,40,-5,10.5,40.5,900"},
        {"bbox": [10, 40, -5, 10.5, 40.5, 900]},
        lambda it: touches(it, 10, 40, 10.5, 40.5),
    )
    line = {"type": "LineString", "coordinates": [[10.5, 39], [10.5, 44]]}
    both(
        url,
        {"intersects": json.dumps(line)},
        {"intersects": line},
        lambda it: touches(it, 10.5, 39, 10.5, 44),
    )


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024-01-03T10:00:00Z", "03", "03"),
        ("2024-01-03T10:00:00Z/2024-01-05T10:00:00Z", "03", "05"),
        ("2024-01-03T12:00:00+02:00/2024-01-05T11:59:59+02:00", "03", "04"),
        ("2024-01-03T10:00:01Z/..", "04", "99"),
        ("../2024-01-03T09:59:59.999Z", "00", "02"),
        ("/2024-01-03T10:00:00Z", "00", "03"),
        ("2024-01-11T00:00:00Z/", "11", "99"),
    ],
)
def test_datetime(url, text, low, high):
    both(url, {"datetime": text}, {"datetime": text}, lambda it: low <= it["id"][-2:] <= high)


@pytest.mark.parametrize(
    ("operator", "value", "test"),
    [
        ("eq", 21, lambda v: v == 21),
        ("neq", 21, lambda v: v != 21),
        ("lt", 21, lambda v: v < 21),
        ("lte", 21, lambda v: v <= 21),
        ("gt", 21, lambda v: v > 21),
        ("gte", 21, lambda v: v >= 21),
        ("in", [7, 21], lambda v: v in (7, 21)),
        ("lt", "text", lambda v: False),
    ],
)
def test_query(url, operator, value, test):
    query = {"eo:cloud_cover": {operator: value}, "platform": {"startsWith": "s2"}}
    both(
        url,
        {"query": json.dumps(query)},
        {"query": query},
        lambda it: (
            "eo:cloud_cover" in it["properties"] and test(it["properties"]["eo:cloud_cover"])
        ),
    )


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("eo:cloud_cover < 20", lambda p: p.get("eo:cloud_cover", 99) < 20),
        ("NOT (eo:cloud_cover < 20)", lambda p: p.get("eo:cloud_cover", -1) >= 20),
        ("eo:cloud_cover IS NULL", lambda p: "eo:cloud_cover" not in p),
        (
            "eo:cloud_cover > 40 OR platform = 's2a'",
            lambda p: p.get("eo:cloud_cover", 0) > 40 or p["platform"] == "s2a",
        ),
        (
            "datetime >= TIMESTAMP('2024-01-05T00:00:00Z') AND platform LIKE '%b'",
            lambda p: p["datetime"] > "2024-01-05" and p["platform"] == "s2b",
        ),
        ("nothing = 1", lambda p: False),
    ],
)
def test_filter(url, text, test):
    body = cql2.parse_text(text).to_json()
    both(url, {"filter": text}, {"filter": body}, lambda it: test(it["properties"]))
    both(
        url,
        {"filter": json.dumps(body), "filter-lang": "cql2-json"},
        {"filter": text, "filter-lang": "cql2-text"},
        lambda it: test(it["properties"]),
    )


def test_filter_by_place(url):
    text = "S_INTERSECTS(geometry, POLYGON((10.2 40.2, 10.8 40.2, 10.8 40.8, 10.2 40.2)))"
    assert ids(get(f"{url}/search", filter=text, limit=100)) == wanted(
        lambda it: touches(it, 10.2, 40.2, 10.8, 40.8)
    )


def test_sortby_numbers_and_missing_last(url):
    key = "properties.eo:cloud_cover"
    cover = {it["id"]: it["properties"].get("eo:cloud_cover") for it in ITEMS}
    known = sorted((v, k) for k, v in cover.items() if v is not None)
    missing = ["item-11", "item-12"]
    rising = [{"field": key, "direction": "asc"}, {"field": "id", "direction": "asc"}]
    falling = [{"field": key, "direction": "desc"}, {"field": "id", "direction": "asc"}]
    for text, body, expected in [
        (f"{key},id", rising, sorted(known)),
        (f"-{key},+id", falling, sorted(known, key=lambda pair: (-pair[0], pair[1]))),
    ]:
        order = [name for _, name in expected] + missing
        assert ids(get(f"{url}/search", sortby=text, limit=100)) == order
        assert ids(post(url, {"sortby": body, "limit": 100})) == order


def test_fields(url):
    body = {"include": ["properties.eo:cloud_cover", "geometry"], "exclude": ["links"]}
    expected = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "item-02",
        "collection": COLLECTION,
        "geometry": ITEMS[1]["geometry"],
        "properties": {"eo:cloud_cover": 14},
    }
    assert post(url, {"ids": ["item-02"], "fields": body})["features"] == [expected]
    text = "eo:cloud_cover,geometry,-links"
    assert get(f"{url}/search", ids="item-02", fields=text)["features"] == [expected]
    (less,) = get(f"{url}/search", ids="item-02", fields="-assets,-properties.platform")["features"]
    assert "assets" not in less and set(less["properties"]) == {"datetime", "eo:cloud_cover"}
    (whole,) = get(f"{url}/search", ids="item-02")["features"]
    assert whole["properties"] == ITEMS[1]["properties"]


def test_paging(url):
    body = {"limit": 5, "query": {"platform": {"neq": "x"}}}
    pages, link = [], {"href": f"{url}/search", "body": body}
    while link:
        answer = post(link["href"].removesuffix("/search"), link["body"])
        pages.append(ids(answer))
        assert answer["numberMatched"] == 12 and answer["numberReturned"] == len(pages[-1])
        link = next((one for one in answer["links"] if one["rel"] == "next"), None)
    assert list(map(len, pages)) == [5, 5, 2] and [
        name for page in pages for name in page
    ] == wanted(lambda it: True)
    href, seen = f"{url}/collections/{COLLECTION}/items?limit=4&bbox=0,0,20,60", []
    while href:
        answer = get(href)
        seen += ids(answer)
        href = next((one["href"] for one in answer["links"] if one["rel"] == "next"), None)
    assert seen == wanted(lambda it: it["collection"] == COLLECTION and it["id"] < "item-10")


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 5, 3, 4]},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"intersects": {"type": "Nonsense"}},
        {"datetime": "2024-01-03"},
        {"datetime": "yesterday"},
        {"datetime": "2024-02-01T00:00:00Z/2024-01-01T00:00:00Z"},
        {"limit": 0},
        {"limit": "many"},
        {"token": "-1"},
        {"query": {"platform": {"like": "s2%"}}},
        {"filter": {"op": "nope", "args": [1]}},
        {"filter": "eo:cloud_cover <", "filter-lang": "cql2-text"},
        {"sortby": [{"direction": "asc"}]},
        {"cloud_cover": 3},
    ],
)
def test_what_makes_no_sense_is_refused(url, body):
    with pytest.raises(HTTPError) as refused:
        post(url, body)
    with refused.value as answer:
        assert answer.code == 400
        assert json.load(answer)["description"]
