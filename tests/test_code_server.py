"""The code server of the compose file, as a real process: reloading, and how it is asked after."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import PROJECT, REGION, free_port
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._grpc.client import DagsterGrpcClient

SERVICE = yaml.safe_load((PROJECT / "deploy/compose.yaml").read_text("utf-8"))["services"]["code"]
BIN = Path(sys.executable).parent


def command(words, port):
    """A command of the compose file, at another port of loopback."""
    here = {"4000": str(port), "0.0.0.0": "127.0.0.1"}
    program, *rest = (here.get(word, word).replace("port=4000", f"port={port}") for word in words)
    return [str(BIN / program), *rest]


@pytest.mark.slow
def test_a_reload_finds_new_regions_and_a_death_inside_is_seen(tmp_path, monkeypatch):
    folder = tmp_path / "regions"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(REGION)
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"))
    monkeypatch.setenv("NEVE_REGIONS", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    port = free_port()
    check = command(SERVICE["healthcheck"]["test"][1:], port)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command(SERVICE["command"], port), cwd=tmp_path, stdout=log, stderr=log
        )
        try:
            client = DagsterGrpcClient(host="127.0.0.1", port=port)
            deadline = time.monotonic() + 180
            while client.health_check_query() != "SERVING":
                assert time.monotonic() < deadline and server.poll() is None, log_of(tmp_path)
                time.sleep(1)
            assert regions(client, port) == {"tiny"}
            subprocess.run(check, check=True)
            (folder / "new.yaml").write_text(REGION.replace("name: tiny", "name: new"))
            client.reload_code(timeout=180)
            assert regions(client, port) == {"tiny", "new"}
            for inner in psutil.Process(server.pid).children(recursive=True):
                inner.kill()
            assert subprocess.run(check, capture_output=True, check=False).returncode
        finally:
            for process in [*psutil.Process(server.pid).children(recursive=True), server]:
                process.kill()
            server.wait()


def regions(client, port):
    """The regions of which the server has partitions."""
    location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=port, location_name="neve")
    told = client.external_repository(RemoteRepositoryOrigin(location, "__repository__"))
    return {name for name in ("tiny", "new") if f'"{name}"' in str(told)}


def log_of(folder):
    return (folder / "log").read_text()[-3000:]
