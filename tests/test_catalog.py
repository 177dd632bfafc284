"""Catalogues: a real STAC API over HTTP, with faults, and a local folder; both give the same."""

import gzip
import io
import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from item_kinds import item_of
from pystac_client.exceptions import APIError
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response

from neve.catalog import asking
from neve.catalog.api import StacApi
from neve.catalog.opening import open_catalog
from neve.demo.stac_api import serve
from neve.errors import AskPerson, CatalogUnavailable
from neve.scenes.choosing import choose

AREA = (16.0, 44.0, 18.0, 45.5)
COLLECTION = "sentinel-2-l2a"
SHARED = Path(__file__).parents[2] / "shared" / "sentinel2-33TWL-33TWM-2023-08"
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


def _ids(found):
    return sorted(item["id"] for item in found)


def test_all_pages_of_a_search_arrive():
    items = _days(120)
    with serve(items) as url:
        found = open_catalog(url).search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == _ids(items)


def test_only_collection_place_and_month_asked_for():
    items = [
        _item("in"),
        _item("first", "2022-03-01T00:00:00Z"),
        _item("last", "2022-03-31T23:59:59.9Z"),
        _item("before", "2022-02-28T23:59:59.9Z"),
        _item("after", "2022-04-01T00:00:01Z"),
        _item("east", west=30.0),
        _item("south", south=-44.0),
        _item("other") | {"collection": "landsat"},
    ]
    with serve(items) as url:
        found = open_catalog(url).search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == ["first", "in", "last"]


def test_bounds_over_180_find_both_sides_and_nothing_between(tmp_path):
    items = [_item("west", west=178.5), _item("east", west=-179.5), _item("far", west=0.0)]
    items += [_item("over", west=179.5), _item("fiji-like", west=-178.0)]
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": items})
    )
    bounds = (179.0, 44.0, -179.0, 45.5)
    assert _ids(open_catalog(str(tmp_path)).search(COLLECTION, bounds, "2022-03")) == [
        "east", "over", "west",
    ]  # fmt: skip
    east_alone = open_catalog(str(tmp_path)).search(
        COLLECTION, (-179.9, 44.0, -179.6, 45.5), "2022-03"
    )
    assert _ids(east_alone) == ["over"]
    with serve([item for item in items if item["id"] != "over"]) as url:
        found = open_catalog(url).search(COLLECTION, bounds, "2022-03")
    assert _ids(found) == ["east", "west"]


def _busy_once(status):
    def answer(n, page):
        return Response(status_code=status) if n == 1 else page

    return answer


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_stumbles_between_pages_is_asked_again(status):
    items = _days(120)
    with _faulty(items, _busy_once(status)) as (catalog, seen):
        found = catalog.search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == _ids(items)
    assert seen[0] == 4  # three pages and one more try


def _said(**changes):
    return lambda n, page: page | changes


def _lost_page(n, page):
    return page | {"features": page["features"][:-1]} if n == 1 else page


def _empty_end(n, page):
    return page | {"features": [], "links": []} if n == 1 else page


LIES = {
    "always 502": (lambda n, page: Response(status_code=502), "502"),
    "more promised": (lambda n, page: page | {"numberMatched": 121}, "120 items came of 121"),
    "an item lost": (_lost_page, "119 items came of 120"),
    "ends early": (_empty_end, "50 items came of 120"),
    "empty object": (lambda n, page: {}, "without features"),
    "empty object later": (lambda n, page: {} if n == 2 else page, "without features"),
    "no features": (_said(features=None), "without features"),
    "a list": (lambda n, page: [1, 2], "catalogue"),
    "no JSON": (lambda n, page: Response("<html>"), "catalogue"),
    "a count as text": (_said(numberMatched="120"), "numberMatched is '120'"),
    "half a count": (_said(numberMatched=120.5), "numberMatched is 120.5"),
    "escapes": (lambda n, page: Response("\x1b[2J\r\nINFO done", 418), "HTTP 418:  [2J  INFO done"),
    "not found": (lambda n, page: Response(status_code=404), "catalogue"),
    "next is a file": (
        _said(links=[{"rel": "next", "href": "/etc/passwd"}]),
        "'/etc/passwd' is no http",
    ),
    "next is a file URL": (
        _said(links=[{"rel": "next", "href": "file:///etc/passwd"}]),
        "is no http",
    ),
}


@pytest.mark.parametrize(("answer", "words"), LIES.values(), ids=LIES)
def test_an_incomplete_answer_holds_the_month_back(answer, words):
    with _faulty(_days(120), answer) as (catalog, _), pytest.raises(CatalogUnavailable) as caught:
        catalog.search(COLLECTION, AREA, "2022-03")
    assert words in str(caught.value)
    assert catalog.name in str(caught.value) and "run the month again" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("packed", [True, False])
def test_a_page_is_not_taken_in_whatever_its_size(packed, monkeypatch):
    monkeypatch.setattr(asking, "_LARGEST", 1_000_000)
    body = b" " * 30_000_000
    headers = {"Content-Encoding": "gzip"} if packed else {}
    body = gzip.compress(body) if packed else body
    with (
        _faulty(_days(1), lambda n, page: Response(body, headers=headers)) as (catalog, _),
        pytest.raises(CatalogUnavailable, match="more than 1000000 bytes"),
    ):
        catalog.search(COLLECTION, AREA, "2022-03")


class Endless(io.RawIOBase):
    """Zeros for long; ``taken`` of them."""

    taken = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.taken += len(buffer)
        buffer[:] = bytes(len(buffer))
        return len(buffer) if self.taken < 50_000_000 else 0


def test_of_too_large_a_page_no_more_is_taken_than_tells_so(monkeypatch):
    monkeypatch.setattr(asking, "_LARGEST", 1_000_000)
    endless, packed = Endless(), io.BytesIO(gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    for body, encoding in ((endless, "identity"), (packed, "gzip")):
        answer = requests.Response()
        answer.headers["Content-Encoding"] = encoding
        answer.raw = urllib3.HTTPResponse(body, preload_content=False)
        with pytest.raises(APIError, match="more than 1000000 bytes"):
            asking._text(answer)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert endless.taken < 2_000_000
    assert most < 10_000_000


def test_a_server_does_not_say_how_long_is_waited_for_it(monkeypatch):
    waits = []
    monkeypatch.setattr(
        asking, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    )
    busy = {"Retry-After": "9" * 4000}
    said = lambda n, page: page if n else Response(status_code=503, headers=busy)  # noqa: E731
    with _faulty(_days(1), said) as (catalog, _):
        assert len(catalog.search(COLLECTION, AREA, "2022-03")) == 1
    assert waits == [catalog.longest_pause]


def test_pages_that_are_packed_are_unpacked():
    def answer(n, page):
        body = gzip.compress(json.dumps(page).encode())
        return Response(body, headers={"Content-Encoding": "gzip"})

    with _faulty(_days(120), answer) as (catalog, _):
        assert len(catalog.search(COLLECTION, AREA, "2022-03")) == 120


@pytest.mark.parametrize(
    ("bound", "words"),
    [("api._MOST_ITEMS", "more than 70 items"), ("asking._MOST", "more than 70 bytes"),
     ("asking._LONGEST", "longer than 0 seconds")],
)  # fmt: skip
def test_pages_that_never_end_are_given_up(bound, words, monkeypatch):
    monkeypatch.setattr(f"neve.catalog.{bound}", 0.3 if "LONGEST" in bound else 70)

    def answer(n, page):
        """Each page has an item of its own, and says that there is one more."""
        items = [page["features"][0] | {"id": f"{n}-{k}"} for k in range(10)]
        time.sleep(0.05)
        links = [{"rel": "next", "href": f"{catalog.name}/search?limit={n + 1}"}]
        return {"type": page["type"], "features": items, "links": links}

    with (
        _faulty(_days(1), answer) as (catalog, seen),
        pytest.raises(CatalogUnavailable, match=words),
    ):
        catalog.search(COLLECTION, AREA, "2022-03")
    assert seen[0] < 20


@pytest.mark.parametrize(
    ("field", "value"),
    [("file:size", "9" * 5000), ("href", "[" * 100_000 + "]" * 100_000),
     ("href", '{"]": ["\\\\", "\\"]", 5, ' * 50_000 + "0" + "]}" * 50_000)],
    ids=["endless", "deep", "deep with strings"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["api", "folder", "file"])
def test_one_item_that_python_cannot_parse_costs_that_item_alone(place, field, value, tmp_path):
    def text(items):
        page = {"type": "FeatureCollection", "features": items}
        return json.dumps(page).replace('"HUGE"', value)

    items = [_item("good"), _item("bad")]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = "https://data.example.com/a.tif"
    items[1]["assets"]["red"][field] = "HUGE"
    if place == "api":
        with _faulty(items, lambda n, page: Response(text(items))) as (catalog, _):
            found = catalog.search(COLLECTION, AREA, "2022-03")
    else:
        (tmp_path / "items.json").write_text(text(items))
        catalog = open_catalog(str(tmp_path if place == "folder" else tmp_path / "items.json"))
        found = catalog.search(COLLECTION, AREA, "2022-03")
    chosen = choose(found, ["red"], "2022-03", catalog.reach)
    assert [scene.id for scene in chosen.scenes] == ["good"]
    assert [name for name, _ in chosen.rejected] == ["bad"]


@pytest.mark.parametrize("damage", ["half", "latin", "deep", "no features", "missing"])
def test_a_collection_file_that_cannot_be_read_holds_the_month_back(damage, tmp_path):
    _folder(tmp_path, [_item("good")])
    whole = json.dumps({"type": "FeatureCollection", "features": [_item("a"), _item("b")]})
    file = tmp_path / "items.json"
    file.write_bytes(
        {
            "half": whole.encode()[:-9],
            "latin": whole.replace('"a"', '"\xe9"').encode("latin-1"),
            "deep": whole.replace('"a"', "[" * 100_000).encode(),
            "no features": b'{"type": "FeatureCollection", "features": null}',
            "missing": b'{"type": "FeatureCollection"}',
        }[damage]
    )
    for place in (tmp_path, file):
        with pytest.raises(CatalogUnavailable, match=r"items\.json: an item collection"):
            open_catalog(str(place)).search(COLLECTION, AREA, "2022-03")


def test_a_page_served_twice_counts_once():
    items, kept = _days(120), {}

    def answer(n, page):
        kept[n] = page
        return kept[0] | {"links": page["links"]} if n == 1 else page  # page 0 again: 50 are lost

    with (
        _faulty(items, answer) as (catalog, _),
        pytest.raises(CatalogUnavailable, match="70 items"),
    ):
        catalog.search(COLLECTION, AREA, "2022-03")

    def doubled(n, page):
        return page | {"features": page["features"] * 2}

    with _faulty(items, doubled) as (catalog, _):
        assert len(catalog.search(COLLECTION, AREA, "2022-03")) == 120


@pytest.mark.parametrize("told", [True, False])
def test_paging_in_circles_ends(told):
    first = {}

    def answer(n, page):
        first.setdefault("page", page)
        number = {} if told else {"numberMatched": None}
        return first["page"] | number

    many = pytest.raises(CatalogUnavailable, match="50 items came of")
    with _faulty(_days(120), answer) as (catalog, seen), many:
        catalog.search(COLLECTION, AREA, "2022-03")
    assert seen[0] == 3


def test_a_server_that_tells_no_number_is_believed():
    def answer(n, page):
        return {key: page[key] for key in ("type", "features", "links")}

    with _faulty(_days(120), answer) as (catalog, _):
        assert len(catalog.search(COLLECTION, AREA, "2022-03")) == 120


def test_a_server_that_stalls_is_given_up():
    def answer(n, page):
        time.sleep(1.5)
        return page

    with _faulty(_days(1), answer) as (catalog, _):
        hasty = StacApi(catalog.name, timeout=0.3, retries=0)
        start = time.monotonic()
        with pytest.raises(CatalogUnavailable, match="timed out"):
            hasty.search(COLLECTION, AREA, "2022-03")
        assert time.monotonic() - start < 1.4


def test_no_server_at_all():
    with pytest.raises(CatalogUnavailable, match=r"http://127\.0\.0\.1:1: .*check the URL"):
        StacApi("http://127.0.0.1:1", retries=1, pause=0).search(COLLECTION, AREA, "2022-03")


def test_a_month_without_scenes_is_an_answer_but_a_missing_collection_is_not():
    with serve(_days(3)) as url:
        catalog = open_catalog(url)
        assert catalog.search(COLLECTION, AREA, "2019-01") == []
        with pytest.raises(AskPerson, match="no collection 'sentinel-2-l3a'"):
            catalog.search("sentinel-2-l3a", AREA, "2022-03")


def test_an_api_may_not_hand_out_local_files(tmp_path):
    (tmp_path / "B04.tif").touch()
    items = [_item(name) for name in ("good", "absolute", "file", "virtual")]
    for item, href in zip(
        items[1:], [f"{tmp_path}/B04.tif", f"file://{tmp_path}/B04.tif", "/vsicurl/http://x/a.tif"],
        strict=True,
    ):  # fmt: skip
        item["assets"]["red"]["href"] = href
    with serve(items) as url:
        catalog = open_catalog(url)
        found = choose(
            catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach
        )
    assert [name for name, _ in found.rejected] == ["absolute", "file", "virtual"]
    assert all("may not name local files" in reason for _, reason in found.rejected)


def test_relative_hrefs_of_an_api_are_resolved_against_the_item():
    items = [_item("a")]
    items[0]["assets"]["red"]["href"] = "./B04.tif"

    def answer(n, page):
        for item in page["features"]:
            own = {"rel": "self", "href": "https://api.example.com/items/a"}
            item["links"] = [own]
        return page

    with _faulty(items, answer) as (catalog, _):
        found = choose(
            catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach
        )
    assert found.scenes[0].assets["red"].href == "https://api.example.com/items/B04.tif"


def _folder(tmp_path, items):
    for item in items:
        place = tmp_path / item["id"]
        place.mkdir()
        item["assets"]["red"]["href"] = "./B04.tif"
        (place / "item.json").write_text(json.dumps(item))
    return open_catalog(str(tmp_path))


def test_a_folder_gives_collection_place_and_month_asked_for(tmp_path):
    items = [
        _item("in"),
        _item("first", "2022-03-01T00:00:00Z"),
        _item("last", "2022-03-31T23:59:59.9Z"),
        _item("before", "2022-02-28T23:59:59.9Z"),
        _item("after", "2022-04-01T00:00:00Z"),
        _item("east", west=30.0),
        _item("other") | {"collection": "landsat"},
    ]
    catalog = _folder(tmp_path, items)
    found = catalog.search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == ["first", "in", "last"]
    chosen = choose(found, ["red"], "2022-03", catalog.reach)
    assert len(chosen.scenes) + len(chosen.rejected) == 3
    assert chosen.scenes[0].assets["red"].href == str(tmp_path / chosen.scenes[0].id / "B04.tif")


def test_items_of_a_folder_cannot_leave_it(tmp_path):
    inside = tmp_path / "catalogue"
    inside.mkdir()
    (tmp_path / "secret.tif").touch()
    items = [_item("up"), _item("absolute"), _item("link")]
    _folder(inside, items)
    (inside / "link" / "B04.tif").symlink_to(tmp_path / "secret.tif")
    for item, href in zip(items, ["../../secret.tif", str(tmp_path / "secret.tif")], strict=False):
        item["assets"]["red"]["href"] = href
        (inside / item["id"] / "item.json").write_text(json.dumps(item))
    catalog = open_catalog(str(inside))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [name for name, _ in found.rejected] == ["absolute", "link", "up"]
    assert all("lies outside" in reason for _, reason in found.rejected)


def test_unreadable_files_are_recorded_not_missed(tmp_path):
    catalog = _folder(tmp_path, [_item("good")])
    (tmp_path / "half.json").write_text('{"type": "Feature", "id"')
    (tmp_path / "latin.json").write_bytes(b'{"id": "\xe9"}')
    (tmp_path / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    (tmp_path / "note.json").write_text('"hello"')
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "id": "c", "links": []}')
    (tmp_path / "collection.json").write_text('{"type": "Collection", "id": "c"}')
    (tmp_path / "dead.json").symlink_to(tmp_path / "nowhere")
    broken = _item("null-time", None)
    (tmp_path / "null.json").write_text(json.dumps(broken))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert {name for name, _ in found.rejected} == {
        "half.json", "latin.json", "deep.json", "note.json", "dead.json", "null-time",
    }  # fmt: skip


def test_an_item_collection_file_is_a_catalogue_too(tmp_path):
    items = [_item("a"), _item("b")]
    items[0]["assets"]["red"]["href"] = "B04.tif"
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [*items, 5]}))
    catalog = open_catalog(str(path))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [name for name, _ in found.rejected] == ["a", "items.json"]  # b: the same granule
    assert catalog.reach.base == str(tmp_path)


@pytest.mark.parametrize("location", ["nowhere", "s3://bucket/items", "ftp://host/x"])
def test_a_location_that_cannot_be_a_catalogue_is_refused(location, tmp_path):
    with pytest.raises(AskPerson, match="catalogue"):
        open_catalog(location if "://" in location else str(tmp_path / location))


def test_a_folder_without_the_collection_asks_a_person(tmp_path):
    with pytest.raises(AskPerson, match="found: no items"):
        open_catalog(str(tmp_path)).search(COLLECTION, AREA, "2022-03")
    catalog = _folder(tmp_path, [_item("a")])
    with pytest.raises(AskPerson, match=f"found: {COLLECTION}"):
        catalog.search("sentinel-2-c1-l2a", AREA, "2022-03")
    assert catalog.search(COLLECTION, AREA, "2019-01") == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared scenes are not here")
def test_the_real_scenes_of_a_month():
    catalog = open_catalog(str(SHARED))
    south = catalog.search(COLLECTION, (15.2, 45.3, 16.2, 45.9), "2023-08")
    assert {item["id"][4:9] for item in south} == {"33TWL"}
    items = catalog.search(COLLECTION, (15.2, 45.3, 16.2, 46.2), "2023-08")
    found = choose(items, ["blue", "green", "red", "nir"], "2023-08", catalog.reach)
    assert len(found.scenes) == 10 and found.rejected == ()
    assert sorted({scene.day[-2:] for scene in found.scenes}) == ["10", "13", "15", "18", "20"]
    for scene in found.scenes:
        assert {asset.shift for asset in scene.assets.values()} == {0}
        assert all(Path(a.href).stat().st_size == a.size for a in scene.assets.values())
