"""Quantised vectors: int8 × a scale per pixel, and their means in coarser cells.

Belongs here: pure arithmetic. Does not belong here: tiles, storage.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
Quantised = tuple[NDArray[np.int8], NDArray[np.float32]]


def dequantised(values: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (…, band); NaN where the scale is."""
    return values.astype(np.float32) * scales[..., None]


def quantised(means: NDArray[np.float64], valid: NDArray[np.bool_]) -> Quantised:
    """The nearest int8 (…, band) with a scale (…); scale NaN and values 0 where not ``valid``.

    The largest element of each vector becomes ±127; none is off by more than half its scale.
    """
    peak = np.where(valid, np.abs(means).max(axis=-1), 0)
    scales = np.where(peak > 0, peak, 1).astype(np.float32) / np.float32(LARGEST)
    whole = np.clip(np.rint(means / scales[..., None]), -LARGEST, LARGEST)
    values = np.where(valid[..., None], whole, 0).astype(np.int8)
    return values, np.where(valid, scales, np.float32("nan"))


def coarser(
    values: NDArray[np.int8], scales: NDArray[np.float32], factors: Sequence[int]
) -> list[Quantised]:
    """Means of the valid native vectors in the cells of every factor, from sums and counts.

    ``values`` (h, w, band), ``scales`` (h, w) NaN for nodata; h and w are multiples of the last
    factor, and each factor divides the next.
    """
    if not factors:
        return []
    total, count = _first_sums(values, scales, factors[0])
    levels = [_means(total, count)]
    for finer, factor in pairwise(factors):
        total, count = (_summed(part, factor // finer) for part in (total, count))
        levels.append(_means(total, count))
    return levels


def _first_sums(
    values: NDArray[np.int8], scales: NDArray[np.float32], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of vectors and numbers of valid pixels; a row of cells at a time bounds memory."""
    height, width, bands = values.shape
    total = np.empty((height // factor, width // factor, bands))
    for row in range(len(total)):
        part = slice(row * factor, (row + 1) * factor)
        known = np.nan_to_num(scales[part], nan=0.0).astype(np.float64)
        total[row] = _summed(values[part] * known[..., None], factor)[0]
    return total, _summed(np.isfinite(scales)[..., None].astype(np.float64), factor)


def _summed(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    height, width, depth = values.shape
    cells = values.reshape(height // factor, factor, width // factor, factor, depth)
    return cells.sum(axis=(1, 3))


def _means(total: NDArray[np.float64], count: NDArray[np.float64]) -> Quantised:
    return quantised(total / np.maximum(count, 1), count[..., 0] > 0)
