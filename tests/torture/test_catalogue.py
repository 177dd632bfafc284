"""A catalogue that lies: a broken item is left out and never ends the run; an answer that is not
whole holds the month back. The oracle is the cube of the clean items that remain."""

import itertools
import random
import shutil
from dataclasses import replace

import pytest
from campaign import campaign
from cases import planned, smaller
from conftest import BY, PLAN, REGION, Tiny
from lying_catalogue import FAULTS, Lies, lying
from states import digest

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.watching import list_scenes, look
from neve.catalog import api
from neve.catalog.api import StacApi
from neve.catalog.folder import LocalCatalog
from neve.demo.scenes import DayPlan, write_scenes
from neve.scenes.values import Scene

MONTH = "2024-06"
DAYS = tuple(DayPlan(f"2024-06-{day:02}", clouds=0.4) for day in (1, 6, 11, 16, 21, 26))
ITEMS_SHORT, ITEMS, ANSWERS_SHORT, ANSWERS = 6, 120, 12, 240
ABREAST = 4  # half of their time they wait


class Clean:
    """The region's honest scenes, and the cubes of any of them."""

    def __init__(self, tiny: Tiny) -> None:
        self.folder = tiny.folder / "scenes"
        self.items = {one["id"]: one for one in write_scenes(self.folder, replace(PLAN, days=DAYS))}
        self.region, self.tiny = tiny.region, tiny
        listed = list_scenes(self.region, MONTH, LocalCatalog(self.folder))
        self.scenes = {scene.id: scene for scene in listed.scenes}
        assert len(self.scenes) == len(self.items) == len(DAYS)
        self._plan = tiny.plan(MONTH)
        tiny.cube_at("empty")
        self._cubes: dict[frozenset[str], str] = {}
        self._numbers = itertools.count()

    def cube_of(self, ids: frozenset[str]) -> str:
        if ids not in self._cubes:
            self._cubes[ids] = self.cube([self.scenes[name] for name in ids])
        return self._cubes[ids]

    def cube(self, scenes: list[Scene]) -> str:
        """Digest of the cube; without the blocks' fingerprints, which hold names of items."""
        name = f"cube-{next(self._numbers)}"
        shutil.copytree(self.tiny.folder / "empty", self.tiny.folder / name)
        cube = self.tiny.cube_at(name)
        build_month(planned(self._plan, scenes), cube, Inline(), BY)
        return digest(cube.repository, cube.tip(), without=["blocks/fingerprint"])

    def local(self, scene: Scene, url: str) -> Scene:
        """The scene with the very files that the API serves."""
        assets = {
            name: replace(asset, href=asset.href.replace(f"{url}/files", str(self.folder)))
            for name, asset in scene.assets.items()
        }
        return replace(scene, assets=assets)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    tiny = Tiny(tmp_path_factory.mktemp("catalogue"))
    tiny.file.write_text(REGION, "utf-8")
    (tiny.folder / "scenes").mkdir()
    return Clean(smaller(tiny))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGE", 2)


def test_a_broken_item_is_left_out(clean: Clean) -> None:
    def trial(chance: random.Random) -> str:
        served, kept, named = {}, set(), []
        for name, item in clean.items.items():
            fault = chance.choice(FAULTS) if chance.random() < 0.6 else None
            served[name], counts = fault(item, chance) if fault else ([item], True)
            kept |= {name} if counts else set()
            named += [fault.__name__] if fault else []
        lies = Lies(chance.choice(Lies.PASSING), chance.randrange(3), chance.randint(1, 3))
        with lying(clean.folder, served, lies) as url:
            listed = list_scenes(clean.region, MONTH, StacApi(url, timeout=5, retries=3, pause=0))
        scenes = [clean.local(one, url) for one in listed.scenes]
        found = {one.id.removesuffix("_b") for one in scenes}
        assert found == kept, (named, sorted(found ^ kept), listed.rejected)
        assert clean.cube(scenes) == clean.cube_of(frozenset(kept)), named
        return "the cube of the clean items"

    campaign("catalogue-items", ITEMS_SHORT, ITEMS, trial, abreast=ABREAST)


def test_an_answer_that_is_not_whole_holds_the_month_back(clean: Clean) -> None:
    served = {name: [item] for name, item in clean.items.items()}

    def trial(chance: random.Random) -> str:
        lies = Lies(chance.choice(Lies.HELD), chance.randrange(3), chance.randint(1, 3))
        with lying(clean.folder, served, lies) as url:
            finding = look(clean.region, MONTH, StacApi(url, 5, retries=3, pause=0), None)
        assert not finding.fingerprint and "run the month again" in finding.held
        return f"{lies.kind}: held back"

    campaign("catalogue-answers", ANSWERS_SHORT, ANSWERS, trial, abreast=ABREAST)
