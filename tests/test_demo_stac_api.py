"""The demo's STAC API as clients meet it: pystac-client, GDAL, faults, start and stop."""

import socket
import threading
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import rasterio
from demo_api import COLLECTION, ITEMS, get, ids, post, wanted
from pystac_client import Client
from starlette.middleware import Middleware

from neve.demo.plan import DayPlan, ScenePlan, TilePlan
from neve.demo.scenes import write_scenes
from neve.demo.stac_api import serve


@pytest.fixture(scope="module")
def url():
    with serve(ITEMS) as address:
        yield address


def test_landing_page_and_collections(url):
    root = get(f"{url}/")
    assert root["type"] == "Catalog"
    assert "https://api.stacspec.org/v1.0.0/item-search#filter" in root["conformsTo"]
    methods = {link.get("method") for link in root["links"] if link["rel"] == "search"}
    assert methods == {"GET", "POST"}
    assert [c["id"] for c in get(f"{url}/collections")["collections"]] == [COLLECTION, "other"]
    assert get(f"{url}/collections/other")["id"] == "other"
    answer = get(f"{url}/collections/other/items")
    assert ids(answer) == ["item-12"]
    one = get(f"{url}/collections/other/items/item-12")
    assert {link["rel"] for link in one["links"]} == {"self", "root", "parent", "collection"}
    assert one["assets"] == ITEMS[-1]["assets"]


def test_every_link_of_the_landing_page_answers(url):
    for link in get(f"{url}/")["links"]:
        get(link["href"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pystac_client_pages_through(url, method):
    client = Client.open(url, timeout=10)
    search = client.search(
        method=method,
        collections=[COLLECTION],
        bbox=[5, 35, 20, 50],
        datetime="2024-01-02/2024-01-08",
        query={"eo:cloud_cover": {"lt": 40}},
        sortby="+properties.datetime",
        limit=2,
    )
    expected = [it["id"] for it in ITEMS[1:8] if it["properties"]["eo:cloud_cover"] < 40]
    assert len(expected) > 4
    assert [found.id for found in search.items()] == expected
    assert search.matched() == len(expected)
    assert client.get_collection(COLLECTION).id == COLLECTION
    text = client.search(method=method, filter="eo:cloud_cover < 20", filter_lang="cql2-text")
    assert [found.id for found in text.items()] == wanted(
        lambda it: it["properties"].get("eo:cloud_cover", 99) < 20
    )


def test_serves_the_files_of_a_folder(tmp_path):
    tile = TilePlan("33TTL", 268020, 5047800)
    plan = ScenePlan((tile,), (DayPlan("2024-06-03"),), resolution=240, size=48, bands=("red",))
    (written,) = write_scenes(tmp_path, plan)
    with serve(tmp_path) as address:
        (found,) = Client.open(address).search(bbox=written["bbox"], limit=2).items()
        assert found.datetime == datetime(2024, 6, 3, 10, 8, 27, 512000, tzinfo=UTC)
        href = found.assets["red"].href
        assert href == f"{address}/files/{found.id}/B04.tif"
        local = tmp_path / found.id / "B04.tif"
        with urlopen(Request(href, headers={"Range": "bytes=10-19"}), timeout=10) as part:
            assert part.status == 206 and part.read() == local.read_bytes()[10:20]
        alone = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
        with alone, rasterio.open(href) as far, rasterio.open(local) as near:
            assert (far.read(1) == near.read(1)).all()


class Broken:
    """Answers 503 to everything: how tests inject faults."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body"})


def test_faults_can_be_injected():
    with serve(ITEMS, middleware=[Middleware(Broken)]) as address:
        with pytest.raises(HTTPError) as refused:
            get(address)
        with refused.value as answer:
            assert answer.code == 503


def test_leaves_nothing_behind(capfd):
    before = threading.active_count()
    with serve(ITEMS) as address:
        get(address)
        port = int(address.rsplit(":", 1)[1])
        with pytest.raises(OSError), serve(ITEMS, port=port):
            pass
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with serve(ITEMS, port=port) as again:
        assert get(again)["type"] == "Catalog"
    assert capfd.readouterr() == ("", "")


def test_other_refusals(url):
    for call, code in [
        (lambda: post(url, None, b"{"), 400),
        (lambda: post(url, ["ids"]), 400),
        (lambda: get(f"{url}/search", bbox="a,b,c,d"), 400),
        (lambda: get(f"{url}/collections/none"), 404),
        (lambda: get(f"{url}/collections/{COLLECTION}/items/none"), 404),
        (lambda: get(f"{url}/nowhere"), 404),
    ]:
        with pytest.raises(HTTPError) as refused:
            call()
        with refused.value as answer:
            assert answer.code == code
