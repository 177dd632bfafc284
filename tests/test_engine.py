"""Engines: every task once, errors raised, no worker left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import alive, children

from neve.build.engine import Inline, Processes
from neve.errors import Stop


def square(x):
    return x * x


def fail(x):
    raise ValueError(f"task {x}")


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(task):
    marker, x = task
    if x == 2 and not marker.exists():
        marker.touch()
        die(x)
    return x


def wait(x):
    time.sleep(60)


@pytest.mark.parametrize("engine", [Inline(), Processes(2)])
def test_every_task_is_done_once(engine):
    assert sorted(engine.map(square, range(7))) == [0, 1, 4, 9, 16, 25, 36]
    assert list(engine.map(square, [])) == []


@pytest.mark.parametrize("engine", [Inline(), Processes(2)])
def test_a_tasks_error_is_raised(engine):
    with pytest.raises(ValueError, match="task 1"):
        list(engine.map(fail, [1]))


def test_a_killed_worker_stops_the_attempt():
    with pytest.raises(Stop, match="memory"):
        list(Processes(1).map(die, [1]))


def test_tasks_of_a_killed_worker_are_done_by_another(tmp_path):
    tasks = [(tmp_path / "died", x) for x in range(6)]
    assert sorted(Processes(2).map(die_once, tasks)) == [*range(6)]
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize(("workers", "tasks", "threads"), [(2, 9, 4), (8, 9, 1), (8, 2, 4)])
def test_workers_share_the_cores(workers, tasks, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert Processes(workers).threads(tasks) == threads
    assert Inline().threads(tasks) == 8


def test_workers_end_with_a_killed_parent():
    code = "from neve.build.engine import Processes; import test_engine as t; "
    code += "print(list(Processes(2).map(t.wait, [1, 2])))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)

    deadline = time.monotonic() + 60
    while len(workers := children(parent.pid)) < 3:  # two, and multiprocessing's tracker
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2)  # until they run their tasks
    parent.kill()
    parent.wait()
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.1)
