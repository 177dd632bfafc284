"""States of a cube, as any reader sees them, reduced to one digest each; shared by campaigns."""

import asyncio
import hashlib
import shutil
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
from conftest import BY, Tiny

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan, plan_month
from neve.cube import history
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import storage
from neve.scenes.values import Scene, SceneList, fingerprint

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


def digest(repository: ic.Repository, snapshot: str, without: Sequence[str] = ()) -> str:
    """Of every group's and array's metadata and every decoded value of a snapshot."""
    store = repository.readonly_session(snapshot_id=snapshot).store
    found = hashlib.sha256()
    for path, attributes, read in asyncio.run(contents(store, without)):
        found.update(f"{path} {sorted(attributes.items())}".encode())
        for values in map(np.asarray, read):
            found.update(f"{values.dtype.str} {values.shape}".encode())
            plain = values.dtype.kind in "iufb"
            found.update(values.tobytes() if plain else repr(values.tolist()).encode())
    return found.hexdigest()


def state(store: str | Path, known: dict[str, str] | None = None) -> str:
    """What main shows now; ``known``: digests of snapshots that need no second look.

    A place that has shown a state must go on to do so.
    """
    known = {} if known is None else known
    place = storage(str(store))
    if not known and not ic.Repository.exists(place):
        return ABSENT
    repository = ic.Repository.open(place)
    tip = repository.lookup_branch("main")
    if tip not in known:
        known[tip] = digest(repository, tip)
    return known[tip]


def commits(store: str | Path) -> list[tuple[str | None, tuple[str, ...]]]:
    """Month and scenes of every commit on main, newest first."""
    found = history.commits(ic.Repository.open(storage(str(store))))
    return [(one.month, one.scenes) for one in found]


def branches(store: str | Path) -> set[str]:
    return ic.Repository.open(storage(str(store))).list_branches()


class Reader:
    """Looks at main all the time; ``seen`` are the states in the order of their coming."""

    def __init__(self, store: str | Path, known: Mapping[str, str]) -> None:
        self.seen: list[str] = []
        self.polls = 0
        self.trouble: BaseException | None = None
        self._store, self._stop = store, threading.Event()
        self._known = dict(known)
        self._lock = threading.Lock()

    def look_once(self) -> None:
        with self._lock:
            now = state(self._store, self._known)
            self.polls += 1
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


def narrowed(plan: MonthPlan, keep: Sequence[str]) -> MonthPlan:
    """The plan made of only those scenes whose ids hold one of the texts."""
    scenes = {scene.id: scene for work in plan.works for scene in work.scenes}
    left = tuple(one for one in scenes.values() if any(text in one.id for text in keep))
    return planned(plan, left)


def planned(plan: MonthPlan, scenes: Sequence[Scene]) -> MonthPlan:
    """The plan with other scenes."""
    ordered = tuple(sorted(scenes, key=lambda one: (one.day, one.id)))
    listed = SceneList(ordered, (), fingerprint(ordered))
    return plan_month(plan.region, plan.month, listed, [work.block for work in plan.works])


# Four blocks; they own the first two levels and share the chunks of the third.
SMALLER = {
    "bands: [blue, green, red, nir]": "bands: [red, nir]",
    "indices: [NDVI, EVI]": "indices: [NDVI]",
    "overviews: [2, 4, 16]": "overviews: [2, 8]",
    "block: 32": "block: 64",
    "chunk: 16": "chunk: 32",  # smaller ones would be inlined into manifests
}


def smaller(tiny: Tiny) -> Tiny:
    """The region with a quarter of the work; for hundreds of builds."""
    text = tiny.file.read_text("utf-8")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    tiny.file.write_text(text, "utf-8")
    return tiny


EARLIER = ("20240603", "20240618")  # of June's three days


def built(store: Path, *plans: MonthPlan) -> Path:
    """A cube with months built one after the other."""
    cube = open_cube(str(store), layout_of(plans[0].region))
    for plan in plans:
        build_month(plan, cube, Inline(), BY)
    return store


class Cases:
    """What a run does to which cube: it creates one, adds a month, or replaces a month's pixels.

    Each has a base to copy, the state before and the state after.
    """

    NAMES = ("create", "add", "replace")

    def __init__(self, tiny: Tiny, folder: Path) -> None:
        self.june, self.july = tiny.plan("2024-06"), tiny.plan("2024-07")
        self.earlier = narrowed(self.june, EARLIER)
        self.plans = {"create": self.june, "add": self.july, "replace": self.june}
        self.bases = {
            "create": None,
            "add": built(folder / "june", self.june),
            "replace": built(folder / "earlier", self.earlier),
        }
        after = {name: self.copy(name, folder / f"calm-{name}") for name in self.NAMES}
        for name, store in after.items():
            built(store, self.plans[name])
        self.after = {name: state(store) for name, store in after.items()}
        self.history = {name: commits(store) for name, store in after.items()}
        empty = folder / "empty"
        open_cube(str(empty), layout_of(tiny.region))
        # Of every copy of a base too: its snapshots have the base's ids.
        self.known: dict[str, dict[str, str]] = {name: {} for name in self.NAMES}
        self.before = {
            name: {state(base, self.known[name])} for name, base in self.bases.items() if base
        }
        self.before["create"] = {ABSENT, state(empty)}

    def copy(self, name: str, store: Path) -> Path:
        """A place to run in."""
        base = self.bases[name]
        if base is not None:
            shutil.copytree(base, store)
        return store

    def check_states(self, name: str, seen: Sequence[str]) -> str:
        """ "before" or "after" (the last state seen); fails for any other state, or a way back."""
        assert set(seen) <= self.before[name] | {self.after[name]}, "a mixed state"
        came = [one == self.after[name] for one in seen]
        assert came == sorted(came), "main went back"
        return "after" if came[-1] else "before"

    def check_done(self, name: str, store: Path) -> None:
        """The cube is what an undisturbed run gives, and nothing is left lying about."""
        assert state(store) == self.after[name]
        assert commits(store) == self.history[name]
        assert branches(store) == {"main"}
