"""A real ``dagster dev``: a backfill launched through GraphQL ends with both months on main."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import PROJECT

from neve.cube.history import last_changes
from neve.cube.places import open_repository

MINUTES = 60.0
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs: partitionStatusCounts { runStatus count } }
  }
}"""


def ask(url: str, query: str, variables: dict[str, object]) -> dict:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)  # says what is wrong
    assert "errors" not in found, found
    return found["data"]


@contextmanager
def dagster_dev(home: Path, regions: Path):
    """The webserver's GraphQL URL; all processes end afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(PROJECT / "dagster.yaml", home)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "NEVE_REGIONS": str(regions),
        "NEVE_WORK": str(home / ".neve"),
        "NEVE_WORKERS": "-1",
        "PYTHONPATH": str(PROJECT),
    }
    log = (home / "dev.log").open("wb")
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-h", "127.0.0.1"]
    command += ["-p", str(port), "-w", str(home / "workspace.yaml")]
    (home / "workspace.yaml").write_text(
        "load_from:\n  - python_module: {module_name: pipelines.definitions, "
        f"working_directory: {PROJECT}}}\n"
    )
    process = subprocess.Popen(
        command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/graphql"
    try:
        deadline = time.monotonic() + 3 * MINUTES
        while True:
            assert process.poll() is None, (home / "dev.log").read_text()[-4000:]
            assert time.monotonic() < deadline, (home / "dev.log").read_text()[-4000:]
            try:
                ask(url, "{ version }", {})
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


@pytest.mark.slow
def test_a_backfill_through_graphql_publishes_both_months(tiny, tmp_path):
    regions = tmp_path / "regions"
    regions.mkdir()
    text = tiny.file.read_text("utf-8").replace("catalog: scenes", "catalog: ../scenes")
    (regions / "tiny.yaml").write_text(text.replace("store: cube", "store: ../cube"), "utf-8")
    home = tmp_path / "home"
    home.mkdir()
    with dagster_dev(home, regions) as url:
        keys = ("scenes", "blocks", "composite", "indices", "overviews")
        launched = ask(
            url,
            LAUNCH,
            {
                "params": {
                    "assetSelection": [{"path": [key]} for key in keys],
                    "partitionNames": ["2024-06|tiny", "2024-07|tiny"],
                    "title": "test",
                }
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        deadline = time.monotonic() + 5 * MINUTES
        status = ""
        while status not in ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"):
            assert time.monotonic() < deadline, (status, (home / "dev.log").read_text()[-4000:])
            time.sleep(1)
            found = ask(url, STATUS, {"id": launched["backfillId"]})
            status = found["partitionBackfillOrError"]["status"]
        assert status == "COMPLETED_SUCCESS", (home / "dev.log").read_text()[-4000:]
    months = last_changes(open_repository(tiny.store))
    assert [commit.month for commit in months] == ["2024-06", "2024-07"]
    assert all((commit.valid_fraction or 0) > 0.5 for commit in months)
