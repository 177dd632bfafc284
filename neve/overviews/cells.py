"""The compiled loops of ``overviews``: one pass over pixels, cells out.

Belongs here: numba kernels without allocation of their results, checks or dispatch (those are in
``overviews``, the only importer). ``fill`` is a scalar of the pixels' dtype or None, which numba
compiles to code without a test. Rows are added up first (vector code), then columns.
"""

from typing import Any

import numpy as np
from numba import njit

EXACT_BITS = 16  # rint(float64 quotient) is the exactly rounded mean up to this width
HISTOGRAM_BYTES = 2  # dtypes whose values index a histogram
STRIP = 2048  # columns at a time, so that the sums of a row of cells stay in the L1 cache


@njit(inline="always")
def _ok(value: Any, fill: Any) -> Any:
    # Only NaN differs from itself; np.isnan would keep the loops from becoming vector code.
    if fill is None:
        return value == value  # noqa: PLR0124
    return (value == value) & (value != fill)  # noqa: PLR0124


@njit(cache=True, nogil=True)
def pool(values, factor, fill, scratch, total, valid):  # type: ignore[no-untyped-def]
    """Fill ``total`` and ``valid`` from ``values``; ``scratch``: four rows of whole cells."""
    height, width = values.shape
    step = max(STRIP // factor, 1) * factor
    for i in range(total.shape[0]):
        for left in range(0, width, step):
            stop = min(left + step, width)
            padded = -(-(stop - left) // factor) * factor
            acc, count = scratch[0, :padded], scratch[1, :padded]
            acc[:] = 0
            count[:] = 0
            for r in range(i * factor, min((i + 1) * factor, height)):
                row = values[r, left:stop]
                for c in range(row.size):
                    value = row[c]
                    ok = _ok(value, fill)
                    acc[c] += value if ok else 0
                    count[c] += 1 if ok else 0
            first, n = left // factor, padded // factor
            _across(acc, scratch[2], factor, total[i, first : first + n])
            _across(count, scratch[3], factor, valid[i, first : first + n])


@njit(cache=True, nogil=True)
def _across(acc, spare, factor, out):  # type: ignore[no-untyped-def]
    """Sums of runs of ``factor``: pairs first, which the compiler can turn into vector code."""
    while factor % 2 == 0 and factor > 1:
        half = acc.size // 2
        for c in range(half):
            spare[c] = acc[2 * c] + acc[2 * c + 1]
        acc, spare = spare[:half], acc
        factor //= 2
    if factor == 1:
        for j in range(out.size):
            out[j] = acc[j]
        return
    for j in range(out.size):
        value = acc[j * factor]
        for k in range(1, factor):
            value += acc[j * factor + k]
        out[j] = value


@njit(cache=True, nogil=True)
def pool_more(finer_total, finer_valid, factor, total, valid):  # type: ignore[no-untyped-def]
    """Fill ``total`` and ``valid`` from those of cells ``factor`` times finer."""
    height, width = finer_total.shape
    total[:] = 0
    valid[:] = 0
    for r in range(height):
        i = r // factor
        for j in range(total.shape[1]):
            for c in range(j * factor, min((j + 1) * factor, width)):
                total[i, j] += finer_total[r, c]
                valid[i, j] += finer_valid[r, c]


@njit(cache=True, nogil=True)
def mean_float(total, valid, fill, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (floats) with the means, ``fill`` where nothing is valid."""
    kind = out.dtype.type
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            exact = total[i, j] / max(valid[i, j], np.uint32(1))
            value = kind(exact)
            if value == fill:  # never taken for NaN
                value = np.nextafter(fill, kind(np.inf) if exact >= fill else kind(-np.inf))
            out[i, j] = value if valid[i, j] else fill


@njit(cache=True, nogil=True)
def mean_small(total, valid, fill, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (integers) with the means rounded half to even.

    Exact for integer totals of values of up to ``EXACT_BITS``, and for totals that are medians.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            n = valid[i, j]
            exact = total[i, j] / np.float64(max(n, np.uint32(1)))
            value = np.int64(np.rint(exact))
            if fill is None:
                out[i, j] = value
            else:
                if value == fill:
                    value += 1 if exact >= fill else -1
                out[i, j] = value if n else fill


@njit(cache=True, nogil=True)
def mean_wide(total, valid, fill, out):  # type: ignore[no-untyped-def]
    """``mean_small`` for wider integers: rounded in integer arithmetic."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            n = np.int64(max(valid[i, j], np.uint32(1)))
            value = total[i, j] // n
            twice = 2 * (total[i, j] - value * n)
            value += (twice > n) | ((twice == n) & (value & 1 == 1))
            if fill is None:
                out[i, j] = value
            else:
                if value == fill:
                    value += 1 if total[i, j] >= fill * n else -1
                out[i, j] = value if valid[i, j] else fill


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
                value = row[c] if _ok(row[c], fill) else least
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
            if _ok(values[r, c], fill):
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
            n += 1 if _ok(values[r, c], fill) else 0
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
