"""What the daily schedule and the sensor start: months that changed, and nothing that shrinks."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from conftest import BY, PROJECT, REGION
from ticks import NOON, run, tick

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.watching import months_to_watch
from neve.cube.history import commits
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import open_repository
from neve.region import load
from pipelines import backfill
from pipelines.definitions import definitions
from pipelines.partitions import month_partitions
from pipelines.schedules import catalogue_watch
from pipelines.settings import resources


@pytest.fixture
def loaded(tiny, environment, monkeypatch):
    """What a code server has loaded, of a folder with one region file."""
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.folder))
    return Context().run(lambda: definitions().get_repository_def())


def test_only_months_that_changed_are_started(tiny, job, instance):
    started, _ = tick(instance)
    assert sorted(started) == ["2024-06|tiny", "2024-07|tiny"]
    assert {key: r.run_key for key, r in tick(instance)[0].items()} == {
        key: r.run_key for key, r in started.items()
    }
    for request in started.values():
        assert run(job, instance, request).success
    assert tick(instance) == ({}, ["no month's scenes changed"])
    place = next((tiny.folder / "scenes").glob("*20240708*/*.json"))
    item = json.loads(place.read_text())
    item["properties"]["updated"] = "2024-09-01T00:00:00Z"
    place.write_text(json.dumps(item))
    again, _ = tick(instance)
    assert list(again) == ["2024-07|tiny"]
    later, _ = tick(instance, NOON + timedelta(days=1))
    assert later["2024-07|tiny"].run_key != again["2024-07|tiny"].run_key
    sensor = catalogue_watch("month", month_partitions([tiny.region]), 30)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_scenes_that_touch_no_block_start_one_run_and_no_more(tiny, job, instance):
    run(job, instance, tick(instance)[0]["2024-06|tiny"])
    tip = tiny.cube().tip()
    place = next((tiny.folder / "scenes").glob("*20240603*"))
    shutil.copytree(place, place.with_name("far"))
    item = json.loads((place / f"{place.name}.json").read_text())
    item |= {"id": "S2A_33TTL_20240604_0_L2A"}
    item["properties"] |= {"datetime": "2024-06-04T10:00:00Z", "s2:datatake_id": None}
    item["properties"]["s2:datastrip_id"] = item["properties"]["s2:product_uri"] = None
    for asset in item["assets"].values():  # its images end before the region's blocks
        asset["proj:transform"][2] -= 4_000
        asset["proj:shape"] = [8, 8]
    far = place.with_name("far")
    (far / f"{place.name}.json").unlink()
    (far / "far.json").write_text(json.dumps(item))
    started, _ = tick(instance)
    if "2024-06|tiny" in started:
        assert run(job, instance, started["2024-06|tiny"]).success
    assert tiny.cube().tip() == tip
    assert "2024-06|tiny" not in tick(instance)[0]


def test_a_loss_is_made_good_by_any_build_and_then_forgotten(tiny, job, instance):
    tiny.file.write_text(REGION + "max_lost: 1\n", "utf-8")
    file = next((tiny.folder / "scenes").glob("*20240608*")) / "B04.tif"
    whole = file.read_bytes()
    file.write_bytes(whole[:200])
    for days in range(2):  # each publishes, and loses again
        now = NOON + timedelta(days=days)
        assert run(job, instance, tick(instance, now)[0]["2024-06|tiny"]).success
        assert "2024-06|tiny" not in tick(instance, now)[0]
        assert next(commits(tiny.cube().repository)).lost
    file.write_bytes(whole)
    plan = tiny.plan()
    neighbour = replace(plan, region=plan.region.model_copy(update={"name": "neighbour"}))
    assert build_month(neighbour, tiny.cube(), Inline(), BY).recomputed
    now = NOON + timedelta(days=2)
    assert run(job, instance, tick(instance, now)[0]["2024-06|tiny"]).success
    assert "2024-06|tiny" not in tick(instance, now + timedelta(days=1))[0]


def test_an_outage_and_a_loss_of_scenes_hold_the_month_back(tiny, job, instance):
    for request in tick(instance)[0].values():
        run(job, instance, request)
    tip = tiny.cube().tip()
    place = tiny.folder / "scenes"
    aside = place.rename(tiny.folder / "aside")
    started, skipped = tick(instance)
    assert not started and "no such file or folder" in skipped[0]
    place.mkdir()
    kept = next(aside.glob("*20240603*"))
    shutil.copytree(kept, place / kept.name)
    started, skipped = tick(instance)
    assert not started
    assert "tiny 2024-06: 1 scenes are listed, 3 are published" in skipped[0]
    assert "tiny 2024-07: 0 scenes are listed, 2 are published" in skipped[0]
    request = dg.RunRequest(partition_key="2024-06|tiny")
    failed = run(job, instance, request)
    assert not failed.success
    error = failed.get_step_failure_events()[0].event_specific_data.error.cause
    assert "ScenesVanished" in error.cls_name and "--allow-shrink" in error.message
    assert tiny.cube().tip() == tip
    assert run(job, instance, request, allow_shrink=True).success
    assert len(next(commits(tiny.cube().repository)).scenes) == 1


def test_the_window_and_the_monthly_sweep(tiny):
    region = tiny.region.model_copy(update={"start": "2023-11"})
    day = datetime(2024, 7, 10, tzinfo=UTC).date()
    assert list(months_to_watch(region, day, False)) == ["2024-05", "2024-06", "2024-07"]
    short = region.model_copy(update={"update_days": 5})
    assert list(months_to_watch(short, day, False)) == ["2024-07"]
    whole = list(months_to_watch(region, day, True))
    assert (whole[0], whole[-1], len(whole)) == ("2023-11", "2024-07", 9)


def test_a_backfill_is_runs_of_the_same_job_and_partitions(tiny, instance, monkeypatch, capsys):
    monkeypatch.setattr(dg.DagsterInstance, "get", classmethod(lambda cls: nullcontext(instance)))
    backfill._job.cache_clear()
    assert Context().run(backfill.main, ["tiny", "--from", "2024-01", "--to", "2024-07"]) == 0
    assert capsys.readouterr().out.count("done") == 2
    keys = {r.tags["dagster/partition"] for r in instance.get_runs()}
    assert keys == {"2024-06|tiny", "2024-07|tiny"}
    assert {r.job_name for r in instance.get_runs()} == {"month"}
    for asset in ("scenes", "blocks", "composite", "indices", "overviews"):
        assert instance.get_materialized_partitions(dg.AssetKey(asset)) == keys
    assert Context().run(backfill.main, ["tinny", "--from", "2024-06", "--to", "2024-07"]) == 3
    assert Context().run(backfill.main, ["tiny", "--from", "2024-01", "--to", "2024-05"]) == 3
    assert "starts with 2024-06" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["2O24-07", "24-12", "2024-7"])
def test_a_backfill_asks_for_months_that_are_months(environment, capsys, wrong):
    given = ["tiny", "--from", "2024-06", "--dry-run", "--to"]
    assert backfill.main([*given, "2024-07"]) == 0
    assert backfill.main([*given, wrong]) == 3
    assert f"--to: month '{wrong}'" in capsys.readouterr().err


def test_a_backfill_goes_by_wrong_files_of_other_regions(tiny, environment, monkeypatch, capsys):
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.folder))
    (tiny.folder / "wrong.yaml").write_text("name: wrong")
    given = ["--from", "2024-06", "--to", "2024-07", "--dry-run"]
    assert backfill.main(["tiny", *given]) == 0
    assert backfill.main(["tiny", "tinny", *given]) == 3
    told = capsys.readouterr()
    assert told.out.split() == ["2024-06|tiny", "2024-07|tiny"]
    assert "no region 'tinny'; there are ['tiny']" in told.err and "wrong.yaml" in told.err


def test_months_of_a_backfill_run_beside_each_other(tiny, environment, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    command = [sys.executable, "-m", "pipelines", "backfill", "tiny", "--json", "--jobs", "2"]
    command += ["--from", "2024-06", "--to", "2024-07"]
    given = {**os.environ, **environment, "DAGSTER_HOME": str(home)}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, cwd=PROJECT)
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {(t["partition"], t["status"]) for t in told} == {
        ("2024-06|tiny", "done"),
        ("2024-07|tiny", "done"),
    }, ended.stderr[-3000:]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        keys = instance.get_materialized_partitions(dg.AssetKey("composite"))
        assert keys == {"2024-06|tiny", "2024-07|tiny"}
    made = [c.month for c in commits(open_repository(tiny.store))]
    assert sorted(filter(None, made)) == ["2024-06", "2024-07"]


# Dagster's own keys of a multi-partition's tags are not what Dagster allows.
@pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")
def test_one_region_stops_no_tick_of_the_others(tiny, loaded, instance):
    text = tiny.file.read_text("utf-8")

    def beside(name, changed):
        changed = changed.replace("name: tiny", f"name: {name}")
        (tiny.folder / f"{name}.yaml").write_text(changed.replace("store: cube", f"store: {name}"))

    beside("added", text)
    beside("wrong", text.replace("bands:", "bandes:"))
    beside("damaged", text)
    open_cube(str(tiny.folder / "damaged"), layout_of(load(tiny.folder / "damaged.yaml")))
    (tiny.folder / "damaged" / "repo").write_bytes(b"no repository" * 9)
    schedule = loaded.get_schedule_def("daily_update")
    wired = resources()
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=NOON,
        resources={name: wired[name] for name in ("regions", "catalogs", "cubes")},
        repository_def=loaded,
    )
    told = []
    context.log.warning = told.append
    ticked = schedule.evaluate_tick(context)
    assert {r.partition_key for r in ticked.run_requests} == {"2024-06|tiny", "2024-07|tiny"}
    damaged, added = sorted((line for line in told if "wrong" not in line), reverse=True)
    assert "added: held back: 2024-06 to 2024-07 (2): the code server has not loaded" in added
    assert "damaged: held back" in damaged and "cannot be used" in damaged
    (wrong,) = (line for line in told if "wrong" in line)
    assert "wrong.yaml" in wrong and "bandes" in wrong
    assert wired["regions"].region("tiny") == tiny.region
