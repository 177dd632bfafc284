"""Concurrent writers, each a process: no acknowledged commit is lost, on S3 and on local disk.

The full form, 20 trials of 15 commits for 1, 2, 4 and 8 writers, prints its figures:

    NEVE_TRIALS=20 python -m pytest -s tests/test_writers.py
"""

import multiprocessing as mp
import os
import sys
import time
import traceback
from pathlib import Path

import pytest
from conftest import PROJECT, aws_environment
from test_store import commit, months

from neve.cube.layout import layout_of
from neve.cube.places import s3_options
from neve.cube.store import open_cube
from neve.region import load

TRIALS = int(os.environ.get("NEVE_TRIALS", "0"))
COMMITS = 15 if TRIALS else 4
WRITERS = (1, 2, 4, 8) if TRIALS else (4,)
# One level and few arrays: the storage is put to the test, not zarr.
REGION = """\
name: race
area: {bbox: [12.04, 45.51, 12.06, 45.53]}
crs: EPSG:32633
resolution: 60
start: 2000-01
bands: [red]
indices: []
overviews: []
land: false
"""


def cube_of(file, location, endpoint):
    return open_cube(location, layout_of(load(Path(file))), s3_options(endpoint))


def months_of(writer, writers):
    """The months that one of the writers publishes; the writers' months are interleaved."""
    return [k * writers + writer for k in range(COMMITS)]


def write(queue, ready, file, endpoint):
    """A writer: for each (location, writer, writers) publishes its months as fast as it can."""
    for location, writer, writers in iter(queue.get, None):
        trouble = None
        try:
            cube = cube_of(file, location, endpoint)
            for k in months_of(writer, writers):
                snapshot = commit(cube.begin(f"{2000 + k // 12}-{k % 12 + 1:02}"), k + 1)
                ready.put((location, k, snapshot))
        except Exception:
            trouble = traceback.format_exc()
        ready.put((location, None, trouble))


def acknowledged(ready, location, writers):
    """month index → snapshot id of what the writers were told is published."""
    found, ended = {}, 0
    while ended < writers:
        where, k, snapshot = ready.get(timeout=300)
        assert where == location
        if k is None:
            assert snapshot is None, snapshot
            ended += 1
        else:
            found[k] = snapshot
    return found


@pytest.fixture(scope="module")
def crew(tmp_path_factory, s3_url):
    """A region file, and waiting processes: a queue to each and one from all."""
    file = tmp_path_factory.mktemp("race") / "race.yaml"
    file.write_text(REGION, "utf-8")
    context = mp.get_context("spawn")
    ready = context.Queue()
    queues = [context.Queue() for _ in range(max(WRITERS))]
    processes = [
        context.Process(target=write, args=(queue, ready, str(file), s3_url), daemon=True)
        for queue in queues
    ]
    with pytest.MonkeyPatch.context() as patch:
        aws_environment(patch, s3_url)
        patch.setenv("PYTHONPATH", str(PROJECT))
        for process in processes:
            process.start()
    yield file, queues, ready
    for queue in queues:
        queue.put(None)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


@pytest.mark.parametrize("place", ["s3", "disk"])
def test_no_acknowledged_commit_is_lost(crew, place, tmp_path, bucket, s3_url):
    file, queues, ready = crew
    root = bucket if place == "s3" else str(tmp_path)
    for writers in WRITERS:
        began, lost, total = time.monotonic(), 0, 0
        for trial in range(max(TRIALS, 1)):
            location = f"{root}/{writers}-{trial}"
            for writer, queue in enumerate(queues[:writers]):
                queue.put((location, writer, writers))
            told = acknowledged(ready, location, writers)
            cube = cube_of(file, location, s3_url)
            kept = {info.id for info in cube.history()}
            values = months(cube)
            lost += sum(snapshot not in kept or values[k] != k + 1 for k, snapshot in told.items())
            total += len(told)
            assert len(kept) == 2 + writers * COMMITS
        took = time.monotonic() - began
        sys.stderr.write(
            f"{place}: {writers} writers: {total} acknowledged, {lost} lost, {took:.0f} s\n"
        )
        assert (lost, total) == (0, max(TRIALS, 1) * writers * COMMITS)
