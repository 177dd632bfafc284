"""A STAC API that stumbles is asked again; an answer that is not whole holds the month back."""

import pytest
from catalogs import AREA, COLLECTION, _days, _faulty, _ids
from starlette.responses import Response

from neve.catalog.api import StacApi
from neve.errors import CatalogUnavailable


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


def test_no_server_at_all():
    with pytest.raises(CatalogUnavailable, match=r"http://127\.0\.0\.1:1: .*check the URL"):
        StacApi("http://127.0.0.1:1", retries=1, pause=0).search(COLLECTION, AREA, "2022-03")
