"""States of a cube, as any reader sees them, reduced to one digest each; shared by campaigns."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import icechunk as ic
import numpy as np
import zarr
import zarr.api.asynchronous
from zarr.core.buffer import default_buffer_prototype

from neve.cube import history
from neve.cube.places import storage

ABSENT = "absent"
POLL_SECONDS = 0.02


async def contents(
    store: ic.IcechunkStore, without: Sequence[str] = ()
) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Path, attributes and (of an array) all values of every group and array, by path."""

    async def values(path: str, member: Any) -> list[Any]:
        wanted = isinstance(member, zarr.AsyncArray) and path not in without
        return [await member.getitem(...)] if wanted else []

    root = await zarr.api.asynchronous.open_group(store, mode="r")
    found = sorted([one async for one in root.members(max_depth=None)], key=itemgetter(0))
    read = await asyncio.gather(*(values(*one) for one in found))
    return [(path, member.attrs, one) for (path, member), one in zip(found, read, strict=True)]


async def stored(store: ic.IcechunkStore) -> str:
    """Of every key and its bytes as they are stored: all that ``contents`` follows from."""
    keys = sorted([key async for key in store.list()])
    prototype = default_buffer_prototype()
    answers = await store.get_partial_values(prototype, [(key, None) for key in keys])
    found = hashlib.sha256()
    for key, answer in zip(keys, answers, strict=True):
        assert answer is not None, key
        found.update(f"{key} {len(answer)} ".encode() + answer.to_bytes())
    return found.hexdigest()


DECODED: dict[tuple[str, tuple[str, ...]], str] = {}


def digest(repository: ic.Repository, snapshot: str, without: Sequence[str] = ()) -> str:
    """Of every group's and array's metadata and every decoded value of a snapshot.

    All is read each time; what has been decoded once from the same bytes is not decoded again.
    """
    store = repository.readonly_session(snapshot_id=snapshot).store
    known = asyncio.run(stored(store)), tuple(without)
    if known not in DECODED:
        DECODED[known] = decoded(store, without)
    return DECODED[known]


def decoded(store: ic.IcechunkStore, without: Sequence[str]) -> str:
    found = hashlib.sha256()
    for path, attributes, read in asyncio.run(contents(store, without)):
        found.update(f"{path} {sorted(attributes.items())}".encode())
        for values in map(np.asarray, read):
            found.update(f"{values.dtype.str} {values.shape}".encode())
            plain = values.dtype.kind in "iufb"
            found.update(values.tobytes() if plain else repr(values.tolist()).encode())
    return found.hexdigest()


def opened(store: str | Path) -> ic.Repository | None:
    place = storage(str(store))
    return ic.Repository.open(place) if ic.Repository.exists(place) else None


def shown(repository: ic.Repository, known: dict[str, str]) -> str:
    """What main shows now; ``known``: digests of snapshots that need no second look."""
    tip = repository.lookup_branch("main")
    if tip not in known:
        known[tip] = digest(repository, tip)
    return known[tip]


def state(store: str | Path, known: dict[str, str] | None = None) -> str:
    """What main shows to who comes now; ``known`` as of ``shown``."""
    repository = opened(store)
    return ABSENT if repository is None else shown(repository, {} if known is None else known)


def commits(store: str | Path) -> list[tuple[str | None, tuple[str, ...]]]:
    """Month and scenes of every commit on main, newest first."""
    found = history.commits(ic.Repository.open(storage(str(store))))
    return [(one.month, one.scenes) for one in found]


def branches(store: str | Path) -> set[str]:
    return ic.Repository.open(storage(str(store))).list_branches()


class Reader:
    """Looks at main all the time; ``seen`` are the states in the order of their coming.

    It opens the repository once, as map servers do: a place that was there must go on to answer.
    """

    def __init__(self, store: str | Path, known: Mapping[str, str]) -> None:
        self.seen: list[str] = []
        self.trouble: BaseException | None = None
        self._store, self._stop = store, threading.Event()
        self._known = dict(known)
        self._repository: ic.Repository | None = None
        self._lock = threading.Lock()

    def look_once(self) -> None:
        with self._lock:
            self._repository = self._repository or opened(self._store)
            now = shown(self._repository, self._known) if self._repository else ABSENT
            if now not in self.seen[-1:]:
                self.seen.append(now)

    def look(self) -> None:
        try:
            while not self._stop.wait(POLL_SECONDS):
                self.look_once()
        except BaseException as error:
            self.trouble = error

    def end(self) -> None:
        self._stop.set()


@contextmanager
def reading(store: str | Path, known: Mapping[str, str] = MappingProxyType({})) -> Iterator[Reader]:
    """A reader that polls meanwhile, and reads all of each state that is not known.

    Raises what it stumbled over.
    """
    reader = Reader(store, known)
    thread = threading.Thread(target=reader.look)
    thread.start()
    try:
        yield reader
    finally:
        reader.end()
        thread.join()
    if reader.trouble:
        raise reader.trouble
