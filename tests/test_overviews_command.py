"""``neve overviews``: places, endpoints, locks, nesting."""

import json
import os
import pickle

import icechunk
import numpy as np
import pytest
import zarr
from filelock import FileLock
from raster_datasets import check, native, numbers

from neve.cli.app import app
from neve.cli.levels import _bucket, add_levels, planned
from neve.cube import locking
from neve.cube.places import open_or_create, s3_options
from neve.errors import CubeMismatch, NeveError, Retry
from neve.pyramids.asked import Wanted

WANTED = Wanted((2, 8))
PICKLE = {"id": "pickle", "protocol": 5}


def copied(store, values):
    """The dataset of ``native`` in another store."""
    root = zarr.open_group(store, mode="w")
    group = root.create_group("1x", attributes={"proj:code": "EPSG:32633"})
    group.create_array("red", data=values, chunks=(50, 50), dimension_names=("y", "x"))
    for name, at in (("y", -np.arange(values.shape[0])), ("x", np.arange(values.shape[1]))):
        group.create_array(name, data=at, dimension_names=(name,))
    return root


class Planted:
    """Unpickled, it makes a folder."""

    def __init__(self, file) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize(
    "told",
    [
        {"dtype": "|O", "filters": [PICKLE], "fill_value": None},
        {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, PICKLE], "fill_value": ""},
        {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "compressor": PICKLE, "fill_value": ""},
        {"dtype": "<u2", "filters": None, "compressor": PICKLE, "fill_value": 0},
    ],
)
def test_nothing_is_unpickled_that_a_dataset_of_others_holds(tmp_path, told):
    place = {"_ARRAY_DIMENSIONS": ["y", "x"]}
    crs = {"proj:code": "EPSG:32633", "spatial:transform": [10, 0, 5e5, 0, -10, 5e6]}
    array = {"zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "order": "C", "compressor": None}
    files = {".zgroup": {"zarr_format": 2}, "1x/.zgroup": {"zarr_format": 2}, "1x/.zattrs": crs}
    files |= {"1x/red/.zarray": array | told, "1x/red/.zattrs": place}
    (tmp_path / "theirs/1x/red").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "theirs" / name).write_text(json.dumps(content))
    chunk = pickle.dumps(Planted(tmp_path / "planted"))
    (tmp_path / "theirs/1x/red/0.0").write_bytes(chunk)
    with pytest.raises(NeveError):
        add_levels(str(tmp_path / "theirs"), WANTED, {})
    assert not (tmp_path / "planted").exists()
    pickle.loads(chunk)  # it would have been
    assert (tmp_path / "planted").exists()


@pytest.fixture
def endpoint(bucket, s3_url, monkeypatch):
    """An S3 API that only the option names."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return s3_url


@pytest.mark.slow
def test_zarr_and_icechunk_on_s3_at_the_endpoint_that_is_named(bucket, endpoint):
    values, options = numbers(), s3_options(endpoint)
    repository = open_or_create(f"{bucket}/ice", icechunk.RepositoryConfig.default(), options)
    session = repository.writable_session("main")
    copied(session.store, values)
    session.commit("native")
    plain = zarr.storage.ObjectStore(_bucket(f"{bucket}/plain", options))
    copied(plain, values)
    for name in ("ice", "plain"):
        arguments = ["--s3-endpoint", endpoint, "overviews", f"{bucket}/{name}", "--factors", "2,8"]
        rows = planned(f"{bucket}/{name}", WANTED, options)
        assert [row["shape"] for row in rows] == [(205, 165), (52, 42)]
        assert app(arguments, standalone_mode=False) == 0
    check(zarr.open_group(repository.readonly_session("main").store, mode="r"), values)
    check(zarr.open_group(plain, mode="r"), values)


@pytest.mark.parametrize("kind", ["zarr", "icechunk"])
def test_one_command_at_a_time_has_a_local_dataset(tmp_path, monkeypatch, kind):
    place = tmp_path / "data"
    if kind == "zarr":
        native(place, numbers())
    else:
        repository = open_or_create(str(place), icechunk.RepositoryConfig.default())
        session = repository.writable_session("main")
        copied(session.store, numbers())
        session.commit("native")
    monkeypatch.setattr(locking, "LOCK_SECONDS", 0.1)
    with FileLock(tmp_path / "data.lock"), pytest.raises(Retry, match=r"data\.lock: held"):
        add_levels(str(place), WANTED, {})
    add_levels(str(place), WANTED, {})


def test_a_flat_dataset_is_nested_where_the_command_says_so(tmp_path):
    values = numbers()
    native(tmp_path / "zarr", values, path="")
    repository = open_or_create(str(tmp_path / "ice"), icechunk.RepositoryConfig.default())
    session = repository.writable_session("main")
    root = copied(session.store, values)
    session.commit("native")
    session = repository.rearrange_session("main")
    for name in ("red", "y", "x"):
        session.move(f"/1x/{name}", f"/{name}")
    session.commit("flat")
    session = repository.writable_session("main")
    root = zarr.open_group(session.store, mode="r+")
    root.attrs["proj:code"] = "EPSG:32633"
    del root["1x"]
    session.commit("without a group")
    for name in ("zarr", "ice"):
        place = str(tmp_path / name)
        with pytest.raises(CubeMismatch, match="--nest moves them into the group 1x"):
            add_levels(place, WANTED, {})
        assert len(planned(place, Wanted((2, 8), nest=True), {})) == 2
        arguments = ["overviews", place, "--factors", "2,8", "--nest"]
        assert app(arguments, standalone_mode=False) == 0
        assert app(arguments, standalone_mode=False) == 0
    check(zarr.open_group(tmp_path / "zarr", mode="r"), values)
    check(zarr.open_group(repository.readonly_session("main").store, mode="r"), values)
