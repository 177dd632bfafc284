"""Thirty days of upkeep: late, corrected and withdrawn scenes, a crash, an outage, a sudden loss.

Each morning the schedule ticks, and the runs that it asks for are runs of the job ``month``. At the
end the cube is the one that is built from scratch, and no block was made in vain.
"""

import json
import random
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from conftest import BY, Tiny
from patches import contents
from ticks import run, tick

from neve.build import staging
from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.layout import layout_of
from neve.demo.scenes import DayPlan, ScenePlan, TilePlan, write_scenes
from neve.errors import Stop
from neve.land import enumerate_blocks
from resources.engines import Engines

SEED = 5
FIRST = datetime(2024, 6, 1, 5, tzinfo=UTC)
LEFT, TOP, STEP = 268_020, 5_047_800, 32 * 60
# Small tiles that end inside of blocks: each of the scenes touches some of the nine.
TILES = tuple(
    TilePlan(name, LEFT + int(x * STEP), TOP - int(y * STEP))
    for name, x, y in (("33TTL", 0, 0), ("33TUL", 1.5, 0), ("33TTK", 0, 1.5), ("33TUK", 2.5, 1.5))
)
SIZE = 80  # 2½ blocks
REGION = """\
name: tiny
area: {bbox: [12.0500, 45.4960, 12.1180, 45.5290]}
crs: EPSG:32633
resolution: 60
anchor: [0, 0]
start: 2024-06
bands: [blue]
indices: []
overviews: [4]
block: 32
chunk: 16
catalog: catalogue
store: cube
land: false
"""
DAYS = [DayPlan(f"2024-06-{day:02}", clouds=0.3) for day in (2, 7, 12, 17, 22, 27)]
CRASH, OUTAGE, LOSS, LAST = 11, 15, 20, 30


@dataclass
class Recording(Inline):
    """Counts the blocks that it makes; dies (once) before it makes the last quarter of them."""

    made: int = 0
    doomed: bool = False

    def map(self, function, tasks):
        tasks = list(tasks)
        last = len(tasks) * 3 // 4
        for number, task in enumerate(tasks):
            if self.doomed and number == last:
                self.doomed = False
                raise Stop("the engine died")
            yield function(task)
            self.made += 1


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A region whose catalogue is empty, and scenes (``pool``) that may arrive in it."""
    plan = ScenePlan(tiles=TILES, days=tuple(DAYS), size=SIZE, bands=("blue",))
    again = [DayPlan(day.date, clouds=0.3, gain=1.1, sequence=1) for day in DAYS]
    write_scenes(tmp_path / "pool", plan)
    write_scenes(tmp_path / "pool", ScenePlan(TILES, tuple(again), size=SIZE, bands=("blue",)))
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "tiny.yaml").write_text(REGION, "utf-8")
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    return Tiny(tmp_path)


@pytest.fixture
def engine(monkeypatch):
    """The engine that all runs are given."""
    recording = Recording()
    monkeypatch.setattr(Engines, "engine", lambda _: recording)
    return recording


def happenings(chance: random.Random, names: list[str]) -> dict[int, list[tuple[str, str]]]:
    """Day → what happens: scenes arrive (some very late), are corrected, are withdrawn."""
    days: dict[int, list[tuple[str, str]]] = {}
    for name in names:
        taken = int(name.split("_")[2][-2:])
        arrival = min(taken + chance.choice((1, 1, 2, 9)), LAST)
        days.setdefault(arrival, []).append(("in", name))
        fate = chance.random()
        later = min(arrival + chance.randint(1, 8), LAST)
        if fate < 0.25:
            days.setdefault(later, []).append(("in", name.replace("_0_L2A", "_1_L2A")))
        elif fate < 0.35:
            days.setdefault(later, []).append(("out", name))
    return days


def wanted(tiny: Tiny) -> dict[tuple[int, int], frozenset[str]]:
    """Each block's scenes by plain geometry: the newest copy of each, by place and day."""
    newest: dict[tuple[str, str], dict] = {}
    for file in sorted((tiny.folder / "catalogue").glob("*/*.json")):
        item = json.loads(file.read_text())
        _, tile, day, *_ = item["id"].split("_")
        newest[tile, day] = item  # sequence 1 sorts after 0
    region, found = tiny.region, {}
    layout = layout_of(region)
    for block in enumerate_blocks(layout.window, layout.block, None, region.area.shape()):
        left, bottom, right, top = block.grid.bounds
        inside = set()
        for item in newest.values():
            size, _, west, _, _, north = item["assets"]["blue"]["proj:transform"]
            side = SIZE * size
            if west < right and west + side > left and north > bottom and north - side < top:
                inside.add(item["id"])
        found[block.i, block.j] = frozenset(inside)
    return found


@dataclass
class Upkeep:
    """What was done in these days, and what would have done."""

    tiny: Tiny
    job: dg.JobDefinition
    instance: dg.DagsterInstance
    engine: Recording
    published: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)
    least: int = 0
    resumed: int = 0
    runs: int = 0

    def morning(self, day: int) -> tuple[dg.ExecuteInProcessResult | None, str]:
        """The day's tick and the run that it asks for, or why there is none."""
        asked, reasons = tick(self.instance, FIRST + timedelta(days=day - 1))
        if not asked:
            return None, "".join(reasons)
        ((key, request),) = asked.items()
        assert key == "2024-06|tiny"
        self.runs += 1
        return run(self.job, self.instance, request), ""

    def day(self, day: int) -> None:
        """A morning with nothing amiss: afterwards all that arrived is published."""
        done, _ = self.morning(day)
        now = wanted(self.tiny)
        if done is None:
            assert not self.published or now == self.published
            return
        assert done.success
        composite, *_ = done.asset_materializations_for_node("cube")
        self.resumed += composite.metadata["blocks resumed"].value
        self.least += sum(now[block] != self.published.get(block) for block in now)
        self.published = now

    def crash(self, day: int) -> bool:
        """The day's run fails when most blocks are made; False: there was no run."""
        tip, made, self.engine.doomed = self.tiny.cube().tip(), self.engine.made, True
        done, _ = self.morning(day)
        if done is None:
            return False
        failed = self.instance.get_run_by_id(done.run_id)
        assert failed.status is dg.DagsterRunStatus.FAILURE and self.engine.made > made
        assert self.tiny.cube().tip() == tip
        assert "of today had these scenes" in self.held(day)
        return True

    def held(self, day: int) -> str:
        """A day whose tick starts nothing, and why."""
        tip = self.tiny.cube().tip()
        done, reason = self.morning(day)
        assert done is None and self.tiny.cube().tip() == tip
        return reason


def happen(tiny: Tiny, events: list[tuple[str, str]]) -> None:
    for what, name in events:
        if what == "in":
            shutil.copytree(tiny.folder / "pool" / name, tiny.folder / "catalogue" / name)
        else:
            shutil.rmtree(tiny.folder / "catalogue" / name, ignore_errors=True)


def test_thirty_days(tiny, job, instance, engine):
    catalogue, aside = tiny.folder / "catalogue", tiny.folder / "aside"
    names = sorted(p.name for p in (tiny.folder / "pool").glob("*_0_L2A"))
    days = happenings(random.Random(SEED), names)
    upkeep = Upkeep(tiny, job, instance, engine)
    crashed = False
    for day in range(1, LAST + 1):
        happen(tiny, days.get(day, []))
        if day == OUTAGE:
            catalogue.rename(aside)
            assert "no such file or folder" in upkeep.held(day)
            aside.rename(catalogue)
        elif day == LOSS:
            shutil.copytree(catalogue, aside)
            for lost in sorted(catalogue.iterdir())[1:]:
                shutil.rmtree(lost)
            assert "1 scenes are listed" in upkeep.held(day)
            shutil.rmtree(catalogue)
            aside.rename(catalogue)
        elif day >= CRASH and not crashed:
            crashed = upkeep.crash(day)
        else:
            upkeep.day(day)
    fresh = Recording()
    build_month(tiny.plan(), tiny.cube_at("fresh"), fresh, BY)
    assert crashed and upkeep.resumed
    assert contents(tiny.cube()) == contents(tiny.cube_at("fresh"))
    made, least = engine.made, upkeep.least
    print(
        f"\n{upkeep.runs} runs: {made} blocks made, {least} needed at least ({made / least:.3f}×); "
        f"{upkeep.runs * fresh.made} if every run made every block"
    )
    assert least <= made <= 1.1 * least
