"""For the page's tests: a cube with a history, its server in a process, one headless Chromium."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from conftest import BY
from PIL import Image

from neve.build.engine import Engine, Inline
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.catalog.opening import open_catalog
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.store import Cube
from neve.demo.plan import DayPlan, ScenePlan, Swath, TilePlan
from neve.demo.scenes import write_scenes
from neve.region import load
from neve.scenes.choosing import choose

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--headless=new", "--ignore-gpu-blocklist", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
]  # fmt: skip
MONTHS = ("2024-04", "2024-05", "2024-06", "2024-07")
COMING = "2024-08"  # has scenes, and is not built
DAYS = tuple(
    DayPlan(f"{month}-{day}", "sentinel-2b", clouds=clouds + more, swath=Swath(0, end))
    for month, clouds in zip((*MONTHS, COMING), (0.5, 0.4, 0.2, 0.1, 0.2), strict=True)
    for day, more, end in (("03", 0.0, 1.0), ("13", 0.15, 0.7), ("23", 0.2, 0.7))
)
PLAN = ScenePlan(tiles=(TilePlan("33TTL", 268020, 5045400),), days=DAYS, size=192)
REGION = """\
name: lagoon
area: {bbox: [12.06, 45.43, 12.16, 45.5]}
crs: EPSG:32633
resolution: 60
start: 2024-04
bands: [blue, green, red, nir]
indices: [NDVI, EVI, NDWI]
overviews: [2, 4, 16]
block: 64
chunk: 32
catalog: scenes
store: cube
land: false
"""


def build(folder: Path, month: str, first: int = 0, engine: Engine | None = None) -> Cube:
    """Build a month of the region in a folder from its scenes, the ``first`` ones left out."""
    region = load(folder / "lagoon.yaml")
    layout = layout_of(region)
    catalog = open_catalog(region.catalog)
    cube = open_cube(str(folder / "cube"), layout)
    items = catalog.search(region.collection, region.grid().lonlat_bounds(), month)
    scenes = choose(items[first:], region.bands, month, catalog.reach)
    plan = plan_month(region, month, scenes, list(layout.grid.blocks(layout.block)))
    build_month(plan, cube, engine or Inline(), BY)
    return cube


def build_cube(folder: Path) -> str:
    """Four months; June was built again with a scene more; the tag ``july`` is before that."""
    write_scenes(folder / "scenes", PLAN)
    (folder / "lagoon.yaml").write_text(REGION, "utf-8")
    for month in MONTHS:
        cube = build(folder, month, first=1 if month == "2024-06" else 0)
    cube.repository.create_tag("july", snapshot_id=cube.tip())
    build(folder, "2024-06")
    return str(folder / "cube")


@contextmanager
def served(store: str) -> Iterator[str]:
    """``neve serve`` in a process of its own; yields its address."""
    program = "import sys; from neve.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "serve", store, "--port", "0"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colours(picture: np.ndarray) -> int:
    """How many different colours there are."""
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def unlike(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two pictures, 0…255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
