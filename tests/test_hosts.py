"""Where a hostile item, name or server may not send us: this machine, private networks, metadata.

Real servers on loopback; each counts what it is asked.
"""

import io
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import requests
import urllib3
from demo_api import item
from images import UTM33, north_up, scene, write_image
from loopback import Handler, Loopback, running
from pystac import Link
from pystac_client.exceptions import APIError
from requests.structures import CaseInsensitiveDict

from neve.catalog.asking import Asking, Patience
from neve.catalog.opening import open_catalog
from neve.compositing.composite import compose
from neve.compositing.recipe import Recipe
from neve.errors import AskPerson, BlockFailed, CatalogUnavailable, ReadFailed, SceneRejected
from neve.grid import Grid
from neve.reading.connections import get, pool_manager
from neve.reading.image import open_image, read_window
from neve.reading.ranges import Hiccup, Reads, fetch
from neve.reading.rasters import Raster
from neve.scenes.hosts import named, private
from neve.scenes.hrefs import Reach, checked_href
from neve.scenes.values import Asset

HASTY = Reads(attempts=2, pause=0.01, timeout=5)
OURS = ("127.0.0.1",)
PRIVATE = [
    "127.0.0.1", "127.1", "0.0.0.0", "0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.254.0251.254", "169.254.43518",
    "0x7f.1", "017700000001", "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1.",
    "[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]", "[ff02::1]", "[fec0::1]", "[::ffff:0:7f00:1]",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "data.example.com", "[2a00:1450:4001::1]", "134744072", "10.example.com"]


@pytest.mark.parametrize("host", PRIVATE)
def test_items_name_no_private_address_in_any_form(host):
    href = f"http://{host}/a.tif"
    with pytest.raises(SceneRejected, match="private address; if that is meant, name the host"):
        checked_href(href, Reach())
    with pytest.raises(SceneRejected):  # a catalogue elsewhere, a folder
        checked_href(href, Reach(home="api.example.com"))
    assert checked_href(href, Reach(hosts=(host.lower(),)))
    with pytest.raises(ReadFailed, match="private address"):
        fetch(href, [(0, 9)], False, HASTY)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_hosts_pass(host):
    assert not private(host)
    assert checked_href(f"https://{host}/a.tif", Reach())


def test_a_region_names_its_hosts_and_all_others_are_refused():
    reach = Reach(home="api.example.com", hosts=("*.example.org", "bucket"))
    for href in ("https://api.example.com/a", "https://x.Example.org/a", "s3://bucket/a"):
        assert checked_href(href, reach) == href
    for host in ("example.org", "xexample.org", "example.org.evil.test", "8.8.8.8"):
        assert not named(host, reach.trusted)
        with pytest.raises(SceneRejected, match=r"hosts are \*.example.org, bucket"):
            checked_href(f"https://{host}/a.tif", reach)


class Web(Loopback):
    """Serves one file, but at some paths a page or a redirect; keeps the paths asked for."""

    def __init__(self, body: bytes = b"", moved: dict[str, str] | None = None) -> None:
        super().__init__(_Page)
        self.body, self.moved, self.asked = body, moved or {}, list[str]()
        self.headers = list[dict[str, str]]()
        self.pages: dict[str, object] = {}

    def at(self, host: str, path: str = "/a.tif") -> str:
        return f"http://{host}:{self.server_port}{path}"


class _Page(Handler):
    protocol_version = "HTTP/1.0"  # no request by the connection of another
    server: Web

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        self.server.headers.append(dict(self.headers))
        first, last = map(int, self.headers.get("Range", "bytes=0-9")[6:].split("-"))
        part = self.server.body[first : last + 1]
        if path in self.server.moved:
            self.send_response(302)
            self.send_header("Location", self.server.moved[path])
            part = b""
        elif path in self.server.pages:
            self.send_response(200)
            part = json.dumps(self.server.pages[path]).encode()
        else:
            self.send_response(206)
            span = f"bytes {first}-{first + len(part) - 1}/{len(self.server.body)}"
            self.send_header("Content-Range", span)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()


@contextmanager
def web(body: bytes = b"", moved: dict[str, str] | None = None) -> Iterator[Web]:
    server = Web(body, moved)
    with running(server):
        yield server


def images(folder: Path) -> dict[str, Path]:
    """A COG that is read raw, and two that GDAL reads (LZW, JPEG 2000)."""
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + 1
    at = north_up(500_000, 5_000_000, 10)
    jp2 = {"driver": "JP2OpenJPEG", "compress": None, "predictor": None, "nodata": None}
    return {
        "raw": write_image(folder / "raw.tif", pixels, at),
        "lzw": write_image(folder / "lzw.tif", pixels, at, compress="lzw"),
        "jp2": write_image(folder / "jp2.jp2", pixels, at, **jp2),
    }


@pytest.mark.parametrize("kind", ["raw", "lzw", "jp2"])
def test_a_redirect_ends_before_the_second_request(tmp_path, kind):
    body = images(tmp_path)[kind].read_bytes()
    with web(body) as secret, web(body) as first:
        away = {
            "/other": secret.at("localhost"),  # another name, not the one that a person named
            "/metadata": "http://169.254.169.254/latest/meta-data/",
            "/decimal": secret.at("2130706433"),
            "/file": "file:///etc/passwd",
            "/user": secret.at("u:hidden@127.0.0.1"),
            "/escape": "ftp://data.example.com/\x1b[2J",
            "/steer": "http://data\x1b.example.com/a.tif",
            "/bent": "http://[::1/a.tif",
            "/again": "/again",
            "/near": "/a.tif",
        }
        first.moved.update(away)
        for path in away:
            asset = Asset(first.at("127.0.0.1", path + "?sig=hidden"), hosts=OURS)
            first.asked.clear()
            if path == "/near":
                assert open_image(asset, UTM33, HASTY).levels[0].width == 64
                continue
            with pytest.raises(ReadFailed) as caught:
                open_image(asset, UTM33, HASTY)
            assert "redirect" in str(caught.value) and "hidden" not in str(caught.value)
            assert str(caught.value).isprintable()
            assert first.asked == [path] * (6 if path == "/again" else 1)
        assert secret.asked == []
        # Where both are named, it is followed.
        asset = Asset(first.at("127.0.0.1", "/other"), hosts=(*OURS, "localhost"))
        assert open_image(asset, UTM33, HASTY).levels[0].width == 64
        assert secret.asked


def test_a_redirect_may_lead_back_to_the_host_that_the_item_named():
    with web(b"0123456789") as first, web() as second:
        first.moved = {"/a.tif": second.at("localhost", "/b.tif")}
        second.moved = {"/b.tif": first.at("127.0.0.1", "/c.tif")}
        pool = pool_manager((*OURS, "localhost"), 2, 1)
        asked = {"Range": "bytes=0-3"}
        with closing(get(pool, first.at("127.0.0.1"), asked, 5, ("localhost",))) as answer:
            assert answer.read() == b"0123"
        first.moved["/c.tif"] = second.at("127.0.0.2")  # neither named, nor the item's
        with pytest.raises(ReadFailed, match=r"another host, 127.0.0.2"):
            get(pool, first.at("127.0.0.1"), asked, 5, ("localhost",))
        pool.clear()


@pytest.mark.parametrize("place", ["http://data.example.com/a", "ftp://data.example.com/a"])
def test_a_redirect_never_leaves_https(place):
    """No server here has a certificate: its answer alone is given."""
    moved = urllib3.HTTPResponse(status=302, headers={"Location": place})
    pool = urllib3.PoolManager()
    with (
        patch.object(pool, "request", lambda *_, **__: moved),
        pytest.raises(ReadFailed, match="no safe URL"),
    ):
        get(pool, "https://data.example.com/a.tif", {}, 5, ())


@pytest.mark.parametrize("place", ["web", "folder"])
def test_files_that_name_further_files_are_not_opened(tmp_path, place):
    inner = images(tmp_path)["raw"]
    with web(inner.read_bytes()) as secret:
        source = f"/vsicurl/{secret.at('127.0.0.1')}" if place == "web" else str(inner)
        text = (
            '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS>'
            "<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>"
            '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>'
            f"{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        file = tmp_path / "a.tif"
        file.write_text(text)
        assert open_image(Asset(str(inner)), UTM33, HASTY)
        for opening in (
            lambda: open_image(Asset(str(file)), UTM33, HASTY),
            lambda: Raster(str(file), HASTY),
        ):
            with pytest.raises(ReadFailed):
                read_window(opening(), (0, 0), (64, 64))
        assert secret.asked == []


def test_a_redirect_in_the_middle_of_an_image_is_refused_too(tmp_path):
    """The header is served, the tiles are sent elsewhere: within a composite."""
    pixels = np.random.default_rng(1).integers(1, 9000, (256, 256)).astype(np.uint16)
    at = north_up(500_000, 5_000_000, 10)
    classes = np.full((256, 256), 4, np.uint8)
    sound = scene(tmp_path, "s1", {"red": (pixels, at), "scl": (classes, at)})
    path = Path(sound.assets["red"].href)
    with web() as secret, web(path.read_bytes()) as first:
        counted = {"n": 0}

        class Turning(dict[str, str]):
            def __contains__(self, key: object) -> bool:
                counted["n"] += 1
                return counted["n"] > 1

            def __getitem__(self, key: str) -> str:
                return secret.at("localhost")

        first.moved = Turning()
        asset = replace(sound.assets["red"], href=first.at("127.0.0.1"), hosts=OURS)
        bad = replace(sound, assets=sound.assets | {"red": asset})
        with pytest.raises(BlockFailed, match="redirected to another host, localhost"):
            compose(Grid(UTM33, 10, 500_000, 5_000_000, 128, 128), [bad], Recipe(("red",)), HASTY)
        assert secret.asked == []


def test_a_name_that_resolves_to_a_private_address_is_refused_unless_named(monkeypatch, tmp_path):
    """Whatever it resolved to when it was looked at: the address that is reached counts."""
    body = images(tmp_path)["raw"].read_bytes()
    plain = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: plain(
            "127.0.0.1" if host == "data.example.com" else host, *more, **options
        ),
    )
    with web(body) as server:
        href = server.at("data.example.com")
        assert checked_href(href, Reach()) == href
        for fresh in (False, True):
            with pytest.raises(ReadFailed, match=r"data.example.com has the private address 127"):
                fetch(href, [(0, 9)], fresh, HASTY)
        assert server.asked == []
        trusting = replace(HASTY, hosts=("data.example.com",))
        assert fetch(href, [(0, 9)], False, trusting)[0] == [body[:9]]


@pytest.mark.parametrize("hosts", [(), ("other",), ("bucket",), ("*.bucket", "bucket")])
def test_only_buckets_that_a_person_named_see_our_credentials(hosts, monkeypatch):
    with web(b"0123456789") as server:
        for key, value in {
            "AWS_ENDPOINT_URL": server.at("127.0.0.1", ""), "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "hidden",
        }.items():  # fmt: skip
            monkeypatch.setenv(key, value)
        for fresh in (False, True):
            reads = replace(HASTY, hosts=hosts, timeout=5 + len(hosts) / 10)
            with suppress(Hiccup, ReadFailed):
                fetch("s3://bucket/a.tif", [(0, 9)], fresh, reads)
        assert len(server.headers) == 2
        for headers in server.headers:
            assert ("authorization" in map(str.lower, headers)) == ("bucket" in hosts)
            assert "bucket" in hosts or "mine" not in str(headers)


SEARCH = {"rel": "search", "method": "POST", "type": "application/geo+json"}


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


def _root(home):
    return {
        "type": "Catalog", "id": "c", "description": "d", "stac_version": "1.0.0",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"],
        "links": [SEARCH | {"href": home}],
    }  # fmt: skip


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
