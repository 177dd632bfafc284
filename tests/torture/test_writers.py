"""Concurrent writers, each a process, on S3 and on local disk: nothing acknowledged is lost.

With months of their own all commits are kept; on the same month the loser recomputes.
"""

import multiprocessing as mp
import random
import time
import traceback
from pathlib import Path

import pytest
import zarr
from campaign import FULL, campaign
from conftest import PROJECT, aws_environment
from test_store import commit, months, write

from neve.cube.layout import layout_of
from neve.cube.places import s3_options
from neve.cube.store import open_cube
from neve.errors import MonthConflict
from neve.region import load

COMMITS = 15 if FULL else 3
WRITERS = (1, 2, 4, 8) if FULL else (3,)
SHARED = "2000-01"
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


def publish(cube, k):
    """A month of the writer's own: its value is k + 1."""
    return k, commit(cube.begin(f"{2000 + k // 12}-{k % 12 + 1:02}"), k + 1)


def add_one(cube, k):
    """One more in the month that all writers share, again until no other was faster."""
    while True:
        transaction = cube.begin(SHARED)
        red = zarr.open_group(transaction.fork.store, path="1x", mode="r")["red"]
        value = max(int(red[0, 0, 0]), 0) + 1
        write(transaction.fork, 0, value)
        told = {"month": SHARED, "region": cube.layout.name}
        try:
            return value, transaction.commit([transaction.fork], "one more", told)
        except MonthConflict:
            continue


def work(queue, ready, file, endpoint):
    """A writer: as it is told, in a row, with pauses of its own; tells what was acknowledged."""
    for job, location, numbers, seed in iter(queue.get, None):
        chance, trouble = random.Random(seed), None
        try:
            cube = cube_of(file, location, endpoint)
            for k in numbers:
                time.sleep(chance.expovariate(50))
                ready.put((location, *job(cube, k)))
        except Exception:
            trouble = traceback.format_exc()
        ready.put((location, None, trouble))


def acknowledged(ready, location, writers):
    """value or month → snapshot id of what the writers were told is published."""
    found, ended = {}, 0
    while ended < writers:
        where, k, snapshot = ready.get(timeout=300)
        assert where == location
        if k is None:
            assert snapshot is None, snapshot
            ended += 1
        else:
            assert k not in found, f"{k} is acknowledged twice"
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
        context.Process(target=work, args=(queue, ready, str(file), s3_url), daemon=True)
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


@pytest.mark.parametrize("writers", WRITERS)
@pytest.mark.parametrize("place", ["s3", "disk"])
@pytest.mark.parametrize("job", [publish, add_one], ids=["months", "same-chunk"])
def test_no_acknowledged_commit_is_lost(crew, job, place, writers, tmp_path, bucket, s3_url):
    file, queues, ready = crew
    root = bucket if place == "s3" else str(tmp_path)

    def trial(chance):
        seed = chance.random()
        location = f"{root}/{seed}"
        for writer, queue in enumerate(queues[:writers]):
            numbers = [k * writers + writer for k in range(COMMITS)]
            queue.put((job, location, numbers, seed + writer))
        told = acknowledged(ready, location, writers)
        cube = cube_of(file, location, s3_url)
        history = {info.id for info in cube.history()}
        values = months(cube)
        assert len(told) == writers * COMMITS
        assert len(history) == 2 + writers * COMMITS
        if job is publish:
            kept = all(values[k] == k + 1 for k in told)
        else:
            kept = values == [writers * COMMITS] and sorted(told) == [*range(1, values[0] + 1)]
        return "kept" if kept and history >= set(told.values()) else "LOST"

    seen = campaign(f"writers-{job.__name__}-{place}-{writers}", 1, 20, trial)
    assert set(seen) == {"kept"}
