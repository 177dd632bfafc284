"""An object store that fails, and one whose answers are lost: no duplicate, no false failure."""

import itertools
import random
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from campaign import FALSE_FAILURE, FULL, campaign
from cases import EARLIER, narrowed, smaller
from conftest import BY, Tiny
from lossy_store import CARRIED_OUT, FAULTS, Lossy, heard, lossy, sometimes, the_nth
from states import commits, state

from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.build.plan import MonthPlan
from neve.build.report import MonthReport
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import s3_options
from neve.errors import NeveError, Retry

SHORT, LOST, RATES, GONE = 1, 16, 12, 4
ABREAST = 6  # they wait for pauses between tries
REPOSITORY = "/repo"  # the object whose change is a commit (copies of it have longer names)


class Store:
    """A cube behind a line of its own that loses things."""

    def __init__(self, location: str, line: Lossy) -> None:
        self.location, self.line = location, line

    def calm(self) -> None:
        self.line.wish = lambda method, path: ""
        self.line.after = lambda: None
        self.line.asked.clear()

    def build(self, plan: MonthPlan, **wishes: bool) -> MonthReport:
        cube = open_cube(self.location, layout_of(plan.region), s3_options(self.line.url))
        return build_month(plan, cube, Inline(), BY, wishes=Wishes(**wishes))

    @property
    def state(self) -> str:
        return state(self.location)

    @property
    def commits(self) -> list[tuple[str | None, tuple[str, ...]]]:
        return commits(self.location)


class Stores:
    """A bucket, and what is built in it."""

    def __init__(self, tiny: Tiny, bucket: str, port: int) -> None:
        self.june, self.july = tiny.plan("2024-06"), tiny.plan("2024-07")
        self._bucket, self._port, self._numbers = bucket, port, itertools.count()
        with lossy(port) as line:
            Store(f"{bucket}/base", line).build(narrowed(self.june, EARLIER))

    @contextmanager
    def fresh(self) -> Iterator[Store]:
        """A cube of its own with June of fewer scenes."""
        location = f"{self._bucket}/{next(self._numbers)}"
        self._copy(f"{self._bucket}/base", location)
        with lossy(self._port) as line:
            yield Store(location, line)

    def _copy(self, base: str, location: str) -> None:
        """Copy all objects within the store."""
        bucket, prefix = base.removeprefix("s3://").split("/")
        with closing(HTTPConnection("127.0.0.1", self._port)) as connection:

            def ask(method: str, path: str, **headers: str) -> str:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                assert answer.status == 200
                return answer.read().decode()

            listed = ask("GET", f"/{bucket}?list-type=2&prefix={prefix}/")
            assert "<IsTruncated>false" in listed
            for key in re.findall("<Key>(.*?)</Key>", listed):
                new = location.removeprefix("s3:/") + key.removeprefix(prefix)
                ask("PUT", new, **{"x-amz-copy-source": f"{bucket}/{key}"})


@pytest.fixture
def stores(tiny: Tiny, bucket: str, s3_url: str) -> Stores:
    return Stores(smaller(tiny), bucket, urlsplit(s3_url).port or 0)


def test_a_commit_whose_answer_is_lost_is_made_once(stores: Stores) -> None:
    with stores.fresh() as calm:
        before = calm.commits
        calm.build(stores.june)
        after, june = calm.state, calm.commits[0]
        calm.build(stores.july)
        both, july = calm.state, calm.commits[0]

    def trial(chance: random.Random, rival: bool) -> str:
        fault, rebuild = chance.choice(CARRIED_OUT), chance.random() < 0.5
        with stores.fresh() as store:
            if rival:  # another writer commits before the question is asked again
                store.line.after = lambda: store.build(stores.july)
            store.line.wish = the_nth(0, fault, "PUT", REPOSITORY)
            report = store.build(stores.june, rebuild=rebuild)
            assert store.line.lost == 1 and report.published and report.recomputed
            store.calm()
            assert store.commits == ([july] if rival else []) + [june, *before]
            assert store.state == (both if rival else after)
            assert not store.build(stores.june).published
        return f"{fault}: made once"

    for rival in (False, True):
        name = f"store-answer-lost-{'and-a-rival' if rival else 'alone'}"
        campaign(name, SHORT, LOST, partial(trial, rival=rival), abreast=ABREAST)


def test_a_store_that_fails_now_and_then(stores: Stores) -> None:
    with stores.fresh() as calm:
        early = calm.state
        calm.build(stores.june)
        after, history = calm.state, calm.commits

    def trial(chance: random.Random, rate: float) -> str:
        fault = chance.choice(FAULTS)
        with stores.fresh() as store:
            store.line.wish = sometimes(chance, rate, fault)
            try:
                store.build(stores.june)
                told = "done"
            except NeveError:
                told = "refused"
            asked = list(store.line.asked)
            store.calm()
            found = store.state
            assert found == after or (told == "refused" and found == early)
            if found == after and told == "refused":
                told = "made, unheard"
                if heard(asked, REPOSITORY):
                    return FALSE_FAILURE
            store.build(stores.june)
            assert (store.state, store.commits) == (after, history)
        return f"{fault}: {told}"

    for rate in (0.01, 0.1, 0.3):
        name = f"store-faults-{rate}"
        seen = campaign(name, SHORT, RATES, partial(trial, rate=rate), abreast=ABREAST)
        assert FALSE_FAILURE not in seen, seen


@pytest.mark.skipif(not FULL, reason="a minute of retries each")
def test_a_store_that_is_gone_after_it_took_the_commit(stores: Stores) -> None:
    with stores.fresh() as calm:
        calm.build(stores.june)
        after, history = calm.state, calm.commits

    def trial(chance: random.Random) -> str:
        gone = chance.choice(("500", "503", "reset"))
        first = the_nth(0, chance.choice(CARRIED_OUT), "PUT", REPOSITORY)
        with stores.fresh() as store:
            line = store.line
            line.wish = lambda method, path: gone if line.lost else first(method, path)
            with pytest.raises(Retry, match="run again when the store answers"):
                store.build(stores.june)
            assert not heard(line.asked, REPOSITORY)
            store.calm()
            assert (store.state, store.commits) == (after, history)
            assert not store.build(stores.june).published
        return f"{gone}: made, unheard"

    campaign("store-gone", SHORT, GONE, trial, abreast=ABREAST)
