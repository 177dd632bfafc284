"""Many who ask the map server at once, or long, or say nothing: the rest is served, or waits."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from types import SimpleNamespace

import pytest
from map_server import AFFINE, map_server, secure
from served_cube import client, cube

from neve.cube.places import open_repository
from neve.serving import app as routes
from neve.serving import describing, desk, views
from neve.serving import running as rooms
from neve.serving.views import Views

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


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


@pytest.fixture
def abreast(monkeypatch):
    """Makes a function take a while; the list tells how many of it ran at each start."""
    now, met = [], []

    def watch(owner, name):
        real = getattr(owner, name)

        def slowly(*arguments, **options):
            now.append(name)
            met.append(len(now))
            time.sleep(0.2)
            try:
                return real(*arguments, **options)
            finally:
                now.pop()

        monkeypatch.setattr(owner, name, slowly)
        return met

    return watch


def test_versions_are_opened_a_few_at_a_time(cube, monkeypatch, abreast):
    monkeypatch.setattr(views, "AT_ONCE", 1)
    older = [commit.id for commit in cube.cube().history()[1:3]]
    with map_server(cube.store) as client, ThreadPoolExecutor(3) as visitors:
        met = abreast(Views, "_opened")
        found = visitors.map(client.get, [f"/zarr/{one}/zarr.json" for one in older])
        assert [answer.status_code for answer in found] == [200, 200]
        assert met == [1, 1]


def test_what_takes_much_memory_is_done_for_few_at_a_time(client, monkeypatch):
    for path, room, most in (
        ("/api/pixel?lon=12.07&lat=45.53&variable=red", (routes, "passport"), 2),
        ("/api/diff?from=first", (describing, "diff"), 1),
    ):
        go, begun = threading.Event(), []

        def slowly(*_, go=go, begun=begun, **__):
            begun.append(1)
            assert go.wait(60)

        monkeypatch.setattr(*room, slowly)
        with ThreadPoolExecutor(4) as visitors:
            asked = [visitors.submit(client.get, path) for _ in range(4)]
            until(lambda begun=begun, most=most: len(begun) == most)
            for _ in range(3):  # others are answered, and no further one of these begins
                assert client.get("/api/history").status_code == 200
            assert len(begun) == most
            go.set()
            assert [one.result().status_code for one in asked] == [200] * 4


def until(found) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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


def test_who_takes_no_answer_is_left_and_who_waits_for_one_is_not(cube, monkeypatch, abreast):
    monkeypatch.setattr(rooms, "IDLE", 0.05)  # of whole periods: an answer takes four
    with map_server(cube.store) as client, socket.socket() as greedy:
        abreast(describing, "history")
        assert client.get("/api/history").status_code == 200
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(20)
        greedy.connect((client.base_url.host, client.base_url.port))
        with pytest.raises(ConnectionError):
            while True:  # takes nothing
                greedy.sendall(b"GET /api/cube HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
