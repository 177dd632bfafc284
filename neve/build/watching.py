"""Watching: which months must be built again, from a catalogue's answer and what is published.

Belongs here: looking at a month without reading a pixel, and holding back what would shrink it.
Does not belong here: clocks, starting runs (``pipelines``), building (``month``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from neve.catalog.opening import Catalog
from neve.cube.history import Commit
from neve.cube.layout import month_after, months_of
from neve.errors import AskPerson, CatalogUnavailable, NeveError, Retry, ScenesVanished
from neve.region import Region
from neve.scenes.choosing import choose
from neve.scenes.values import SceneList, month_bounds


@dataclass(frozen=True)
class Finding:
    """What was found of a month.

    ``fingerprint`` is that of the catalogue's answer where the month must be built again;
    ``held`` says why it is left as it is although something is wrong. Both may be empty.
    ``unanswered``: the catalogue did not answer, or not as it promised.
    """

    month: str
    fingerprint: str = ""
    held: str = ""
    unanswered: bool = False


def list_scenes(region: Region, month: str, catalog: Catalog) -> SceneList:
    """The scenes of a region's month as the catalogue tells of them now."""
    items = catalog.search(region.collection, region.window().lonlat_bounds(), month)
    return choose(items, region.bands, month, catalog.reach)


def months_to_watch(region: Region, today: date, everything: bool) -> Iterator[str]:
    """The months of the region's last ``update_days`` days, or all since its start."""
    first = region.start
    if not everything:
        first = max(first, f"{today - timedelta(days=region.update_days):%Y-%m}")
    yield from _months(first, f"{today:%Y-%m}")


def months_between(region: Region, first: str, last: str) -> Iterator[str]:
    """The region's months from ``first`` to ``last``; ``AskPerson`` where there are none."""
    try:
        month_bounds(first), month_bounds(last)
    except ValueError as error:
        raise AskPerson(str(error)) from error
    if max(first, region.start) > last:
        raise AskPerson(
            f"{region.name}: no month from {first} to {last}; it starts with {region.start}"
        )
    yield from _months(max(first, region.start), last)


def _months(first: str, last: str) -> Iterator[str]:
    for k in range(months_of(last) - months_of(first) + 1):
        yield month_after(first, k)


def look(
    region: Region,
    month: str,
    catalog: Catalog,
    published: Commit | None,
    seen: Callable[[], str | None] = lambda: None,
) -> Finding:
    """Compare a month's scenes with those it was published from.

    ``seen`` tells the fingerprint of an answer that was found to leave every block as it is. A
    month that lost scenes to failed reads is built again until then (in a zone a neighbour may
    have made its blocks good), one that has no scenes yet is not.
    """
    try:
        found = list_scenes(region, month, catalog)
        if published is None:
            right = not found.scenes
        else:
            right = found.fingerprint == published.fingerprint and not published.lost
        if right or found.fingerprint == seen():
            return Finding(month)
        if published:
            refuse_shrink(region, month, len(found.scenes), len(published.scenes))
    except (Retry, AskPerson) as error:
        unanswered = isinstance(error, CatalogUnavailable)
        return Finding(month, held=_held(region, month, error), unanswered=unanswered)
    return Finding(month, found.fingerprint)


def refuse_shrink(region: Region, month: str, listed: int, published: int) -> None:
    """Raise ``ScenesVanished`` where too few of the published scenes' number are listed now."""
    if listed < region.keep_scenes * published:
        raise ScenesVanished(
            f"{region.name} {month}: {listed} scenes are listed, {published} are published; the "
            "month stays as it is. Look at the catalogue; if the scenes are gone for good, run "
            "with allow_shrink: true (neve build --allow-shrink), or lower keep_scenes in the "
            "region file"
        )


def _held(region: Region, month: str, error: NeveError) -> str:
    message = str(error)
    name = f"{region.name} {month}"
    return message if message.startswith(name) else f"{name}: held back: {message}"
