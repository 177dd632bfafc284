"""A disk that fills up at a step of a build: main stays readable as it was, and the build goes
through once there is room."""

import os
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import icechunk as ic
import pytest
from campaign import FULL, campaign
from cases import Cases, smaller
from conftest import BY, Tiny
from states import reading

from neve.build import month, staging
from neve.build.engine import Inline
from neve.cube import opening, store
from neve.cube.layout import layout_of
from neve.errors import AskPerson

SHORT, TRIALS, WANTED = 3, 120, 5
PAGE = 4096
ROOM, FILES = 64 << 20, 100_000
# What a build does that writes; each is entered with little room left.
STEPS = {
    "opening": (opening, "open_cube"),
    "beginning": (store.Cube, "begin"),
    "making blocks": (month, "run_block"),
    "staging": (store.Cube, "stage"),
    "committing": (store.Transaction, "commit"),
    "removing what was staged": (store.Cube, "unstage"),
}
# A step is entered with room for less than it takes; some are aimed at exactly, by files: the lock
# is the first of all, a commit ends with its snapshot, its log and (two files) the reference.
AIMS = {
    **dict.fromkeys(STEPS, 1),
    "lock": 1,
    "the commit's end": 3,
}
# What must have been hit, each so often: (what is written) while (doing what).
HIT = (
    "lock while opening",
    "(write_|create_repo).* while opening",
    "write_.* while beginning",
    "write_chunk while making blocks",
    ".* while staging",
    "write_manifest while committing",
    "write_(snapshot|transaction_log) while committing",  # both at once
    "update_repo_info.* while committing",  # the reference
    ".* while removing what was staged",
)
_WRITTEN = re.compile(r"0: icechunk::[a-z_:]+::(\w+)")


class Disk:
    """A file system of its own, whose size and number of files can be changed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def mount(self, *options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def leave(self, pages: int | None = None, files: int | None = None) -> None:
        """Leave room for so much more; without a number, for all that comes."""
        used = self.used()
        size = ROOM if pages is None else (used[0] + pages) * PAGE
        count = FILES if files is None else used[1] + files
        assert self.mount("remount", f"size={size}", f"nr_inodes={count}")

    def used(self) -> tuple[int, int]:
        """Pages and files."""
        told = os.statvfs(self.place)
        return (told.f_blocks - told.f_bfree) * told.f_frsize // PAGE, told.f_files - told.f_ffree

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "disk")
    if os.geteuid() or not found.mount(f"size={ROOM}", f"nr_inodes={FILES}"):
        pytest.skip("mounting a small file system takes root")
    try:
        yield found
    finally:
        found.unmount()


class Watch:
    """What the steps of a build take of a disk, and where they find it full.

    ``then`` is called as ``aim`` is entered. ``failed``: what could not be written in which step.
    """

    def __init__(self, disk: Disk, patch: pytest.MonkeyPatch) -> None:
        self.disk = disk
        self.begin("", lambda: None)
        for step, (place, name) in STEPS.items():
            patch.setattr(place, name, self._watched(getattr(place, name), step))

    def begin(self, aim: str, then: Callable[[], None]) -> None:
        self.aim, self.then = aim, then
        self.took: dict[str, tuple[int, int]] = {}
        self.failed: list[str] = []

    def _watched(self, function: Callable[..., Any], step: str) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            if step == self.aim:
                then, self.then = self.then, lambda: None
                then()
            before = self.disk.used()
            try:
                return function(*args, **kwargs)
            except (ic.IcechunkError, AskPerson) as error:
                told = f"{error} {error.__cause__}"
                assert "No space left" in told
                found = _WRITTEN.search(told)
                what = found[1] if found else "lock" if ".lock" in told else "a file"
                self.failed.append(f"{what} while {step}")
                raise
            finally:
                pages, files = self.disk.used()
                self.took.setdefault(step, (pages - before[0], files - before[1]))

        return watched


def attempt(cases: Cases, name: str, place: Path) -> str:
    plan = cases.plans[name]
    try:
        cube = opening.open_cube(str(place), layout_of(plan.region))
        report = month.build_month(plan, cube, Inline(), BY)
    except AskPerson as error:
        assert "No space left" in str(error) and "make room" in str(error)
        return "refused"
    return "done, not staged" if report.unstaged else "done"


def test_a_full_disk_publishes_nothing_and_loses_nothing(
    tiny: Tiny, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Cases(smaller(tiny), tmp_path)
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    watch, took = Watch(disk, monkeypatch), {}
    for name in Cases.NAMES:
        place = cases.copy(name, disk.place / "calm")
        watch.begin("", lambda: None)
        assert attempt(cases, name, place) == "done"
        took[name] = watch.took
        shutil.rmtree(place)

    def trial(chance: random.Random) -> str:
        (aim,) = chance.choices(list(AIMS), list(AIMS.values()))
        name = "create" if aim == "opening" else chance.choice(Cases.NAMES)
        kind = chance.choice(("pages", "files")) if aim in STEPS else "files"
        step = {"lock": "opening", "the commit's end": "committing"}.get(aim, aim)
        most = took[name].get(step, (0, 0))[kind == "files"]
        least = max(most - 3, 0) if aim == "the commit's end" else 0
        left = {kind: 0 if aim == "lock" else chance.randint(least, max(most, least))}
        place = cases.copy(name, disk.place / "cube")
        watch.begin(step, lambda: disk.leave(**left))
        with reading(place) as reader:
            told = attempt(cases, name, place)
            reader.look_once()
        came = cases.check_states(name, reader.seen)
        assert (came == "after") == told.startswith("done")
        assert watch.failed or told == "done"
        where = ", ".join(dict.fromkeys(watch.failed))
        disk.leave()
        watch.begin("", lambda: None)
        assert attempt(cases, name, place) == "done"
        cases.check_done(name, place)
        for path in disk.place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return f"{told}, {came}: no {kind} left for {where}" if where else f"{told}, {came}"

    seen = campaign("disk-full", SHORT, TRIALS, trial)
    if FULL:
        hit = Counter[str]()
        for told, count in seen.items():
            for step in told.partition("left for ")[2].split(", "):
                hit += Counter({one: count for one in HIT if re.fullmatch(one, step)})
        assert all(hit[one] >= WANTED for one in HIT), hit
        for kind in ("pages", "files"):
            assert sum(seen[told] for told in seen if f"no {kind} left" in told) >= WANTED
