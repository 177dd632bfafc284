"""Handles: arrays of a store whose names are known, opened with one question for all.

Belongs here: zarr's metadata of arrays, asked for and put back together. Does not belong here:
which arrays there are (``layout``), making them (``creation``), their chunks (``chunks``,
``stored_chunks``).

zarr's own way to a group's arrays is to list the group and to ask for each member by itself: that
takes ten times as long.
"""

import asyncio
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.array import AsyncArray
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.core.sync import sync
from zarr.storage import StorePath

from neve.cube.codec import Array

# Descriptions that are kept: those of all arrays that a task writes, block after block.
MOST = 2048


def opened(store: Store, paths: Sequence[str]) -> list[Array]:
    """The arrays at these paths, for their values: what describes them is shared, and stays.

    Raises FileNotFoundError, naming it, where there is none.
    """
    return [
        zarr.Array(AsyncArray(_parsed(told), StorePath(store, path)))
        for path, told in zip(paths, _told(store, paths), strict=True)
    ]


def metadata(store: Store, paths: Sequence[str]) -> list[dict[str, Any]]:
    """What the format has of each array; raises FileNotFoundError, naming it, where none is."""
    return [json.loads(told) for told in _told(store, paths)]


def set_metadata(store: Store, paths: Sequence[str], metadata: Sequence[dict[str, Any]]) -> None:
    """Put metadata in the place of those of each array."""
    make = default_buffer_prototype().buffer.from_bytes
    values = [make(json.dumps(told).encode()) for told in metadata]

    async def put() -> None:
        pairs = zip(paths, values, strict=True)
        await asyncio.gather(*(store.set(f"{path}/zarr.json", value) for path, value in pairs))

    sync(put())


def _told(store: Store, paths: Sequence[str]) -> list[bytes]:
    async def ask() -> list[Any]:
        make = default_buffer_prototype()
        return await asyncio.gather(*(store.get(f"{path}/zarr.json", make) for path in paths))

    found = sync(ask())
    if None in found:
        raise FileNotFoundError(f"{paths[found.index(None)]}: no such array in {store}")
    return [told.to_bytes() for told in found]


@lru_cache(MOST)
def _parsed(told: bytes) -> ArrayV3Metadata:
    return ArrayV3Metadata.from_dict(json.loads(told))
