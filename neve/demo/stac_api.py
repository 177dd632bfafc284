"""Run the local STAC API: a context manager around a server thread on the loopback address.

Belongs here: starting and stopping. Does not belong here: what is served (``stac_routes``).
"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.middleware import Middleware

from neve.demo.stac_items import Item
from neve.demo.stac_routes import make_app

STARTUP_SECONDS, SHUTDOWN_SECONDS = 10, 5


def read_items(folder: Path) -> list[Item]:
    """The items that ``write_scenes`` left in a folder (``<id>/<id>.json``), by id."""
    paths = (place / f"{place.name}.json" for place in sorted(folder.iterdir()) if place.is_dir())
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


@contextmanager
def serve(
    source: Path | Sequence[Item], port: int = 0, middleware: Sequence[Middleware] = ()
) -> Iterator[str]:
    """Serve a folder of scenes, or items as they are, and yield the API's URL (no end slash).

    Of a folder the files are served too, under ``/files``, and the items' hrefs are absolute.
    Port 0 takes a free one. OSError if the port is taken. On leaving, the server has stopped.
    """
    folder = source if isinstance(source, Path) else None
    items = read_items(source) if isinstance(source, Path) else source
    app = make_app(items, folder, middleware)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait_for(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"The demo STAC API did not start within {STARTUP_SECONDS} s.")
        time.sleep(0.005)
