"""The production settings: PostgreSQL, S3, a code server of its own, daemon and webserver.

The long form is two regions of so many months each; its command prints the time it took:

    NEVE_MONTHS=12 python -m pytest -s tests/test_deploy.py
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PLAN, PROJECT, REGION, free_port
from postgres_server import postgres
from test_code_server import SERVICE, command
from test_dagster_dev import LAUNCH, STATUS, ask

from neve.cube.history import last_changes
from neve.cube.layout import month_after
from neve.cube.places import open_repository, s3_options
from neve.demo.scenes import DayPlan, write_scenes

DEPLOY = PROJECT / "deploy"
LONG = int(os.environ.get("NEVE_MONTHS", "0"))
MONTHS = [month_after("2024-06", k) for k in range(LONG or 2)]
# The second region lies in the first's scenes.
SECOND = REGION.replace("tiny", "second").replace("12.10, 45.545", "12.08, 45.53")
REGIONS = {"tiny": REGION} | ({"second": SECOND} if LONG else {})
DAYS = tuple(
    DayPlan(f"{month}-{day}", clouds=0.3, shift=shift)
    for month in MONTHS
    for day, shift in (("03", 0), ("13", -1000))
)
KEYS = ("scenes", "blocks", "composite", "indices", "overviews")
RUNS = """
{ runsOrError { ... on Runs { results { runId status startTime endTime tags { key value }
  assetMaterializations { assetKey { path } metadataEntries {
    label
    ... on TextMetadataEntry { text }
    ... on IntMetadataEntry { intValue }
    ... on FloatMetadataEntry { floatValue }
    ... on MarkdownMetadataEntry { mdStr } } } } } } }"""
ASSETS = """
{ assetNodes { assetKey { path } partitionStats { numMaterialized numFailed } } }"""


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


def put_regions(folder, root):
    """The region files, and scenes of all months beside them."""
    write_scenes(folder / "scenes", replace(PLAN, days=DAYS))
    for name, text in REGIONS.items():
        (folder / f"{name}.yaml").write_text(text.replace("store: cube", f"store: {root}/{name}"))


@contextmanager
def production(home, regions, bucket):
    """All processes of the deployment on loopback; the webserver's GraphQL URL."""
    home.mkdir()
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
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for key, value in settings.items():
            patch.setenv(key, value)
        migrate = [str(Path(sys.executable).parent / "dagster"), "instance", "migrate"]
        subprocess.run(migrate, check=True, capture_output=True)
        start(stack, home, "dagster", *command(SERVICE["command"], code)[1:])
        workspace = ("-w", str(home / "workspace.yaml"))
        start(stack, home, "dagster-webserver", "-h", "127.0.0.1", "-p", str(web), *workspace)
        start(stack, home, "dagster-daemon", "run", *workspace)

        def loaded():
            found = ask(url, "{ repositoriesOrError { __typename ... on RepositoryConnection "
                        "{ nodes { name } } } }", {})["repositoriesOrError"]  # fmt: skip
            return found.get("nodes")

        until(loaded, 3, home)
        yield url


@pytest.mark.slow
def test_a_backfill_on_postgresql_and_s3(tmp_path, bucket, s3_url):
    home, regions = tmp_path / "home", tmp_path / "regions"
    put_regions(regions, bucket)
    keys = [f"{month}|{region}" for region in REGIONS for month in MONTHS]
    with production(home, regions, bucket) as url:
        began = time.monotonic()
        selection = [{"path": [key]} for key in KEYS]
        params = {"assetSelection": selection, "partitionNames": keys, "title": "test"}
        launched = ask(url, LAUNCH, {"params": params})["launchPartitionBackfill"]
        assert "backfillId" in launched, str(launched)

        def ended():
            found = ask(url, STATUS, {"id": launched["backfillId"]})["partitionBackfillOrError"]
            return found["status"] if found["status"] not in ("REQUESTED", "CANCELING") else ""

        status = until(ended, 5 + 2 * len(keys), home)
        took = time.monotonic() - began
        sys.stderr.write(f"{len(keys)} partitions: {status} in {took:.0f} s\n")
        assert status == "COMPLETED_SUCCESS"
        runs = ask(url, RUNS, {})["runsOrError"]["results"]
        green = {
            node["assetKey"]["path"][0]: node["partitionStats"]
            for node in ask(url, ASSETS, {})["assetNodes"]
        }
    assert green == {key: {"numMaterialized": len(keys), "numFailed": 0} for key in KEYS}
    assert [run["status"] for run in runs] == ["SUCCESS"] * len(keys)
    published = {
        f"{commit.month}|{region}": commit
        for region in REGIONS
        for commit in last_changes(open_repository(f"{bucket}/{region}", s3_options(s3_url)))
    }
    assert sorted(published) == sorted(keys)
    for run in runs:
        assert run["endTime"] > run["startTime"]
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        refuse_other_page(page_of(run), published.pop(tags["dagster/partition"]), run["runId"])
    assert not published
    kept = urllib.request.urlopen(f"{s3_url}/{bucket.removeprefix('s3://')}?list-type=2").read()
    assert b"handover/scenes/" in kept
    assert b"logs/storage/" in kept


def page_of(run):
    """label → value of what a run's page shows of its composite."""
    (made,) = (
        made for made in run["assetMaterializations"] if made["assetKey"]["path"] == ["composite"]
    )
    return {
        entry.pop("label"): next(iter(entry.values()), None) for entry in made["metadataEntries"]
    }


def refuse_other_page(page, commit, run_id):
    """The page tells what the commit in the cube tells."""
    assert commit.run_id == run_id
    assert page["snapshot"] == commit.snapshot
    assert 0 < page["scenes used"] <= page["scenes listed"] == len(commit.scenes) == 2
    assert page["valid fraction"] == pytest.approx(commit.valid_fraction)
    assert 0 < page["valid fraction"] <= 1
    assert page["picture"].startswith("![](data:image/webp;base64,")
    assert page["blocks recomputed"] == page["blocks"] > 0
    assert page["seconds"] > 0
