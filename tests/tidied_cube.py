"""A cube with states that nobody needs, for tests of tidying: what writes, tidies and reads it."""

import numpy as np
import pytest
import zarr

from neve.cube import tidying
from neve.cube.history import commits

KEEP = tidying.LEAST


def write(fork, index, value):
    """Noise around the first pixel's value: chunks that are too large to lie in manifests."""
    red = zarr.open_group(fork.store, path="1x", mode="r+")["red"]
    values = np.random.default_rng(value).integers(-32767, 32767, red.shape[1:], "int16")
    values[0, 0] = value
    red[index] = values


def commit(transaction, value):
    write(transaction.fork, transaction.cube.layout.month_index(transaction.month), value)
    told = {"month": transaction.month, "region": "tiny"}
    return transaction.commit([transaction.fork], "test", told)


def soon(repository, keep=KEEP):
    """Now, for a cube whose newest commit is exactly as old as is kept."""
    return next(commits(repository)).written_at + keep


def tidy(cube, now=None):
    repository = cube.repository
    return tidying.tidy(repository, KEEP, now or soon(repository), cube.lock)


def reds(repository, ref):
    held = repository.readonly_session(snapshot_id=ref).store
    return zarr.open_array(held, path="1x/red", mode="r")[:, 0, 0].tolist()


@pytest.fixture
def cube(tiny):
    made = tiny.cube()
    for month, value in (("2024-06", 1), ("2024-07", 2), ("2024-06", 3), ("2024-08", 4)):
        commit(made.begin(month), value)
    return made
