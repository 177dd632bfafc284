"""Engines of clusters, on real schedulers and workers: the month is the same as without."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import dask
import pytest
from conftest import BY, PROJECT, children
from dask_cluster import dask_cluster
from flaky_server import flaky
from test_engine import die, fail, square

from neve.build.clusters import Dask, Lithops
from neve.build.engine import Inline, Processes
from neve.build.month import build_month
from neve.errors import AskPerson, Retry, Stop
from neve.opened import open as open_tree
from resources.engines import Engines


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2) as running:
        yield running


def built(tiny, name, engine, progress=lambda done, total: None, blocks=None):
    plan = tiny.plan()
    plan = replace(plan, works=plan.works[:blocks])
    build_month(plan, tiny.cube_at(name), engine, BY, progress)
    return open_tree(str(tiny.folder / name)).load()


@pytest.mark.slow
def test_every_task_is_done_once_on_a_cluster_and_its_error_is_raised(cluster):
    engine = Dask(1, cluster[0])
    assert sorted(engine.map(square, range(7))) == [0, 1, 4, 9, 16, 25, 36]
    assert list(engine.map(square, [])) == []
    with pytest.raises(ValueError, match="task 1"):
        list(engine.map(fail, [1]))


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(cluster, tiny):
    address, workers = cluster

    def kill_one(done, total):
        if done == 2:
            workers[0].kill()

    killed = built(tiny, "killed", Dask(1, address), kill_one)
    assert workers[0].wait(10) and workers[1].poll() is None
    assert killed.identical(built(tiny, "calm", Inline()))


@pytest.mark.slow
def test_a_process_killed_in_the_middle_loses_nothing(tiny):
    def kill_one(done, total):
        if done == 2:
            workers = [
                pid
                for pid in children(os.getpid())
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            os.kill(workers[0], signal.SIGKILL)

    killed = built(tiny, "killed", Processes(2), kill_one)
    assert killed.identical(built(tiny, "calm", Inline()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "dask", "lithops"])
def test_a_hanging_read_ends_by_timeout_and_is_retried(name, request, tiny, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]))
    patient = tiny.file.read_text("utf-8")
    calm = built(tiny, "calm", Inline())
    tiny.file.write_text(patient + "reading: {timeout: 0.5, attempts: 7}\n", "utf-8")
    plan = tiny.plan()
    engines = {
        "processes": lambda: Processes(2),
        "dask": lambda: Dask(1, request.getfixturevalue("cluster")[0]),
        "lithops": Lithops,
    }
    with flaky(tiny.folder / "scenes", "hang", failures=1, only="B04") as server:
        works = [replace(w, scenes=served(w.scenes, tiny, server.url)) for w in plan.works]
        build_month(replace(plan, works=tuple(works)), tiny.cube_at(name), engines[name](), BY)
        hanging = [path for path in server.requests if "B04" in path]
    assert len(server.hung) == len(hanging) > 0
    assert max(server.hung) < 10, "the client did not give up by the region's timeout"
    assert open_tree(str(tiny.folder / name)).load().identical(calm)


def served(scenes, tiny, url):
    """The scenes with their images on a server of the region's folder of scenes."""
    place = tiny.folder / "scenes"

    def on_server(asset):
        path = Path(asset.href).relative_to(place)
        return replace(asset, href=f"{url}/{path}", hosts=("127.0.0.1",))

    return tuple(
        replace(scene, assets={name: on_server(asset) for name, asset in scene.assets.items()})
        for scene in scenes
    )


@pytest.mark.slow
def test_tasks_that_kill_every_worker_stop_the_attempt():
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, pytest.raises(Stop, match="more memory"):
        list(Dask(1).map(die, [1]))


@pytest.mark.slow
def test_every_task_is_done_once_by_lithops_and_its_error_is_raised(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]))
    # Calls without time do one task each, and hand back the others.
    assert sorted(Lithops(seconds=0).map(square, range(6))) == [0, 1, 4, 9, 16, 25]
    with pytest.raises(ValueError, match="task 1"):
        list(Lithops().map(fail, [1]))


def test_a_scheduler_that_is_not_there_asks_for_another_attempt():
    soon = dask.config.set({"distributed.comm.timeouts.connect": "0.2s"})
    with soon, pytest.raises(Retry, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        list(Dask(1, "tcp://127.0.0.1:9").map(square, [1]))


@pytest.mark.parametrize(("engine", "module"), [(Dask(1), "distributed"), (Lithops(), "lithops")])
def test_a_client_that_is_not_installed_is_named(engine, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(AskPerson, match=r"pip install 'neve\["):
        list(engine.map(square, [1]))


@pytest.mark.parametrize(
    ("name", "workers", "engine"),
    [
        ("processes", 3, Processes(3)),
        ("processes", -1, Inline()),
        ("dask", 2, Dask(2)),
        ("dask://host:8786", 2, Dask(2, "tcp://host:8786")),
        ("tls://host:8786", 2, Dask(2, "tls://host:8786")),
        ("lithops", 2, Lithops()),
    ],
)
def test_the_setting_names_the_engine(name, workers, engine):
    found = Engines(name=name, workers=workers).engine()
    assert type(found) is type(engine)
    assert getattr(found, "__dict__", None) == getattr(engine, "__dict__", None)


def test_an_unknown_engine_is_refused():
    with pytest.raises(AskPerson, match="dask://host:port"):
        Engines(name="spark").engine()
