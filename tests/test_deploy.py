"""The production settings: PostgreSQL, S3, a code server of its own, daemon and webserver.

`NEVE_MONTHS=12` is the long form: two regions of so many months.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, REGION, free_port
from postgres_server import postgres
from test_dagster_dev import LAUNCH, STATUS, ask

from neve.cube.history import last_changes
from neve.cube.layout import month_after
from neve.cube.places import open_repository, s3_options

DEPLOY = PROJECT / "deploy"
LONG = int(os.environ.get("NEVE_MONTHS", "0"))
REGIONS = ("tiny", "second") if LONG else ("tiny",)
MONTHS = [month_after("2024-06", k) for k in range(LONG or 2)]
RUNS = """
{ runsOrError { ... on Runs { results { status assetMaterializations {
  assetKey { path } metadataEntries { label } } } } } }"""
LOGS = """
query Logs($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on LogsCapturedEvent { logKey } } } } }"""


def start(stack, home, *command):
    """A process of the deployment; it ends with the test."""
    log = stack.enter_context((home / f"{command[0]}.log").open("wb"))
    program = str(Path(sys.executable).parent / command[0])
    process = subprocess.Popen(
        [program, *command[1:]], cwd=PROJECT, stdout=log, stderr=log, start_new_session=True
    )

    def end():
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    stack.callback(end)
    return process


def until(found, minutes, home):
    deadline = time.monotonic() + 60 * minutes
    while True:
        with suppress(OSError):
            if answer := found():
                return answer
        logs = "".join(log.read_text()[-3000:] for log in home.glob("*.log"))
        assert time.monotonic() < deadline, logs
        time.sleep(1)


def put_regions(tiny, folder, root):
    folder.mkdir()
    for name in REGIONS:
        text = REGION.replace("name: tiny", f"name: {name}")
        text = text.replace("catalog: scenes", f"catalog: {tiny.folder / 'scenes'}")
        (folder / f"{name}.yaml").write_text(text.replace("store: cube", f"store: {root}/{name}"))


@pytest.mark.slow
def test_a_backfill_on_postgresql_and_s3(tiny, tmp_path, bucket, s3_url, monkeypatch):
    home, regions = tmp_path / "home", tmp_path / "regions"
    home.mkdir()
    put_regions(tiny, regions, bucket)
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DEPLOY / file, home)
    code, web = free_port(), free_port()
    url = f"http://127.0.0.1:{web}/graphql"
    with ExitStack() as stack:
        settings = stack.enter_context(postgres(free_port())) | {
            "DAGSTER_HOME": str(home),
            "NEVE_CODE_HOST": "127.0.0.1",
            "NEVE_CODE_PORT": str(code),
            "NEVE_LOG_BUCKET": bucket.removeprefix("s3://"),
            "NEVE_HANDOVER": f"{bucket}/handover",
            "NEVE_REGIONS": str(regions),
            "NEVE_WORKERS": "-1",
            "PYTHONPATH": str(PROJECT),
        }
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        migrate = [str(Path(sys.executable).parent / "dagster"), "instance", "migrate"]
        subprocess.run(migrate, check=True, capture_output=True)
        served = ("-h", "127.0.0.1", "-p", str(code))
        start(stack, home, "dagster", "api", "grpc", "-m", "pipelines.definitions", *served)
        workspace = ("-w", str(home / "workspace.yaml"))
        start(stack, home, "dagster-webserver", "-h", "127.0.0.1", "-p", str(web), *workspace)
        start(stack, home, "dagster-daemon", "run", *workspace)

        def loaded():
            found = ask(url, "{ repositoriesOrError { __typename ... on RepositoryConnection "
                        "{ nodes { name } } } }", {})["repositoriesOrError"]  # fmt: skip
            return found.get("nodes")

        until(loaded, 3, home)
        began = time.monotonic()
        selection = [
            {"path": [k]} for k in ("scenes", "blocks", "composite", "indices", "overviews")
        ]
        keys = [f"{month}|{region}" for region in REGIONS for month in MONTHS]
        params = {"assetSelection": selection, "partitionNames": keys, "title": "test"}
        launched = ask(url, LAUNCH, {"params": params})["launchPartitionBackfill"]
        assert "backfillId" in launched, str(launched)

        def ended():
            found = ask(url, STATUS, {"id": launched["backfillId"]})["partitionBackfillOrError"]
            return found["status"] if found["status"] not in ("REQUESTED", "CANCELING") else ""

        status = until(ended, 10 if LONG else 5, home)
        took = time.monotonic() - began
        sys.stderr.write(f"{len(keys)} partitions: {status} in {took:.0f} s\n")
        assert status == "COMPLETED_SUCCESS"
        runs = ask(url, RUNS, {})["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["SUCCESS"] * len(keys)
    labels = {
        entry["label"]
        for run in runs
        for made in run["assetMaterializations"]
        for entry in made["metadataEntries"]
    }
    assert {"snapshot", "valid fraction", "scenes used", "seconds"} <= labels
    for region in REGIONS:
        commits = last_changes(open_repository(f"{bucket}/{region}", s3_options(s3_url)))
        assert [commit.month for commit in commits] == MONTHS
    kept = urllib.request.urlopen(f"{s3_url}/{bucket.removeprefix('s3://')}?list-type=2").read()
    assert b"handover/scenes/" in kept
    assert b"logs/storage/" in kept


def test_the_compose_file_gives_every_setting_that_is_read():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    given = {
        key for service in compose["services"].values() for key in service.get("environment", {})
    }
    wanted = [
        value["env"]
        for file in ("dagster.yaml", "workspace.yaml")
        for value in named(yaml.safe_load((DEPLOY / file).read_text("utf-8")))
    ]
    assert wanted
    assert set(wanted) <= given
    table = (DEPLOY / "README.md").read_text("utf-8") + (PROJECT / "README.md").read_text("utf-8")
    assert not [key for key in given if f"`{key}`" not in table]


def named(value):
    """Every ``{env: NAME}`` in a document."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            yield value
        for part in value.values():
            yield from named(part)
    elif isinstance(value, list):
        for part in value:
            yield from named(part)


def test_production_limits_what_runs_at_once_as_the_default_does():
    here, there = (
        yaml.safe_load((folder / "dagster.yaml").read_text("utf-8"))["concurrency"]
        for folder in (PROJECT, DEPLOY)
    )
    assert here["pools"]["default_limit"] == there["pools"]["default_limit"]
    assert here["runs"]["tag_concurrency_limits"] == there["runs"]["tag_concurrency_limits"]
