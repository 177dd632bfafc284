"""Kill −9 at random points of a build, a reader looking on: main is before or after, and a
second run gives what an undisturbed one gives, bit for bit."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from campaign import campaign
from cases import Cases
from conftest import alive, children
from runs import Warm, at_work, turns, usual_lengths, warmed
from states import reading
from warm import PHASES

from neve.build.engine import DEATHS

# Points per phase. A run that ends before its kill counts for nothing: the trial aims again.
SHORT, POINTS, AIMED = 1, 50, 20
# Of real worker processes and their parents; of the workers' some kill each pool that is started.
WORKERS_SHORT, WORKERS_POINTS, STUBBORN = 1, 16, 0.25
SOONER = 0.7  # after a kill that came too late: the machine may be faster now
SECONDS = 60


@pytest.fixture(scope="module")
def warm(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warmed(tmp_path_factory.mktemp("kills"), scenes) as found:
        yield found


def killed(warm: Warm, name: str, chance: random.Random, aim: str) -> str:
    """Kill a run somewhere in a phase; "<phase that it was in>, <before or after>"."""
    store = warm.fresh(name)
    with reading(store, warm.cases.known[name]) as reader:
        warm.start(name, store, aim, fuse=chance.uniform(0, sum(warm.spent[name][aim])))
        code = warm.answer()[1]
        reader.look_once()
    came = warm.cases.check_states(name, reader.seen)
    if code == "0":
        warm.spent[name] = warm.took(store)  # the machine is faster now
        warm.cases.check_done(name, store)
        clear(store)
        return "too late"
    assert code == str(-signal.SIGKILL), warm.trouble(store)
    phase = PHASES[Path(f"{store}.phase").read_bytes()[0]]
    again(warm, name, store, staged=aim == "staging")
    return f"{phase}, {came}"


def again(warm: Warm, name: str, store: Path, staged: bool = False) -> None:
    """A second run, which takes over what was staged, and adds to it where ``staged``."""
    with reading(store) as reader:
        warm.finish(name, store, staged=int(staged))
        reader.look_once()
    warm.cases.check_states(name, reader.seen)
    warm.cases.check_done(name, store)
    clear(store)


def clear(store: Path) -> None:
    for path in store.parent.glob(f"{store.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("aim", PHASES[:6])
def test_killed_in_every_phase(warm: Warm, aim: str) -> None:
    def trial(chance: random.Random) -> str:
        for _ in range(AIMED):
            told = killed(warm, chance.choice(Cases.NAMES), chance, aim)
            if told != "too late":
                break
        assert told in {f"{aim}, before", f"{aim}, after"}
        return told

    campaign(f"kill-{aim}", SHORT, POINTS, trial)


def until(reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not (done := reached()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return done


@pytest.fixture(scope="module")
def usual(warm: Warm) -> list[float]:
    """Seconds that the blocks of a run with worker processes take, in the order they begin."""
    store = warm.fresh("replace")
    warm.start("replace", store, workers=2)
    assert warm.answer() == ["exit", "0"], warm.trouble(store)
    return usual_lengths(store)


@dataclass
class Struck:
    """A run with worker processes that is killed, or what it consists of, while blocks are made."""

    warm: Warm
    name: str
    store: Path

    def __post_init__(self) -> None:
        self.pid = self.warm.start(self.name, self.store, workers=2)
        self.workers: set[int] = set()  # of pools that a kill has ended
        self.victims: list[int] = []

    def kill(self, who: str, chance: random.Random, usual: Sequence[float]) -> None:
        """At a random share of what a block takes: any one of the first pool, the next's first."""
        nth = 0 if self.workers else chance.randrange(len(usual))
        until(lambda: self._begun() > nth or not alive(self.pid))
        time.sleep(chance.uniform(0, usual[nth]))
        working = sorted(at_work(self.store) - self.workers)
        if not working or not alive(self.pid):
            return
        with suppress(ProcessLookupError):
            self.workers |= set(children(self.pid))
            if who == "worker":
                self.victims.append(chance.choice(working))
                os.kill(self.victims[-1], signal.SIGKILL)
            else:
                (os.killpg if who == "group" else os.kill)(self.pid, signal.SIGKILL)

    def _begun(self) -> int:
        times = [one for pid, one in turns(self.store).items() if pid not in self.workers]
        return sum((len(one) + 1) // 2 for one in times)

    def ended(self) -> str:
        """The run's exit code; no process of it is left."""
        code = self.warm.answer()[1]
        assert until(lambda: not any(map(alive, self.workers))), "workers outlived the run"
        return code


def struck(warm: Warm, who: str, times: int, chance: random.Random, usual: Sequence[float]) -> str:
    """Kill in a run's blocks; what became of it, or "too late" where a kill was."""
    name = chance.choice(Cases.NAMES)
    store = warm.fresh(name)
    with reading(store, warm.cases.known[name]) as reader:
        run = Struck(warm, name, store)
        for _ in range(times):
            run.kill(who, chance, usual)
        code = run.ended()
        reader.look_once()
    came = warm.cases.check_states(name, reader.seen)
    in_blocks = at_work(store)
    hits = len(in_blocks.intersection(run.victims)) if who == "worker" else len(in_blocks) > 0
    if code == "0":
        warm.cases.check_done(name, store)
        clear(store)
    else:
        again(warm, name, store)
    if hits < times:
        return "too late"
    if who != "worker":
        assert code == str(-signal.SIGKILL), warm.trouble(store)
        return f"killed, {came}"
    if times < DEATHS:
        assert (code, came) == ("0", "after")
        return "died, made by others, after"
    assert (code, came) == ("1", "before")
    return f"died {DEATHS} times, refused, before"


@pytest.mark.parametrize("who", ["group", "parent", "worker"])
def test_killed_with_worker_processes(warm: Warm, usual: list[float], who: str) -> None:
    """Others make what a dead worker has left; where they die too, the run ends and says so."""

    def trial(chance: random.Random) -> str:
        times = DEATHS if who == "worker" and chance.random() < STUBBORN else 1
        for attempt in range(AIMED):
            told = struck(warm, who, times, chance, [SOONER**attempt * one for one in usual])
            if told != "too late":
                break
        assert told != "too late"
        return told

    campaign(f"kill-{who}-of-processes", WORKERS_SHORT, WORKERS_POINTS, trial)
