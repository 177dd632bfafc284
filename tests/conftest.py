"""What several tests need: a tiny region with real COGs beside it."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path

import pytest

from neve.build.engine import Inline
from neve.build.month import Provenance, build_month
from neve.build.plan import MonthPlan, plan_month
from neve.catalog.opening import open_catalog
from neve.cli.app import run
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.store import Cube
from neve.demo.scenes import DayPlan, ScenePlan, TilePlan, write_scenes
from neve.land import enumerate_blocks
from neve.region import Region, load
from neve.scenes.choosing import choose

PROJECT = Path(__file__).parents[1]
PLAN = ScenePlan(
    tiles=(TilePlan("33TTL", 268020, 5047800),),
    days=(
        DayPlan("2024-06-03", clouds=0.3),
        DayPlan("2024-06-08", "sentinel-2b", clouds=0.5, shift=-1000),
        DayPlan("2024-06-18", "sentinel-2b", clouds=0.2, baseline="02.14"),
        DayPlan("2024-07-03", clouds=0.3),
        DayPlan("2024-07-08", "sentinel-2b", clouds=0.3),
    ),
    size=96,
)
# 82 × 69 pixels: no multiple of a block, a chunk or a factor.
REGION = """\
name: tiny
area: {bbox: [12.04, 45.51, 12.10, 45.545]}
crs: EPSG:32633
resolution: 60
start: 2024-06
bands: [blue, green, red, nir]
indices: [NDVI, EVI]
overviews: [2, 4, 16]
block: 32
chunk: 16
catalog: scenes
store: cube
land: false
"""


@dataclass(frozen=True)
class Tiny:
    """A folder with a region file, scenes of two months, and where the cube will be."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def region(self) -> Region:
        return load(self.file)

    @property
    def store(self) -> str:
        return str(self.folder / "cube")

    def cube(self) -> Cube:
        return open_cube(self.store, layout_of(self.region))

    def cube_at(self, name: str) -> Cube:
        return open_cube(str(self.folder / name), layout_of(self.region))

    def plan(self, month: str = "2024-06") -> MonthPlan:
        region = self.region
        catalog = open_catalog(region.catalog)
        items = catalog.search(region.collection, region.window().lonlat_bounds(), month)
        scenes = choose(items, region.bands, month, catalog.reach)
        layout = layout_of(region)
        blocks = enumerate_blocks(layout.window, layout.block, None, region.area.shape())
        return plan_month(region, month, scenes, blocks)


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


BY = Provenance(run_id="test", code_version="0")
MONTHS = ("2024-06", "2024-07")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, PLAN)
    return folder


@pytest.fixture
def tiny(tmp_path: Path, scenes: Path) -> Tiny:
    return tiny_in(tmp_path, scenes)


def tiny_in(folder: Path, scenes: Path) -> Tiny:
    shutil.copytree(scenes, folder / "scenes")
    (folder / "tiny.yaml").write_text(REGION, "utf-8")
    return Tiny(folder)


def build_both(tiny: Tiny, name: str = "cube") -> str:
    """June and July, a commit each; returns the place."""
    for month in MONTHS:
        build_month(tiny.plan(month), tiny.cube_at(name), Inline(), BY)
    return str(tiny.folder / name)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> str:
    """A cube of both months, tagged ``v1``; only to be read."""
    tiny = tiny_in(tmp_path_factory.mktemp("both"), scenes)
    build_both(tiny)
    tiny.cube().repository.create_tag("v1", tiny.cube().tip())
    return tiny.store


@pytest.fixture(scope="session")
def lagoon(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page's cube of four months; who changes it undoes that."""
    from page_browser import build_cube

    return build_cube(tmp_path_factory.mktemp("page"))


@pytest.fixture
def neve(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The command in this process: its exit code and what it printed."""

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["neve", *map(str, arguments)])
        code = run()
        return code, capsys.readouterr().out

    return call


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The URL of an S3 API in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(PROJECT / "tests" / "s3_server.py"), str(port)])
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                break
            time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def aws_environment(patch: pytest.MonkeyPatch, url: str) -> None:
    """All that AWS's own tools need to find the S3 API at ``url``."""
    secret = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    for key, value in (secret | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}).items():
        patch.setenv(key, value)


@pytest.fixture
def bucket(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://`` of a new bucket, reachable by the environment's settings."""
    aws_environment(monkeypatch, s3_url)
    name = f"b{abs(hash(tmp_path)):x}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_url}/{name}", method="PUT")):
        return f"s3://{name}"


@pytest.fixture
def environment(tiny, tmp_path, monkeypatch):
    given = {
        "NEVE_REGIONS": str(tiny.file),
        "NEVE_WORK": str(tmp_path / ".neve"),
        "NEVE_WORKERS": "-1",
        "NEVE_LAND": str(PROJECT / "node_modules/world-atlas"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.fixture
def job(environment):
    """Made in a context of its own: Dagster's definitions ask the last instance, open or not."""
    from pipelines.definitions import definitions

    return Context().run(lambda: definitions().resolve_job_def("month"))


@pytest.fixture
def instance(tmp_path_factory, job):
    import dagster as dg

    home = str(tmp_path_factory.mktemp("home"))
    # One database for the events of all runs, as PostgreSQL has; its tables are made once.
    events = {
        "module": "dagster._core.storage.event_log",
        "class": "ConsolidatedSqliteEventLogStorage",
        "config": {"base_dir": f"{home}/events"},
    }
    with dg.instance_for_test({"event_log_storage": events}, temp_dir=home) as found:
        yield found
