"""How often an object store is asked: each time takes 20 to 50 ms there."""

import asyncio
from threading import Thread

import pytest
import s3_server
from conftest import aws_environment, free_port
from test_store import commit

from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import s3_options


@pytest.fixture
def asked(monkeypatch):
    """The S3 API in this process: its URL, and a list of what it is asked for."""
    seen, port = [], free_port()
    real = s3_server.answer

    def answer(method, target, headers, body):
        seen.append(f"{method} {target}")
        return real(method, target, headers, body)

    async def serve(reader, writer):
        clients[asyncio.current_task()] = writer
        await s3_server.serve(reader, writer)

    async def end():
        server.close()
        for writer in clients.values():
            writer.close()
        await asyncio.gather(*clients)

    monkeypatch.setattr(s3_server, "answer", answer)
    monkeypatch.setattr(s3_server, "buckets", {"b": {}})
    clients, loop = {}, asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", port))
    thread = Thread(target=loop.run_forever)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    aws_environment(monkeypatch, url)
    yield url, seen
    asyncio.run_coroutine_threadsafe(end(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_opening_and_beginning_ask_an_object_store_for_no_manifest(tiny, asked):
    url, seen = asked
    layout = layout_of(tiny.region)
    commit(open_cube("s3://b/cube", layout, s3_options(url)).begin("2024-06"), 6)
    seen.clear()
    cube = open_cube("s3://b/cube", layout, s3_options(url))
    assert len(seen) <= 10, seen
    for month, requests in ("2024-06", 2), ("2024-07", 5):
        seen.clear()
        cube.begin(month)
        assert len(seen) <= requests, seen
        assert not [one for one in seen if "/manifests/" in one]
