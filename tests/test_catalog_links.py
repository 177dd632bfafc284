"""Links and redirects of a STAC API: to no other host, by no other method, with no secrets."""

import io
from unittest.mock import patch

import pytest
import requests
import urllib3
from demo_api import item
from pystac import Link
from pystac_client.exceptions import APIError
from requests.structures import CaseInsensitiveDict
from web_server import web

from neve.catalog.asking import Asking, Patience
from neve.catalog.opening import open_catalog
from neve.errors import AskPerson, CatalogUnavailable

SEARCH = {"rel": "search", "method": "POST", "type": "application/geo+json"}


def _root(home):
    return {
        "type": "Catalog", "id": "c", "description": "d", "stac_version": "1.0.0",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"],
        "links": [SEARCH | {"href": home}],
    }  # fmt: skip


@pytest.mark.parametrize("how", ["search", "next", "redirect"])
def test_a_catalogue_leads_to_no_other_host(how):
    with web() as secret, web() as api:
        away, home = secret.at("localhost", "/search"), api.at("127.0.0.1", "/search")
        root = _root(away if how == "search" else home)
        page = {
            "type": "FeatureCollection", "features": [item(1, 12, 45)], "numberMatched": 2,
            "links": [{"rel": "next", "href": away}] if how == "next" else [],
        }  # fmt: skip
        api.pages = {"/": root, "/search": page}
        api.moved = {"/search": away} if how == "redirect" else {}
        catalog = open_catalog(api.at("127.0.0.1", ""))
        with pytest.raises(CatalogUnavailable, match="link to another host"):
            catalog.search("sentinel-2-l2a", (10, 40, 20, 50), "2024-01")
        assert api.asked and secret.asked == []


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
def test_a_link_asks_only_for_what_a_search_needs(method, monkeypatch, tmp_path):
    """No other method, no headers, and POST and the password of the catalogue's host stay home."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with web() as other, web() as api:
        home, named_too = api.at("127.0.0.1", "/search"), other.at("localhost", "/search")
        link = {"rel": "next", "href": named_too, "headers": {"X-Evil": "1"}, "body": {"a": 1}}
        page = {"type": "FeatureCollection", "features": [item(1, 12, 45)], "numberMatched": 2}
        last = page | {"features": [item(2, 12, 45)], "links": []}
        api.pages = {"/": _root(home), "/search": page | {"links": [link | {"method": method}]}}
        other.pages = {"/search": last}
        catalog = open_catalog(api.at("127.0.0.1", ""), ("localhost",))
        with pytest.raises(CatalogUnavailable, match=f"asks for '{method}'"):
            catalog.search("sentinel-2-l2a", (10, 40, 20, 50), "2024-01")
        assert other.asked == []
        api.pages["/search"] = page | {"links": [link]}
        assert len(catalog.search("sentinel-2-l2a", (10, 40, 20, 50), "2024-01")) == 2
        assert all("Authorization" in headers for headers in api.headers)
        assert [{"X-Evil", "Authorization"} & set(headers) for headers in other.headers] == [set()]


@pytest.mark.parametrize("how", ["next", "redirect"])
def test_a_catalogue_never_leaves_https(how):
    """No server here has a certificate: what is asked is only looked at."""
    asked = Asking("https://api.test", ("api.test",), Patience(1, 0, 0))
    moved = requests.Response()
    moved.status_code, moved.headers = 302, CaseInsensitiveDict({"Location": "http://api.test/b"})
    moved.raw = urllib3.HTTPResponse(io.BytesIO(), preload_content=False)
    place = "https://api.test/a" if how == "redirect" else "http://api.test/a"
    with (
        patch.object(asked.session, "request", lambda *_, **__: moved),
        pytest.raises(APIError, match=r"http://api\.test/.' is no https"),
    ):
        asked.read_text(Link("next", place))


@pytest.mark.parametrize("url", ["https://me:hidden@api.test/v1", "https://api.test/v1?t=hidden"])
def test_a_catalogue_with_credentials_in_its_url_is_refused_without_showing_them(url):
    with pytest.raises(AskPerson, match="netrc") as caught:
        open_catalog(url)
    assert "hidden" not in str(caught.value)
