"""Random and flat scenes in files, for tests of composites."""

from pathlib import Path

import numpy as np
import pytest
from images import UTM33, north_up, scene

from neve.compositing.composite import Composite
from neve.grid import Grid
from neve.reading.ranges import Reads
from neve.scenes.values import Scene

BANDS = ("red", "nir")
READS = Reads(attempts=2, pause=0.01, timeout=2, hosts=("127.0.0.1",))


def same(one: Composite, other: Composite) -> None:
    np.testing.assert_array_equal(one.count, other.count)
    assert list(one.bands) == list(other.bands)
    for band, plane in one.bands.items():
        np.testing.assert_array_equal(plane, other.bands[band])


def random_scene(folder: Path, name: str, rng: np.random.Generator, **more: object) -> Scene:
    """130 × 110 px at 10 m, SCL at 20 m, off the grid's corner; bands differ in their nodata."""
    left, top = 500_000 + 20 * int(rng.integers(-20, 20)), 5_000_000 + 20 * int(rng.integers(-9, 9))
    blobs = rng.choice([0, 3, 4, 5, 6, 9], (9, 8), p=[0.1, 0.1, 0.3, 0.2, 0.1, 0.2])
    planes = {
        "scl": (blobs.repeat(8, 0).repeat(8, 1)[:65, :55].astype("u1"), north_up(left, top, 20))
    }
    for band in BANDS:
        pixels = rng.integers(1, 12000, (130, 110))
        pixels[rng.random(pixels.shape) < 0.05] = 0
        planes[band] = (pixels.astype("u2"), north_up(left, top, 10))
    return scene(folder, name, planes, **more)


NATIVE = Grid(UTM33, 10, 499_900, 5_000_100, 137, 149)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Eight scenes of four days, two per day that overlap."""
    rng, folder = np.random.default_rng(3), tmp_path_factory.mktemp("scenes")
    return [random_scene(folder, f"s{k}", rng, day=f"2023-08-{k // 2 + 1:02}") for k in range(8)]


def flat(folder: Path, name: str, value: int, classes: np.ndarray, **more: object) -> Scene:
    """A scene of one value; SCL in 20 m."""
    at = 500_000, 5_000_000
    side = classes.shape[0] * 2, classes.shape[1] * 2
    planes = {b: (np.full(side, value, "u2"), north_up(*at, 10)) for b in BANDS}
    return scene(folder, name, planes | {"scl": (classes, north_up(*at, 20))}, **more)


SMALL = Grid(UTM33, 10, 500_000, 5_000_000, 80, 80)
