"""HTTP faults at the scene server: the composite is the same or the failure is loud."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaign import campaign
from flaky_server import flaky

from neve.compositing.composite import Composite, compose
from neve.errors import BlockFailed
from neve.reading.ranges import Reads
from neve.scenes.values import Scene

READS = Reads(pause=0.001, timeout=0.2)
PASSING = ["500", "503", "429", "reset", "stall", "short", "html", "garbled", "elsewhere"]
RATES = [0.01, 0.1, 0.3]


def served(scenes: tuple[Scene, ...], folder: Path, url: str) -> list[Scene]:
    return [
        replace(one, assets={
            name: replace(asset, href=f"{url}/{Path(asset.href).relative_to(folder)}")
            for name, asset in one.assets.items()
        })
        for one in scenes
    ]  # fmt: skip


def same(a: Composite, b: Composite) -> bool:
    return (
        np.array_equal(a.count, b.count)
        and all(np.array_equal(a.bands[name], b.bands[name]) for name in b.bands)
        and a.used == b.used
        and a.lost == b.lost
    )


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", [*PASSING, "404"])
def test_no_fault_is_silent(tiny, mode: str, rate: float) -> None:
    work = tiny.plan().works[4]
    recipe = tiny.region.recipe()
    calm = compose(work.block.grid, work.scenes, recipe)
    folder = tiny.folder / "scenes"

    def trial(chance: random.Random) -> str:
        with flaky(folder, mode, rate=rate, seed=chance.random()) as server:
            scenes = served(work.scenes, folder, server.url)
            try:
                found = compose(work.block.grid, scenes, recipe, READS)
            except BlockFailed:
                return "loud"
            return "same" if same(found, calm) else "SILENT"

    seen = campaign(f"http-{mode}-{rate}", 1, 20, trial)
    assert seen["SILENT"] == 0
    if mode in PASSING and rate <= 0.1:
        # Four attempts at each read: 10 % of faults leave 0.01 % of them.
        assert seen["same"] >= 0.95 * seen.total()
