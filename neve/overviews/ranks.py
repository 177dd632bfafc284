"""The compiled loops of ``pooling`` that compare pixels: extremes, medians, modes.

Belongs here: numba kernels without checks or dispatch. Does not belong here: sums and means
(``cells``). ``fill`` is a scalar of the pixels' dtype or None. numba's cache on disk does not
notice changes of ``cells.ok``: touch this file after one.
"""

import numpy as np
from numba import njit

from neve.overviews.cells import ok

HISTOGRAM_BYTES = 2  # dtypes whose values index a histogram


@njit(cache=True, nogil=True)
def extreme(values, factor, fill, least, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the largest valid pixel of each cell; ``least``: what none can be below.

    The smallest: ``least`` is the dtype's highest value (``least > 0`` tells the two apart).
    """
    height, width = values.shape
    rows = np.empty(width, values.dtype)
    for i in range(out.shape[0]):
        rows[:] = least
        for r in range(i * factor, min((i + 1) * factor, height)):
            row = values[r]
            for c in range(width):
                value = row[c] if ok(row[c], fill) else least
                rows[c] = min(rows[c], value) if least > 0 else max(rows[c], value)
        for j in range(out.shape[1]):
            best = least
            for c in range(j * factor, min((j + 1) * factor, width)):
                best = min(best, rows[c]) if least > 0 else max(best, rows[c])
            if best == least and not _any(values, i, j, factor, fill):
                best = out.dtype.type(np.nan) if fill is None else fill
            out[i, j] = best


@njit(cache=True, nogil=True)
def _any(values, i, j, factor, fill):  # type: ignore[no-untyped-def]
    """Whether cell (i, j) has a valid pixel."""
    height, width = values.shape
    for r in range(i * factor, min((i + 1) * factor, height)):
        for c in range(j * factor, min((j + 1) * factor, width)):
            if ok(values[r, c], fill):
                return True
    return False


@njit(cache=True, nogil=True)
def _gather(values, i, j, factor, fill, buffer):  # type: ignore[no-untyped-def]
    """Put the valid pixels of cell (i, j) in ``buffer``; returns how many."""
    height, width = values.shape
    n = 0
    for r in range(i * factor, min((i + 1) * factor, height)):
        for c in range(j * factor, min((j + 1) * factor, width)):
            buffer[n] = values[r, c]
            n += 1 if ok(values[r, c], fill) else 0
    return n


@njit(cache=True, nogil=True)
def median(values, factor, fill, exact, found):  # type: ignore[no-untyped-def]
    """Fill ``exact`` (float64) with the medians and ``found`` with 1 where a pixel is valid."""
    buffer = np.empty(factor**2, np.float64)
    for i in range(exact.shape[0]):
        for j in range(exact.shape[1]):
            n = _gather(values, i, j, factor, fill, buffer)
            found[i, j] = min(n, 1)
            exact[i, j] = np.median(buffer[:n]) if n else 0.0


@njit(cache=True, nogil=True)
def mode_small(values, factor, fill, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the most frequent values by a histogram (8 and 16 bits)."""
    buffer = np.empty(factor**2, values.dtype)
    lowest = np.iinfo(values.dtype).min
    counts = np.zeros(np.iinfo(values.dtype).max - lowest + 1, np.uint32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            n = _gather(values, i, j, factor, fill, buffer)
            best, most = out.dtype.type(0) if fill is None else fill, 0
            for value in buffer[:n]:
                place = np.int64(value) - lowest
                counts[place] += 1
                if counts[place] > most or (counts[place] == most and value < best):
                    best, most = value, counts[place]
            for value in buffer[:n]:
                counts[np.int64(value) - lowest] = 0
            out[i, j] = best


@njit(cache=True, nogil=True)
def mode_sorted(values, factor, fill, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the most frequent values by sorting (wider integers, floats)."""
    buffer = np.empty(factor**2, values.dtype)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            n = _gather(values, i, j, factor, fill, buffer)
            best, most, run = out.dtype.type(np.nan) if fill is None else fill, 0, 0
            ordered = np.sort(buffer[:n])
            for k in range(n):
                run = run + 1 if k and ordered[k] == ordered[k - 1] else 1
                if run > most:
                    best, most = ordered[k], run
            out[i, j] = best
