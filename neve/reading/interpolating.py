"""Bilinear values on a grid from a window of an image.

Belongs here: the kernels. Does not belong here: maps (``warping``), targets coarser than the
source (``averaging``), files.

A row of the grid is done in passes over its needed lattice cells, pixel ``s`` of all cells side
by side: arithmetic then fills vector registers. Gathering is a pass of its own, since a compiler
must assume that what it stores may change what it gathers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neve.reading.warping import NUDGE, STEP, Lattice, Planes, Window, node_row

NOTHING = -(1 << 30)


class _Row(NamedTuple):
    """The needed cells of a row: ``cell`` (number), ``mask`` (a bit per pixel), ``lines`` (u, v of
    the first pixel and their steps); then by (pixel in the cell, needed cell) the ``spot`` of the
    top left neighbour, the ``part`` of the way to the next (u, v), two ``pairs`` of neighbours,
    ``value``, and whether it is ``bad``: a neighbour is outside or without data."""

    cell: NDArray[np.int64]
    mask: NDArray[np.uint8]
    lines: NDArray[np.float64]
    spot: NDArray[np.uint32]
    part: NDArray[np.float32]
    pairs: NDArray[np.uint32]
    value: NDArray[np.int16]
    bad: NDArray[np.bool_]


def interpolate(at: Lattice, window: Window, planes: Planes, low: int, shift: int) -> None:
    """Bilinear values (on the source's own pixel grid: exact copies) of needed pixels to ``out``.

    ``window``: uint16, at least 2 × 2, with all of the image that is touched and 0 beyond. A
    pixel has data when the source pixel under its centre has; else its valid bit is cleared.
    """
    pixels, cells = window.pixels, at.x.shape[1] - 1
    # Two neighbours in one load; starting at every pixel, these overlap.
    pairs = np.ndarray((pixels.size - 1,), np.uint32, pixels, strides=(2,))
    row = _Row(
        np.empty(cells, np.int64),
        np.empty(cells, np.uint8),
        np.empty((4, cells)),
        np.empty((STEP, cells), np.uint32),
        np.empty((2, STEP, cells), np.float32),
        np.empty((2, STEP, cells), np.uint32),
        np.empty((STEP, cells), np.int16),
        np.empty((STEP, cells), np.bool_),
    )
    _interpolate(at, (window, pairs), planes, row, np.int32(low), np.int32(shift))


@njit(cache=True, nogil=True)
def _interpolate(at, images, planes, row, low, shift):  # type: ignore[no-untyped-def]
    window, pairs = images
    us, vs, du, dv = np.empty((4, at.x.shape[1]))
    for r in range(planes.out.shape[0]):
        node_row(at.x, r + at.row, us, du)
        node_row(at.y, r + at.row, vs, dv)
        count = _needed(planes.need[r], at.col, window, (us, vs, du, dv), row)
        _locate(row, count, window.pixels.shape)
        _gather(row, count, pairs, window.pixels.shape[1])
        _blend(row, count, low, shift)
        _put(row, count, at.col, window.pixels, (low, shift), (planes.valid[r], planes.out[r]))


@njit(cache=True, nogil=True)
def _needed(need, off, window, nodes, row):  # type: ignore[no-untyped-def]
    """Gather the cells that have a needed pixel; returns how many."""
    us, vs, du, dv = nodes
    count, size = 0, need.shape[0]
    for j in range(row.cell.shape[0]):
        first = j * STEP - off
        b = first >> 3
        bits = (int(need[b]) if 0 <= b < size else 0) << 8
        bits |= int(need[b + 1]) if 0 <= b + 1 < size else 0
        row.cell[count], row.mask[count] = j, bits >> 8 - (first & 7) & 255
        # Coordinates of neighbours' centres, so that the top left one is the whole part.
        row.lines[0, count] = us[j] + NUDGE - window.col - 0.5
        row.lines[1, count] = vs[j] + NUDGE - window.row - 0.5
        row.lines[2, count], row.lines[3, count] = du[j], dv[j]
        count += row.mask[count] != 0
    return count


@njit(cache=True, nogil=True)
def _locate(row, count, shape):  # type: ignore[no-untyped-def]
    lines, height, width = row.lines, np.int32(shape[0]), np.int32(shape[1])
    for s in range(STEP):
        for k in range(count):
            u, v = lines[0, k] + lines[2, k] * s, lines[1, k] + lines[3, k] * s
            inside = (u >= 0) & (v >= 0) & (u < width - 1) & (v < height - 1)
            c, r = np.int32(u), np.int32(v)
            row.spot[s, k] = np.uint32(r * width + c) if inside else np.uint32(0)
            row.bad[s, k] = not inside
            row.part[0, s, k], row.part[1, s, k] = np.float32(u - c), np.float32(v - r)


@njit(cache=True, nogil=True)
def _gather(row, count, pairs, width):  # type: ignore[no-untyped-def]
    below = np.uint64(width)
    for s in range(STEP):
        for k in range(count):
            spot = np.uint64(row.spot[s, k])
            row.pairs[0, s, k], row.pairs[1, s, k] = pairs[spot], pairs[spot + below]


@njit(cache=True, nogil=True)
def _blend(row, count, low, shift):  # type: ignore[no-untyped-def]
    half, high = np.uint32(0xFFFF), np.uint32(16)
    for s in range(STEP):
        for k in range(count):
            top, bottom = row.pairs[0, s, k], row.pairs[1, s, k]
            a, b = np.int32(top & half), np.int32(top >> high)
            c, d = np.int32(bottom & half), np.int32(bottom >> high)
            fu, fv = row.part[0, s, k], row.part[1, s, k]
            upper = np.float32(a) + (np.float32(b) - np.float32(a)) * fu
            lower = np.float32(c) + (np.float32(d) - np.float32(c)) * fu
            value = np.int32(upper + (lower - upper) * fv + np.float32(0.5)) + shift
            row.value[s, k] = max(min(value, np.int32(32767)), np.int32(-32767))
            row.bad[s, k] |= min(min(a, b), min(c, d)) <= low


@njit(cache=True, nogil=True)
def _put(row, count, off, source, dn, planes):  # type: ignore[no-untyped-def]
    """Needed values to their places; bad ones are made one by one."""
    (low, shift), (valid, out) = dn, planes
    for k in range(count):
        first, mask, bad = row.cell[k] * STEP - off, row.mask[k], False
        for s in range(STEP):
            bad |= row.bad[s, k]
        if mask == 255 and not bad:
            for s in range(STEP):
                out[first + s] = row.value[s, k]
            continue
        for s in range(STEP):
            if not mask & (128 >> s):
                continue
            c, value = first + s, int(row.value[s, k])
            if row.bad[s, k]:
                u, v = row.lines[0, k] + row.lines[2, k] * s, row.lines[1, k] + row.lines[3, k] * s
                value = _one(source, u, v, low)
                if value == NOTHING:
                    valid[c >> 3] &= ~np.uint8(128 >> (c & 7))
                    continue
                value = max(min(value + shift, 32767), -32767)
            out[c] = value


@njit(cache=True, nogil=True)
def _one(source, u, v, low):  # type: ignore[no-untyped-def]
    """The value at one place, or ``NOTHING`` where the pixel under it has no data: the weighted
    mean of those of the four neighbours that exist and have data."""
    if not (u >= -0.5 and v >= -0.5 and u + 0.5 < source.shape[1] and v + 0.5 < source.shape[0]):
        return NOTHING
    if source[int(v + 0.5), int(u + 0.5)] <= low:
        return NOTHING
    c, r = int(u + 1) - 1, int(v + 1) - 1
    fu, fv = np.float32(u - c), np.float32(v - r)
    total, weights = np.float32(0), np.float32(0)
    for k in range(4):
        rr, cc = r + (k >> 1), c + (k & 1)
        if 0 <= rr < source.shape[0] and 0 <= cc < source.shape[1] and source[rr, cc] > low:
            weight = (fv if k >> 1 else 1 - fv) * (fu if k & 1 else 1 - fu)
            total += np.float32(weight * source[rr, cc])
            weights += np.float32(weight)
    return int(total / weights + np.float32(0.5))
