"""What neve.open returns: an xarray tree in every respect, and what it adds to one."""

import copy
import pickle
import signal
import subprocess
import sys
import time

import httpx
import pytest
import xarray as xr
from conftest import PROJECT, alive

import neve
from neve.cube.places import open_repository
from neve.cube.reader import tree_of, variables
from neve.errors import AskPerson
from neve.serving import beside


def test_it_prints_what_is_in_it_on_a_screen(store):
    cube = neve.open(store, "v1")
    lines = repr(cube).splitlines()
    assert lines[0] == f"neve cube  {store} at v1"
    told = dict(line.split(maxsplit=1) for line in lines[1:-1] if line[0] != " ")
    assert told["snapshot"] == cube.history()["snapshot"][0]
    assert told["months"] == "2: 2024-06 … 2024-07"
    assert told["levels"].startswith("1x (69 × 82 of 60), 2x (35 × 41 of 120), 4x ")
    assert told["stored"].startswith("blue, green, red, nir, ")
    stored, given = (len(variables(neve.open(store, derived=d))) for d in (False, True))
    assert told["derived"].split()[0] == str(given - stored)
    assert max(map(len, lines[1:])) <= 96
    assert cube._repr_html_() == f"<pre>{repr(cube).replace('"', '&quot;')}</pre>"


def test_it_is_the_tree_that_xarray_knows(store):
    cube = neve.open(store, derived=False)
    plain = tree_of(open_repository(store).readonly_session("main").store, store, derived=False)
    assert isinstance(cube, xr.DataTree)
    assert cube.identical(plain)
    for kept in (cube.copy(), copy.deepcopy(cube), pickle.loads(pickle.dumps(cube))):
        assert kept.identical(plain)
        assert repr(kept) == repr(cube)
    assert cube.sel(time="2024-06").identical(plain.sel(time="2024-06"))
    assert type(cube["1x"]) is type(cube.sel(time="2024-06")) is type(cube.mean()) is xr.DataTree
    assert "xarray.DataTree" in repr(cube["4x"])
    more = cube.assign({"notes": xr.DataTree(xr.Dataset({"a": 1}))})
    assert more["notes/a"] == 1
    assert len(more.history()) == len(cube.history())


def test_its_history_is_that_of_the_snapshot_that_was_opened(store):
    cube = neve.open(store)
    history = cube.history()
    assert list(history["month"].fillna("-")) == ["2024-07", "2024-06", *["-"] * (len(history) - 2)]
    older = neve.open(store, history["snapshot"][1])
    assert list(older.history()["snapshot"]) == list(history["snapshot"][1:])
    assert {"written_at", "scenes", "valid_fraction", "run_id"} < set(history.columns)


@pytest.mark.slow
def test_its_map_is_served_once_and_by_another_process(store):
    cube = neve.open(store, "v1")
    try:
        shown = cube.view(height=300)
        url, _, state = shown.url.partition("#")
        assert url.startswith("http://127.0.0.1:")
        assert state == f"at={cube.history()['snapshot'][0]}"
        with httpx.Client(base_url=url, timeout=60) as client:
            assert client.get("/api/cube").json()["months"] == ["2024-06", "2024-07"]
            policy = client.get("/").headers["content-security-policy"]
            assert "frame-ancestors 'self' http://localhost:* " in policy
        assert f'<iframe src="{shown.url}" width="100%" height="300"' in shown._repr_html_()
        assert neve.open(store).view().url.startswith(url)
    finally:
        beside.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


ASKER = """
import os, signal, sys, time
import neve
from neve.serving import beside
url = neve.open(sys.argv[1]).view().url
print(url.partition("#")[0], *(process.pid for process, _ in beside._running.values()), flush=True)
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
os.close(1)
time.sleep(60)  # as a computation's worker may: it holds all that its parent had open
"""


@pytest.mark.slow
def test_its_server_ends_with_a_kernel_that_was_killed(store):
    command = [sys.executable, "-c", ASKER, store]
    asker = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT, check=False)
    assert asker.returncode == -signal.SIGKILL
    _, pid = asker.stdout.split()
    deadline = time.monotonic() + 30
    while alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(int(pid))


def test_what_cannot_be_shown_is_said(tmp_path):
    with pytest.raises(AskPerson, match="no cube here"):
        beside.address(str(tmp_path), {})
    assert not beside._running
