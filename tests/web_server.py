"""A server on loopback that redirects as told and keeps what it is asked, and how it is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from loopback import Handler, Loopback, running

from neve.reading.ranges import Reads

HASTY = Reads(attempts=2, pause=0.01, timeout=5)
OURS = ("127.0.0.1",)


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
