"""A server in this process: where it listens, and stopping it.

Belongs here: sockets, uvicorn, the folders of the page. Does not belong here: routes.
"""

import asyncio
import socket
from collections.abc import Callable

import h11
import icechunk as ic
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from neve import page
from neve.errors import AskPerson
from neve.serving import answers
from neve.serving.app import create_app

# Connections: more are answered 503. Seconds: after one or two of these without progress one ends.
MOST_AT_ONCE, IDLE = 512, 10
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def run(
    repository: ic.Repository,
    name: str,
    address: tuple[str, int],
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a cube until the process is told to stop; ``ready`` gets the URL when it answers.

    ``address``: host and port (0: any free one). Names other than the host's own are refused
    unless it listens on every interface. Raises ``AskPerson`` where it cannot listen.
    """
    host, port = address
    hosts = ["*"] if host in ("0.0.0.0", "::") else [*LOOPBACK, host]
    app = create_app(repository, name, hosts, page.STATIC, page.vendor())
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise AskPerson(
            f"cannot listen on {host}:{port}: {error.strerror}; name another"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}/"
    _Server(configured(app), lambda: ready(url)).run(sockets=[listening])


def configured(app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves a cube to anybody, with the security headers on every answer."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="warning",
        server_header=False,
        headers=list(answers.SECURITY.items()),
        limit_concurrency=MOST_AT_ONCE,
    )


class _Server(uvicorn.Server):
    """A server that tells when it has warmed up and answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


class Connection(H11Protocol):
    """One that ends where nothing is asked or taken: uvicorn's would wait for ever.

    Of h11, which bounds a request's headers (16 KiB).
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and watch."""
        super().connection_made(transport)
        self._watch(())

    def _watch(self, before: tuple[object, ...]) -> None:
        untaken = self.transport.get_write_buffer_size()
        now = (self.cycle, untaken)
        answering = self.cycle is not None and not self.cycle.response_complete
        if now == before and (untaken or not answering):
            self.transport.abort()
        elif self in self.connections:
            self.loop.call_later(IDLE, self._watch, now)

    def send_400_response(self, msg: str) -> None:
        """Of what is no HTTP: uvicorn's answer to it has no headers of ours."""
        headers = [*answers.SECURITY.items(), ("Content-Type", "text/plain")]
        parts = (
            h11.Response(status_code=400, headers=[*headers, ("Connection", "close")]),
            h11.Data(msg.encode()),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        self.transport.close()
