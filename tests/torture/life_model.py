"""What a cube must hold, for ``life``: a month of any scenes, built from nothing.

Seven scenes that cover some of four blocks each; what a set of them gives is made once, in a cube
of its own.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import islice, product
from pathlib import Path
from typing import Any

import icechunk as ic
import numpy as np
import patches
import zarr
from conftest import BY
from patches import make
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.cpu import NDBuffer
from zarr.core.sync import sync

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan, plan_month
from neve.cube.layout import layout_of, month_after
from neve.cube.opening import open_cube
from neve.cube.store import Cube
from neve.scenes.values import FILL, Scene, SceneList, fingerprint

# Of a block each chunk of the native level, and a quarter of the only one of 4x.
REGION = patches.REGION.model_copy(update={"chunk": patches.REGION.block})
LAYOUT = layout_of(REGION)
BLOCKS = list(LAYOUT.grid.blocks(LAYOUT.block))
MONTHS = [month_after(REGION.start, k) for k in range(3)]
ALL, NEAR, FAR = slice(None), slice(0, 32), slice(32, None)
# name → which of the four blocks it covers, day; ``~`` marks the corrected copy of one.
SCENES = {
    "whole": ((ALL, ALL), 1), "west": ((ALL, NEAR), 2), "north": ((NEAR, ALL), 3),
    "corner": ((FAR, FAR), 4), "same-day": ((NEAR, ALL), 4),
    "west~": ((ALL, NEAR), 2), "corner~": ((FAR, FAR), 4),
}  # fmt: skip
Names = frozenset[str]


@cache
def folder() -> Path:
    """In memory where there is room: a third of the time goes to a disk's file system else."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**30
    return Path(tempfile.mkdtemp(prefix="neve-states-", dir=memory if roomy else None))


@cache
def scenes() -> dict[str, Scene]:
    found = {}
    for number, (name, (blocks, day)) in enumerate(SCENES.items()):
        found[name] = make(folder() / f"scene-{number}", name.rstrip("~"), blocks, day, number)
    return found


def cube_at(place: Path) -> Cube:
    return open_cube(str(place), LAYOUT)


@cache
def empty() -> Path:
    cube_at(folder() / "empty")
    return folder() / "empty"


@cache
def plan_of(month: str, chosen: Names) -> MonthPlan:
    listed = tuple(sorted((scenes()[n] for n in chosen), key=lambda one: (one.day, one.id)))
    return plan_month(REGION, month, SceneList(listed, (), fingerprint(listed)), BLOCKS)


class Stored(Buffer):
    """A store's answers as they are: bytes, or None for a key that is not there."""

    @classmethod
    def from_bytes(cls, given: bytes | None) -> bytes | None:
        return given


STORED = BufferPrototype(Stored, NDBuffer)


@dataclass(frozen=True)
class Content:
    """What a version holds: all that has a time axis, by path.

    ``chunks``: for each of ``MONTHS`` the stored bytes of every chunk, None where it holds nothing
    but fill or is not there; ``plain``: the array's metadata but for its ``lengths``.
    """

    store: ic.IcechunkStore
    lengths: dict[str, int]
    plain: dict[str, dict[str, Any]]
    chunks: dict[str, list[list[bytes | None]]]

    @classmethod
    def of(cls, cube: Cube, snapshot: str) -> "Content":
        """Read with one question, since that is what most of the time goes to."""
        store = cube.repository.readonly_session(snapshot_id=snapshot).store
        asked = [f"{path}/zarr.json" for path in keys()]
        asked += [f"{path}/c/{k}/{at}" for path in keys() for k in range(3) for at in keys()[path]]
        answers = iter(sync(store.get_partial_values(STORED, [(key, None) for key in asked])))
        plain = {path: json.loads(next(answers)) for path in keys()}
        chunks = {
            path: [[*islice(answers, len(at))] for _ in MONTHS] for path, at in keys().items()
        }
        lengths = {path: told["shape"].pop(0) for path, told in plain.items()}
        return cls(store, lengths, plain, chunks)

    def values(self, path: str, number: int) -> np.ndarray:
        """A month, decoded."""
        return zarr.open_array(self.store, path=path, mode="r")[number]

    def check(self, number: int, month: "Month") -> None:
        """Fails where a month is not bit for bit this: equal bytes, or decoded to equal values."""
        for path, chunks in self.chunks.items():
            assert self.plain[path] == month.plain[path], path
            if chunks[number] != month.chunks[path] and number < self.lengths[path]:
                np.testing.assert_array_equal(self.values(path, number), month.values[path], path)


@dataclass(frozen=True)
class Month:
    """What a month must hold, by path: as ``Content``, and decoded."""

    plain: dict[str, dict[str, Any]]
    chunks: dict[str, list[bytes | None]]
    values: dict[str, np.ndarray]


@cache
def keys() -> dict[str, list[str]]:
    """The keys of each array's chunks within a month, by path."""
    session = cube_at(empty()).repository.readonly_session("main")
    return {
        f"{group}/{name}": [
            "/".join(map(str, at)) for at in product(*map(range, array.cdata_shape[1:]))
        ]
        for group, members in zarr.open_group(session.store, mode="r").groups()
        for name, array in members.arrays()
        if array.ndim >= 3
    }


@cache
def expected(chosen: Names | None) -> Month:
    """What a month of these scenes holds, built from nothing; None: it was never built."""
    place = Path(tempfile.mkdtemp(dir=folder())) / "cube"
    shutil.copytree(empty(), place)
    cube = cube_at(place)
    build_month(plan_of(MONTHS[1], chosen or frozenset()), cube, Inline(), BY)
    found, number = Content.of(cube, cube.tip()), 0 if chosen is None else 1
    chunks = {path: months[number] for path, months in found.chunks.items()}
    values = {path: found.values(path, number) for path in keys()}
    shutil.rmtree(place)
    return Month(found.plain, chunks, values)


def toggled(listed: Names, name: str) -> Names:
    """With a scene in place of its other copy, or without it."""
    plain = name.rstrip("~")
    return listed - {name} if name in listed else listed - {plain, f"{plain}~"} | {name}


def changed(old: Names | None, new: Names) -> int:
    """How many of the four blocks have other scenes."""

    def of(chosen: Names, block: tuple[int, int]) -> Names:
        return frozenset(n for n in chosen if _covers(SCENES[n][0], block))

    blocks = [(i, j) for i in (0, 1) for j in (0, 1)]
    return sum(old is None or of(old, block) != of(new, block) for block in blocks)


def _covers(covered: tuple[slice, slice], block: tuple[int, int]) -> bool:
    return all(
        side == ALL or side == (NEAR, FAR)[k] for side, k in zip(covered, block, strict=True)
    )


def valid(chosen: Names | None) -> int:
    """Native pixels with data."""
    return int((expected(chosen).values["1x/red"] != FILL).sum())
