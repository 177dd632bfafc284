"""A process that has everything loaded and compiled, and forks a run of neve for each request.

Run as ``python warm.py FOLDER``, which holds a pickled plan per case (``.plan``), and the grid of a
block, its scenes and the region, to compile for (``.block``); a request is a line of JSON:
``case``, ``store``, ``workers`` (0: in the run's own process), ``phase``, ``nth`` and ``fuse``.
Answers, a line each: ``pid N``, ``entered`` when the run enters the phase for the nth time, ``exit
N``. A run that has spent ``fuse`` seconds (0: never) in the phase is killed. With ``age`` its first
attempt began so many seconds before, it waits for ``<store>.go`` when it has entered, and stages
nothing where ``staged`` is 0. Each is a session of its own. In ``<store>.phase`` its present phase
stands, also after its death; in ``<store>.work`` a line (process, time) for each block that a
worker process begins, and for its end.

Icechunk starts threads when it is imported, and no fork survives threads: only runs import it, and
what stands on it. All else that takes time is imported before.
"""

import ctypes
import json
import math
import mmap
import os
import pickle
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from neve.build import levels
from neve.compositing import composite
from neve.cube.layout import layout_of
from neve.grid import Grid
from neve.region import Region
from neve.scenes.values import Scene

# What a run does when; what is not named is "else" (opening, checks, previews, records).
PHASES = ("else", "reading", "compositing", "writing", "staging", "committing", "waiting")
BEFORE = (
    "filelock",
    "zarr",
    "neve.catalog.opening",
    "neve.previews.components",
)


class Fuse:
    """Once it has burned for so long, the kernel's timer ends this process by SIGKILL.

    No handler runs, and nobody has to be woken first: it hits what lasts a tenth of a millisecond.
    """

    def __init__(self, seconds: float) -> None:
        self.left, self.lit = seconds, 0.0
        self.system, self.timer = ctypes.CDLL(None), ctypes.c_void_p()
        event = struct.pack("@Pii48x", 0, signal.SIGKILL, 0)  # a struct sigevent, SIGEV_SIGNAL
        made = self.system.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(self.timer))
        assert made == 0, "no timer"

    def burn(self) -> None:
        self.lit = time.monotonic()
        self._set(self.left)

    def pause(self) -> None:
        self._set(0)
        self.left = max(self.left - (time.monotonic() - self.lit), 1e-6)

    def _set(self, seconds: float) -> None:
        rest, whole = math.modf(seconds)
        when = struct.pack("@4l", 0, 0, int(whole), math.ceil(1e9 * rest))
        assert self.system.timer_settime(self.timer, 0, when, None) == 0


class Marks:
    """Keeps the present phase where it outlives the process; counts and times them."""

    def __init__(self, file: Path, phase: str, nth: int, fuse: float) -> None:
        file.write_bytes(bytes(1))
        with file.open("r+b") as opened:
            self.now = mmap.mmap(opened.fileno(), 1)
        self.aim, self.left = PHASES.index(phase), nth
        self.fuse = Fuse(fuse) if fuse else None
        # Of each time that a phase was entered, without what ran within it as another phase.
        self.spent: dict[str, list[float]] = {PHASES[0]: [0.0]}
        self.since = time.perf_counter()
        self.turn(0)

    def turn(self, number: int) -> int:
        """The phase that ends where this one begins; the fuse burns in the aimed one alone."""
        outer, now = self.now[0], time.perf_counter()
        if self.fuse and outer == self.aim and self.fuse.lit:
            self.fuse.pause()
        self.spent[PHASES[outer]][-1] += now - self.since
        self.now[0], self.since = number, now
        if self.fuse and number == self.aim:
            self.fuse.burn()
        return outer

    def reached(self) -> None:
        if self.left == 0:
            say("entered")

    def wrap(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        number = PHASES.index(phase)

        def marked(*args: Any, **kwargs: Any) -> Any:
            self.spent.setdefault(phase, []).append(0.0)
            outer = self.turn(number)
            if number == self.aim:
                self.left -= 1
                self.reached()
            try:
                return function(*args, **kwargs)
            finally:
                self.turn(outer)

        return marked


class Pausing(Marks):
    """Waits for ``<store>.go`` in the aimed phase, when the run does not hold the cube's lock."""

    def __init__(self, file: Path, phase: str, nth: int, fuse: float) -> None:
        super().__init__(file, phase, nth, fuse)
        self.go, self.lock = file.with_suffix(".go"), file.with_suffix(".lock")

    def reached(self) -> None:
        from filelock import FileLock, Timeout

        if self.left > 0 or self.go.exists():
            return
        try:
            FileLock(self.lock).acquire(timeout=0).lock.release()
        except Timeout:
            return
        say("entered")
        while not self.go.exists():
            time.sleep(0.005)


def say(*words: object) -> None:
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def at_work(file: Path, task: Any) -> Any:
    """A block, in a worker process: one line when it begins, one when it is done."""
    from neve.build.block import run_block

    with file.open("a", buffering=1) as log:
        print(os.getpid(), time.monotonic(), file=log)
        made = run_block(task)
        print(os.getpid(), time.monotonic(), file=log)
    return made


def run(request: dict[str, Any], plan: Any) -> None:
    """One build, some blocks of it staged; times per phase go to ``<store>.spent``."""
    from neve.build import block, month, staging
    from neve.build.engine import Inline, Processes
    from neve.cube import chunks, opening, store

    phase = Path(request["store"] + ".phase")
    kind = Pausing if "age" in request else Marks
    marks = kind(phase, request["phase"], request["nth"], request["fuse"])
    places: tuple[tuple[Any, str, str], ...] = (
        (block, "compose_in_budget", "reading"),
        (composite, "median", "compositing"),
        (block, "level_arrays", "compositing"),
        (block, "with_indices", "compositing"),
        (chunks, "write", "writing"),
        (store.Cube, "stage", "staging"),
        (store.Transaction, "commit", "committing"),
        (Processes, "map", "waiting"),
    )
    for place, name, which in places:
        setattr(place, name, marks.wrap(getattr(place, name), which))
    if request.get("staged", 1):
        staging.SECONDS, staging.SHARE = 0.0, 1.0  # a branch is made, and then added to
    store.AHEAD_SECONDS = 0.2
    os.environ["CLOCK_SHIFT"] = str(request.get("shift", 0))  # heeded where shift.c is loaded
    ages = iter([timedelta(seconds=request.get("age", 0))])
    begin = store.Cube.begin

    def begun(cube: store.Cube, month: str) -> store.Transaction:
        made = begin(cube, month)
        return replace(made, began=made.began - next(ages, timedelta()))

    store.Cube.begin = begun
    cube = opening.open_cube(request["store"], layout_of(plan.region))
    engine = Processes(request["workers"]) if request["workers"] else Inline()
    if request["workers"]:
        month.run_block = partial(at_work, Path(request["store"] + ".work"))
    month.build_month(plan, cube, engine, month.Provenance("run", "0"))
    marks.turn(0)
    Path(request["store"] + ".spent").write_text(json.dumps(marks.spent), "utf-8")


def forked(request: dict[str, Any], plan: bytes) -> int:
    """The exit code of the run (negative: of the signal that ended it)."""
    pid = os.fork()
    if pid:
        say("pid", pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        os.setsid()
        run(request, pickle.loads(plan))
        code = 0
    except BaseException:
        Path(request["store"] + ".trouble").write_text(traceback.format_exc(), "utf-8")
    finally:
        os._exit(code)


def compiled(grid: Grid, scenes: Sequence[Scene], region: Region) -> None:
    """Run all kernels once, without a store."""
    layout = layout_of(region)  # audits its indices
    made = composite.compose(grid, scenes, region.recipe())
    for arrays in levels.level_arrays(made, layout).values():
        levels.with_indices(arrays, layout)


def main(folder: Path) -> None:
    plans = {file.stem: file.read_bytes() for file in folder.glob("*.plan")}
    for name in BEFORE:
        import_module(name)
    for file in folder.glob("*.block"):
        compiled(*pickle.loads(file.read_bytes()))
    say("ready", len(list(Path("/proc/self/task").iterdir())))
    for line in sys.stdin:
        request = json.loads(line)
        say("exit", forked(request, plans[request["case"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
