"""Canaries: secrets that are in use while months are built, and shown nowhere.

A real build with signed hrefs over HTTP, failing ones, and what the command line tells afterwards;
then every byte that was printed, logged, recorded or committed is searched.
"""

import base64
import json
import re
import shutil
import sys
from contextvars import Context
from pathlib import Path
from urllib.parse import quote

import pytest
import zarr
from conftest import PROJECT, REGION, free_port
from flaky_server import flaky

from neve.cli.app import run
from neve.cube.places import open_repository
from pipelines import month

AWS_KEY, AWS_SECRET, AWS_TOKEN = "CANARYKEY7Q", "canary/secret+7q=", "canary-session-7q"
PASSWORD, SIGNATURE, USER, TOKEN = "canary-pg-7q", "canary-sig/7q=", "canary-user-7q", "canary-t-7q"
SECRETS = (AWS_KEY, AWS_SECRET, AWS_TOKEN, PASSWORD, SIGNATURE, USER, TOKEN)
SPAN = ("--from", "2024-06", "--to", "2024-06")
BLOB = re.compile(rb"(?:[A-Za-z0-9+/]{4}){50,}(?:[A-Za-z0-9+/]{2,3})?")


def sightings(data: bytes) -> list[str]:
    """Secrets in data: plain, quoted, and inside of pictures and texts in base64."""
    texts = [data, *(base64.b64decode(b + b"=" * (-len(b) % 4)) for b in BLOB.findall(data))]
    spelled = {
        s: (s.encode(), quote(s, safe="").encode(), json.dumps(s)[1:-1].encode()) for s in SECRETS
    }
    return [s for s, ways in spelled.items() if any(w in t for w in ways for t in texts)]


@pytest.fixture
def told(tiny, tmp_path, monkeypatch):
    """A home for Dagster, with canaries in the environment."""
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    for name, value in {
        "DAGSTER_HOME": str(tmp_path),
        "NEVE_WORK": str(tmp_path / ".neve"),
        "NEVE_WORKERS": "-1",
        "AWS_ACCESS_KEY_ID": AWS_KEY,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_SESSION_TOKEN": AWS_TOKEN,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "NEVE_PG_PASSWORD": PASSWORD,
        "PGPASSWORD": PASSWORD,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tiny


def sign(folder: Path, place: str) -> None:
    """Items whose images lie at ``place``, with a signature in each href."""
    for file in folder.glob("*/*.json"):
        item = json.loads(file.read_text())
        for asset in item["assets"].values():
            name = Path(asset["href"]).name
            asset["href"] = f"{place}/{file.parent.name}/{name}?sig={SIGNATURE}"
        file.write_text(json.dumps(item))


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["neve", *arguments])
    return run()


def build(tiny) -> int:
    return Context().run(month.main, [str(tiny.file), "--month", "2024-06"])


def recorded(place: str) -> dict[str, bytes]:
    """What a cube's commits and metadata say; in its files they are compressed."""
    repository = open_repository(place)
    found = {f"{place}: repository": str(repository.metadata)}
    for branch in repository.list_branches():
        for commit in repository.ancestry(branch=branch):
            found[f"{place}: commit {commit.id}"] = f"{commit.message}{dict(commit.metadata)}"
        root = zarr.open_group(repository.readonly_session(branch).store, mode="r")
        below = dict(root.members(max_depth=None))
        assert len(below) > 10
        for name, node in {"/": root, **below}.items():
            found[f"{place}: {branch}: {name}"] = str(node.attrs.asdict())
    return {name: text.encode() for name, text in found.items()}


@pytest.mark.slow
def test_no_secret_is_told_by_builds_that_go_well_or_wrong(told, tmp_path, monkeypatch, capfd):
    scenes, images = tmp_path / "scenes", tmp_path / "images"
    shutil.copytree(scenes, images)
    text = REGION.replace("[NDVI, EVI]", "[NDVI]") + "hosts: [127.0.0.1, bucket]\n"
    text += "reading: {attempts: 2}\n"
    told.file.write_text(text)
    codes = []
    with flaky(images) as server:
        sign(scenes, server.url)
        codes.append(build(told))
        for mode in ("404", "html"):
            server.mode, server.failures, server.only = mode, 10**6, "B0"
            server.requests.clear()
            told.file.write_text(text.replace("store: cube", f"store: cube-{mode}"))
            codes.append(build(told))
    sign(scenes, "s3://bucket")
    codes.append(build(told))
    for catalog in (f"https://{USER}:{TOKEN}@127.0.0.1/v1", f"http://127.0.0.1:9/v1?t={TOKEN}"):
        told.file.write_text(text.replace("catalog: scenes", f"catalog: {catalog}"))
        codes += [build(told), command(monkeypatch, "doctor", str(tmp_path), "--json")]
    asked = [("info", told.store), ("log", told.store), ("status", told.store)]
    answers = [command(monkeypatch, *words, "--json") for words in asked]
    assert codes[0] == 0 and all(codes[1:4]), codes
    assert answers == [0, 0, 0]
    out, err = capfd.readouterr()
    assert sightings(f"?sig={SIGNATURE}".encode()) == [SIGNATURE]
    assert "404" in err and "127.0.0.1" in err and "netrc" in err + out
    told_by = {"stdout": out.encode(), "stderr": err.encode()}
    for place in tmp_path.glob("cube*/"):
        told_by |= recorded(str(place))
    for file in tmp_path.rglob("*"):
        beside = file.relative_to(tmp_path).parts[0] in ("scenes", "images", "tiny.yaml")
        if file.is_file() and not beside:
            told_by[str(file.relative_to(tmp_path))] = file.read_bytes()
    assert any(name.endswith(".db") for name in told_by), "no event log was looked at"
    assert {n: seen for n, data in told_by.items() if (seen := sightings(data))} == {}


@pytest.mark.slow
def test_a_database_that_is_away_is_told_of_without_its_password(
    told, tmp_path, monkeypatch, capfd
):
    """The production settings, a port where nobody listens; what Dagster prints counts too."""
    pytest.importorskip("dagster_postgres")
    shutil.copy(PROJECT / "deploy" / "dagster.yaml", tmp_path)
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": port, "USER": USER, "DATABASE": "none"}
    for name, value in settings.items():
        monkeypatch.setenv(f"NEVE_PG_{name}", str(value))
    monkeypatch.setenv("NEVE_LOG_BUCKET", "none")
    monkeypatch.setenv("NEVE_REGIONS", str(told.file))
    builds = ("build", str(told.file), "--month", "2024-06"), ("backfill", "tiny", *SPAN)
    for words in builds:
        assert command(monkeypatch, *words) == 4
        out, err = capfd.readouterr()
        (line,) = err.splitlines()
        assert f"port {port} failed" in line and f"{tmp_path}/dagster.yaml" in line
        assert sightings((out + err).encode()) == []
    command(monkeypatch, "doctor", str(tmp_path))
    out, err = capfd.readouterr()
    assert "kernels" in out
    assert sightings((out + err).encode()) == []
