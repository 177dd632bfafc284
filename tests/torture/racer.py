"""A writer of the race, in a process of its own: ``test_writers`` tells it what to do, and judges.

Loads neve's cubes and nothing else: eight of them start at once.
"""

import random
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from neve.cube import chunks
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import s3_options
from neve.errors import MonthConflict
from neve.region import load

SHARED = "2000-01"


def cube_of(file, location, endpoint):
    return open_cube(location, layout_of(load(Path(file))), s3_options(endpoint))


class Told(NamedTuple):
    """What a writer was told of a commit, what it began from, how often it was too late before."""

    snapshot: str
    base: str
    late: int


def write(transaction, change):
    """Set the month's pixels to what ``change`` makes of their present value, as a block does."""
    red = zarr.open_array(transaction.fork.store, path="1x/red", mode="r+")
    index = transaction.cube.layout.month_index(transaction.month)
    value = change(int(red[index, 0, 0]))
    chunks.write([(red, (index, 0, 0), np.full((1, *red.shape[1:]), value, red.dtype))])
    return value


def publish(cube, k, pause):
    """A month of the writer's own: its value is k + 1."""
    pause()
    transaction = cube.begin(f"{2000 + k // 12}-{k % 12 + 1:02}")
    write(transaction, lambda before: k + 1)
    return k, Told(committed(transaction), transaction.base, 0)


def add_one(cube, k, pause):
    """One more in the month that all writers share, again until no other was faster."""
    late = 0
    while True:
        pause()
        transaction = cube.begin(SHARED)
        value = write(transaction, lambda before: max(before, 0) + 1)
        try:
            return value, Told(committed(transaction), transaction.base, late)
        except MonthConflict:
            late += 1


def committed(transaction):
    told = {"month": transaction.month, "region": transaction.cube.layout.name}
    return transaction.commit([transaction.fork], "a race", told)


def work(queue, ready, file, endpoint):
    """A writer: as it is told, in a row, with pauses of its own; tells what was acknowledged.

    First it says that it is there.
    """
    ready.put(None)
    for job, location, numbers, seconds, seed in iter(queue.get, None):
        chance, trouble = random.Random(seed), None
        try:
            cube = cube_of(file, location, endpoint)
            for k in numbers:
                found = job(cube, k, lambda: time.sleep(chance.expovariate() * seconds))  # noqa: B023
                ready.put((location, *found))
        except Exception:
            trouble = traceback.format_exc()
        ready.put((location, None, trouble))
