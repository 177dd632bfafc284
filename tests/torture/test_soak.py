"""Soak: a thousand partitions in one process; memory, files, sockets, threads, branches stay.

A daemon would start a process for each run, and whatever that leaves behind would end with it.
Here Dagster's own job materialises one partition after the other in one process, on one lasting
instance, so that it adds up; for the same reason a soak cannot be resumed.
"""

import gc
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import yaml
from campaign import FULL, note
from conftest import PROJECT, REGION, children, free_port
from postgres_server import postgres

from neve.build import staging
from neve.cube.layout import month_after
from neve.cube.places import open_repository
from neve.cube.store import Cube
from pipelines.definitions import definitions
from pipelines.month import QUIET
from pipelines.partitions import partition_key

# The first partitions load libraries, compile kernels and fill caches.
PARTITIONS, WARM, EVERY = (1000, 300, 20) if FULL else (4, 2, 1)
REGIONS = 10 if FULL else 1
MONTHS = [month_after("2015-07", k) for k in range(PARTITIONS // REGIONS)]
# Of resident memory, per hundred partitions.
SLOPE = 0.01
BARE = (
    REGION.replace("[NDVI, EVI]", "[]")
    .replace("[2, 4, 16]", "[4]")
    .replace("[blue, green, red, nir]", "[red]")
    .replace("block: 32", "block: 128")
    .replace("start: 2024-06", f"start: {MONTHS[0]}")
)


@dataclass(frozen=True)
class Held:
    """What the process holds: bytes in memory, open files and sockets, Python threads, children.

    Rust's pool of threads comes and goes with what there is to wait for: no measure of a leak.
    """

    memory: int
    files: int
    sockets: int
    threads: int
    processes: int


def opened(process: int | str) -> tuple[int, int]:
    """How many files and sockets a process has open."""
    targets = []
    for place in Path(f"/proc/{process}/fd").iterdir():
        try:
            targets.append(os.readlink(place))  # noqa: PTH115
        except OSError:  # the one that lists them
            continue
    sockets = sum(target.startswith("socket:") for target in targets)
    return len(targets) - sockets, sockets


def held() -> Held:
    gc.collect()
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return Held(memory, *opened("self"), threading.active_count(), len(children(os.getpid())))


def put_scenes(scenes: Path, folder: Path, months: list[str]) -> None:
    """A catalogue of one scene a month: the same images, told with another date."""
    whole = next(scenes.glob("*20240603*"))
    (file,) = whole.glob("*.json")
    item = json.loads(file.read_text())
    shutil.copytree(whole, folder / whole.name, ignore=lambda *_: [file.name])
    for month in months:
        item["id"] = f"S2A_33TTL_{month.replace('-', '')}03_0_L2A"
        item["properties"]["datetime"] = f"{month}-03T10:00:00Z"
        (folder / whole.name / f"{month}.json").write_text(json.dumps(item))


@pytest.fixture
def jobs(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dg.JobDefinition]:
    """The job of each region."""
    put_scenes(scenes, tmp_path / "scenes", MONTHS)
    monkeypatch.setenv("NEVE_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("NEVE_WORKERS", "-1")
    found = {}
    for name in (f"r{k}" for k in range(REGIONS)):
        text = BARE.replace("name: tiny", f"name: {name}").replace("store: cube", f"store: {name}")
        (tmp_path / f"{name}.yaml").write_text(text)
        monkeypatch.setenv("NEVE_REGIONS", str(tmp_path / f"{name}.yaml"))
        found[name] = Context().run(lambda: definitions().resolve_job_def("month"))
    return found


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each month is staged on a branch of its own, as only long ones are: the branches' names."""
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    names, plain = list[str](), Cube.stage

    def stage(cube: Cube, name: str, *more: Any) -> None:
        names.append(name)
        plain(cube, name, *more)

    monkeypatch.setattr(Cube, "stage", stage)
    return names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with production's settings of Dagster, but for the mirrored output of runs."""
    settings = yaml.safe_load((PROJECT / "deploy/dagster.yaml").read_text("utf-8"))
    settings["compute_logs"] = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    with postgres(free_port()) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def soak(jobs: dict[str, dg.JobDefinition]) -> list[Held]:
    """Materialise every region's every month; what was held now and then."""
    trail = []
    wanted = [(name, month) for month in MONTHS for name in jobs]
    with dg.DagsterInstance.from_config(".") as instance:
        # As the webserver does: connections are kept.
        instance.optimize_for_webserver(
            statement_timeout=15_000, pool_recycle=3600, max_overflow=20
        )
        for k, (name, month) in enumerate(wanted):
            result = Context().run(
                jobs[name].execute_in_process,
                partition_key=partition_key(name, month),
                instance=instance,
                run_config=QUIET,
            )
            (made,) = result.asset_materializations_for_node("cube")[:1]
            assert made.metadata["blocks recomputed"].value == 1
            if k % EVERY == 0:
                trail.append(held())
    return trail


def test_nothing_piles_up(
    jobs: dict[str, dg.JobDefinition],
    staged: list[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    (home / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home / "temporary"))
    began = time.process_time()
    after = soak(jobs)[WARM // EVERY :]
    memory = np.array([one.memory for one in after])
    per_hundred = 100 / EVERY * np.polyfit(np.arange(len(memory)), memory, 1)[0] / memory.mean()
    told = (
        f"{PARTITIONS} partitions, {(time.process_time() - began) / PARTITIONS:.2f} CPU s each: "
        f"{100 * per_hundred:+.2f} % of {memory.mean() / 1e6:.0f} MB per 100; "
        f"{after[0]} → {after[-1]}"
    )
    note("soak", told)
    assert per_hundred < SLOPE or not FULL, told
    for name in ("files", "sockets", "threads", "processes"):
        assert getattr(after[-1], name) <= getattr(after[0], name), told
    assert len(set(staged)) == PARTITIONS
    for name in jobs:
        repository = open_repository(str(home / name))
        assert repository.list_branches() == {"main"}
        assert len(list(repository.ancestry(branch="main"))) > len(MONTHS)
    left = [*home.rglob("*.begun"), *(home / "temporary").iterdir()]
    assert left == []
