"""A STAC API as a catalogue: searching, paging, and knowing that an answer is complete.

Belongs here: what is said to the API and what it must answer. Does not belong here: judging the
items (``items``).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from pystac import Link
from pystac_client import Client, ItemSearch
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from neve.catalog.asking import Asking, Patience
from neve.errors import AskPerson, CatalogUnavailable
from neve.scenes.fields import printable
from neve.scenes.footprints import Bounds, boxes
from neve.scenes.hrefs import Reach, joined
from neve.scenes.values import month_bounds

PAGE = 50  # Earth Search answers 502 to large pages
_MOST_ITEMS = 100_000  # of a search; the largest zone has some 6,000 a month


@dataclass(frozen=True)
class StacApi:
    """A STAC API behind a URL.

    Each request waits ``timeout`` seconds at most and is tried ``retries`` + 1 times, with pauses
    that double from ``pause`` seconds on; a server may ask for ``longest_pause``. ``hosts``: those
    that the region names.
    """

    name: str
    timeout: float = 30.0
    retries: int = 5
    pause: float = 0.5
    longest_pause: int = 60
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
                f"catalogue {self.name}: {type(error).__name__}: {printable(error)}; "
                "check the URL and the service, then run the month again"
            ) from error
        return [_absolute(item) for item in found.values()]

    def _io(self) -> StacApiIO:
        patience = Patience(self.timeout, self.retries, self.pause, self.longest_pause)
        return Asking(self.name, self.reach.trusted, patience)

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
            if idle > 1 or len(found) > _MOST_ITEMS:
                break
        if len(found) > _MOST_ITEMS:
            raise CatalogUnavailable(
                f"catalogue {search.url}: more than {_MOST_ITEMS} items; is it the right one?"
            )
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
            if getattr(error, "status_code", None) != 404:
                raise
            raise AskPerson(
                f"catalogue {self.name} has no collection {collection!r}; "
                "correct 'collection' in the region file"
            ) from None


def _matched(page: dict[str, Any]) -> int | None:
    """The number of items that the catalogue promises, where it says so."""
    context = page.get("context")
    said = page.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
    if said is None or type(said) is int:
        return said
    raise ValueError(f"numberMatched is {said!r:.60}, which is no whole number")


def _absolute(item: Any) -> Any:
    """The item with hrefs resolved against its own URL, where it has one."""
    links = item.get("links") if isinstance(item, dict) else None
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    own = next((link.get("href") for link in known if link.get("rel") == "self"), None)
    return joined(item, own) if isinstance(own, str) else item
