"""What a commit wrote: chunks and bytes of each level.

Belongs here: sizes that manifests tell, no chunk is read. Does not belong here: what of a cube
lies between two snapshots (``history``).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import batched

import icechunk as ic
from zarr.core.sync import sync

AT_ONCE = 1000


@dataclass(frozen=True)
class Weight:
    """Chunks and their compressed bytes; those that became all nodata are not stored."""

    chunks: int
    bytes: int


def weights(repository: ic.Repository, snapshot: str) -> dict[str, Weight]:
    """What a snapshot holds that its parent does not, by level."""
    parent = repository.lookup_snapshot(snapshot).parent_id
    if parent is None:
        return {}
    touched = repository.diff(from_snapshot_id=parent, to_snapshot_id=snapshot).updated_chunks
    keys: dict[str, list[str]] = {}
    for path, places in touched.items():
        _, level, variable = path.split("/")
        if level != "blocks":
            # The time axis is lengthened with a cube's first months; it is of one or two axes.
            wide = ("/".join(map(str, place)) for place in places if len(place) > 2)
            keys.setdefault(level, []).extend(f"{level}/{variable}/c/{at}" for at in wide)
    store = repository.readonly_session(snapshot_id=snapshot).store
    return {level: _weight(store, keys[level]) for level in sorted(keys, key=_factor)}


def _factor(level: str) -> int:
    return int(level.removesuffix("x"))


def _weight(store: ic.IcechunkStore, keys: Iterable[str]) -> Weight:
    async def size(key: str) -> int:
        try:
            return await store.getsize(key)
        except FileNotFoundError:
            return 0

    async def sizes(some: Iterable[str]) -> list[int]:
        return await asyncio.gather(*map(size, some))

    found = [n for some in batched(keys, AT_ONCE) for n in sync(sizes(some)) if n]
    return Weight(len(found), sum(found))
