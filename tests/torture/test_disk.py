"""A disk that fills up at any step of a build: main stays readable as it was, and the build goes
through once there is room."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import campaign
from conftest import BY, Tiny
from states import Cases, reading, smaller

from neve.build import staging
from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.layout import layout_of
from neve.cube.store import open_cube
from neve.errors import AskPerson

SHORT, TRIALS = 3, 90
PAGE = 4096
ROOM = 64 << 20
_STEP = re.compile(r"0: icechunk::[a-z_:]+::(\w+)")


class Disk:
    """A file system of its own, of a size that can be changed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def mount(self, size: int, *options: str) -> bool:
        said = ",".join([*options, f"size={size}"])
        command = ["mount", "-t", "tmpfs", "-o", said, "tmpfs", str(self.place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def resize(self, size: int) -> None:
        assert self.mount(size, "remount")

    def used(self) -> int:
        told = os.statvfs(self.place)
        return (told.f_blocks - told.f_bfree) * told.f_frsize

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "disk")
    if os.geteuid() or not found.mount(ROOM):
        pytest.skip("mounting a small file system takes root")
    try:
        yield found
    finally:
        found.unmount()


def attempt(cases: Cases, name: str, store: Path) -> str:
    """Build; where it fails, the step of Icechunk's that failed."""
    plan = cases.plans[name]
    try:
        report = build_month(plan, open_cube(str(store), layout_of(plan.region)), Inline(), BY)
    except AskPerson as error:
        assert "No space left" in str(error) and "make room" in str(error)
        step = _STEP.search(str(error.__cause__))
        return f"refused at {step[1] if step else 'a chunk'}"
    return "done, not staged" if report.unstaged else "done"


def test_a_full_disk_publishes_nothing_and_loses_nothing(
    tiny: Tiny, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Cases(smaller(tiny), tmp_path)
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    needs = {}
    for name in Cases.NAMES:
        store = cases.copy(name, disk.place / "calm")
        before = disk.used() if store.exists() else 0
        assert attempt(cases, name, store) == "done"
        needs[name] = (disk.used() - before) // PAGE
        shutil.rmtree(store)

    def trial(chance: random.Random) -> str:
        name = chance.choice(Cases.NAMES)
        disk.resize(ROOM)
        store = cases.copy(name, disk.place / "cube")
        disk.resize(disk.used() + chance.randrange(needs[name]) * PAGE)
        with reading(store) as reader:
            told = attempt(cases, name, store)
            reader.look_once()
        came = cases.check_states(name, reader.seen)
        assert (came == "after") == told.startswith("done")
        disk.resize(ROOM)
        assert attempt(cases, name, store) == "done"
        cases.check_done(name, store)
        for path in disk.place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return f"{told}, {came}"

    seen = campaign("disk-full", SHORT, TRIALS, trial)
    assert any(told.startswith("refused") for told in seen), seen
