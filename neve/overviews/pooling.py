"""Overview kernels: native pixels of a block → cells of every level, exact under missing data.

Belongs here: pure reductions of 2-D arrays, and the arithmetic of cells. Does not belong here:
storage, which chunks to read (``pyramids``), metadata (``geozarr``).

A *cell* is a square of native pixels, ``factor`` a side, counted from the array's top
left; cells at the far edges are partial and kept. A pixel is invalid if it equals ``fill`` or is
NaN. Means are taken from sums and counts of native pixels at every level, never from rounded
means, so that an integer mean is off by 0.5 at most, whatever is missing (by up to 1 with a fill
inside the data's range).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neve.overviews import cells as _cells
from neve.overviews import ranks

Method = Literal["mean", "min", "max", "sum", "nearest", "mode", "median"]
METHODS: tuple[str, ...] = get_args(Method)
Fill = int | float | None
LARGEST = 2**16 - 1  # pixels of a cell are counted in uint32
SUMMABLE_BYTES = 4  # sums of wider integers may overflow int64


@dataclass(frozen=True)
class Pooled:
    """What the valid native pixels in each cell add up to; both arrays have the cells' shape.

    ``total`` is int64 for integers and float64 for floats, ``valid`` (uint32) counts the valid
    native pixels. Sums of sums are exact, so coarser levels come from finer ones.
    """

    total: NDArray[Any]
    valid: NDArray[np.uint32]


def check_factors(factors: Sequence[int]) -> tuple[int, ...]:
    """The factors as a tuple; ValueError unless each is above 1 and divides the next, larger one.

    The last is ``LARGEST`` at most.
    """
    chain = (1, *factors)
    if not factors or any(b <= a or b % a for a, b in pairwise(chain)):
        raise ValueError(
            f"overview factors {list(factors)}: each must be above 1 and divide the next, "
            "larger one, like [4, 16, 64]"
        )
    if chain[-1] > LARGEST:
        raise ValueError(f"overview factors {list(factors)}: the last must be {LARGEST} at most")
    return tuple(factors)


def cells(shape: tuple[int, int], factor: int) -> NDArray[np.uint32]:
    """Native pixels in each cell: ``factor``², less at the far edges.

    ``valid / cells`` is the valid fraction; ``fraction * cells`` rounded gives ``valid`` back.
    """
    rows, cols = (
        np.minimum(factor, size - np.arange(0, size, factor)).astype(np.uint32) for size in shape
    )
    return np.multiply.outer(rows, cols)


def pool(values: NDArray[Any], factor: int, fill: Fill) -> Pooled:
    """Sums and counts of the valid pixels in the cells of a native (h, w) array.

    ``fill`` None: every pixel is valid, but NaN never is. Integers of up to 32 bits, booleans
    and floats of 32 and 64 bits; TypeError for others (a sum of 64-bit integers may overflow).
    """
    _check_summable(values.dtype)
    native = _plain(values)
    total, valid = _empty_pool(native, factor)
    shape = (2, total.shape[1] * factor)
    sums = np.empty(shape, _accumulator(native.dtype, factor))
    _cells.pool(native, factor, _typed(fill, native.dtype), sums, total, valid)
    return Pooled(total, valid)


def pool_more(pooled: Pooled, factor: int) -> Pooled:
    """The pool of cells ``factor`` times coarser than those of ``pooled``."""
    total, valid = _empty_pool(pooled.total, factor)
    _cells.pool_more(pooled.total, pooled.valid, factor, total, valid)
    return Pooled(total, valid)


def pools(values: NDArray[Any], factors: Sequence[int], fill: Fill) -> list[Pooled]:
    """One ``Pooled`` per factor (each divides the next); only the first looks at the pixels."""
    first, *_ = check_factors(factors)
    levels = [pool(values, first, fill)]
    for finer, coarser in pairwise(factors):
        levels.append(pool_more(levels[-1], coarser // finer))
    return levels


def mean(pooled: Pooled, dtype: DTypeLike, fill: Fill) -> NDArray[Any]:
    """total ÷ valid in ``dtype``; ``fill`` (NaN for floats if None) where nothing is valid.

    Integers are rounded half to even from the exact quotient: off by 0.5 at most. Valid data
    never becomes nodata: a mean that comes out as ``fill`` is moved to the neighbouring value
    on the side of the true mean (off by 1 at most), which only a fill inside the data's range can
    cause.
    """
    kind: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    fill = _typed(fill, kind)
    if fill is None and kind.kind == "f":
        fill = kind.type(np.nan)
    if fill is None and (pooled.valid == 0).any():
        raise ValueError(f"mean as {kind}: some cells have no valid pixel; give a fill value")
    out = np.empty(pooled.total.shape, _plain_dtype(kind))
    if kind.kind == "f":
        kernel = _cells.mean_float
    elif 8 * kind.itemsize <= _cells.EXACT_BITS or pooled.total.dtype.kind == "f":
        kernel = _cells.mean_small
    else:
        kernel = _cells.mean_wide
    kernel(pooled.total, pooled.valid, fill, out)
    return out.view(kind)


def reduce(
    values: NDArray[Any], factors: Sequence[int], method: str, fill: Fill
) -> list[NDArray[Any]]:
    """All levels of a native (h, w) array by one method, finest first.

    ``mean``: see ``mean``. ``min``, ``max``: of the valid pixels. ``sum``: float64 for integers
    (exact below 2**53), else the input's dtype. ``median``: numpy's, rounded half to even for
    integers. ``mode``: the most frequent value, the smallest of several. ``nearest``: the pixel
    at the centre (left and above of it for even factors), valid or not.
    Cells without a valid pixel hold ``fill``, or NaN if it is None or the result is a sum of
    integers. Levels have the input's dtype except such sums.
    """
    factors = check_factors(factors)
    if method not in METHODS:
        raise ValueError(f"overview method {method!r}: choose one of {', '.join(METHODS)}")
    if method == "mean":
        return [mean(pooled, values.dtype, fill) for pooled in pools(values, factors, fill)]
    if method == "sum":
        return [_sum(pooled, values.dtype, fill) for pooled in pools(values, factors, fill)]
    if method == "nearest":
        return [_nearest(values, factor) for factor in factors]
    native = _plain(values)
    typed = _typed(fill, native.dtype)
    if method in ("min", "max"):
        levels = _extremes(native, factors, typed, method == "max")
    else:
        levels = [_ranked(native, factor, typed, method) for factor in factors]
    return [level.view(values.dtype.newbyteorder("=")) for level in levels]


def _sum(pooled: Pooled, dtype: np.dtype[Any], fill: Fill) -> NDArray[Any]:
    kind = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)
    empty = np.nan if fill is None or dtype.kind != "f" else fill
    out: NDArray[Any] = np.where(pooled.valid > 0, pooled.total, empty).astype(kind)
    return out


def _nearest(values: NDArray[Any], factor: int) -> NDArray[Any]:
    rows, cols = (
        np.minimum(np.arange(0, size, factor) + (factor - 1) // 2, size - 1)
        for size in values.shape
    )
    out: NDArray[Any] = values[rows[:, None], cols].astype(values.dtype.newbyteorder("="))
    return out


def _extremes(
    native: NDArray[Any], factors: tuple[int, ...], fill: Any, largest: bool
) -> list[NDArray[Any]]:
    if native.dtype.kind == "f":
        bottom, top = -np.inf, np.inf
    else:
        bottom, top = np.iinfo(native.dtype).min, np.iinfo(native.dtype).max
    least = native.dtype.type(bottom if largest else top)
    levels = [native]
    for finer, coarser in pairwise((1, *factors)):
        step = coarser // finer
        out = np.empty(_cell_shape(levels[-1].shape, step), native.dtype)
        ranks.extreme(levels[-1], step, fill, least, out)
        levels.append(out)
    return levels[1:]


def _ranked(native: NDArray[Any], factor: int, fill: Any, method: str) -> NDArray[Any]:
    out = np.empty(_cell_shape(native.shape, factor), native.dtype)
    if method == "median":
        _check_summable(native.dtype)
        exact, found = np.empty(out.shape), np.empty(out.shape, np.uint32)
        ranks.median(native, factor, fill, exact, found)
        return mean(Pooled(exact, found), native.dtype, fill)
    if native.dtype.kind in "iu" and native.dtype.itemsize <= ranks.HISTOGRAM_BYTES:
        ranks.mode_small(native, factor, fill, out)
    else:
        ranks.mode_sorted(native, factor, fill, out)
    return out


def _cell_shape(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    height, width = shape
    return -(-height // factor), -(-width // factor)


def _empty_pool(values: NDArray[Any], factor: int) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    shape = _cell_shape(values.shape, factor)
    total = np.float64 if values.dtype.kind == "f" else np.int64
    return np.empty(shape, total), np.empty(shape, np.uint32)


def _accumulator(dtype: np.dtype[Any], factor: int) -> type:
    """The narrowest dtype in which a cell's sum cannot overflow."""
    if dtype.kind == "f":
        return np.float64
    limits = np.iinfo(dtype)
    largest = max(-int(limits.min), int(limits.max))
    return np.int32 if largest * factor**2 <= np.iinfo(np.int32).max else np.int64


def _plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """C-contiguous, native byte order, booleans as uint8: what the kernels are compiled for."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return native.view(np.uint8) if native.dtype.kind == "b" else native


def _check_summable(dtype: np.dtype[Any]) -> None:
    if dtype.kind in "iu" and dtype.itemsize > SUMMABLE_BYTES:
        raise TypeError(f"overviews of {dtype}: sums may overflow; use min, max, mode or nearest")
    if dtype.kind not in "biuf" or dtype == np.float16:
        raise TypeError(f"overviews of {dtype}: only integers, float32 and float64")


def _typed(fill: Fill, dtype: np.dtype[Any]) -> Any:
    """``fill`` as a scalar of ``dtype``; NaN in floats is None, for NaN is never valid anyway."""
    if fill is None or (dtype.kind == "f" and np.isnan(fill)):
        return None
    kind = _plain_dtype(dtype)
    if kind.kind != "f" and not (
        np.iinfo(kind).min <= fill <= np.iinfo(kind).max and fill % 1 == 0
    ):
        raise ValueError(f"fill {fill} cannot occur in {dtype}; give one of its values or None")
    return kind.type(fill)
