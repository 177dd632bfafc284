import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neve.compositing.masking import clear, halo

DROP = (0, 1, 3, 8, 9, 10)
CLASSES = arrays(np.uint8, (17, 21), elements=st.sampled_from([0, 3, 4, 4, 4, 5, 6, 9, 11]))


def slow_near(mask: np.ndarray, radius: float) -> np.ndarray:
    """Pixels at most ``radius`` from a pixel of the mask, by looking at every pair."""
    rows, cols = np.indices(mask.shape)
    out = np.zeros_like(mask)
    for r, c in np.argwhere(mask):
        out |= (rows - r) ** 2 + (cols - c) ** 2 <= radius**2
    return out


def slow_clear(classes: np.ndarray, opening: float, dilation: float) -> np.ndarray:
    cloud = np.isin(classes, DROP) & (classes != 0)
    # Beyond the window there is nothing, and nothing is no cloud.
    pad = int(opening) + 1
    wide = np.pad(cloud, pad)
    opened = slow_near(~slow_near(wide, opening), opening)
    inner = (slice(pad, -pad), slice(pad, -pad))
    return ~slow_near(~opened[inner], dilation) & (classes != 0)


@settings(deadline=None)
@given(CLASSES, st.sampled_from([0, 0.9]), st.sampled_from([0, 0.5, 1, 1.5, 2.3, 4]))
def test_dilation_against_every_pair(classes: np.ndarray, opening: float, dilation: float) -> None:
    expected = slow_clear(classes, 0, dilation)
    np.testing.assert_array_equal(clear(classes, DROP, opening, dilation), expected)


@settings(deadline=None)
@given(CLASSES, st.sampled_from([1, 1.5, 2.9]), st.sampled_from([0, 1, 2]))
def test_opening_against_every_pair_inside(
    classes: np.ndarray, opening: float, dilation: float
) -> None:
    edge = halo(opening, dilation)
    around = np.pad(classes, edge)
    found = clear(around, DROP, opening, dilation)[edge:-edge, edge:-edge]
    expected = slow_clear(around, opening, dilation)[edge:-edge, edge:-edge]
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None)
@given(CLASSES, st.sampled_from([1, 2, 3]))
def test_opening_never_erases_a_cloud(classes: np.ndarray, opening: float) -> None:
    assert not (clear(classes, DROP, opening) & ~clear(classes, DROP)).any()


def test_a_cloud_of_one_pixel_stays_and_a_speck_between_clouds_goes() -> None:
    classes = np.full((40, 40), 4, np.uint8)
    classes[5, 5] = 9
    classes[20:32, 20:32] = 9
    classes[25, 26] = 4
    mask = clear(classes, DROP, opening=2)
    assert not mask[5, 5]
    assert mask[5, 6]
    assert not mask[25, 26]
    assert mask[19, 25]


def test_nodata_is_neither_clear_nor_grown_nor_opened_against() -> None:
    classes = np.full((30, 30), 4, np.uint8)
    classes[:, :10] = 0
    mask = clear(classes, (3, 8, 9, 10), opening=3, dilation=3)
    np.testing.assert_array_equal(mask, classes == 4)


def test_classes_to_drop_are_configurable() -> None:
    classes = np.arange(12, dtype=np.uint8)[None]
    assert np.flatnonzero(clear(classes, DROP)).tolist() == [2, 4, 5, 6, 7, 11]
    assert np.flatnonzero(clear(classes, (6, 11))).tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10]


@settings(deadline=None)
@given(CLASSES, st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 3]), st.integers(1, 16))
def test_pieces_with_a_halo_equal_the_whole(
    classes: np.ndarray, opening: int, dilation: int, cut: int
) -> None:
    edge = halo(opening, dilation)
    around = np.pad(classes, edge)
    whole = clear(around, DROP, opening, dilation)
    whole = whole[edge : edge + 17, edge : edge + 21]
    first = clear(around[:, : cut + 2 * edge], DROP, opening, dilation)
    second = clear(around[:, cut:], DROP, opening, dilation)
    pieces = [
        first[edge : edge + 17, edge : edge + cut],
        second[edge : edge + 17, edge:][:, : 21 - cut],
    ]
    np.testing.assert_array_equal(np.hstack(pieces), whole)
