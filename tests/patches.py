"""A grid of four blocks and scenes that touch some of them each: for tests of many small builds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr
from images import north_up, scene

from neve.build.engine import Inline
from neve.build.plan import MonthPlan, plan_month
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.store import Cube
from neve.region import Region
from neve.scenes.values import Scene, SceneList, fingerprint

MONTH = "2023-08"
LEFT, TOP, SIZE = 500_040.0, 5_000_040.0, 60.0
# 50 × 50 pixels in blocks of 32: the far ones are cut; all four share the only chunk of 4x.
REGION = Region.model_validate(
    {
        "name": "patches",
        "area": {"bbox": [15.0005, 45.1275, 15.037, 45.1535]},
        "crs": "EPSG:32633",
        "resolution": SIZE,
        "start": MONTH,
        "bands": ["red"],
        "indices": [],
        "overviews": [4],
        "block": 32,
        "chunk": 16,
        "land": False,
        "max_lost": 1,
    }
)


def make(folder: Path, name: str, blocks: tuple[slice, slice], day: int, seed: int) -> Scene:
    """A scene with random values and clouds whose images cover just some blocks."""
    chance = np.random.default_rng(seed)
    grid = REGION.grid()
    rows, cols = (
        range(*blocks[0].indices(grid.height)),
        range(*blocks[1].indices(grid.width)),
    )
    # A pixel further in, so that the images touch no other block.
    shape = len(rows) - 2, len(cols) - 2
    at = north_up(grid.left + (cols[0] + 1) * SIZE, grid.top - (rows[0] + 1) * SIZE, SIZE)
    planes = {
        "red": (chance.integers(100, 12_000, shape, np.uint16), at),
        "scl": (chance.choice(np.array([4, 4, 4, 9], np.uint8), shape), at),
    }
    made = scene(folder, name, planes, day=f"2023-08-{day:02}")
    assets = {
        band: replace(asset, shape=shape, transform=tuple(at)[:6])
        for band, asset in made.assets.items()
    }
    return replace(made, id=name, assets=assets)


def cube_at(folder: Path, region: Region = REGION) -> Cube:
    return open_cube(str(folder), layout_of(region))


def plan_of(scenes: Iterable[Scene], region: Region = REGION) -> MonthPlan:
    listed = tuple(sorted(scenes, key=lambda one: (one.day, one.id)))
    layout = layout_of(region)
    blocks = list(layout.grid.blocks(layout.block))
    return plan_month(region, MONTH, SceneList(listed, (), fingerprint(listed)), blocks)


def contents(cube: Cube, branch: str = "main") -> dict[str, bytes]:
    """Every array of a cube, bit for bit."""
    root = zarr.open_group(cube.repository.readonly_session(branch).store, mode="r")
    return {
        f"{group}/{name}": array[...].tobytes()
        for group, members in root.groups()
        for name, array in members.arrays()
    }


class Counting(Inline):
    """Inline, a thread for each block, and it counts what it was asked to do."""

    def threads(self, tasks: int) -> int:
        return 1

    def __init__(self) -> None:
        self.blocks: list[str] = []

    def map(self, function, tasks):
        for task in tasks:
            self.blocks.append(task.block.key)
            yield function(task)


class Dying(Counting):
    """Ends after so many blocks; before the next, something else may happen."""

    def __init__(self, after: int, event: Callable[[], None]) -> None:
        super().__init__()
        self.after, self.event = after, event

    def map(self, function, tasks):
        for number, result in enumerate(super().map(function, tasks)):
            if number == self.after:
                self.event()
            yield result
