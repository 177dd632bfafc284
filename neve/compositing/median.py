"""Statistics over the observations of each pixel.

Belongs here: median, geometric median and medoid of stacks, as kernels. Does not belong here:
which observations are valid. Stacks are int16 with ``FILL`` where there is no observation.
"""

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neve.scenes.values import FILL

LANES = 512
# Digital Earth Africa's GeoMAD stops at 0.5e-4 of reflectance; here the result is rounded to
# 1e-4, so that the error of stopping is kept well below.
CLOSE = 0.01
ITERATIONS = 1000


def median(stack: NDArray[np.int16]) -> NDArray[np.int16]:
    """Median over the first axis of (n, h, w): the mean of the two middles, half to even."""
    n, height, width = stack.shape
    out = np.full((height, width), FILL, np.int16)
    if n:
        _median(stack.reshape(n, -1), _network(n), out.reshape(-1))
    return out


@lru_cache(maxsize=256)
def _network(n: int) -> NDArray[np.int64]:
    """Batcher's merge exchange: pairs to compare that sort n values. Knuth, TAOCP 3, 5.2.2 M."""
    pairs = []
    top = 1 << max(n - 1, 1).bit_length() - 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return np.array(pairs, np.int64).reshape(-1, 2)


@njit(cache=True, nogil=True)
def _median(stack, network, out):  # type: ignore[no-untyped-def]
    """Sort a few pixels at a time, side by side in vector registers; FILL sorts first."""
    n, pixels = stack.shape
    lanes = np.empty((n, LANES), np.int16)
    for start in range(0, pixels, LANES):
        size = min(LANES, pixels - start)
        for k in range(n):
            lanes[k, :size] = stack[k, start : start + size]
        for pair in range(network.shape[0]):
            a, b = lanes[network[pair, 0]], lanes[network[pair, 1]]
            for k in range(LANES):
                x, y = a[k], b[k]
                a[k] = min(x, y)
                b[k] = max(x, y)
        for k in range(size):
            first = 0
            while first < n and lanes[first, k] == FILL:
                first += 1
            if first < n:
                total = int(lanes[(first + n - 1) >> 1, k]) + int(lanes[(first + n) >> 1, k])
                half = total >> 1
                out[start + k] = half + (total & half & 1)


def geomedian(stacks: NDArray[np.int16]) -> NDArray[np.int16]:
    """Geometric median over the observations of (bands, n, h, w) → (bands, h, w), rounded.

    The point of least summed Euclidean distance, by Weiszfeld's iteration from the mean with
    Vardi and Zhang's step at observations (as hdstats, which Digital Earth Africa's GeoMAD uses).
    """
    return _per_pixel(_geomedian, stacks)


def medoid(stacks: NDArray[np.int16]) -> NDArray[np.int16]:
    """The observation of least summed distance to the others, (bands, n, h, w) → (bands, h, w).

    Of equals the first.
    """
    return _per_pixel(_medoid, stacks)


def _per_pixel(kernel, stacks):  # type: ignore[no-untyped-def]
    bands, n, height, width = stacks.shape
    out = np.full((bands, height, width), FILL, np.int16)
    if n:
        kernel(stacks.reshape(bands, n, -1), out.reshape(bands, -1))
    return out


@njit(cache=True, nogil=True, inline="always")
def _gather(stacks, pixel, points):  # type: ignore[no-untyped-def]
    """Observations of one pixel as (n, bands) float64; returns how many."""
    bands, n, _ = stacks.shape
    size = 0
    for k in range(n):
        if stacks[0, k, pixel] != FILL:
            for b in range(bands):
                points[size, b] = stacks[b, k, pixel]
            size += 1
    return size


@njit(cache=True, nogil=True)
def _medoid(stacks, out):  # type: ignore[no-untyped-def]
    bands, n, pixels = stacks.shape
    points = np.empty((n, bands))
    for pixel in range(pixels):
        size = _gather(stacks, pixel, points)
        best, chosen = np.inf, -1
        for i in range(size):
            total = 0.0
            for j in range(size):
                total += np.sqrt(((points[i] - points[j]) ** 2).sum())
            if total < best:
                best, chosen = total, i
        if chosen >= 0:
            for b in range(bands):
                out[b, pixel] = int(points[chosen, b])


@njit(cache=True, nogil=True)
def _geomedian(stacks, out):  # type: ignore[no-untyped-def]
    bands, n, pixels = stacks.shape
    points = np.empty((n, bands))
    here, there, pull = np.empty(bands), np.empty(bands), np.empty(bands)
    for pixel in range(pixels):
        size = _gather(stacks, pixel, points)
        if size == 0:
            continue
        for b in range(bands):
            here[b] = points[:size, b].mean()
        for _ in range(ITERATIONS):
            _weiszfeld(points, size, here, there, pull)
            moved = np.sqrt(((there - here) ** 2).sum())
            here[:] = there
            if moved < CLOSE:
                break
        for b in range(bands):
            out[b, pixel] = int(np.rint(here[b]))


@njit(cache=True, nogil=True, inline="always")
def _weiszfeld(points, size, here, there, pull):  # type: ignore[no-untyped-def]
    """One step; ``there`` is the next point. Vardi & Zhang, PNAS 97 (2000), eq. 2.6."""
    there[:] = 0.0
    pull[:] = 0.0
    weights, same = 0.0, 0
    for k in range(size):
        distance = np.sqrt(((points[k] - here) ** 2).sum())
        if distance == 0.0:
            same += 1
            continue
        weights += 1 / distance
        for b in range(len(here)):
            there[b] += points[k, b] / distance
            pull[b] += (points[k, b] - here[b]) / distance
    if weights == 0.0:
        there[:] = here
        return
    strength = np.sqrt((pull**2).sum())
    stay = min(1.0, same / strength) if strength > 0 else 1.0 if same else 0.0
    for b in range(len(here)):
        there[b] = (1 - stay) * there[b] / weights + stay * here[b]
