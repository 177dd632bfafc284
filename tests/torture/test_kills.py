"""Kill −9 at random points of a build, a reader looking on: main is before or after, and a
second run gives what an undisturbed one gives, bit for bit."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from campaign import campaign
from conftest import alive, children
from runs import Warm, warmed
from states import Cases, reading
from warm import PHASES

# Points per phase. A run that ends before its kill counts for nothing: the trial aims again.
SHORT, POINTS, AIMED = 1, 50, 20
# Of workers and parents of real worker processes, which take seconds to start.
WORKERS_SHORT, WORKERS_POINTS = 1, 16
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
    again(warm, name, store)
    return f"{phase}, {came}"


def again(warm: Warm, name: str, store: Path) -> None:
    with reading(store) as reader:
        warm.finish(name, store)
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


def spawned(pid: int) -> list[int]:
    """The worker processes of a run (it also has one that tracks resources)."""
    return [
        child
        for child in children(pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def victims(pid: int, who: str, chance: random.Random) -> None:
    workers = spawned(pid)
    if who == "group":
        os.killpg(pid, signal.SIGKILL)
    elif who == "parent":
        os.kill(pid, signal.SIGKILL)
    elif workers:
        os.kill(chance.choice(workers), signal.SIGKILL)


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + SECONDS
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.fixture(scope="module")
def whole(warm: Warm) -> float:
    """Seconds that a run with worker processes takes."""
    began = time.monotonic()
    warm.start("replace", warm.fresh("replace"), "waiting", 1, workers=2)
    assert warm.answer() == ["entered"]
    assert warm.answer() == ["exit", "0"]
    return time.monotonic() - began


@pytest.mark.parametrize("who", ["group", "parent", "worker"])
def test_killed_with_worker_processes(warm: Warm, whole: float, who: str) -> None:
    def trial(chance: random.Random) -> str:
        name = chance.choice(Cases.NAMES)
        store = warm.fresh(name)
        with reading(store) as reader:
            pid = warm.start(name, store, "waiting", 1, workers=2)
            assert warm.answer() == ["entered"]
            time.sleep(chance.uniform(0, whole))
            workers = []
            with suppress(FileNotFoundError, ProcessLookupError):
                workers = spawned(pid)
                victims(pid, who, chance)
            code = warm.answer()[1]
            assert gone(workers), "workers outlived the run"
            reader.look_once()
        came = warm.cases.check_states(name, reader.seen)
        assert code != "0" or came == "after"
        told = "no matter" if code == "0" else "refused" if code == "1" else "killed"
        if told == "refused":
            assert "a worker process died" in warm.trouble(store)
        again(warm, name, store)
        return f"{told}, {came}"

    campaign(f"kill-{who}-of-processes", WORKERS_SHORT, WORKERS_POINTS, trial)
