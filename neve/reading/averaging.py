"""Area averages for targets coarser than the source, one tile of the source at a time.

Belongs here: the kernels that sum source pixels into target pixels. Does not belong here: maps
(``warping``), files. The average of a target pixel is the area-weighted mean, over a box in the
source around its centre and as large as itself (at least one source pixel), of the pixels that
have data and are clear. Edges are kept in 1/256 of a pixel, so that sums are exact in any order
of tiles.
"""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numba import njit
from numpy.typing import NDArray

from neve.reading.warping import NUDGE, STEP, Lattice, Planes, Window, any_in_cell

UNITS = 256


@dataclass(frozen=True)
class Clear:
    """Which pixels of a mask are clear: ``bits``, ``width`` columns, at (row, col) ``place``."""

    bits: NDArray[np.uint8]
    width: int
    place: tuple[int, int]
    transform: Affine

    def erase(self, window: Window, own: Affine) -> None:
        """Set to 0 what is not clear under its centre, in a window of an image."""
        row, col, pixels = window
        to_mask = ~self.transform @ own
        xs = to_mask.a * (col + np.arange(pixels.shape[1]) + 0.5) + to_mask.c
        ys = to_mask.e * (row + np.arange(pixels.shape[0]) + 0.5) + to_mask.f
        cols = np.floor(xs + NUDGE).astype(np.int64) - self.place[1]
        rows = np.floor(ys + NUDGE).astype(np.int64) - self.place[0]
        _erase(pixels, rows, cols, self.bits, self.width)


class Sums:
    """Running sums of the needed pixels of a grid."""

    def __init__(self, at: Lattice, planes: Planes) -> None:
        """``at``: the grid in pixels of the image."""
        self._at, self._planes = at, planes
        self._totals = np.zeros(planes.out.shape, np.int64)
        self._weights = np.zeros(planes.out.shape, np.int64)

    def add(self, window: Window, low: int) -> None:
        """Add a window of the image; windows must not overlap."""
        _add(self._at, window, self._planes.need, (self._totals, self._weights), low)

    def settle(self, shift: int) -> None:
        """Write the averages; clear the valid bit of needed pixels to which nothing was added."""
        _settle(self._totals, self._weights, self._planes, shift)


@njit(cache=True, nogil=True)
def _erase(pixels, rows, cols, bits, width):  # type: ignore[no-untyped-def]
    for r in range(pixels.shape[0]):
        mr = rows[r]
        for c in range(pixels.shape[1]):
            mc = cols[c]
            inside = 0 <= mr < bits.shape[0] and 0 <= mc < width
            if not inside or not bits[mr, mc >> 3] & (128 >> (mc & 7)):
                pixels[r, c] = 0


@njit(cache=True, nogil=True)
def _add(at, window, need, sums, low):  # type: ignore[no-untyped-def]
    x, y, (totals, weights), size = at.x, at.y, sums, sums[0].shape
    height, width = window.pixels.shape
    for i in range(x.shape[0] - 1):
        for j in range(x.shape[1] - 1):
            if not any_in_cell(need, size, i * STEP - at.row, j * STEP - at.col):
                continue
            # Steps of the source coordinates per target pixel, mean of the cell.
            uc = (x[i, j + 1] - x[i, j] + x[i + 1, j + 1] - x[i + 1, j]) / (2 * STEP)
            ur = (x[i + 1, j] - x[i, j] + x[i + 1, j + 1] - x[i, j + 1]) / (2 * STEP)
            vc = (y[i, j + 1] - y[i, j] + y[i + 1, j + 1] - y[i + 1, j]) / (2 * STEP)
            vr = (y[i + 1, j] - y[i, j] + y[i + 1, j + 1] - y[i, j + 1]) / (2 * STEP)
            # A box of one source pixel is bilinear interpolation; a smaller one is worse.
            half_u, half_v = max(np.hypot(uc, ur), 1) / 2, max(np.hypot(vc, vr), 1) / 2
            u0 = min(x[i, j], x[i + 1, j], x[i, j + 1], x[i + 1, j + 1]) - half_u - 1
            u1 = max(x[i, j], x[i + 1, j], x[i, j + 1], x[i + 1, j + 1]) + half_u + 1
            v0 = min(y[i, j], y[i + 1, j], y[i, j + 1], y[i + 1, j + 1]) - half_v - 1
            v1 = max(y[i, j], y[i + 1, j], y[i, j + 1], y[i + 1, j + 1]) + half_v + 1
            if u1 < window.col or u0 > window.col + width:
                continue
            if v1 < window.row or v0 > window.row + height:
                continue
            for r in range(max(i * STEP - at.row, 0), min((i + 1) * STEP - at.row, size[0])):
                t = (r + at.row - i * STEP) / STEP
                ua = x[i, j] + (x[i + 1, j] - x[i, j]) * t
                ub = x[i, j + 1] + (x[i + 1, j + 1] - x[i, j + 1]) * t
                va = y[i, j] + (y[i + 1, j] - y[i, j]) * t
                vb = y[i, j + 1] + (y[i + 1, j + 1] - y[i, j + 1]) * t
                for c in range(max(j * STEP - at.col, 0), min((j + 1) * STEP - at.col, size[1])):
                    if not need[r, c >> 3] & (128 >> (c & 7)):
                        continue
                    s = (c + at.col - j * STEP) / STEP
                    u, v = ua + (ub - ua) * s, va + (vb - va) * s
                    total, weight = _box(window, (u, v), (half_u, half_v), low)
                    totals[r, c] += total
                    weights[r, c] += weight


@njit(cache=True, nogil=True, inline="always")
def _box(window, place, half, low):  # type: ignore[no-untyped-def]
    """(Σ weight · DN, Σ weight) over the part of a box that lies in the window."""
    (u, v), (half_u, half_v), pixels = place, half, window.pixels
    left = int(np.floor((u - half_u) * UNITS + 0.5)) - window.col * UNITS
    right = int(np.floor((u + half_u) * UNITS + 0.5)) - window.col * UNITS
    top = int(np.floor((v - half_v) * UNITS + 0.5)) - window.row * UNITS
    bottom = int(np.floor((v + half_v) * UNITS + 0.5)) - window.row * UNITS
    height, width = pixels.shape
    total, weight = 0, 0
    for r in range(max(top // UNITS, 0), min((bottom + UNITS - 1) // UNITS, height)):
        wr = min(bottom, (r + 1) * UNITS) - max(top, r * UNITS)
        for c in range(max(left // UNITS, 0), min((right + UNITS - 1) // UNITS, width)):
            dn = int(pixels[r, c])
            if dn > low:
                w = wr * (min(right, (c + 1) * UNITS) - max(left, c * UNITS))
                total += w * dn
                weight += w
    return total, weight


@njit(cache=True, nogil=True)
def _settle(totals, weights, planes, shift):  # type: ignore[no-untyped-def]
    need, valid, out = planes
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            bit = np.uint8(128 >> (c & 7))
            if not need[r, c >> 3] & bit:
                continue
            weight = weights[r, c]
            if weight == 0:
                valid[r, c >> 3] &= ~bit
            else:
                value = (2 * totals[r, c] + weight) // (2 * weight)
                out[r, c] = max(min(value + shift, 32767), -32767)
