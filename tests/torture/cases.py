"""Runs that campaigns disturb: small plans, the cubes they begin from, the states they may show."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from conftest import BY, Tiny
from states import ABSENT, branches, commits, state

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import MonthPlan, plan_month
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.scenes.values import Scene, SceneList, fingerprint


def narrowed(plan: MonthPlan, keep: Sequence[str]) -> MonthPlan:
    """The plan made of only those scenes whose ids hold one of the texts."""
    scenes = {scene.id: scene for work in plan.works for scene in work.scenes}
    left = tuple(one for one in scenes.values() if any(text in one.id for text in keep))
    return planned(plan, left)


def planned(plan: MonthPlan, scenes: Sequence[Scene]) -> MonthPlan:
    """The plan with other scenes."""
    ordered = tuple(sorted(scenes, key=lambda one: (one.day, one.id)))
    listed = SceneList(ordered, (), fingerprint(ordered))
    return plan_month(plan.region, plan.month, listed, [work.block for work in plan.works])


# Four blocks; they own the first two levels and share the chunks of the third.
SMALLER = {
    "bands: [blue, green, red, nir]": "bands: [red, nir]",
    "indices: [NDVI, EVI]": "indices: [NDVI]",
    "overviews: [2, 4, 16]": "overviews: [2, 8]",
    "block: 32": "block: 64",
    "chunk: 16": "chunk: 32",  # smaller ones would be inlined into manifests
}


def smaller(tiny: Tiny) -> Tiny:
    """The region with a quarter of the work; for hundreds of builds."""
    text = tiny.file.read_text("utf-8")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    tiny.file.write_text(text, "utf-8")
    return tiny


EARLIER = ("20240603", "20240618")  # of June's three days


def built(store: Path, *plans: MonthPlan) -> Path:
    """A cube with months built one after the other."""
    cube = open_cube(str(store), layout_of(plans[0].region))
    for plan in plans:
        build_month(plan, cube, Inline(), BY)
    return store


class Cases:
    """What a run does to which cube: it creates one, adds a month, or replaces a month's pixels.

    Each has a base to copy, the state before and the state after.
    """

    NAMES = ("create", "add", "replace")

    def __init__(self, tiny: Tiny, folder: Path) -> None:
        self.june, self.july = tiny.plan("2024-06"), tiny.plan("2024-07")
        self.earlier = narrowed(self.june, EARLIER)
        self.plans = {"create": self.june, "add": self.july, "replace": self.june}
        self.bases = {
            "create": None,
            "add": built(folder / "june", self.june),
            "replace": built(folder / "earlier", self.earlier),
        }
        after = {name: self.copy(name, folder / f"calm-{name}") for name in self.NAMES}
        for name, store in after.items():
            built(store, self.plans[name])
        self.after = {name: state(store) for name, store in after.items()}
        self.history = {name: commits(store) for name, store in after.items()}
        empty = folder / "empty"
        open_cube(str(empty), layout_of(tiny.region))
        # Of every copy of a base too: its snapshots have the base's ids.
        self.known: dict[str, dict[str, str]] = {name: {} for name in self.NAMES}
        self.before = {
            name: {state(base, self.known[name])} for name, base in self.bases.items() if base
        }
        self.before["create"] = {ABSENT, state(empty)}

    def copy(self, name: str, store: Path) -> Path:
        """A place to run in."""
        base = self.bases[name]
        if base is not None:
            shutil.copytree(base, store)
        return store

    def check_states(self, name: str, seen: Sequence[str]) -> str:
        """ "before" or "after" (the last state seen); fails for any other state, or a way back."""
        assert set(seen) <= self.before[name] | {self.after[name]}, "a mixed state"
        came = [one == self.after[name] for one in seen]
        assert came == sorted(came), "main went back"
        return "after" if came[-1] else "before"

    def check_done(self, name: str, store: Path) -> None:
        """The cube is what an undisturbed run gives, and nothing is left lying about."""
        assert state(store) == self.after[name]
        assert commits(store) == self.history[name]
        assert branches(store) == {"main"}
