"""A served cube of two months, in metres and in degrees, and what its tiles must show."""

import io
import math
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import BY, REGION, Tiny
from map_server import map_server
from PIL import Image
from pyproj import Transformer

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.grid import Grid

GRIDS = {
    "EPSG:32633": {},
    "EPSG:4326": {"crs: EPSG:32633": "crs: EPSG:4326", "resolution: 60": "resolution: 0.0006"},
}


@cache
def built(folder: Path, crs: str, scenes: Path) -> Tiny:
    """Two months in two commits, the first of them tagged; made once for all who only read it."""
    shutil.copytree(scenes, folder / "scenes")
    text = REGION
    for old, new in GRIDS[crs].items():
        text = text.replace(old, new)
    (folder / "tiny.yaml").write_text(text, "utf-8")
    tiny = Tiny(folder)
    first = build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    tiny.cube().repository.create_tag("first", first.snapshot)
    build_month(tiny.plan("2024-07"), tiny.cube(), Inline(), BY)
    return tiny


@pytest.fixture(scope="module", params=GRIDS)
def cube(request, tmp_path_factory, scenes) -> Tiny:
    folder = tmp_path_factory.getbasetemp() / f"served-{request.param[5:]}"
    return built(folder, request.param, scenes)


@pytest.fixture(scope="module")
def client(cube):
    with map_server(cube.store) as client:
        yield client


def tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """(row, column) of the web map's tile that holds a point."""
    column = (lon + 180) / 360 * 2**zoom
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom
    return int(row), int(column)


def centre(client) -> tuple[float, float]:
    west, south, east, north = client.get("/api/cube").json()["bounds"]
    return (west + east) / 2, (south + north) / 2


def expected(level, grid: Grid, place: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """For each of the tile's 256 × 256 pixels the level's pixel under its centre, and the least
    and the largest of that one and its eight neighbours.
    """
    z, row, column = place
    half = math.pi * 6378137
    steps = (np.arange(256) + 0.5) / 256
    x = (column + steps) / 2**z * 2 * half - half
    y = half - (row + steps) / 2**z * 2 * half
    to_grid = Transformer.from_crs(3857, grid.crs, always_xy=True)
    x, y = to_grid.transform(*np.meshgrid(x, y))
    cols = np.floor((x - grid.left) / grid.resolution).astype(int)
    rows = np.floor((grid.top - y) / grid.resolution).astype(int)
    inside = (cols >= 0) & (cols < grid.width) & (rows >= 0) & (rows < grid.height)
    padded = np.pad(level, 1, constant_values=np.nan)
    around = [
        padded[rows.clip(0, grid.height - 1) + i, cols.clip(0, grid.width - 1) + j]
        for i in range(3)
        for j in range(3)
    ]
    least, largest = np.fmin.reduce(around), np.fmax.reduce(around)
    return tuple(np.where(inside, v, np.nan) for v in (around[4], least, largest))


def pixels(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (256, 256)
    return np.asarray(image.convert("RGBA"))
