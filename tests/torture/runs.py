"""Runs of neve in processes of their own, forked by a warm one (``warm.py``); for campaigns."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path

from cases import Cases, smaller
from conftest import PROJECT, tiny_in


class Warm:
    """A process that forks warm runs (``warm.py``), and what runs of each kind take."""

    def __init__(self, process: subprocess.Popen[str], cases: Cases, folder: Path) -> None:
        self.process, self.cases, self.folder = process, cases, folder
        self.number = 0
        assert self.answer() == ["ready", "1"], "a process with threads must not fork"
        # The first run of each is not a warm one yet.
        self.spent = {name: self._calm(name) for name in Cases.NAMES * 2}

    def answer(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def start(
        self, name: str, store: Path, phase: str = "else", nth: int = 0, **more: float
    ) -> int:
        """Begin a run; its process id, which is that of its group too. ``more``: as ``warm``."""
        request = {"case": name, "store": str(store), "phase": phase, "nth": nth}
        request |= {"workers": 0, "fuse": 0}
        print(json.dumps(request | more), file=self.process.stdin, flush=True)
        word, pid = self.answer()
        assert word == "pid"
        return int(pid)

    def finish(self, name: str, store: Path, **more: int) -> None:
        """Run to the end."""
        self.start(name, store, **more)
        code = self.answer()[1]
        assert code == "0", self.trouble(store)

    def trouble(self, store: Path) -> str:
        file = Path(f"{store}.trouble")
        return file.read_text("utf-8")[-3000:] if file.exists() else "no trouble is told"

    def fresh(self, name: str) -> Path:
        self.number += 1
        return self.cases.copy(name, self.folder / f"run-{self.number}")

    def _calm(self, name: str) -> dict[str, list[float]]:
        store = self.fresh(name)
        self.finish(name, store)
        self.cases.check_done(name, store)
        return self.took(store)

    def took(self, store: Path) -> dict[str, list[float]]:
        """Seconds of each time that an undisturbed run entered each phase."""
        return json.loads(Path(f"{store}.spent").read_text("utf-8"))


@contextmanager
def warmed(folder: Path, scenes: Path, **environment: str) -> Iterator[Warm]:
    """A warm process in a folder; ``environment``: what it is to have besides."""
    (folder / "tiny").mkdir()
    cases = Cases(smaller(tiny_in(folder / "tiny", scenes)), folder)
    for name, plan in cases.plans.items():
        (folder / f"{name}.plan").write_bytes(pickle.dumps(plan))
        first = plan.works[0].block.grid, plan.works[0].scenes, plan.region
        (folder / f"{name}.block").write_bytes(pickle.dumps(first))
    command = [sys.executable, str(Path(__file__).with_name("warm.py")), str(folder)]
    known = os.environ | {"PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"} | environment
    known["PYTHONDONTWRITEBYTECODE"] = ""  # else each run compiles what it imports
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=known, text=True, bufsize=1, **pipes) as process:
        yield Warm(process, cases, folder)


def turns(store: Path) -> dict[int, list[float]]:
    """When each worker process of a run began and ended its blocks, in turn; by process id."""
    found: dict[int, list[float]] = {}
    file = Path(f"{store}.work")
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        pid, when = line.split()
        found.setdefault(int(pid), []).append(float(when))
    return found


def at_work(store: Path) -> set[int]:
    """Workers that have begun a block and not ended it; who died in one is among them."""
    return {pid for pid, times in turns(store).items() if len(times) % 2}


def usual_lengths(store: Path) -> list[float]:
    """Seconds that the blocks of an undisturbed run took, in the order in which they began."""
    blocks = [one for times in turns(store).values() for one in batched(times, 2, strict=True)]
    return [end - began for began, end in sorted(blocks)]
