"""HTTP connections that reach public hosts, and those that a person named.

Belongs here: where a request may go, whatever a name resolves to and an answer redirects to.
Does not belong here: what is asked for and what is done with failures (``ranges``).
"""

import http.client
import io
import socket
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from neve.errors import ReadFailed
from neve.scenes.fields import printable
from neve.scenes.hosts import FIX, named, private
from neve.scenes.hrefs import shown

_MOVED = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_SLOWEST = 32 * 1024  # bytes a second


def pool_manager(hosts: tuple[str, ...], pools: int, maxsize: int) -> urllib3.PoolManager:
    """Pools whose connections end, before a request is sent, where an address is private.

    ``hosts``: names that may have private addresses. A whole answer has twice its timeout and a
    second for each 32 KiB.
    """

    class Plain(_Guarded, HTTPConnection):
        trusted = hosts

    class Secure(_Guarded, HTTPSConnection):
        trusted = hosts

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    manager = urllib3.PoolManager(pools, maxsize=maxsize)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager


class _Paced(io.RawIOBase):
    """The bytes of an answer, headers too; ``TimeoutError`` where they drip.

    A socket's own timeout begins anew with each byte.
    """

    def __init__(self, source: io.RawIOBase, timeout: float) -> None:
        self._source, self._until = source, time.monotonic() + 2 * timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._source.readinto(buffer)
        self._until += (count or 0) / _SLOWEST
        if time.monotonic() > self._until:
            raise TimeoutError(f"slower than {_SLOWEST} bytes a second")
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = io.BufferedReader(_Paced(self.fp.detach(), sock.gettimeout() or 0))


class _Guarded(HTTPConnection):
    """A connection that looks at whom it reached: a name may resolve anew at each look-up."""

    trusted: tuple[str, ...] = ()
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        check_host(self.host, self.trusted)
        connected = super()._new_conn()
        address = str(connected.getpeername()[0])
        if private(address) and not named(self.host, self.trusted):
            connected.close()
            raise ReadFailed(f"{self.host} has the private address {address}; {FIX}")
        return connected


def check_host(host: str, hosts: tuple[str, ...]) -> None:
    """Raise ``ReadFailed`` for a private address that no person named."""
    if private(host) and not named(host, hosts):
        raise ReadFailed(f"{host} is a private address; {FIX}")


def get(
    pool: urllib3.PoolManager,
    href: str,
    headers: dict[str, str],
    timeout: float,
    hosts: tuple[str, ...],
) -> urllib3.BaseHTTPResponse:
    """The answer to a GET, its body unread, after at most five redirects.

    A redirect leads to the same host, back to the first one or to one of ``hosts``, and never from
    https to http: else ``ReadFailed``, before the next request. Raises what urllib3 raises.
    """
    home = urlsplit(href).hostname or ""
    for _ in range(_MOST_REDIRECTS + 1):
        answer = pool.request(
            "GET",
            href,
            headers=headers,
            preload_content=False,
            timeout=timeout,
            retries=urllib3.Retry(0),
            redirect=False,
        )
        place = answer.headers.get("Location")
        if answer.status not in _MOVED or place is None:
            return answer
        answer.close()
        href = _redirected(href, place, home, hosts)
    raise ReadFailed(f"{shown(href)}: more than {_MOST_REDIRECTS} redirects")


def _redirected(href: str, place: str, home: str, hosts: tuple[str, ...]) -> str:
    try:
        target = urljoin(href, place)
        old, new = urlsplit(href), urlsplit(target)
        host = new.hostname or ""
    except ValueError as error:
        raise ReadFailed(f"{shown(href)}: redirected to no URL: {printable(error)}") from None
    schemes = ("https",) if old.scheme == "https" else ("http", "https")
    if new.scheme not in schemes or "@" in new.netloc:
        told = printable(shown(target))
        raise ReadFailed(f"{shown(href)}: redirected to {told}, which is no safe URL")
    if not host or (host not in (old.hostname, home) and not named(host, hosts)):
        raise ReadFailed(f"{shown(href)}: redirected to another host, {printable(host)}; {FIX}")
    return target
