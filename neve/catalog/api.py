"""A STAC API as a catalogue: searching, paging, and knowing that an answer is complete.

Belongs here: what is said to the API and what it must answer. Does not belong here: judging the
items (``items``).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from pystac import Link
from pystac_client import Client, ItemSearch
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from neve.errors import AskPerson, CatalogUnavailable
from neve.scenes.footprints import Bounds, boxes
from neve.scenes.hosts import FIX, named
from neve.scenes.hrefs import Reach, joined, shown
from neve.scenes.values import month_bounds

PAGE = 50  # Earth Search answers 502 to large pages
_BUSY = (429, 500, 502, 503, 504)
_LONGEST_WAIT = 60  # seconds that one Retry-After may ask for


@dataclass(frozen=True)
class StacApi:
    """A STAC API behind a URL.

    Each request waits ``timeout`` seconds at most and is tried ``retries`` + 1 times, with pauses
    that double from ``pause`` seconds on. ``hosts``: those that the region names.
    """

    name: str
    timeout: float = 30.0
    retries: int = 5
    pause: float = 0.5
    hosts: tuple[str, ...] = ()

    @property
    def reach(self) -> Reach:
        """See Catalog."""
        return Reach(home=urlsplit(self.name).hostname or "", hosts=self.hosts)

    def search(self, collection: str, bounds: Bounds, month: str) -> list[dict[str, Any]]:
        """See Catalog."""
        start, end = month_bounds(month)
        io = self._io()
        found: dict[str, dict[str, Any]] = {}
        try:
            client = Client.open(self.name, stac_io=io, timeout=self.timeout)
            for box in boxes(bounds):
                search = client.search(
                    collections=[collection], bbox=box, datetime=[start, end], limit=PAGE
                )
                found |= self._complete(io, search)
            if not found:
                self._check_collection(io, collection)
        except (CatalogUnavailable, AskPerson):
            raise
        except Exception as error:  # the library raises whatever a broken answer leads to
            raise CatalogUnavailable(
                f"catalogue {self.name}: {type(error).__name__}: {error!s:.300}; "
                "check the URL and the service, then run the month again"
            ) from error
        return [_absolute(item) for item in found.values()]

    def _io(self) -> StacApiIO:
        retry = urllib3.Retry(
            total=self.retries,
            backoff_factor=self.pause,
            status_forcelist=_BUSY,
            allowed_methods=None,  # POST too: a search changes nothing
            retry_after_max=_LONGEST_WAIT,
        )
        return _AtHome(self.reach.trusted, max_retries=retry, timeout=self.timeout)

    def _complete(self, io: StacApiIO, search: ItemSearch) -> dict[str, dict[str, Any]]:
        """Every item of a search by its text; CatalogUnavailable where pages miss or repeat."""
        found: dict[str, dict[str, Any]] = {}
        matched: int | None = None
        idle = 0  # pages in a row that brought nothing new
        for page in self._pages(io, search):
            matched = _matched(page) if matched is None else matched
            before = len(found)
            found |= {json.dumps(item, sort_keys=True): item for item in page["features"]}
            idle = idle + 1 if len(found) == before else 0
            if idle > 1:
                break
        if idle > 1 if matched is None else len(found) < matched:
            promised = "an unknown number" if matched is None else matched
            raise CatalogUnavailable(
                f"catalogue {search.url}: {len(found)} items came of {promised} "
                "(pages are missing or repeat); run the month again later"
            )
        return found

    def _pages(self, io: StacApiIO, search: ItemSearch) -> Iterator[dict[str, Any]]:
        """Pages as they are: pystac-client's own paging takes ``{}`` for the end."""
        parameters = search.get_parameters()
        page = io.read_json(search.url, method=search.method, parameters=parameters)
        while True:
            if not isinstance(page.get("features"), list):
                raise CatalogUnavailable(
                    f"catalogue {search.url}: an answer without features; check that this is a "
                    "STAC API, then run the month again"
                )
            yield page
            links = [link for link in page.get("links", []) if link.get("rel") == "next"]
            if not links or not page["features"]:
                return
            page = io.read_json(Link.from_dict(links[0]), parameters=parameters)

    def _check_collection(self, io: StacApiIO, collection: str) -> None:
        """No item is an answer only from a collection that exists."""
        try:
            io.read_json(f"{self.name}/collections/{quote(collection, safe='')}")
        except APIError as error:
            if error.status_code != 404:
                raise
            raise AskPerson(
                f"catalogue {self.name} has no collection {collection!r}; "
                "correct 'collection' in the region file"
            ) from None


class _AtHome(StacApiIO):
    """Follows links and redirects over HTTP to the catalogue's own host and those named alone.

    The library would open local files too, and take the catalogue's credentials anywhere.
    """

    def __init__(self, hosts: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._hosts = hosts
        # Called for each answer, before a redirect is followed.
        self.session.hooks["response"].append(self._check_redirect)

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        self._check(source.to_dict()["href"] if isinstance(source, Link) else str(source))
        return super().read_text(source, *args, **kwargs)

    def _check_redirect(self, answer: Any, **_: Any) -> None:
        if answer.is_redirect:
            self._check(urljoin(answer.url, answer.headers["location"]))

    def _check(self, href: str) -> None:
        parts = urlsplit(href)
        if parts.scheme not in ("http", "https"):
            raise APIError(f"link to {shown(href)!r:.200} is no http(s) URL")
        if not named(parts.hostname or "", self._hosts):
            raise APIError(f"link to another host, {shown(href)!r:.200}; {FIX}")


def _matched(page: dict[str, Any]) -> int | None:
    """The number of items that the catalogue promises, where it says so."""
    context = page.get("context")
    said = page.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
    return said if type(said) is int else None


def _absolute(item: Any) -> Any:
    """The item with hrefs resolved against its own URL, where it has one."""
    links = item.get("links") if isinstance(item, dict) else None
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    own = next((link.get("href") for link in known if link.get("rel") == "self"), None)
    return joined(item, own) if isinstance(own, str) else item
