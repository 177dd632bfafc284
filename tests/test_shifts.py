"""Composites lie where they belong: ramps whose values tell the place."""

from pathlib import Path

import numpy as np
import pytest
from composites import BANDS
from images import UTM33, north_up, scene
from pyproj import Transformer

from neve.compositing.composite import Composite, Recipe, compose
from neve.grid import Grid, snap
from neve.scenes.values import Scene

RAMP = 40  # DN per 10 m


def ramp(folder: Path, name: str, crs: str, at: tuple[float, float], day: str) -> Scene:
    """Red rises to the east, nir to the south, by ``RAMP`` a pixel."""
    cols, rows = np.meshgrid(np.arange(160), np.arange(160))
    planes = {
        "red": ((2000 + RAMP * cols).astype("u2"), north_up(*at, 10)),
        "nir": ((2000 + RAMP * rows).astype("u2"), north_up(*at, 10)),
        "scl": (np.full((80, 80), 4, "u1"), north_up(*at, 20)),
    }
    return scene(folder, name, planes, crs, day=day)


def shifts(found: Composite, grid: Grid, crs: str, at: tuple[float, float]) -> list[np.ndarray]:
    """How far values are from where they belong, in pixels of 10 m: east, south."""
    to_source = Transformer.from_crs(grid.crs, crs, always_xy=True)
    x, y = to_source.transform(*np.meshgrid(grid.xs(), grid.ys()))
    east, south = (x - at[0]) / 10 - 0.5, (at[1] - y) / 10 - 0.5
    inner = (east > 4) & (east < 155) & (south > 4) & (south < 155)
    assert inner.sum() > 50
    assert found.count[inner].all()
    return [
        (found.bands[band][inner] - 2000) / RAMP - place[inner]
        for band, place in (("red", east), ("nir", south))
    ]


@pytest.mark.parametrize("metres", [6.1, 10, 14.3, 20.7, 33.3])
@pytest.mark.parametrize("crs", ["EPSG:4326", UTM33, "EPSG:32634", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("north", [0.0, 8_400_000.0])
def test_a_ramp_is_not_shifted(tmp_path: Path, crs: str, metres: float, north: float) -> None:
    """0.00 px: bilinear and averages, near the equator and at 75° north."""
    if crs == "EPSG:3035" and north == 0:
        pytest.skip("outside of that projection")
    at = 600_000.0, north + 20_020.0
    one = ramp(tmp_path, "a", UTM33, at, "2023-08-01")
    x, y = Transformer.from_crs(UTM33, crs, always_xy=True).transform(at[0] + 800, at[1] - 800)
    size = metres / 111_320 if crs == "EPSG:4326" else float(metres)
    stretch = 4 if north and crs in ("EPSG:4326", "EPSG:3857") else 1
    half = 700 / metres * size
    box = (
        x - half * stretch,
        y - half * (stretch if crs == "EPSG:3857" else 1),
        x + half,
        y + half,
    )
    grid = snap(crs, size, (0.1 * size, 0.3 * size), box)
    found = compose(grid, [one], Recipe(BANDS))
    # The mean of a box over steps differs from a ramp's by up to an eighth of a step.
    step = 0.125 if metres >= 15 else 0
    for shift in shifts(found, grid, UTM33, at):
        assert abs(shift.mean()) < 0.005
        assert np.abs(shift).max() < 0.5 / RAMP + 0.005 + step


def test_over_the_antimeridian_and_two_zones(tmp_path: Path) -> None:
    """Scenes in zones 60 and 1, a grid from 179.99° to 180.01°: both land where they belong."""
    grid = snap("EPSG:4326", 1e-4, (0, 0), (179.99, -17.01, 180.01, -16.99))
    places = {}
    for name, crs, lon in (("a", "EPSG:32760", 179.996), ("b", "EPSG:32701", -179.996)):
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, -17)
        at = round(x / 20) * 20 - 800.0, round(y / 20) * 20 + 800.0
        places[crs] = at, ramp(tmp_path, name, crs, at, f"day {name}")
    for crs, (at, one) in places.items():
        found = compose(grid, [one], Recipe(BANDS))
        for shift in shifts(found, grid, crs, at):
            assert np.abs(shift).max() < 0.5 / RAMP + 0.005
    both = compose(grid, [one for _, one in places.values()], Recipe(BANDS))
    assert both.count.max() == 2
    west, east = both.count[:, :50], both.count[:, -50:]
    assert west.any() and east.any()
