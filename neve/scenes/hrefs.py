"""Hrefs: which places an item may send us to.

Belongs here: resolving and checking the hrefs of items, which are hostile input. Does not
belong here: which asset is wanted (``item_assets``), what a name resolves to and where a server
redirects (``reading.connections``).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import url2pathname

from neve.errors import SceneRejected
from neve.scenes.fields import rejection
from neve.scenes.hosts import FIX, named, private

REMOTE_SCHEMES = ("http", "https", "s3")
_LONGEST = 4096
_VIRTUAL = re.compile(r"/vsi[a-z0-9_]+[/?]")


@dataclass(frozen=True)
class Reach:
    """Where the hrefs of a catalogue's items may lead.

    ``base``: a local folder: relative hrefs are looked up in it, and every local file, symlinks
    followed, must lie inside it. With None no local path passes. ``home``: host of the
    catalogue; ``hosts``: the hosts and buckets that the region names. With ``hosts`` only these
    and ``home`` pass, else every one that is not private (``hosts.private``).
    """

    base: str | None = None
    home: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def trusted(self) -> tuple[str, ...]:
        """Hosts that a person named."""
        return (self.home, *self.hosts) if self.home else self.hosts


ANYWHERE = Reach()


def is_remote(location: str) -> bool:
    """Whether a catalogue's or folder's location is a URL rather than a local path."""
    return "://" in location


def shown(location: str) -> str:
    """A URL or path without its query and without what stands before an @: both hold secrets."""
    return re.sub(r"//[^/]*@", "//…@", location.split("?")[0] if "://" in location else location)


def checked_href(href: object, reach: Reach) -> str:
    """The absolute form of an item's href: a URL (http, https, s3) or a local path.

    Raises SceneRejected (without the item's id): out of ``reach``, other schemes, GDAL's
    ``/vsi…`` names, user names or passwords, control characters.
    """
    if not isinstance(href, str) or not href:
        raise rejection("href", href, "expected a URL or a path")
    if len(href) > _LONGEST or not href.isprintable() or "\\" in href:
        raise _refused(href, "it is too long or holds control characters or backslashes")
    parts = _split(href)
    if parts.scheme in REMOTE_SCHEMES:
        return _checked_url(href, parts, reach)
    if parts.scheme not in ("", "file"):
        raise _refused(href, f"allowed are {', '.join(REMOTE_SCHEMES)}")
    base = reach.base
    if base is None:
        raise _refused(href, "this catalogue may not name local files")
    return _inside(href if not parts.scheme else _file_path(href, parts), base)


def joined(item: dict[str, Any], place: str) -> dict[str, Any]:
    """The item with relative asset hrefs joined to ``place``, a URL or a folder; unchecked."""
    assets = item.get("assets")
    if not place or not isinstance(assets, dict):
        return item
    return {**item, "assets": {key: _joined(asset, place) for key, asset in assets.items()}}


def _joined(asset: Any, place: str) -> Any:
    href = asset.get("href") if isinstance(asset, dict) else None
    if not isinstance(href, str) or href.startswith("/") or ":" in href.split("/")[0]:
        return asset
    try:
        return {**asset, "href": urljoin(place, href) if is_remote(place) else f"{place}/{href}"}
    except ValueError:
        return asset  # for checked_href to refuse


def _checked_url(href: str, parts: SplitResult, reach: Reach) -> str:
    if not parts.hostname or not parts.path.strip("/"):
        raise _refused(href, "expected scheme, host and path")
    if "@" in parts.netloc:
        raise _refused(href, "user names and passwords do not belong in a URL")
    if " " in href or _VIRTUAL.search(unquote(href).lower()):
        raise _refused(href, "it holds spaces or names of GDAL's virtual file systems")
    if not named(parts.hostname, reach.trusted):
        if reach.hosts:
            raise _refused(href, f"the region's hosts are {', '.join(reach.hosts)}; {FIX}")
        if private(parts.hostname):
            raise _refused(href, f"that is a private address; {FIX}")
    return href


def _file_path(href: str, parts: SplitResult) -> str:
    if parts.netloc not in ("", "localhost"):
        raise _refused(href, "a file URL names no host")
    path = url2pathname(parts.path)
    if not path.isprintable():
        raise _refused(href, "it holds control characters")
    return path


def _inside(path: str, folder: str) -> str:
    try:
        root = Path(folder).resolve()
        place = (root / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _refused(path, f"it cannot be resolved ({error})") from None
    if not place.is_relative_to(root) or place == root or str(place).startswith("/vsi"):
        raise _refused(path, "it lies outside the catalogue's folder; put the file inside")
    return str(place)


def _split(href: str) -> SplitResult:
    try:
        parts = urlsplit(href)
        _ = parts.port  # raises for what is no number
    except ValueError as error:
        raise _refused(href, str(error)) from None
    return parts


def _refused(href: str, why: str) -> SceneRejected:
    return SceneRejected(f"href is {shown(href)!r:.160}; {why}")
