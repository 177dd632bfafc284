"""A server in this process: where it listens, and stopping it.

Belongs here: sockets, uvicorn, the folders of the page. Does not belong here: routes.
"""

import socket
from collections.abc import Callable

import icechunk as ic
import uvicorn

from neve import page
from neve.errors import AskPerson
from neve.serving.app import create_app

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
    config = uvicorn.Config(app, log_level="warning", server_header=False)
    server = _Server(config, lambda: ready(f"http://{shown}:{listening.getsockname()[1]}/"))
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that tells when it has warmed up and answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
