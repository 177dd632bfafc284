"""How much is taken from a STAC API, and how long it is waited for."""

import gzip
import io
import json
import time
import tracemalloc
from types import SimpleNamespace

import pytest
import requests
import urllib3
from catalogs import AREA, COLLECTION, _days, _faulty
from pystac_client.exceptions import APIError
from starlette.responses import Response

from neve.catalog import asking
from neve.catalog.api import StacApi
from neve.errors import CatalogUnavailable


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
