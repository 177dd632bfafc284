"""Thirty days of upkeep: late, corrected and withdrawn scenes, a crash, an outage, a sudden loss.

At the end the cube is the one that is built from scratch, and no block was made in vain.
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

from neve.build import staging
from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.build.watching import list_scenes
from neve.catalog.opening import open_catalog
from neve.compositing.quarantine import quarantine
from neve.cube.layout import layout_of
from neve.demo.scenes import DayPlan, ScenePlan, TilePlan, write_scenes
from pipelines.partitions import month_partitions
from pipelines.schedules import daily_update
from pipelines.settings import resources

MONTH, SEED = "2024-06", 5
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


class Recording(Inline):
    def __init__(self) -> None:
        self.made = 0

    def map(self, function, tasks):
        for task in tasks:
            yield function(task)
            self.made += 1


class Crash(Recording):
    """Ends when most blocks are made."""

    def map(self, function, tasks):
        tasks = list(tasks)
        yield from super().map(function, tasks[: max(len(tasks) * 3 // 4, 1)])
        raise SystemExit("killed")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A region whose catalogue is empty, and scenes (``pool``) that may arrive in it."""
    plan = ScenePlan(tiles=TILES, days=tuple(DAYS), size=SIZE, bands=("blue",))
    again = [DayPlan(day.date, clouds=0.3, gain=1.1, sequence=1) for day in DAYS]
    write_scenes(tmp_path / "pool", plan)
    write_scenes(tmp_path / "pool", ScenePlan(TILES, tuple(again), size=SIZE, bands=("blue",)))
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "tiny.yaml").write_text(REGION, "utf-8")
    monkeypatch.setenv("NEVE_REGIONS", str(tmp_path / "tiny.yaml"))
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    return Tiny(tmp_path)


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


def wanted(place: Tiny) -> dict[tuple[int, int], frozenset[str]]:
    """Each block's scenes by plain geometry: the newest copy of each, by place and day."""
    newest: dict[tuple[str, str], dict] = {}
    for file in sorted((place.folder / "catalogue").glob("*/*.json")):
        item = json.loads(file.read_text())
        _, tile, day, *_ = item["id"].split("_")
        newest[tile, day] = item  # sequence 1 sorts after 0
    grid, found = place.region.grid(), {}
    for block in grid.blocks(32):
        left, bottom, right, top = block.grid.bounds
        inside = set()
        for item in newest.values():
            size, _, west, _, _, north = item["assets"]["blue"]["proj:transform"]
            side = SIZE * size
            if west < right and west + side > left and north > bottom and north - side < top:
                inside.add(item["id"])
        found[block.i, block.j] = frozenset(inside)
    return found


def tick(instance, day: int) -> tuple[list[str], str]:
    """Partitions that the schedule starts on a day of June, or its reason for none."""
    wired = resources()
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(2024, 6, 1, 5, tzinfo=UTC) + timedelta(days=day - 1),
        resources={name: wired[name] for name in ("regions", "catalogs", "cubes")},
    )
    partitions = month_partitions(wired["regions"].regions().values())
    found = list(daily_update("month", partitions, 30)(context) or [])
    skipped = "".join(r.skip_message or "" for r in found if isinstance(r, dg.SkipReason))
    return [str(r.partition_key) for r in found if isinstance(r, dg.RunRequest)], skipped


def build(place: Tiny, store: str, engine: Inline) -> None:
    region = place.region
    found = quarantine(list_scenes(region, MONTH, open_catalog(region.catalog)), region.recipe())
    layout = layout_of(region)
    plan = plan_month(region, MONTH, found, list(layout.grid.blocks(layout.block)))
    build_month(plan, place.cube_at(store), engine, BY)


@dataclass
class Upkeep:
    """What was done in these days, and what would have done."""

    place: Tiny
    instance: dg.DagsterInstance
    engine: Recording = field(default_factory=Recording)
    published: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)
    least: int = 0
    runs: int = 0

    def day(self, day: int) -> None:
        """The morning's tick, and the run that it starts."""
        started, _ = tick(self.instance, day)
        now = wanted(self.place)
        if not started:
            assert not self.published or now == self.published
            return
        self.runs += 1
        self.least += sum(now[block] != self.published.get(block) for block in now)
        self.published = now
        build(self.place, "cube", self.engine)

    def crash(self, day: int) -> bool:
        """The day's run dies; the blocks that it had made are not made again. False: no run."""
        if not tick(self.instance, day)[0]:
            return False
        tip, dying, before = self.place.cube().tip(), Crash(), (self.engine.made, self.least)
        with pytest.raises(SystemExit):
            build(self.place, "cube", dying)
        assert self.place.cube().tip() == tip
        self.day(day)
        assert dying.made and self.engine.made - before[0] == self.least - before[1] - dying.made
        self.engine.made += dying.made
        return True

    def held(self, day: int) -> str:
        """A day whose tick starts nothing, and why."""
        tip = self.place.cube().tip()
        started, reason = tick(self.instance, day)
        assert not started and self.place.cube().tip() == tip
        return reason


def happen(place: Tiny, events: list[tuple[str, str]]) -> None:
    for what, name in events:
        if what == "in":
            shutil.copytree(place.folder / "pool" / name, place.folder / "catalogue" / name)
        else:
            shutil.rmtree(place.folder / "catalogue" / name, ignore_errors=True)


def test_thirty_days(place):
    catalogue, aside = place.folder / "catalogue", place.folder / "aside"
    names = sorted(p.name for p in (place.folder / "pool").glob("*_0_L2A"))
    days = happenings(random.Random(SEED), names)
    crashed = False
    with dg.instance_for_test(temp_dir=str(place.folder)) as instance:
        upkeep = Upkeep(place, instance)
        for day in range(1, LAST + 1):
            happen(place, days.get(day, []))
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
    build(place, "fresh", fresh)
    assert crashed
    assert contents(place.cube()) == contents(place.cube_at("fresh"))
    made, least = upkeep.engine.made, upkeep.least
    print(
        f"\n{upkeep.runs} runs: {made} blocks made, {least} needed at least ({made / least:.3f}×); "
        f"{upkeep.runs * fresh.made} if every run made every block"
    )
    assert least <= made <= 1.1 * least
