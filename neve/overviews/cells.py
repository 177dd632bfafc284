"""The compiled loops of ``pooling`` that add up: one pass over pixels, sums and means out.

Belongs here: numba kernels without allocation of their results, checks or dispatch (those are in
``pooling``). Does not belong here: comparing pixels (``ranks``). ``fill`` is a scalar of the
pixels' dtype or None, which numba compiles to code without a test. Rows are added up first
(vector code), then columns.
"""

from typing import Any

import numpy as np
from numba import njit

EXACT_BITS = 16  # rint(float64 quotient) is the exactly rounded mean up to this width
STRIP = 2048  # columns at a time, so that the sums of a row of cells stay in the L1 cache


@njit(inline="always")
def ok(value: Any, fill: Any) -> Any:
    """Whether a pixel is valid: neither NaN nor ``fill``."""
    # Only NaN differs from itself; np.isnan would keep the loops from becoming vector code.
    if fill is None:
        return value == value  # noqa: PLR0124
    return (value == value) & (value != fill)  # noqa: PLR0124


@njit(cache=True, nogil=True)
def pool(values, factor, fill, sums, total, valid):  # type: ignore[no-untyped-def]
    """Fill ``total`` and ``valid`` from ``values``.

    ``sums``: two rows of whole cells, of a dtype that a cell's sum cannot overflow.
    """
    height, width = values.shape
    step = max(STRIP // factor, 1) * factor
    counts = np.empty(sums.shape, np.uint32)
    for i in range(total.shape[0]):
        for left in range(0, width, step):
            stop = min(left + step, width)
            first, n = left // factor, -(-(stop - left) // factor)
            acc, count = sums[0, : n * factor], counts[0, : n * factor]
            acc[:] = 0
            count[:] = 0
            r, bottom = i * factor, min((i + 1) * factor, height)
            while r < bottom:  # sums are loaded and stored once for several rows
                p = values[r, left:stop]
                if r + 4 <= bottom:
                    q, s, t = (
                        values[r + 1, left:stop],
                        values[r + 2, left:stop],
                        values[r + 3, left:stop],
                    )
                    _add_four((p, q, s, t), fill, acc, count)
                    r += 4
                elif r + 2 <= bottom:
                    _add_two((p, values[r + 1, left:stop]), fill, acc, count)
                    r += 2
                else:
                    _add_one(p, fill, acc, count)
                    r += 1
            _across(acc, sums[1], factor, total[i, first : first + n])
            _across(count, counts[1], factor, valid[i, first : first + n])


@njit(inline="always")
def _term(value, fill, acc, count):  # type: ignore[no-untyped-def]
    valid = ok(value, fill)
    return (
        acc.dtype.type(value) if valid else acc.dtype.type(0),
        count.dtype.type(1) if valid else count.dtype.type(0),
    )


@njit(inline="always")
def _add_four(rows, fill, acc, count):  # type: ignore[no-untyped-def]
    p, q, r, s = rows
    for c in range(p.size):
        a, m = _term(p[c], fill, acc, count)
        b, n = _term(q[c], fill, acc, count)
        d, o = _term(r[c], fill, acc, count)
        e, t = _term(s[c], fill, acc, count)
        acc[c] += (a + b) + (d + e)
        count[c] += (m + n) + (o + t)


@njit(inline="always")
def _add_two(rows, fill, acc, count):  # type: ignore[no-untyped-def]
    p, q = rows
    for c in range(p.size):
        a, m = _term(p[c], fill, acc, count)
        b, n = _term(q[c], fill, acc, count)
        acc[c] += a + b
        count[c] += m + n


@njit(inline="always")
def _add_one(row, fill, acc, count):  # type: ignore[no-untyped-def]
    for c in range(row.size):
        a, m = _term(row[c], fill, acc, count)
        acc[c] += a
        count[c] += m


@njit(cache=True, nogil=True)
def _across(acc, spare, factor, out):  # type: ignore[no-untyped-def]
    """Sums of runs of ``factor``: pairs first, which the compiler can turn into vector code."""
    if factor == 4:
        for j in range(out.size):
            out[j] = (acc[4 * j] + acc[4 * j + 1]) + (acc[4 * j + 2] + acc[4 * j + 3])
        return
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
    sums = np.zeros((2, total.shape[1] * factor), total.dtype)
    counts = np.zeros((2, total.shape[1] * factor), valid.dtype)
    for i in range(total.shape[0]):
        sums[0, :width] = finer_total[i * factor]
        counts[0, :width] = finer_valid[i * factor]
        sums[0, width:] = 0
        counts[0, width:] = 0
        for r in range(i * factor + 1, min((i + 1) * factor, height)):
            for c in range(width):
                sums[0, c] += finer_total[r, c]
                counts[0, c] += finer_valid[r, c]
        _across(sums[0], sums[1], factor, total[i])
        _across(counts[0], counts[1], factor, valid[i])


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
