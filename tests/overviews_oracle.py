"""The slow, obvious way to overviews: loops over native pixels; and the rasters to compare on."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
CHAINS = [(2,), (3,), (4, 16), (2, 4, 8), (3, 6, 30), (5,), (4, 16, 64)]


def native_cells(values, factor, fill):
    """Yield (i, j, the valid pixels of the cell, all its pixels), each looked up on its own."""
    height, width = values.shape
    for i in range(-(-height // factor)):
        for j in range(-(-width // factor)):
            cell = [
                values[r, c]
                for r in range(i * factor, min((i + 1) * factor, height))
                for c in range(j * factor, min((j + 1) * factor, width))
            ]
            yield i, j, [v for v in cell if v == v and (fill is None or v != fill)], cell


@st.composite
def rasters(draw, dtypes=DTYPES):
    """A small raster with gaps, its chain of factors and its fill."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    narrow = draw(st.booleans())
    if dtype.kind == "f":
        values = rng.normal(0, 1000, shape).astype(dtype)
        values = np.round(values / 500).astype(dtype) if narrow else values
        fill = draw(st.sampled_from([None, np.nan, -9999.0]))
        gap = np.nan if fill is None else fill
    else:
        limits = np.iinfo(dtype)
        low, high = (10, 14) if narrow else (int(limits.min), int(limits.max))
        values = rng.integers(low, high, shape, dtype=dtype, endpoint=True)
        fill = draw(st.sampled_from([None, int(limits.min), int(limits.max), 12]))
        gap = values.flat[0] if fill is None else fill
    values[rng.random(shape) < draw(st.sampled_from([0, 0.3, 0.97, 1]))] = gap
    return values, draw(st.sampled_from(CHAINS)), fill


def rounded(exact, fill):
    """The value nearest to an exact fraction, ties to even; never ``fill``."""
    near = round(exact)
    return near + (1 if exact >= fill else -1) if near == fill else near


def expected(values, factor, method, fill):
    """One level by ``method``, cell by cell."""
    shape = [-(-size // factor) for size in values.shape]
    whole = values.dtype.kind != "f"
    out = np.empty(shape, float if whole and method == "sum" else values.dtype)
    for i, j, valid, _ in native_cells(values, factor, fill):
        if method == "nearest":
            r, c = (
                min(k * factor + (factor - 1) // 2, size - 1)
                for k, size in zip((i, j), values.shape, strict=True)
            )
            out[i, j] = values[r, c]
        elif not valid:
            out[i, j] = np.nan if fill is None or (whole and method == "sum") else fill
        else:
            out[i, j] = by_method(valid, method, whole, fill)
    return out


def by_method(valid, method, whole, fill):
    numbers = sorted(int(v) if whole else float(v) for v in valid)
    n = len(numbers)
    if method in ("min", "max"):
        return min(numbers) if method == "min" else max(numbers)
    if method == "sum":
        return sum(numbers)
    if method == "mode":
        return min(set(numbers), key=lambda v: (-numbers.count(v), v))
    middle = (Fraction(numbers[(n - 1) // 2]) + Fraction(numbers[n // 2])) / 2
    exact = middle if method == "median" else sum(map(Fraction, numbers)) / n
    return rounded(exact, fill) if whole else float(exact)
