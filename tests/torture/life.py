"""A cube's life as a Hypothesis state machine: what may happen to it, and what must hold after.

Real images and the real transaction on a real repository; the model is which scenes each month was
published from (what those must give: ``life_model``).
"""

import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from conftest import BY
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from life_model import (
    MONTHS,
    REGION,
    SCENES,
    Content,
    Names,
    changed,
    cube_at,
    empty,
    expected,
    folder,
    plan_of,
    toggled,
    valid,
)
from patches import Counting, Dying

from neve.build import staging
from neve.build.month import Wishes, build_month
from neve.cube.history import commits, tag
from neve.cube.store import Transaction
from neve.cube.tidying import LEAST, tidy
from neve.errors import ScenesVanished

months, names = st.sampled_from(MONTHS), st.sampled_from(sorted(SCENES))


class Killed(BaseException):
    """The process ends here: nothing after it is done, not even tidying up."""


def die(*_: object) -> None:
    raise Killed


class Life(RuleBasedStateMachine):
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=folder())) / "cube"
        shutil.copytree(empty(), self.place)
        self.cube = cube_at(self.place)
        self.listed: dict[str, Names] = dict.fromkeys(MONTHS, frozenset())
        self.published: dict[str, Names | None] = dict.fromkeys(MONTHS)
        self.staged: dict[str, bool] = dict.fromkeys(MONTHS, False)
        self.versions = {self.cube.tip(): dict(self.published)}
        self.tags: dict[str, str] = {}
        self.check(self.cube.tip())

    def teardown(self) -> None:
        shutil.rmtree(self.place.parent)

    # The catalogue

    @rule(month=months, name=names)
    def late_scene(self, month: str, name: str) -> None:
        """A scene is listed, or its corrected copy instead of it."""
        self.listed[month] = toggled(self.listed[month] - {name}, name)

    @precondition(lambda self: any(self.listed.values()))
    @rule(chance=st.randoms(use_true_random=False))
    def withdraw(self, chance: Random) -> None:
        month = chance.choice([month for month in MONTHS if self.listed[month]])
        self.listed[month] -= {chance.choice(sorted(self.listed[month]))}

    # Building

    def build(self, month: str, engine: Counting, shrink: bool = True) -> None:
        """Build; what must be made is made, what was right is not; then main holds it."""
        old, new = self.published[month], self.listed[month]
        report = build_month(
            plan_of(month, new), self.cube, engine, BY, wishes=Wishes(allow_shrink=shrink)
        )
        needed = changed(old, new)
        assert report.published == (needed > 0)
        assert report.recomputed + report.resumed == needed
        if not self.staged[month]:
            assert report.resumed == 0
        assert report.snapshot == self.cube.tip() or not report.published
        self.staged[month] = False
        self.publish(month)

    def publish(self, month: str) -> None:
        """The model follows; a version that is new is looked at whole."""
        self.published[month] = self.listed[month]
        tip = self.cube.tip()
        if tip not in self.versions:
            self.versions[tip] = dict(self.published)
            self.check(tip)
        assert self.versions[tip] == self.published

    @rule(month=months)
    def materialise(self, month: str) -> None:
        """As a run does it: a month that would lose most of its scenes or pixels is held back."""
        old, new, tip = self.published[month], self.listed[month], self.cube.tip()
        keep = REGION.keep_scenes
        few = old is not None and len(new) < keep * len(old)
        fewer = changed(old, new) and valid(new) < keep * valid(old)
        try:
            self.build(month, Counting(), shrink=False)
        except ScenesVanished:
            assert few or fewer
            assert self.cube.tip() == tip
        else:
            assert not few and not fewer

    @rule(month=months)
    def update(self, month: str) -> None:
        """A person looked, and publishes what is left."""
        self.build(month, Counting())

    @rule(first=months, last=months)
    def backfill(self, first: str, last: str) -> None:
        for month in MONTHS[MONTHS.index(first) : MONTHS.index(last) + 1]:
            self.build(month, Counting())

    @rule(
        month=months, others=months | st.none(), mine=names, theirs=names, after=st.integers(0, 3)
    )
    def race(self, month: str, others: str | None, mine: str, theirs: str, after: int) -> None:
        """While a month is built, another writer publishes one too, often (None) the same."""
        other, old = others or month, self.published[month]
        self.listed[month] = wanted = toggled(self.listed[month], mine)

        def meanwhile() -> None:
            self.listed[other] = toggled(self.listed[other], theirs)
            self.build(other, Counting())
            self.listed[month] = wanted

        # What is staged already is not made again: then the other one may find no time to come.
        engine = Dying(min(after, max(changed(old, wanted) - 1, 0)), lambda: None)
        engine.event = lambda: (setattr(engine, "event", lambda: None), meanwhile())
        build_month(plan_of(month, wanted), self.cube, engine, BY, wishes=Wishes(allow_shrink=True))
        assert engine.blocks or not changed(old, wanted) or self.staged[month]
        self.staged[month] = False
        self.publish(month)

    # Ends

    @rule(
        month=months,
        name=names,
        where=st.sampled_from(["block", "commit", "told"]),
        after=st.integers(0, 3),
    )
    def kill(self, month: str, name: str, where: str, after: int) -> None:
        """At a block (finished ones are kept beside main), before the commit, or right after it."""
        self.listed[month] = toggled(self.listed[month], name)
        plain = Transaction.commit

        def commit(*arguments: Any) -> None:
            if where == "told":  # it is published, and nobody was told
                plain(*arguments)
            raise Killed

        tip, old = self.cube.tip(), self.published[month]
        last = max(changed(old, self.listed[month]) - 1, 0)
        engine = Dying(min(after, last), die) if where == "block" else Counting()
        plan, wishes = plan_of(month, self.listed[month]), Wishes(allow_shrink=True)
        self.staged[month] = True
        with ExitStack() as stack, suppress(Killed):
            if where == "block":
                stack.enter_context(patch.object(staging, "SECONDS", 0.0))
                stack.enter_context(patch.object(staging, "SHARE", 1e9))
            else:
                stack.enter_context(patch.object(Transaction, "commit", commit))
            build_month(plan, self.cube, engine, BY, wishes=wishes)
            self.staged[month] = False  # there was less to do than blocks to die at
        self.cube = cube_at(self.place)
        if self.cube.tip() != tip:
            assert changed(old, self.listed[month])
            self.publish(month)

    @precondition(lambda self: any(self.staged.values()))
    @rule(chance=st.randoms(use_true_random=False))
    def resume(self, chance: Random) -> None:
        """Whatever was left behind, the next build ends well, and the one after has nothing."""
        month = chance.choice([month for month in MONTHS if self.staged[month]])
        self.build(month, Counting())
        again = Counting()
        self.build(month, again)
        assert again.blocks == []

    # Looking

    @rule(name=st.sampled_from("abcdef"), chance=st.randoms(use_true_random=False))
    def tag(self, name: str, chance: Random) -> None:
        if name not in self.tags:
            snapshot = chance.choice(list(self.versions))
            assert tag(self.cube.repository, name, snapshot) == snapshot
            self.tags[name] = snapshot

    @precondition(lambda self: len(self.versions) > len({*self.tags.values()}) + 2)
    @rule(chance=st.randoms(use_true_random=False))
    def collect_garbage(self, chance: Random) -> None:
        """Forget what is older than some version; the tips and all younger ones can be read."""
        times = [c.written_at for c in commits(self.cube.repository)]
        gone = tidy(self.cube.repository, LEAST, chance.choice(times) + LEAST, self.cube.lock)
        for snapshot in gone.snapshots:
            self.versions.pop(snapshot, None)
        assert {self.cube.tip(), *self.tags.values()} <= self.versions.keys()
        self.cube = cube_at(self.place)
        for snapshot in chance.sample(list(self.versions), min(len(self.versions), 3)):
            self.check(snapshot)

    @rule(chance=st.randoms(use_true_random=False))
    def read(self, chance: Random) -> None:
        """Any version, by its id or its tag."""
        for snapshot in self.tags.values():
            assert snapshot in self.versions
        self.check(chance.choice(list(self.versions)))

    @invariant()
    def main_holds_what_was_published(self) -> None:
        Life.steps += 1
        assert self.versions[self.cube.tip()] == self.published

    def check(self, snapshot: str) -> None:
        model, found = self.versions[snapshot], Content.of(self.cube, snapshot)
        for number, month in enumerate(MONTHS):
            found.check(number, expected(model[month]))
        length = max((k + 1 for k, m in enumerate(MONTHS) if model[m] is not None), default=0)
        assert min(found.lengths.values()) >= length
