"""Bilinear values on a grid from a window of an image.

Belongs here: the kernels. Does not belong here: maps (``warping``), targets coarser than the
source (``averaging``), files.
"""

import numpy as np
from numba import njit

from neve.reading.warping import NUDGE, STEP, node_row

NOTHING = -(1 << 30)


@njit(cache=True, nogil=True)
def interpolate(at, window, planes, low, shift):  # type: ignore[no-untyped-def]
    """Bilinear values (on the source's own pixel grid: exact copies) of needed pixels to ``out``.

    ``window`` has all of the image that is touched. A pixel has data when the source pixel
    under its centre has; else its valid bit is cleared.
    """
    source, need, valid, out = window.pixels, planes.need, planes.valid, planes.out
    us, vs, du, dv = np.empty((4, at.x.shape[1]))
    wanted = np.empty(at.x.shape[1] * STEP + 16, np.bool_)
    values, spots = np.empty(STEP, np.int32), np.empty(STEP, np.uint32)
    quads, (fu, fv) = np.empty((4, STEP), np.float32), np.empty((2, STEP), np.float32)
    work = values, spots, quads, fu, fv, source.reshape(-1)
    for r in range(out.shape[0]):
        node_row(at.x, r + at.row, us, du)
        node_row(at.y, r + at.row, vs, dv)
        _unpack(need[r], wanted, at.col)
        for j in range(at.x.shape[1] - 1):
            some = False
            for s in range(STEP):
                some |= wanted[j * STEP + s]
            if not some:
                continue
            # Coordinates of neighbours' centres, so that the top left one is the whole part.
            u, v = us[j] + NUDGE - window.col - 0.5, vs[j] + NUDGE - window.row - 0.5
            plain = _eight(source, (u, v), (du[j], dv[j]), work, low)
            for s in range(STEP):
                if wanted[j * STEP + s]:
                    c = j * STEP + s - at.col
                    value = values[s] if plain else _one(source, u + du[j] * s, v + dv[j] * s, low)
                    if value == NOTHING:
                        valid[r, c >> 3] &= ~np.uint8(128 >> (c & 7))
                    else:
                        out[r, c] = max(min(value + shift, 32767), -32767)


@njit(cache=True, nogil=True, inline="always")
def _unpack(bits, wanted, off):  # type: ignore[no-untyped-def]
    """Bits as bytes, pixel 0 at ``off``."""
    wanted[:] = False
    for b in range(bits.shape[0]):
        if bits[b]:
            for k in range(8):
                wanted[off + b * 8 + k] = bits[b] & (128 >> k)


@njit(cache=True, nogil=True, inline="always")
def _eight(source, place, steps, work, low):  # type: ignore[no-untyped-def]
    """Values of a cell's pixels, in loops that suit vector registers.

    False where one of the neighbours is outside or without data: then they are made one by one.
    """
    (u, v), (du, dv), (height, width) = place, steps, source.shape
    if not (u >= 0 and v >= 0 and u < width - 1 and v < height - 1):
        return False
    end_u, end_v = u + du * STEP, v + dv * STEP
    if not (end_u >= 0 and end_v >= 0 and end_u < width - 1 and end_v < height - 1):
        return False
    values, spots, quads, fu, fv, pixels = work
    for s in range(STEP):
        column, row = np.int32(u + du * s), np.int32(v + dv * s)
        spots[s] = row * np.int32(width) + column
        fu[s], fv[s] = np.float32(u + du * s - column), np.float32(v + dv * s - row)
    for s in range(STEP):
        at = spots[s]
        quads[0, s], quads[1, s] = pixels[at], pixels[at + np.uint32(1)]
        at += np.uint32(width)
        quads[2, s], quads[3, s] = pixels[at], pixels[at + np.uint32(1)]
    least = np.float32(np.inf)
    for s in range(STEP):
        top = quads[0, s] + (quads[1, s] - quads[0, s]) * fu[s]
        bottom = quads[2, s] + (quads[3, s] - quads[2, s]) * fu[s]
        values[s] = np.int32(top + (bottom - top) * fv[s] + np.float32(0.5))
        least = min(least, min(min(quads[0, s], quads[1, s]), min(quads[2, s], quads[3, s])))
    return least > low


@njit(cache=True, nogil=True, inline="always")
def _one(source, u, v, low):  # type: ignore[no-untyped-def]
    """The value at one place, or ``NOTHING`` where the pixel under it has no data."""
    if not (u >= -0.5 and v >= -0.5 and u + 0.5 < source.shape[1] and v + 0.5 < source.shape[0]):
        return NOTHING
    if source[int(v + 0.5), int(u + 0.5)] <= low:
        return NOTHING
    c, r = int(u + 1) - 1, int(v + 1) - 1
    return _blend_some(source, c, r, np.float32(u - c), np.float32(v - r), low)


@njit(cache=True, nogil=True)
def _blend_some(source, c, r, fu, fv, low):  # type: ignore[no-untyped-def]
    """Weighted mean of those of the four neighbours that exist and have data."""
    total, weights = np.float32(0), np.float32(0)
    for k in range(4):
        rr, cc = r + (k >> 1), c + (k & 1)
        if 0 <= rr < source.shape[0] and 0 <= cc < source.shape[1] and source[rr, cc] > low:
            weight = (fv if k >> 1 else 1 - fv) * (fu if k & 1 else 1 - fu)
            total += np.float32(weight * source[rr, cc])
            weights += np.float32(weight)
    return int(total / weights + np.float32(0.5))
