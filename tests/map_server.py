"""A real map server over HTTP for tests: uvicorn on a free port, in a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from neve.cube.places import open_repository
from neve.serving import answers
from neve.serving.app import create_app
from neve.serving.running import configured

# affine 3 warns where rasterix, below xpublish-tiles, still multiplies with *
AFFINE = "ignore:Use `@` matmul:PendingDeprecationWarning"


@contextmanager
def running(app) -> Iterator[httpx.Client]:
    """A client of an ASGI application that is served over HTTP while the context lasts."""
    server = uvicorn.Server(configured(app))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def map_server(store: str, page: Path | None = None) -> Iterator[httpx.Client]:
    """A client of the map server of one cube."""
    with running(create_app(open_repository(store), store, ["127.0.0.1"], page)) as client:
        yield client


def secure(headers) -> bool:
    held = {name.lower(): value for name, value in headers.items()}
    return all(held.get(name.lower()) == value for name, value in answers.SECURITY.items())
