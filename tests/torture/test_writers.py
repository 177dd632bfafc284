"""Concurrent writers, each a process, on S3 and on local disk: nothing acknowledged is lost.

With months of their own all commits are kept; on the same month the loser recomputes.
"""

import multiprocessing as mp

import pytest
from campaign import FULL, campaign
from conftest import PROJECT, aws_environment
from racer import add_one, cube_of, publish, work
from test_store import months

COMMITS = 15 if FULL else 3
WRITERS = (1, 2, 4, 8) if FULL else (3,)
TRIALS = 20
# Mean seconds that a writer waits before an attempt, for each of the others: all of them together
# make one in about the time that a commit takes.
PAUSE = 0.02
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


def acknowledged(ready, location, writers):
    """Value or month → what the writers were told of its being published."""
    found, ended = {}, 0
    while ended < writers:
        where, k, told = ready.get(timeout=300)
        assert where == location
        if k is None:
            assert told is None, told
            ended += 1
        else:
            assert k not in found, f"{k} is acknowledged twice"
            found[k] = told
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
    for _ in processes:  # a trial whose second writer is not there yet is no race
        assert ready.get(timeout=300) is None
    yield file, queues, ready
    for queue in queues:
        queue.put(None)
    for process in processes:
        process.join(300)
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
        # Made before they come: who finds another making it waits a second, and races nobody.
        cube = cube_of(file, location, s3_url)
        for writer, queue in enumerate(queues[:writers]):
            numbers = [k * writers + writer for k in range(COMMITS)]
            queue.put((job, location, numbers, PAUSE * (writers - 1), seed + writer))
        told = acknowledged(ready, location, writers)
        parents = {info.id: info.parent_id for info in cube.history()}
        values = months(cube)
        assert len(told) == writers * COMMITS
        assert len(parents) == 2 + writers * COMMITS
        if job is publish:
            kept = all(values[k] == k + 1 for k in told)
        else:
            kept = values == [writers * COMMITS] and sorted(told) == [*range(1, values[0] + 1)]
        if not kept or {one.snapshot for one in told.values()} - parents.keys():
            return "LOST"
        raced = any(one.late or parents[one.snapshot] != one.base for one in told.values())
        return "kept, raced" if raced else "kept"

    seen = campaign(f"writers-{job.__name__}-{place}-{writers}", 1, TRIALS, trial)
    assert set(seen) <= {"kept", "kept, raced"}
    # What nobody else's commit came in between of says little.
    assert not FULL or writers == 1 or seen["kept, raced"] >= 0.9 * seen.total(), seen
