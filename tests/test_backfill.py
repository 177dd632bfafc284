"""Months of a backfill in processes of their own: stopped, killed, dying, nothing goes on."""

import multiprocessing as mp
import os
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import PROJECT, alive

from neve.errors import Stop
from pipelines.backfill import _done


def run(folder: Path, seconds: float, key: str) -> tuple[str, str, bool]:
    """A month that tells that it has begun, and takes a while."""
    (folder / f"{key}.begun").write_text(str(os.getpid()))
    time.sleep(seconds if key != "0" else 0)
    return key, "", True


def die(key: str) -> tuple[str, str, bool]:
    """A month that the system kills, for its memory."""
    os._exit(9)


def backfill(folder: Path) -> None:
    list(_done(partial(run, folder, 120), ["1", "2"], 2))


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """Spawned processes find this module."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]))


def test_what_has_not_begun_is_not_begun_after_a_stop(tmp_path):
    done = _done(partial(run, tmp_path, 0.2), [str(k) for k in range(20)], 2)
    assert next(done)[0]
    done.close()
    assert len(list(tmp_path.glob("*.begun"))) < 10


def test_a_process_that_dies_is_told_with_the_fix():
    with pytest.raises(Stop, match="lower --jobs"):
        list(_done(die, ["1", "2", "3"], 2))


def test_a_killed_backfill_leaves_no_process_behind(tmp_path):
    process = mp.get_context("spawn").Process(target=backfill, args=(tmp_path,))
    process.start()
    end = time.monotonic() + 100
    while len(begun := [f.read_text() for f in tmp_path.glob("*.begun")]) < 2 or "" in begun:
        assert time.monotonic() < end and process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    while any(map(alive, map(int, begun))):
        assert time.monotonic() < end
        time.sleep(0.05)
