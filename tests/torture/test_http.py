"""HTTP faults at the scene server: the composite is the same or the failure is loud."""

import hashlib
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaign import campaign
from cases import planned, smaller
from conftest import BY
from flaky_server import fate, flaky, served
from images import UTM33, north_up, scene, write_image
from states import digest

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan
from neve.compositing.composite import Composite, compose
from neve.compositing.recipe import Recipe
from neve.errors import BlockFailed
from neve.grid import Grid
from neve.parts import Reading
from neve.reading import rangefile
from neve.reading.ranges import Reads
from neve.scenes.values import Scene

READS = Reads(pause=0.001, timeout=0.5, hosts=("127.0.0.1",))
PASSING = ["500", "503", "429", "reset", "stall", "short", "html", "garbled", "elsewhere"]
RATES = [0.01, 0.1, 0.3]
ABREAST = 6  # they wait for stalls and pauses
# What GDAL reads, as ``write_image`` makes it.
KINDS = {
    "lzw": {"compress": "lzw"},
    "zstd": {"compress": "zstd"},
    "jp2": {
        "driver": "JP2OpenJPEG", "compress": None, "predictor": None, "nodata": None,
        "QUALITY": 100, "REVERSIBLE": "YES",
    },
    "plain": {"compress": None, "predictor": 1},
}  # fmt: skip


def same(a: Composite, b: Composite) -> bool:
    return (
        np.array_equal(a.count, b.count)
        and all(np.array_equal(a.bands[name], b.bands[name]) for name in b.bands)
        and a.used == b.used
        and a.lost == b.lost
    )


def outcome(
    scenes: list[Scene], grid: Grid, recipe: Recipe, calm: Composite, reads: Reads = READS
) -> str:
    try:
        found = compose(grid, scenes, recipe, reads)
    except BlockFailed:
        return "loud"
    return "same" if same(found, calm) else "SILENT"


def requests(
    scenes: Sequence[Scene], folder: Path, only: str, grid: Grid, recipe: Recipe, reads: Reads
) -> int:
    """How many requests a calm run makes, but for those of checksums, which are remembered."""
    with flaky(folder) as server:
        far = served(scenes, folder, server.url)
        compose(grid, far, recipe, reads)
        server.requests.clear()
        compose(grid, far, recipe, reads)
    return sum(count for path, count in server.requests.items() if only in path)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", [*PASSING, "404"])
def test_no_fault_is_silent(tiny, mode: str, rate: float) -> None:
    work = tiny.plan().works[4]
    recipe = tiny.region.recipe()
    calm = compose(work.block.grid, work.scenes, recipe)
    folder = tiny.folder / "scenes"
    sure = requests(work.scenes, folder, "", work.block.grid, recipe, READS)

    def trial(chance: random.Random) -> str:
        with flaky(folder, mode, fate=fate(chance, rate, sure)) as server:
            scenes = served(work.scenes, folder, server.url)
            told = outcome(scenes, work.block.grid, recipe, calm)
        assert server.faults
        return told

    seen = campaign(f"http-{mode}-{rate}", 1, 20, trial, abreast=ABREAST)
    assert seen["SILENT"] == 0
    if mode in PASSING and rate <= 0.1:
        # Seven attempts at each read: 10 % of faults leave one in ten million of them.
        assert seen["same"] >= 0.99 * seen.total()


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_is_silent_in_images_that_gdal_reads(tmp_path, monkeypatch, kind: str) -> None:
    """Faults of the red image alone."""
    monkeypatch.setattr(rangefile, "PIECE", 2**16)  # more requests
    place = north_up(500_000, 5_000_000, 10)
    values = np.random.default_rng(3).integers(1, 9000, (400, 400)).astype(np.uint16)
    classes = np.full((400, 400), 4, np.uint8)
    one = scene(tmp_path, "s1", {"red": (values, place), "scl": (classes, place)})
    path = write_image(tmp_path / "s1" / f"red.{kind}", values, place, **KINDS[kind])
    checksum = "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    red = replace(one.assets["red"], href=str(path), checksum=checksum)
    one = replace(one, assets=one.assets | {"red": red})
    grid, recipe = Grid(UTM33, 10, 500_000, 5_000_000, 400, 400), Recipe(("red",))
    calm = compose(grid, [one], recipe)

    reads = replace(READS, verify="all" if kind == "plain" else "local")
    sure = requests((one,), tmp_path, "red", grid, recipe, reads)

    def trial(chance: random.Random) -> str:
        mode, rate = chance.choice([*PASSING, "404", "shrunk"]), chance.choice([0.1, 0.3])
        with flaky(tmp_path, mode, 0, "red", fate(chance, rate, sure)) as server:
            told = outcome(served((one,), tmp_path, server.url), grid, recipe, calm, reads)
        assert server.faults
        return told

    seen = campaign(f"http-{kind}", 4, 100, trial, abreast=ABREAST)
    assert seen["SILENT"] == 0


def test_nearly_all_partitions_are_done_at_ten_percent(tiny, monkeypatch) -> None:
    """Whole months; each trial has another kind of passing fault."""
    monkeypatch.setattr(Reading, "reads", lambda reading: READS)
    smaller(tiny).file.write_text(tiny.file.read_text() + "hosts: [127.0.0.1]\n", "utf-8")
    plan, folder = tiny.plan(), tiny.folder / "scenes"
    scenes = tuple({scene.id: scene for work in plan.works for scene in work.scenes}.values())

    tiny.cube_at("empty")

    def build(store: str, plan: MonthPlan) -> str:
        shutil.copytree(tiny.folder / "empty", tiny.folder / store)
        cube = tiny.cube_at(store)
        build_month(plan, cube, Inline(), BY)
        return digest(cube.repository, cube.tip(), without=["blocks/fingerprint"])

    calm = build("calm", plan)

    def trial(chance: random.Random) -> str:
        mode, store = chance.choice(PASSING), f"cube-{chance.random()}"
        with flaky(folder, mode, fate=fate(chance, 0.1, 50)) as server:
            try:
                found = build(store, planned(plan, served(scenes, folder, server.url)))
            except BlockFailed:
                return "failed"
        return "done" if found == calm else "SILENT"

    seen = campaign("http-partitions-0.1", 3, 100, trial, abreast=ABREAST)
    assert seen["SILENT"] == 0 and seen["done"] >= 0.99 * seen.total()
