"""Catalogue: where STAC items come from, an API or a local folder, through one interface.

Belongs here: what every catalogue promises, and which kind a location asks for. Does not belong
here: the two kinds (``catalog_api``, ``catalog_folder``), judging items (``items``), choosing
among them (``choosing``) and fetching what they name (``reading``).
"""

from pathlib import Path
from typing import Any, Protocol

from neve.catalog.api import StacApi
from neve.catalog.folder import LocalCatalog
from neve.errors import AskPerson
from neve.scenes.footprints import Bounds
from neve.scenes.hrefs import Reach, is_remote, shown


class Catalog(Protocol):
    """A place to search. ``reach`` is what ``choose`` needs to resolve and bound the hrefs."""

    @property
    def name(self) -> str:
        """URL or path, for messages."""

    @property
    def reach(self) -> Reach:
        """Where the items may lead: a folder's also into it, an API's also to its own host."""

    def search(self, collection: str, bounds: Bounds, month: str) -> list[dict[str, Any]]:
        """All items of a collection that touch ``bounds`` within ``month`` ("2023-08", UTC).

        ``bounds``: west, south, east, north in degrees; east < west crosses 180°. Hrefs in the
        answer are absolute. It may hold items beside the month (``choose`` drops them) and
        broken ones (``choose`` records them), never fewer than there are: then it raises
        CatalogUnavailable. Raises AskPerson where collection or catalogue do not exist.
        """


def open_catalog(location: str, hosts: tuple[str, ...] = ()) -> Catalog:
    """A STAC API for ``http(s)://…``, else a local folder of items or an item-collection file.

    ``hosts``: those that the region names. Nothing is fetched yet. Raises AskPerson where no such
    file or folder exists, and for a URL that holds credentials.
    """
    if location.startswith(("http://", "https://")):
        if shown(location) != location:
            raise AskPerson(
                f"catalogue {shown(location)}: a URL without user name, password and query; "
                "credentials of a catalogue belong into ~/.netrc"
            )
        return StacApi(location.rstrip("/"), hosts=hosts)
    if is_remote(location):
        raise AskPerson(f"catalogue {shown(location)}: give an http(s) URL, a folder or a file")
    path = Path(location).resolve()
    if not path.exists():
        raise AskPerson(f"catalogue {path}: no such file or folder; correct the path")
    return LocalCatalog(path, hosts)
