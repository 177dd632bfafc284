import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neve.compositing.median import geomedian, median, medoid
from neve.scenes.values import FILL

# Few different values make ties; the ends of the range must neither wrap nor pass for FILL.
VALUES = st.sampled_from([FILL, FILL, -32767, -32766, -1, 0, 1, 2, 3, 5000, 32766, 32767])
STACKS = arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=VALUES)


def slow_median(stack: np.ndarray) -> np.ndarray:
    values = np.where(stack == FILL, np.nan, stack.astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.rint(np.nanmedian(values, axis=0))
    return np.nan_to_num(middle, nan=FILL).astype(np.int16)


@settings(deadline=None)
@given(STACKS)
def test_median_is_numpys_rounded_half_to_even(stack: np.ndarray) -> None:
    np.testing.assert_array_equal(median(stack), slow_median(stack))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 17, 25, 60, 101])
def test_median_of_many_scenes_and_more_pixels_than_lanes(n: int) -> None:
    rng = np.random.default_rng(n)
    stack = rng.integers(-3000, 12000, (n, 13, 29)).astype(np.int16)
    stack[rng.random(stack.shape) < 0.5] = FILL
    stack[:, 0, :5] = FILL
    np.testing.assert_array_equal(median(stack), slow_median(stack))


def test_median_of_no_scenes_is_fill() -> None:
    assert (median(np.empty((0, 2, 3), np.int16)) == FILL).all()


def points_of(stacks: np.ndarray, r: int, c: int) -> np.ndarray:
    points = stacks[:, :, r, c].T.astype(float)
    return points[points[:, 0] != FILL]


@settings(deadline=None)
@given(arrays(np.int16, (3, 7, 1, 2), elements=st.integers(-50, 50)), st.integers(0, 7))
def test_medoid_is_the_observation_of_least_summed_distance(stacks: np.ndarray, gone: int) -> None:
    stacks[:, :gone, 0, 0] = FILL
    found = medoid(stacks)
    for c in range(2):
        points = points_of(stacks, 0, c)
        if len(points) == 0:
            assert (found[:, 0, c] == FILL).all()
            continue
        sums = np.linalg.norm(points[:, None] - points[None], axis=2).sum(1)
        chosen = np.flatnonzero((points == found[:, 0, c]).all(1))
        assert len(chosen)
        assert sums[chosen[0]] <= sums.min() + 1e-9


def slow_geomedian(points: np.ndarray) -> np.ndarray:
    """Steepest descent of the sum of distances by ever smaller steps along the axes."""
    best, step = points.mean(0), 4000.0
    cost = np.linalg.norm(points - best, axis=1).sum()
    axes = np.vstack([np.eye(points.shape[1]), -np.eye(points.shape[1])])
    candidates = [*points]
    for point in candidates:
        other = np.linalg.norm(points - point, axis=1).sum()
        if other < cost:
            best, cost = point, other
    while step > 1e-4:
        for move in axes * step:
            other = np.linalg.norm(points - best - move, axis=1).sum()
            if other < cost:
                best, cost = best + move, other
                break
        else:
            step /= 2
    return best


@settings(max_examples=60, deadline=None)
@given(arrays(np.int16, (2, 6, 1, 2), elements=st.integers(0, 4000)), st.integers(0, 6))
def test_geomedian_has_the_least_summed_distance(stacks: np.ndarray, gone: int) -> None:
    stacks[:, :gone, 0, 0] = FILL
    found = geomedian(stacks)
    for c in range(2):
        points = points_of(stacks, 0, c)
        if len(points) == 0:
            assert (found[:, 0, c] == FILL).all()
            continue

        def cost(at: np.ndarray, points: np.ndarray = points) -> float:
            return float(np.linalg.norm(points - at, axis=1).sum())

        # Rounding to whole units moves the point by at most half a unit per band.
        slack = len(points) * np.sqrt(0.5) + 0.1
        assert cost(found[:, 0, c].astype(float)) <= cost(slow_geomedian(points)) + slack


def test_geomedian_of_points_in_general_position() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal((500, 900, 3000), (80, 150, 400), (15, 3)).astype(np.int16)
    points[:3] += 4000
    found = geomedian(points.T[:, :, None, None].copy())[:, 0, 0]
    np.testing.assert_allclose(found, slow_geomedian(points.astype(float)), atol=1.0)
    # Not the mean, which the three clouds pull away.
    assert np.abs(found - points.mean(0)).min() > 100


@pytest.mark.parametrize("statistic", [geomedian, medoid])
def test_one_observation_is_its_own_result(statistic) -> None:  # type: ignore[no-untyped-def]
    stacks = np.full((2, 4, 1, 1), FILL, np.int16)
    stacks[:, 2, 0, 0] = 700, -30
    assert statistic(stacks)[:, 0, 0].tolist() == [700, -30]
