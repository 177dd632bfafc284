"""HTTP faults at the scene server: the composite is the same or the failure is loud."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaign import campaign
from conftest import BY
from flaky_server import flaky
from states import digest, planned, smaller

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan
from neve.compositing.composite import Composite, compose
from neve.errors import BlockFailed
from neve.parts import Reading
from neve.reading.ranges import Reads
from neve.scenes.values import Scene

READS = Reads(pause=0.001, timeout=1, hosts=("127.0.0.1",))
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
        # Seven attempts at each read: 10 % of faults leave one in ten million of them.
        assert seen["same"] >= 0.99 * seen.total()


def test_nearly_all_partitions_are_done_at_ten_percent(tiny, monkeypatch) -> None:
    """Whole months; each trial has another kind of passing fault."""
    monkeypatch.setattr(Reading, "reads", lambda reading: READS)
    smaller(tiny).file.write_text(tiny.file.read_text() + "hosts: [127.0.0.1]\n", "utf-8")
    plan, folder = tiny.plan(), tiny.folder / "scenes"
    scenes = tuple({scene.id: scene for work in plan.works for scene in work.scenes}.values())

    def build(store: str, plan: MonthPlan) -> str:
        cube = tiny.cube_at(store)
        build_month(plan, cube, Inline(), BY)
        return digest(cube.repository, cube.tip(), without=["blocks/fingerprint"])

    calm = build("calm", plan)

    def trial(chance: random.Random) -> str:
        mode, store = chance.choice(PASSING), f"cube-{chance.random()}"
        with flaky(folder, mode, rate=0.1, seed=chance.random()) as server:
            try:
                found = build(store, planned(plan, served(scenes, folder, server.url)))
            except BlockFailed:
                return "failed"
        return "done" if found == calm else "SILENT"

    seen = campaign("http-partitions-0.1", 3, 100, trial)
    assert seen["SILENT"] == 0 and seen["done"] >= 0.99 * seen.total()
