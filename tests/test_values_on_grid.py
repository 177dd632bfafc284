"""An image's values on a cube's grid: copied, bilinear, means, overviews on request."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from images import UTM33, write_image
from noise_images import PLACE, READS, noise

from neve.grid import Grid
from neve.reading.image import How, Target, observe, open_image
from neve.reading.warping import Planes, lattice
from neve.scenes.values import FILL, Asset


def onto(
    grid: Grid, path: Path, shift: int = 0, overviews: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(values, valid) of one image on a grid, all pixels needed."""
    image = open_image(Asset(str(path)), UTM33, READS)
    out = np.full(grid.shape, FILL, np.int16)
    need = np.packbits(np.ones(grid.shape, bool), axis=1)
    valid = need.copy()
    target = Target(grid, UTM33, lattice(grid, UTM33))
    observe(image, target, Planes(need, valid, out), How(shift, overviews, None))
    image.close()
    return out, np.unpackbits(valid, axis=1, count=grid.width).astype(bool)


def slow_bilinear(pixels: np.ndarray, u: float, v: float, low: int) -> float | None:
    """Value at pixel coordinates (corner = 0) from the neighbours that have data."""
    if not (0 <= u < pixels.shape[1] and 0 <= v < pixels.shape[0]) or pixels[int(v), int(u)] <= low:
        return None
    total = weights = 0.0
    for r in range(pixels.shape[0]):
        for c in range(pixels.shape[1]):
            weight = max(0, 1 - abs(c + 0.5 - u)) * max(0, 1 - abs(r + 0.5 - v))
            if weight > 0 and pixels[r, c] > low:
                total, weights = total + weight * pixels[r, c], weights + weight
    return total / weights


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99), st.sampled_from([10.0, 7.3, 12.9]), st.floats(-40, 60), st.floats(-60, 40),
    st.sampled_from([0, -1000]),
)  # fmt: skip
def test_bilinear_against_a_slow_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int, size: float, left: float, top: float, shift: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 4, (16, 16)) * rng.integers(1, 9000, (16, 16))
    pixels[rng.random((16, 16)) < 0.1] = 1
    path = tmp_path_factory.mktemp("b") / "a.tif"
    write_image(path, pixels.astype("u2"), PLACE, blockxsize=16, blockysize=16)
    grid = Grid(UTM33, size, 500_000 + left, 5_000_000 + top, 21, 18)
    values, valid = onto(grid, path, shift)
    for r, y in enumerate(grid.ys()):
        for c, x in enumerate(grid.xs()):
            at = (x - 500_000) / 10 + 1e-6, (5_000_000 - y) / 10 + 1e-6
            expected = slow_bilinear(pixels, *at, low=1 if shift else 0)
            assert valid[r, c] == (expected is not None)
            if expected is not None:
                assert abs(values[r, c] - np.clip(expected + shift, -32767, 32767)) <= 0.51


def test_on_the_same_grid_pixels_are_copied_exactly(tmp_path: Path) -> None:
    pixels = noise((150, 170))
    pixels[::7, ::5] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10, 500_000 - 300, 5_000_000 + 200, 230, 220)
    values, valid = onto(grid, path)
    inner = slice(20, 170), slice(30, 200)
    np.testing.assert_array_equal(values[inner][pixels > 0], pixels[pixels > 0])
    expected = np.zeros(grid.shape, bool)
    expected[inner] = pixels > 0
    np.testing.assert_array_equal(valid, expected)


def test_shift_saturates_and_leaves_negative_reflectance(tmp_path: Path) -> None:
    pixels = np.full((64, 64), 600, "u2")
    pixels[0, :4] = 0, 1, 2, 65535
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10, 500_000, 5_000_000, 64, 64)
    values, valid = onto(grid, path, shift=-1000)
    assert valid[0, :5].tolist() == [False, False, True, True, True]
    assert values[0, 2:5].tolist() == [-998, 32767, -400]
    values, valid = onto(grid, path, shift=0)
    assert valid[0, :5].tolist() == [False, True, True, True, True]
    assert values[0, 1:5].tolist() == [1, 2, 32767, 600]


@pytest.mark.parametrize("times", [2, 3, 5])
def test_an_integer_multiple_is_the_mean_of_pixels_with_data(tmp_path: Path, times: int) -> None:
    pixels = noise((120, 180))
    pixels[np.random.default_rng(1).random(pixels.shape) < 0.4] = 0
    pixels[:15, :15] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10 * times, 500_000, 5_000_000, 180 // times, 120 // times)
    values, valid = onto(grid, path)
    cells = pixels.reshape(120 // times, times, 180 // times, times).swapaxes(1, 2)
    total, count = cells.sum((2, 3), dtype=int), (cells > 0).sum((2, 3))
    np.testing.assert_array_equal(valid, count > 0)
    mean = np.floor(total[valid] / count[valid] + 0.5)
    np.testing.assert_array_equal(values[valid], mean)


def test_a_broken_multiple_is_weighted_by_area(tmp_path: Path) -> None:
    pixels = noise((64, 64))
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 25, 500_000 + 5, 5_000_000 - 5, 20, 20)
    values, _ = onto(grid, path)
    fine = pixels.repeat(2, 0).repeat(2, 1).astype(float)[1:101, 1:101]
    mean = fine.reshape(20, 5, 20, 5).mean((1, 3))
    assert np.abs(values - mean).max() <= 0.5


def test_overviews_are_read_only_on_request(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((256, 256)), PLACE)
    with rasterio.open(path, "r+") as image:
        image.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    with rasterio.open(path) as image:
        overview = image.read(1, out_shape=(64, 64))
    grid = Grid(UTM33, 40, 500_000, 5_000_000, 64, 64)
    np.testing.assert_array_equal(onto(grid, path, overviews=True)[0], overview)
    mean = noise((256, 256)).reshape(64, 4, 64, 4).mean((1, 3))
    assert np.abs(onto(grid, path)[0] - mean).max() <= 0.5
