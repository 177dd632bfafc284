"""Ticks: nothing is forgotten, nothing asked for twice, and no catalogue holds up the others."""

import json
import shutil
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest
from conftest import BY
from flaky_server import running
from ticks import NOON, run, sense, tick

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.history import commits
from neve.cube.tidying import LEAST, tidy
from pipelines.watching import RUN_KEY

BOTH = ["2024-06|tiny", "2024-07|tiny"]
LATER = datetime(2024, 11, 17, 5, tzinfo=UTC)  # both months are out of the window


def correct(tiny, day):
    """The catalogue tells of a newer copy of a day's scene."""
    (file,) = (tiny.folder / "scenes").glob(f"*{day}*/*.json")
    item = json.loads(file.read_text())
    item["properties"]["updated"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    file.write_text(json.dumps(item))


def add_far(tiny):
    """A scene that touches no block of the region."""
    (place,) = (tiny.folder / "scenes").glob("*20240603*")
    far = place.with_name("far")
    shutil.copytree(place, far)
    (file,) = far.glob("*.json")
    item = json.loads(file.read_text()) | {"id": "S2A_33TTL_20240604_0_L2A"}
    item["properties"] |= {"datetime": "2024-06-04T10:00:00Z", "s2:datatake_id": None}
    item["properties"] |= {"s2:datastrip_id": None, "s2:product_uri": None}
    for asset in item["assets"].values():
        asset["proj:transform"][2] -= 4_000
        asset["proj:shape"] = [8, 8]
    file.write_text(json.dumps(item))


def begun(instance, job, request):
    """The run of a request with the daemon's tags, under way."""
    tags = {**request.tags, "dagster/partition": request.partition_key, RUN_KEY: request.run_key}
    return instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)


def test_months_out_of_the_window_are_looked_at_once_in_a_month(tiny, job, instance):
    started, _ = tick(instance, LATER)
    assert sorted(started) == BOTH
    assert run(job, instance, started["2024-06|tiny"]).success
    assert list(tick(instance, LATER)[0]) == ["2024-07|tiny"]  # until it is right
    assert run(job, instance, started["2024-07|tiny"]).success
    assert tick(instance, LATER) == ({}, ["no month's scenes changed"])
    correct(tiny, "20240608")
    assert tick(instance, LATER + timedelta(days=1))[0] == {}
    # No daemon on the 1st.
    assert list(tick(instance, LATER + timedelta(days=15))[0]) == ["2024-06|tiny"]


def test_the_sensor_does_the_same(tiny, job, instance):
    started, _ = sense(instance)
    assert sorted(started) == BOTH
    for request in started.values():
        assert run(job, instance, request).success
    assert sense(instance)[0] == {}
    correct(tiny, "20240608")
    assert sense(instance)[0] == {}
    assert list(tick(instance, NOON)[0]) == ["2024-06|tiny"]


def test_no_second_run_is_asked_for_the_same_scenes(tiny, job, instance):
    today = datetime.now(UTC)
    first = tick(instance, today)[0]["2024-06|tiny"]
    open_run = begun(instance, job, first)
    tomorrow = today + timedelta(days=1)
    assert list(sense(instance)[0]) == list(tick(instance, tomorrow)[0]) == ["2024-07|tiny"]
    instance.report_run_failed(open_run)
    assert list(sense(instance)[0]) == ["2024-07|tiny"]
    assert sorted(tick(instance, tomorrow)[0]) == BOTH


def test_what_a_person_reports_stops_no_tick(tiny, job, instance):
    for request in tick(instance)[0].values():
        assert run(job, instance, request).success
    for key in BOTH:
        instance.report_runless_asset_event(dg.AssetMaterialization("composite", partition=key))
        instance.report_runless_asset_event(dg.AssetObservation("scenes", partition=key))
    correct(tiny, "20240608")
    assert list(tick(instance)[0]) == ["2024-06|tiny"]


def test_after_tidying_no_month_runs_for_nothing(tiny, job, instance):
    started, _ = tick(instance)
    assert run(job, instance, started["2024-06|tiny"]).success
    add_far(tiny)
    assert run(job, instance, started["2024-06|tiny"]).success
    assert run(job, instance, started["2024-07|tiny"]).success
    assert tick(instance)[0] == {}
    cube = tiny.cube()
    keep = next(commits(cube.repository)).written_at + LEAST
    assert tidy(cube.repository, LEAST, keep, cube.lock).snapshots
    assert tick(instance)[0] == {}
    correct(tiny, "20240608")
    assert list(tick(instance)[0]) == ["2024-06|tiny"]


def test_a_month_whose_blocks_are_all_a_neighbours_runs_once(tiny, job, instance):
    plan = tiny.plan()
    neighbour = replace(plan, region=plan.region.model_copy(update={"name": "neighbour"}))
    assert build_month(neighbour, tiny.cube(), Inline(), BY).published
    started, _ = tick(instance)
    assert run(job, instance, started["2024-06|tiny"]).success
    assert list(tick(instance)[0]) == ["2024-07|tiny"]
    correct(tiny, "20240608")
    assert sorted(tick(instance)[0]) == BOTH


def beside(tiny, name, catalog, start="2024-06"):
    text = tiny.file.read_text().replace("name: tiny", f"name: {name}")
    text = text.replace("catalog: scenes", f"catalog: {catalog}")
    text = text.replace("start: 2024-06", f"start: {start}")
    (tiny.folder / f"{name}.yaml").write_text(text.replace("store: cube", f"store: {name}"))


@pytest.fixture
def folder(tiny, environment, monkeypatch):
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.folder))


def test_a_catalogue_that_hangs_holds_up_its_own_months_alone(tiny, folder, instance):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        beside(tiny, "silent", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        started, _ = tick(instance, seconds=3)
        assert time.monotonic() - began < 20
        assert sorted(started) == BOTH
        shutil.rmtree(tiny.folder / "scenes")
        _, (reason,) = tick(instance, seconds=1)
        assert "silent: held back: 2024-06 to 2024-07 (2): this tick's time is over" in reason


class Down(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        type(self).requests += 1
        self.send_error(503)

    def log_message(self, *_):
        pass


def test_a_catalogue_that_failed_is_left_alone(tiny, folder, instance):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Down)
    with running(server):
        beside(tiny, "down", f"http://127.0.0.1:{server.server_port}", start="2015-07")
        started, _ = tick(instance)
    assert sorted(started) == BOTH
    assert 9 <= Down.requests <= 3 * 3 * 8
