"""An object store that fails, and one whose answers are lost: no duplicate, no false failure."""

import random
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
from campaign import FALSE_FAILURE, campaign
from conftest import BY, Tiny
from lossy_store import CARRIED_OUT, FAULTS, Lossy, heard, lossy, sometimes, the_nth
from states import EARLIER, commits, narrowed, smaller, state

from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.build.plan import MonthPlan
from neve.build.report import MonthReport
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import s3_options
from neve.errors import NeveError, Retry

SHORT, LOST, RATES, GONE = 1, 16, 12, 4
REPOSITORY = "/repo"  # the object whose change is a commit (copies of it have longer names)


class Store:
    """A bucket behind a line that loses things, and what is built in it."""

    def __init__(self, tiny: Tiny, bucket: str, line: Lossy) -> None:
        self.june, self.july = tiny.plan("2024-06"), tiny.plan("2024-07")
        self.earlier = narrowed(self.june, EARLIER)
        self.line, self.bucket, self.number = line, bucket, 0

    def fresh(self) -> str:
        """A cube of its own with June of fewer scenes."""
        self.calm()
        self.number += 1
        location = f"{self.bucket}/{self.number}"
        self.build(location, self.earlier)
        return location

    def calm(self) -> None:
        self.line.wish = lambda method, path: ""
        self.line.after = lambda: None
        self.line.asked.clear()

    def build(self, location: str, plan: MonthPlan, **wishes: bool) -> MonthReport:
        cube = open_cube(location, layout_of(plan.region), s3_options(self.line.url))
        return build_month(plan, cube, Inline(), BY, wishes=Wishes(**wishes))


@pytest.fixture
def store(tiny: Tiny, bucket: str, s3_url: str) -> Iterator[Store]:
    with lossy(urlsplit(s3_url).port) as line:
        yield Store(smaller(tiny), bucket, line)


def test_a_commit_whose_answer_is_lost_is_made_once(store: Store) -> None:
    calm = store.fresh()
    before = commits(calm)
    store.build(calm, store.june)
    after, june = state(calm), commits(calm)[0]
    store.build(calm, store.july)
    both, july = state(calm), commits(calm)[0]

    def trial(chance: random.Random, rival: bool) -> str:
        location, fault = store.fresh(), chance.choice(CARRIED_OUT)
        rebuild = chance.random() < 0.5
        if rival:  # another writer commits before the question is asked again
            store.line.after = lambda: store.build(location, store.july)
        store.line.wish = the_nth(0, fault, "PUT", REPOSITORY)
        report = store.build(location, store.june, rebuild=rebuild)
        assert store.line.lost == 1 and report.published and report.recomputed
        store.calm()
        assert commits(location) == ([july] if rival else []) + [june, *before]
        assert state(location) == (both if rival else after)
        assert not store.build(location, store.june).published
        return f"{fault}: made once"

    for rival in (False, True):
        name = f"store-answer-lost-{'and-a-rival' if rival else 'alone'}"
        campaign(name, SHORT, LOST, partial(trial, rival=rival))


def test_a_store_that_fails_now_and_then(store: Store) -> None:
    calm = store.fresh()
    early = state(calm)
    store.build(calm, store.june)
    after, history = state(calm), commits(calm)

    def trial(chance: random.Random, rate: float) -> str:
        location, fault = store.fresh(), chance.choice(FAULTS)
        store.line.wish = sometimes(chance, rate, fault)
        try:
            store.build(location, store.june)
            told = "done"
        except NeveError:
            told = "refused"
        asked = list(store.line.asked)
        store.calm()
        made = state(location) == after
        assert made or (told == "refused" and state(location) == early)
        if made and told == "refused":
            told = "made, unheard"
            if heard(asked, REPOSITORY):
                return FALSE_FAILURE
        store.build(location, store.june)
        assert (state(location), commits(location)) == (after, history)
        return f"{fault}: {told}"

    for rate in (0.01, 0.1, 0.3):
        seen = campaign(f"store-faults-{rate}", SHORT, RATES, partial(trial, rate=rate))
        assert FALSE_FAILURE not in seen, seen


def test_a_store_that_is_gone_after_it_took_the_commit(store: Store) -> None:
    calm = store.fresh()
    store.build(calm, store.june)
    after, history = state(calm), commits(calm)

    def trial(chance: random.Random) -> str:
        location, gone = store.fresh(), chance.choice(("500", "503", "reset"))
        first = the_nth(0, chance.choice(CARRIED_OUT), "PUT", REPOSITORY)
        store.line.wish = lambda method, path: gone if store.line.lost else first(method, path)
        with pytest.raises(Retry, match="run again when the store answers"):
            store.build(location, store.june)
        assert not heard(store.line.asked, REPOSITORY)
        store.calm()
        assert (state(location), commits(location)) == (after, history)
        assert not store.build(location, store.june).published
        return f"{gone}: made, unheard"

    campaign("store-gone", 0, GONE, trial)
