"""The map server over HTTP: what it refuses, keeps, hands out, and how it starts and ends."""

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import icechunk as ic
import pytest
import zarr
from fastapi import FastAPI
from map_server import AFFINE, map_server, running
from served_cube import centre, client, cube, tile_of

from neve import page
from neve.cube.places import open_repository
from neve.errors import CubeMismatch, MetadataInvalid
from neve.serving import answers, describing, desk, views
from neve.serving import running as rooms
from neve.serving.app import create_app
from neve.serving.files import add_page
from neve.serving.views import Views

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


def test_what_a_snapshot_names_is_kept_and_branches_are_asked_again(client, cube):
    tip = cube.cube().tip()
    place = "/".join(map(str, (13, *tile_of(*centre(client), 13))))
    for path in (f"/tiles/{{}}/red/{place}.png", "/zarr/{}/zarr.json", "/api/months?at={}"):
        fixed, moving = client.get(path.format(tip)), client.get(path.format("main"))
        holds = "public, max-age=" + ("31536000, immutable" if "zarr" in path else "86400")
        assert fixed.headers["cache-control"] == holds
        assert moving.headers["cache-control"] == "no-cache"
        assert moving.content == fixed.content
        again = client.get(path.format("main"), headers={"If-None-Match": moving.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        other = client.get(path.format("first"), headers={"If-None-Match": moving.headers["etag"]})
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/cube?at=nowhere", 404),
        ("/api/cube?at=1CECHNKREP0F1RSTCMT0", 404),
        ("/api/cube?at=..%2F..", 422),
        ("/api/cube?expression=1", 422),
        (f"/api/cube?at=staging.{63 * 'r'}.2024-06", 404),
        (f"/api/cube?at={80 * 'r'}", 422),
        ("/api/blocks?month=2023-01", 422),
        ("/api/blocks?month=June", 422),
        ("/api/pixel?lon=0&lat=0&variable=NDVI", 422),
        ("/api/pixel?lon=nan&lat=0&variable=NDVI", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=NDVI&level=3x", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=spatial_ref", 422),
        ("/edr/main/position?coords=POINT(0 0)&parameter-name=NDVI", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NOPE", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&crs=EPSG:3857", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&f=netcdf", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&datetime=June", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&datetime=2030-01", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=" + "NDVI," * 30, 422),
        ("/edr/main/position?coords=MULTIPOINT((12 45),(12 46))&parameter-name=NDVI", 422),
        ("/edr/nowhere/position?coords=POINT(12.07 45.53)&parameter-name=NDVI", 404),
        ("/edr/main/area?coords=POLYGON((0 0,1 1,1 0,0 0))", 404),
        ("/tiles/main/NOPE/5/1/1.png", 422),
        ("/tiles/main/red,green/5/1/1.png", 422),
        ("/tiles/main/red/5/32/1.png", 404),
        ("/tiles/main/red/23/1/1.png", 422),
        ("/tiles/main/red/-1/1/1.png", 422),
        ("/tiles/main/red/5/1/1.png?lo=1&hi=0", 422),
        ("/tiles/main/red/5/1/1.png?lo=nan", 422),
        ("/tiles/main/red/5/1/1.png?colormap=rainbowish", 422),
        ("/tiles/main/red/5/1/1.png?width=100000", 422),
        ("/tiles/main/red%2B1/5/1/1.png", 422),
        ("/legend/main/red.svg", 422),
        ("/legend/main/NDVI.png?lo=-1e308&hi=1e308", 422),
        ("/zarr/main/1x/red/c/x/0/0", 422),
        ("/zarr/main/1x/red/c/99999999999/0/0", 422),
        ("/zarr/main/1x/NDVI/c/%D9%A0/%D9%A0/%D9%A0", 422),
        ("/api/blocks?month=%D9%A2%D9%A0%D9%A2%D9%A4-%D9%A0%D9%A6", 422),
        ("/zarr/main/..%2F..%2Fetc%2Fpasswd", 422),
        ("/zarr/main/1x/.hidden", 422),
        ("/zarr/main/" + "a" * 400, 422),
        ("/nothing", 404),
        ("/datasets/main/tiles", 404),
    ],
)
def test_bad_input_is_refused_with_a_sentence(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["error"]) > 5
    assert answer.headers["cache-control"] == "no-store"
    assert "Traceback" not in answer.text


def test_what_was_not_foreseen_is_a_sentence_too(client, monkeypatch):
    monkeypatch.setattr(describing, "history", lambda view: 1 // 0)
    # uvicorn closes the connection after such an answer: the next test must not get it
    answer = client.get("/api/history", headers={"Connection": "close"})
    assert answer.status_code == 500
    assert "log" in answer.json()["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def secure(headers) -> bool:
    held = {name.lower(): value for name, value in headers.items()}
    return all(held.get(name.lower()) == value for name, value in answers.SECURITY.items())


def test_an_empty_repository_is_told_of_before_anything_listens(tmp_path):
    repository = ic.Repository.create(ic.local_filesystem_storage(str(tmp_path / "bare")))
    with pytest.raises(CubeMismatch, match=r"^bare: an empty repository"):
        create_app(repository, str(tmp_path / "bare"), ["*"])


def test_only_the_files_that_the_page_needs_are_handed_out(tmp_path):
    for name in ("uplot/LICENSE", "uplot/package.json", "zarrita/dist/src/a/b.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", "utf-8")
    app = FastAPI()
    add_page(app, page.STATIC, tmp_path)
    with running(app) as client:
        for path in (
            "/",
            "/page/app.js",
            "/vendor/uplot/LICENSE",
            "/vendor/zarrita/dist/src/a/b.js",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["cache-control"] == "no-cache"
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == (200 if path == "/" else 304)
        for path in (
            "uplot/package.json",
            "zarrita/dist/src/../../package.json",
            ".package-lock.json",
        ):
            assert client.get(f"/vendor/{path}").status_code == 404


def test_it_is_read_only_and_answers_its_own_page_alone(client):
    assert client.post("/api/cube").status_code == 405
    assert client.delete("/zarr/main/zarr.json").status_code == 405
    answer = client.get("/api/cube", headers={"Origin": "https://example.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    # a page elsewhere whose name was made to point here
    refused = client.get("/api/cube", headers={"Host": "evil.test"})
    assert refused.status_code == 400
    assert secure(refused.headers)
    assert "text/html" in client.get("/").headers["content-type"]


def test_only_the_last_few_snapshots_stay_open(cube, monkeypatch):
    monkeypatch.setattr("neve.serving.views.KEPT", 1)
    views = Views(open_repository(cube.store), "cube")
    main = views.at("main")
    assert views.at(main.snapshot) is main
    assert views.at("first") is not main
    assert views.at("main") is not main


@pytest.fixture
def slow(monkeypatch):
    """Opening any version but main's waits for an event; tells which ones it began to open."""
    go, begun, opened = threading.Event(), [], Views._opened

    def opening(self, snapshot):
        if self._open:
            begun.append(snapshot)
            assert go.wait(30)
        return opened(self, snapshot)

    monkeypatch.setattr(Views, "_opened", opening)
    yield SimpleNamespace(go=go, begun=begun)
    go.set()


def test_who_asks_for_an_open_version_waits_for_no_opening(cube, slow):
    with map_server(cube.store) as client, ThreadPoolExecutor(50) as visitors:
        ask = partial(client.get, "/api/cube?at=first", timeout=60)
        waiting = [visitors.submit(ask) for _ in range(50)]  # there are 40 threads
        until(lambda: slow.begun)
        for path in ("/api/cube", "/zarr/main/zarr.json", "/tiles/main/red/5/1/1.png"):
            assert client.get(path, timeout=20).status_code == 200
        assert not any(one.done() for one in waiting)
        slow.go.set()
        assert {one.result().status_code for one in waiting} == {200}
        assert len(slow.begun) == 1


def test_too_many_openings_are_sent_away(cube, monkeypatch):
    monkeypatch.setattr(views, "WAITING", 0)
    with map_server(cube.store) as client:
        refused = client.get("/api/cube?at=first")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert client.get("/api/cube").status_code == 200


def test_questions_that_take_long_wait_in_line_or_are_sent_away(cube, monkeypatch):
    go = threading.Event()

    def slowly(view):
        assert go.wait(60)
        return []

    monkeypatch.setattr(describing, "history", slowly)
    monkeypatch.setattr(desk, "AT_ONCE", 1)
    monkeypatch.setattr(desk, "WAITING", 1)
    with map_server(cube.store) as client, ThreadPoolExecutor(3) as visitors:
        asked = [visitors.submit(client.get, "/api/history") for _ in range(3)]
        until(lambda: any(one.done() for one in asked))  # one is told, one waits
        for path in (
            "/legend/main/red.png",
            "/api/diff?from=first",
            "/zarr/main/zarr.json",
            "/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=red",
        ):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2"), path
        assert client.get("/tiles/main/red/5/1/1.png").status_code == 200
        go.set()
        assert sorted(one.result().status_code for one in asked) == [200, 200, 503]


def until(found) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_store_that_fails_is_told_of_in_a_sentence(cube, tmp_path):
    shutil.copytree(cube.store, tmp_path / "cube")
    with map_server(str(tmp_path / "cube")) as client:
        shutil.rmtree(tmp_path / "cube" / "manifests")
        answer = client.get("/zarr/first/1x/red/c/0/0/0")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
        assert "did not answer" in answer.json()["error"]
        assert str(tmp_path) not in answer.text


def test_connections_on_which_nothing_comes_end_and_too_many_are_refused(cube, monkeypatch):
    monkeypatch.setattr(rooms, "IDLE", 0.3)
    monkeypatch.setattr(rooms, "MOST_AT_ONCE", 4)
    with map_server(cube.store) as client, ExitStack() as stack:
        address = (client.base_url.host, client.base_url.port)
        silent, trickling, third, fourth = (
            stack.enter_context(socket.create_connection(address, 20)) for _ in range(4)
        )
        refused = client.get("/api/cube")
        assert refused.status_code == 503
        assert secure(refused.headers)
        trickling.send(b"GET / HTTP/1.1\r\n")
        for one in (silent, third, fourth):
            assert one.recv(1) == b""
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() < began + 20:
                trickling.send(b"x")
                time.sleep(0.1)
        assert time.monotonic() < began + 15
        assert client.get("/api/cube").status_code == 200


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\nA: " + b"a" * 99_999])
def test_what_is_no_request_is_answered_with_the_headers_too(client, sent):
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as one:
        one.sendall(sent + b"\r\n\r\n")
        answer = http.client.HTTPResponse(one)
        answer.begin()
        assert answer.status == 400
        assert secure(dict(answer.getheaders()))


@pytest.mark.slow
def test_the_command_serves_and_stops_and_refuses_wrong_metadata(tiny):
    """Of an empty cube, too, there is something to tell."""
    cube = tiny.cube()
    program = str(Path(sys.executable).with_name("neve"))
    with subprocess.Popen(
        [program, "serve", tiny.store, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = server.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            assert httpx.get(f"{url}api/cube", timeout=30).json()["months"] == []
            assert httpx.get(f"{url}tiles/main/red/5/1/1.png").status_code == 422
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130)
    session = cube.repository.writable_session("main")
    group = zarr.open_group(session.store, path="4x", mode="r+")
    group.attrs["spatial:shape"] = [1, 1]
    session.commit("a slip")
    refused = subprocess.run(
        [program, "info", tiny.store], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 3, refused.stderr
    assert "/4x: spatial:shape is [1, 1]" in refused.stderr
    with pytest.raises(MetadataInvalid):
        Views(cube.repository, tiny.store).at("main")
