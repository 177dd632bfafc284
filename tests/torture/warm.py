"""A process that has everything loaded and compiled, and forks a run of neve for each request.

Run as ``python warm.py FOLDER``, which holds a pickled plan per case; a request is a line of JSON:
``case``, ``store``, ``workers`` (0: in the run's own process), ``phase`` and ``nth``. Answers, a
line each: ``pid N``, ``entered`` when the run enters the phase for the nth time, ``exit N``. A run
is a session of its own. In ``<store>.phase`` its present phase stands, also after its death.

Icechunk starts threads when it is imported, and no fork survives threads: only runs import it, and
what stands on it. All else that takes time is imported before.
"""

import json
import mmap
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from neve.build import levels
from neve.build.plan import MonthPlan
from neve.compositing import composite

# What a run does when; what is not named is "else" (opening, checks, previews, records).
PHASES = ("else", "reading", "compositing", "writing", "staging", "committing", "waiting")
BEFORE = (
    "filelock",
    "zarr",
    "neve.catalog.opening",
    "neve.cube.records",
    "neve.previews.components",
)


class Marks:
    """Keeps the present phase where it outlives the process, and counts the aimed one."""

    def __init__(self, file: Path, phase: str, nth: int) -> None:
        file.write_bytes(bytes(1))
        with file.open("r+b") as opened:
            self.now = mmap.mmap(opened.fileno(), 1)
        self.aim, self.left = PHASES.index(phase), nth
        self.spent: dict[str, list[float]] = {}

    def wrap(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        number = PHASES.index(phase)

        def marked(*args: Any, **kwargs: Any) -> Any:
            outer, self.now[0] = self.now[0], number
            if number == self.aim:
                self.left -= 1
                if self.left == 0:
                    say("entered")
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent.setdefault(phase, []).append(time.perf_counter() - began)
                self.now[0] = outer

        return marked


def say(*words: object) -> None:
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def run(request: dict[str, Any], plan: MonthPlan) -> None:
    """One build, every block of it staged; times per phase go to ``<store>.spent``."""
    from neve.build import block, month, staging
    from neve.build.engine import Inline, Processes
    from neve.cube import chunks, store
    from neve.cube.layout import layout_of

    marks = Marks(Path(request["store"] + ".phase"), request["phase"], request["nth"])
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
    for place, name, phase in places:
        setattr(place, name, marks.wrap(getattr(place, name), phase))
    staging.SECONDS, staging.SHARE = 0.0, 1e9
    store.AHEAD_SECONDS = 0.2
    os.environ["CLOCK_SHIFT"] = str(request.get("shift", 0))  # heeded where shift.c is loaded
    cube = store.open_cube(request["store"], layout_of(plan.region))
    engine = Processes(request["workers"]) if request["workers"] else Inline()
    month.build_month(plan, cube, engine, month.Provenance("run", "0"))
    Path(request["store"] + ".spent").write_text(json.dumps(marks.spent), "utf-8")


def forked(request: dict[str, Any], plan: MonthPlan) -> int:
    """The exit code of the run (negative: of the signal that ended it)."""
    pid = os.fork()
    if pid:
        say("pid", pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        os.setsid()
        run(request, plan)
        code = 0
    except BaseException:
        Path(request["store"] + ".trouble").write_text(traceback.format_exc(), "utf-8")
    finally:
        os._exit(code)


def compiled(plan: MonthPlan) -> None:
    """Run all kernels once, without a store."""
    work = plan.works[0]
    made = composite.compose(work.block.grid, work.scenes, plan.region.recipe())
    for arrays in levels.level_arrays(made, plan.layout).values():
        levels.with_indices(arrays, plan.layout)


def main(folder: Path) -> None:
    plans = {file.stem: pickle.loads(file.read_bytes()) for file in folder.glob("*.plan")}
    for name in BEFORE:
        import_module(name)
    for plan in plans.values():
        compiled(plan)
    say("ready", len(list(Path("/proc/self/task").iterdir())))
    for line in sys.stdin:
        request = json.loads(line)
        say("exit", forked(request, plans[request["case"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
