"""A range server that misbehaves on demand, for tests of failed reads."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Flaky(ThreadingHTTPServer):
    """Serves a folder; the first ``failures`` requests of a path fail in the way ``mode`` says.

    Modes: "500", "reset" (the connection closes unanswered), "html" (200 and a page), "short"
    (half of the body), "garbled" (right length, zeros), "elsewhere" (another range, said so),
    "stall" (no answer for a second and a half), "hang" (none until the client gives up;
    ``hung``: after how many seconds it did), "404". ``only``: paths that fail. ``rate``: this
    share of all requests fails too, by chance.
    """

    daemon_threads = True

    def __init__(self, folder: Path, mode: str, failures: int, only: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.mode, self.failures, self.only = folder, mode, failures, only
        self.rate, self.chance = 0.0, random.Random()
        self.requests: dict[str, int] = {}
        self.hung: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: object) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Flaky

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.requests[self.path] = server.requests.get(self.path, 0) + 1
            fails = server.only in self.path and server.requests[self.path] <= server.failures
            fails = fails or server.chance.random() < server.rate
        data = (server.folder / self.path.lstrip("/").split("?")[0]).read_bytes()
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        body = data[int(first) : int(last) + 1]
        if not fails:
            self._send(206, body, f"bytes {first}-{int(first) + len(body) - 1}/{len(data)}")
        elif server.mode == "reset":
            self.close_connection = True
        elif server.mode == "stall":
            time.sleep(1.5)
            self.close_connection = True
        elif server.mode == "hang":
            began = time.monotonic()
            self.connection.recv(1)
            server.hung.append(time.monotonic() - began)
            self.close_connection = True
        elif server.mode == "elsewhere":
            self._send(206, body, f"bytes {int(first) + 1}-{int(first) + len(body)}/{len(data)}")
        elif server.mode == "html":
            self._send(200, b"<html>The service is busy</html>")
        elif server.mode in ("short", "garbled"):
            bad = body[: len(body) // 2] if server.mode == "short" else bytes(len(body))
            self._send(206, bad, f"bytes {first}-{last}/{len(data)}", len(body))
            self.close_connection = True
        else:
            self._send(int(server.mode), b"no")

    def _send(self, status: int, body: bytes, span: str = "", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def flaky(
    folder: Path,
    mode: str = "500",
    failures: int = 0,
    only: str = "",
    rate: float = 0.0,
    seed: float = 0.0,
) -> Iterator[Flaky]:
    server = Flaky(folder, mode, failures, only)
    server.rate, server.chance = rate, random.Random(seed)
    with running(server):
        yield server


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread, and close the server at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
