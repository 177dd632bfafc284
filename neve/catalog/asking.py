"""One request to a STAC API: to whom, how, how much of an answer, for how long.

Belongs here: pystac-client's requests, within bounds. Does not belong here: what is asked for and
what the answers mean (``api``).
"""

import time
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from pystac import Link
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.adapters import HTTPAdapter

from neve.documents import parsed_json
from neve.reading.connections import pool_manager
from neve.scenes.hosts import FIX, named
from neve.scenes.hrefs import shown

_BUSY = (429, 500, 502, 503, 504)
_MOST_REDIRECTS = 5
_LARGEST = 50_000_000  # bytes of a page; 50 items are some 2 MB
_MOST, _LONGEST = 10**9, 3600.0  # bytes and seconds that all pages of a search may take


@dataclass(frozen=True)
class Patience:
    """Seconds without a byte, how often a request is tried again, the first pause, doubling.

    ``longest_pause``: seconds that one Retry-After may ask for.
    """

    timeout: float
    retries: int
    pause: float
    longest_pause: int = 60


class Asking(StacApiIO):
    """Follows links and redirects over HTTP to the catalogue's own host and those named alone.

    The library would open local files too, send what links ask for (methods, headers), and take
    answers of any size. ``home``: the catalogue's URL; only its host gets POSTs and what
    ``~/.netrc`` holds. Where it is https, everything is.
    """

    def __init__(self, home: str, hosts: tuple[str, ...], patience: Patience) -> None:
        super().__init__(timeout=patience.timeout)
        self._home, self._hosts, self._patience = urlsplit(home), hosts, patience
        self._until, self._left = time.monotonic() + _LONGEST, _MOST
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter(hosts))

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """The text behind a link or a URL. Raises ``APIError`` and what ``requests`` raises."""
        self._check(source.to_dict()["href"] if isinstance(source, Link) else str(source), "GET")
        return super().read_text(source, *args, **kwargs)

    def json_loads(self, txt: str, *args: Any, **kwargs: Any) -> Any:
        """See ``parsed_json``."""
        return parsed_json(txt)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer; ``headers`` that a link asks for are not sent."""
        method = (method or "GET").upper()
        for _ in range(_MOST_REDIRECTS + 1):
            self._check(href, method)
            status, place, text = self._persistent(href, method, parameters)
            if place is None:
                break
            href, parameters = urljoin(href, place), parameters if method == "POST" else None
        if not 200 <= status < 300:
            error = APIError(f"HTTP {status}: {text}")
            error.status_code = status
            raise error
        self._left -= len(text)
        if self._left < 0:
            raise APIError(f"answers of more than {_MOST} bytes")
        return text

    def _check(self, href: str, method: str) -> None:
        parts = urlsplit(href)
        if parts.scheme not in ("https", self._home.scheme):
            raise APIError(f"link to {shown(href)!r:.200} is no {self._home.scheme}(s) URL")
        if not named(parts.hostname or "", self._hosts):
            raise APIError(f"link to another host, {shown(href)!r:.200}; {FIX}")
        if method != "GET" and (method != "POST" or parts.hostname != self._home.hostname):
            raise APIError(
                f"link asks for {method!r:.20} of {shown(href)!r:.200}, which is not done"
            )

    def _persistent(
        self, href: str, method: str, parameters: dict[str, Any] | None
    ) -> tuple[int, str | None, str]:
        """Status, place of a redirect and text of the first answer of a server that is not busy."""
        for number in range(self._patience.retries + 1):
            wait = self._patience.pause * 2**number
            last = number == self._patience.retries
            if time.monotonic() > self._until:
                raise APIError(f"the search takes longer than {_LONGEST:.0f} seconds")
            try:
                with self._sent(href, method, parameters) as answer:
                    asked = answer.headers.get("Retry-After", "")
                    if answer.status_code not in _BUSY or last:
                        place = answer.headers.get("Location") if answer.is_redirect else None
                        return answer.status_code, place, _text(answer)
                if asked.isascii() and asked.isdecimal():
                    wait = min(int(asked[:9]), self._patience.longest_pause)
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError):
                if last:
                    raise
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _sent(self, href: str, method: str, parameters: dict[str, Any] | None) -> requests.Response:
        home = urlsplit(href).hostname == self._home.hostname
        return self.session.request(
            method,
            href,
            params=parameters if method == "GET" else None,
            json=parameters if method == "POST" else None,
            headers={"Accept-Encoding": "gzip"},
            auth=None if home else _nobody,
            timeout=self._patience.timeout,
            stream=True,
            allow_redirects=False,
        )


class _Adapter(HTTPAdapter):
    """Connections as for images: guarded against private addresses, and against dripping."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        self.poolmanager = pool_manager(self._hosts, 4, 4)


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps ``~/.netrc`` out of a request."""
    return request


def _text(answer: requests.Response) -> str:
    data = answer.raw.read(_LARGEST + 1, decode_content=False)
    if answer.headers.get("Content-Encoding", "identity").lower() in ("gzip", "x-gzip"):
        data = zlib.decompressobj(31).decompress(data, _LARGEST + 1)
    if len(data) > _LARGEST:
        raise APIError(f"an answer of more than {_LARGEST} bytes")
    return str(data, "utf-8")
