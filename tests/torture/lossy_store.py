"""A proxy before an S3 API that answers some requests with an error, or not at all.

It stands where the network is: what it loses was carried out, or never arrived.
"""

import http.client
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from loopback import Handler, Loopback, running

# "500", "503": refused before it is carried out; "reset": the request is lost;
# "unheard": it is carried out and the connection closes without an answer; "denied": it is
# carried out and the answer is 500.
FAULTS = ("500", "503", "reset", "unheard", "denied")
CARRIED_OUT = ("unheard", "denied")
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}

Wish = Callable[[str, str], str]  # (method, path) → a fault, or ""


class Asked(NamedTuple):
    """A request: what befell it, and its status, 0 where it was not carried out."""

    method: str
    path: str
    fault: str
    status: int


class Lossy(Loopback):
    """Forwards to ``port``; ``wish`` says of each request what befalls it.

    ``after`` is called once after a request was carried out whose answer is then lost.
    """

    def __init__(self, port: int) -> None:
        super().__init__(_Handler)
        self.port = port
        self.wish: Wish = lambda method, path: ""
        self.after: Callable[[], object] = lambda: None
        self.asked: list[Asked] = []

    @property
    def lost(self) -> int:
        return sum(bool(one.fault) for one in self.asked)


class _Handler(Handler):
    server: Lossy

    def _forward(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with server.lock:
            fault = server.wish(self.command, self.path)
        arrives = fault in ("", *CARRIED_OUT)
        status, headers, answer = self._carry_out(body) if arrives else (0, [], b"")
        server.asked.append(Asked(self.command, self.path.split("?")[0], fault, status))
        if fault in CARRIED_OUT:
            then, server.after = server.after, lambda: None
            then()
        if fault in ("reset", "unheard"):
            self.close_connection = True
        elif fault:
            self._answer(*_error(fault))
        else:
            self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward

    def _carry_out(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            # The host stays what the client signed.
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP | {"date", "server"}:
                self.send_header(name, value)
        length = next((v for n, v in headers if n.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)


def _error(fault: str) -> tuple[int, list[tuple[str, str]], bytes]:
    code = "SlowDown" if fault == "503" else "InternalError"
    told = f"<Error><Code>{code}</Code><Message>by wish</Message></Error>".encode()
    return 503 if fault == "503" else 500, [], told


@contextmanager
def lossy(port: int) -> Iterator[Lossy]:
    server = Lossy(port)
    with running(server):
        yield server


def heard(asked: Sequence[Asked], end: str) -> bool:
    """Whether the store said, when it was written or at any later question, what became of the
    last PUT that it carried out of the object whose path ends so."""
    of_it = [one for one in asked if one.path.endswith(end) and one.status in (200, 206, 304)]
    last = max(n for n, one in enumerate(of_it) if one.method == "PUT")
    return any(not one.fault for one in of_it[last:])


def sometimes(chance: random.Random, rate: float, fault: str) -> Wish:
    return lambda method, path: fault if chance.random() < rate else ""


def the_nth(n: int, fault: str, method: str, end: str) -> Wish:
    """The nth request (from 0) of a method whose path ends so, and no other."""
    count = iter(range(-n, 1 << 30))

    def wish(asked: str, path: str) -> str:
        fits = asked == method and path.split("?")[0].endswith(end)
        return fault if fits and next(count) == 0 else ""

    return wish
