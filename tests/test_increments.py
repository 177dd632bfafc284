"""Only blocks whose scenes changed are made, and the month is what a build from scratch gives."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import BY
from patches import REGION, Counting, contents, cube_at, make, plan_of

from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.build.plan import plan_month
from neve.cube.history import commits
from neve.cube.layout import CLEAR, CLOUDY
from neve.cube.records import Records
from neve.scenes.values import SceneList

# Whatever the order, also when nearly all scenes are withdrawn.
ANY = Wishes(allow_shrink=True)

ALL, NEAR, FAR = slice(None), slice(0, 32), slice(32, None)
ORDERS, SEED = 100, 3
SHRINK = Wishes(allow_shrink=True)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Scenes of all, some and single blocks; ``~`` marks the corrected copy of one."""
    folder = tmp_path_factory.mktemp("patches")
    found = {
        "whole": make(folder, "whole", (ALL, ALL), 1, 1),
        "west": make(folder, "west", (ALL, NEAR), 2, 2),
        "north": make(folder, "north", (NEAR, ALL), 3, 3),
        "corner": make(folder, "corner", (FAR, FAR), 4, 4),
        "same-day": make(folder, "same-day", (NEAR, ALL), 4, 5),
    }
    for name, seed in (("west", 6), ("corner", 7)):
        copy = make(folder / "corrected", name, (ALL, NEAR) if name == "west" else (FAR, FAR), 2, 6)
        found[f"{name}~"] = replace(copy, updated=f"2023-09-0{seed}")
    return found


def events(chance: random.Random, names: list[str]):
    """Sets of scenes that are listed one after the other: they arrive, change, are withdrawn."""
    listed: set[str] = set()
    for _ in range(chance.randint(2, 5)):
        name = chance.choice(names)
        plain = name.removesuffix("~")
        if name in listed:
            listed.remove(name)
        else:
            listed -= {plain, f"{plain}~"}
            listed.add(name)
        yield frozenset(listed)


def test_after_any_order_of_arrivals_the_cube_is_one_built_from_scratch(pool, tmp_path):
    chance = random.Random(SEED)
    scratch: dict[frozenset[str], dict[str, bytes]] = {}
    cube_at(tmp_path / "empty")
    for order in range(ORDERS):
        shutil.copytree(tmp_path / "empty", tmp_path / f"cube-{order}")
        cube = cube_at(tmp_path / f"cube-{order}")
        # One scene cannot be read at first; it is lost, and must not stay so.
        late = {band: Path(a.href) for band, a in pool["whole"].assets.items()}
        folder = tmp_path / str(order)
        assets = {
            band: replace(pool["whole"].assets[band], href=str(folder / place.name))
            for band, place in late.items()
        }
        scenes = pool | {"whole": replace(pool["whole"], assets=assets)}
        listed: frozenset[str] = frozenset()
        for listed in events(chance, sorted(pool)):
            build_month(plan_of(scenes[n] for n in listed), cube, Inline(), BY, wishes=SHRINK)
        folder.symlink_to(next(iter(late.values())).parent)
        engine = Counting()
        build_month(plan_of(scenes[n] for n in listed), cube, engine, BY, wishes=SHRINK)
        assert len(engine.blocks) == (4 if "whole" in listed else 0)
        found = contents(cube)
        found.pop("blocks/fingerprint")  # the scene lies elsewhere in every order
        if listed not in scratch:
            fresh = cube_at(tmp_path / f"scratch-{len(scratch)}")
            build_month(plan_of(pool[name] for name in listed), fresh, Inline(), BY)
            scratch[listed] = contents(fresh)
            scratch[listed].pop("blocks/fingerprint")
        assert found == scratch[listed], (order, sorted(listed))


def test_only_the_blocks_of_what_changed_are_made(pool, tmp_path):
    cube, engine = cube_at(tmp_path / "cube"), Counting()

    def build(*names: str, **wishes: bool):
        engine.blocks.clear()
        plan = plan_of(pool[name] for name in names)
        return build_month(plan, cube, engine, BY, wishes=Wishes(**wishes)), list(engine.blocks)

    first, made = build("whole", "west", "corner")
    assert made == ["0-0", "0-1", "1-0", "1-1"]
    assert first.published and first.recomputed == first.blocks == 4
    second, made = build("whole", "west", "corner~")
    assert made == ["1-1"]
    assert (second.recomputed, second.used) == (1, ("corner", "whole"))
    third, made = build("whole", "west~")
    assert made == ["0-0", "1-0", "1-1"]
    again, made = build("whole", "west~")
    assert made == [] and not again.published
    assert again.snapshot == third.snapshot == cube.tip()
    assert (again.counts, again.valid_pixels) == (third.counts, third.valid_pixels)
    forced, made = build("whole", "west~", rebuild=True)
    assert len(made) == 4 and forced.published
    assert (forced.counts, forced.valid_pixels) == (third.counts, third.valid_pixels)
    fresh = cube_at(tmp_path / "fresh")
    scratch = build_month(plan_of([pool["whole"], pool["west~"]]), fresh, Inline(), BY)
    assert (scratch.counts, scratch.valid_pixels) == (third.counts, third.valid_pixels)
    told = next(commits(cube.repository))
    assert told.counts == scratch.counts
    assert told.valid_fraction == scratch.valid_pixels / np.prod(REGION.grid().shape)


@pytest.mark.parametrize("least", [1, 2])
def test_blocks_that_drop_out_are_emptied_and_leave_the_totals(pool, tmp_path, least):
    region, engine = REGION.model_copy(update={"min_obs": least}), Counting()
    cube, fresh = cube_at(tmp_path / "cube", region), cube_at(tmp_path / "fresh", region)
    plan = plan_of([pool["whole"], pool["north"]], region)
    build_month(plan, cube, engine, BY)
    blocks = [work.block for work in plan.works]
    scenes = SceneList(plan.works[0].scenes, (), plan.fingerprint)
    less = plan_month(plan.region, plan.month, scenes, blocks[:3])
    engine.blocks.clear()
    report = build_month(less, cube, engine, BY)
    assert engine.blocks == []
    scratch = build_month(less, fresh, Inline(), BY)
    assert contents(cube) == contents(fresh)
    assert (report.counts, report.pixels) == (scratch.counts, scratch.pixels)
    assert not build_month(less, cube, engine, BY).published
    assert build_month(plan, cube, engine, BY).recomputed == 1
    found = Records.read(cube.layout, cube.repository.readonly_session("main").store, 0)
    only_whole = CLEAR if least == 1 else CLOUDY  # the south was seen once
    assert found.status.tolist() == [[CLEAR, CLEAR], [only_whole, only_whole]]


def test_other_kernels_make_every_block_again(pool, tmp_path, monkeypatch):
    cube = cube_at(tmp_path / "cube")
    build_month(plan_of([pool["whole"]]), cube, Inline(), BY)
    monkeypatch.setattr("neve.build.plan.PIXELS", 2)
    assert build_month(plan_of([pool["whole"]]), cube, Inline(), BY).recomputed == 4
