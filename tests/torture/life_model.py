"""What a cube must hold, for ``life``: a month of any scenes, built from nothing.

Seven scenes that cover some of four blocks each; what a set of them gives is made once, in a cube
of its own.
"""

import asyncio
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import zarr
from conftest import BY
from patches import REGION, cube_at, make
from zarr.api.asynchronous import open_array
from zarr.core.sync import sync

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan, plan_month
from neve.cube.layout import layout_of, month_after
from neve.cube.store import Cube
from neve.scenes.values import FILL, Scene, SceneList, fingerprint

MONTHS = [month_after(REGION.start, k) for k in range(3)]
ALL, NEAR, FAR = slice(None), slice(0, 32), slice(32, None)
# name → which of the four blocks it covers, day; ``~`` marks the corrected copy of one.
SCENES = {
    "whole": ((ALL, ALL), 1), "west": ((ALL, NEAR), 2), "north": ((NEAR, ALL), 3),
    "corner": ((FAR, FAR), 4), "same-day": ((NEAR, ALL), 4),
    "west~": ((ALL, NEAR), 2), "corner~": ((FAR, FAR), 4),
}  # fmt: skip
Names = frozenset[str]
Arrays = dict[str, np.ndarray]


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="neve-states-"))


@cache
def scenes() -> dict[str, Scene]:
    found = {}
    for number, (name, (blocks, day)) in enumerate(SCENES.items()):
        found[name] = make(folder() / f"scene-{number}", name.rstrip("~"), blocks, day, number)
    return found


@cache
def empty() -> Path:
    cube_at(folder() / "empty")
    return folder() / "empty"


def plan_of(month: str, chosen: Names) -> MonthPlan:
    listed = tuple(sorted((scenes()[n] for n in chosen), key=lambda one: (one.day, one.id)))
    layout = layout_of(REGION)
    blocks = list(layout.grid.blocks(layout.block))
    return plan_month(REGION, month, SceneList(listed, (), fingerprint(listed)), blocks)


def arrays(cube: Cube, snapshot: str) -> Arrays:
    """What has a time axis, by path; all at once, since that is what most of the time goes to."""
    store = cube.repository.readonly_session(snapshot_id=snapshot).store

    async def read(path: str) -> np.ndarray:
        return await (await open_array(store=store, path=path, mode="r")).getitem(...)

    async def everything() -> list[np.ndarray]:
        return await asyncio.gather(*map(read, paths()))

    return dict(zip(paths(), sync(everything()), strict=True))


@cache
def paths() -> tuple[str, ...]:
    session = cube_at(empty()).repository.readonly_session("main")
    groups = zarr.open_group(session.store, mode="r").groups()
    return tuple(
        f"{group}/{name}"
        for group, members in groups
        for name, array in members.arrays()
        if array.ndim >= 3
    )


@cache
def expected(chosen: Names | None) -> Arrays:
    """What a month of these scenes holds, built from nothing; None: it was never built."""
    place = Path(tempfile.mkdtemp(dir=folder())) / "cube"
    shutil.copytree(empty(), place)
    cube = cube_at(place)
    build_month(plan_of(MONTHS[1], chosen or frozenset()), cube, Inline(), BY)
    found = arrays(cube, cube.tip())
    shutil.rmtree(place)
    return {path: values[0 if chosen is None else 1] for path, values in found.items()}


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
    return int((expected(chosen)["1x/red"] != FILL).sum())
