"""Plain numpy: runs a program with array operations, without numba.

Belongs here: the meaning of every operation, as short as it can be said. It is the fallback
where numba does not run, gives the same values bit for bit, and is what the kernel is tested
against. Does not belong here: speed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.indices.program import OPERATIONS, Program
from neve.scenes.values import FILL

LARGEST = np.float32(np.finfo(np.float32).max)
UNIT = np.float32(10000.0)
KEPT_BITS = 12  # of the 23 of a float32's fraction: half a step is 1.2e-4 of the value
INT_LARGEST = np.float32(32767.0)
LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
ROOT_HALF = 0x3FE6A09E667F3BCD  # sqrt(1/2) as the bits of a float64

NAMES = tuple(OPERATIONS)
Floats = NDArray[np.float32]


def exp_series(f: Any) -> Any:
    """e ** f for float64 |f| ≤ ln(2) / 2, by arithmetic only; relative error < 1e-11."""
    high = 1 / 120 + f * (1 / 720 + f * (1 / 5040 + f * (1 / 40320 + f * (1 / 362880))))
    return 1.0 + f * (1.0 + f * (1 / 2 + f * (1 / 6 + f * (1 / 24 + f * high))))


def log_series(m: Any) -> Any:
    """log2 of float64 m within sqrt(1/2)…sqrt(2), by arithmetic only; error < 1e-10."""
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 1.0 + z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11)))))
    return 2.0 * LOG2_E * s * series


@dataclass(frozen=True)
class Outputs:
    """Where a program's results go; rows are longer than the pixels, up to a whole strip.

    ``floats``: float32 (rows, columns) rounded to KEPT_BITS, NaN is nodata. ``ints``: int16
    (rows, columns) in units of 0.0001, ``FILL`` is nodata. ``nodata``: int64 (2, rows), nodata
    pixels of each row of floats (first) and ints (second). ``missing``: int64 (2 ** bands,),
    pixels for each set of missing bands, bit k for band k. The counts are added to.
    """

    floats: NDArray[np.float32]
    ints: NDArray[np.int16]
    nodata: NDArray[np.int64]
    missing: NDArray[np.int64]


def run(program: Program, stored: NDArray[np.int16], outputs: Outputs, start: int) -> None:
    """Runs a program over ``stored``, int16 (bands, pixels) as ``Program.bands`` has them.

    Results go to the columns of ``outputs`` from ``start``; infinities become nodata.
    """
    with np.errstate(all="ignore"):
        _run(program, stored, outputs, start)


def _run(program: Program, stored: NDArray[np.int16], outputs: Outputs, start: int) -> None:
    absent = stored == FILL
    bits = (absent.T << np.arange(len(stored))).sum(axis=1)
    outputs.missing[:] += np.bincount(bits, minlength=outputs.missing.size)
    registers = np.where(absent, np.float32(np.nan), stored.astype(np.float32) / UNIT)
    values = dict(enumerate(registers))
    columns = slice(start, start + stored.shape[1])
    for (code, *places, target), c in zip(program.code.tolist(), program.numbers, strict=True):
        name = NAMES[code]
        x, y, z, w = (values.get(place, values[0]) for place in places)
        if name == "FLOAT":
            outputs.nodata[0, target] += _store_float(x, outputs.floats[target, columns])
        elif name == "INT":
            outputs.nodata[1, target] += _store_int(x, outputs.ints[target, columns])
        else:
            values[target] = MEANING[name](x, y, z, w, c)


def _store_float(x: Floats, row: Floats) -> int:
    """Rounds to the nearest with KEPT_BITS, ties to even; the other bits are 0 and pack well."""
    bits, dropped = x.view(np.int32), 23 - KEPT_BITS
    rounded = bits + ((1 << dropped - 1) - 1) + (bits >> dropped & 1) & (-1 << dropped)
    near = rounded.astype(np.int32).view(np.float32)
    good = np.abs(near) <= LARGEST
    row[:] = np.where(good, near, np.float32(np.nan))
    return int(x.size - good.sum())


def _store_int(x: Floats, row: NDArray[np.int16]) -> int:
    units = np.rint(x * UNIT)
    good = np.abs(units) <= INT_LARGEST
    row[:] = np.where(good, units, np.float32(FILL)).astype(np.int16)
    return int(x.size - good.sum())


def _divide(x: Floats, y: Floats) -> Floats:
    return np.where(np.abs(y) <= LARGEST, x / y, np.float32(np.nan))


def _exp2(y: NDArray[np.float64]) -> Floats:
    """2 ** y; y is cut at ±1000, where float32 has long become 0 or infinite."""
    y = np.minimum(np.maximum(y, -1000.0), 1000.0)
    whole = np.floor(y + 0.5)
    scale = ((whole.astype(np.int64) + 1023) << 52).view(np.float64)
    power: Floats = (exp_series((y - whole) * LN_2) * scale).astype(np.float32)
    return power


def _exp(x: Floats) -> Floats:
    good = np.abs(x) <= LARGEST
    y = np.where(good, x, np.float32(0.0)).astype(np.float64) * LOG2_E
    return np.where(good, _exp2(y), np.float32(np.nan))


def _power(x: Floats, exponent: np.float32) -> Floats:
    """x ** exponent for x ≥ 0 and exponent > 0, else NaN."""
    bits = x.astype(np.float64).view(np.int64)
    whole = (bits - ROOT_HALF) >> 52
    log2 = whole + log_series((bits - (whole << 52)).view(np.float64))
    power = _exp2(np.float64(exponent) * log2)
    power = np.where(x == 0, np.float32(0.0), power)
    return np.where((x >= 0) & (x <= LARGEST), power, np.float32(np.nan))


MEANING: dict[str, Callable[..., Floats]] = {
    "ADD": lambda x, y, z, w, c: x + y,
    "SUB": lambda x, y, z, w, c: x - y,
    "MUL": lambda x, y, z, w, c: x * y,
    "DIV": lambda x, y, z, w, c: _divide(x, y),
    "ADD_C": lambda x, y, z, w, c: x + c,
    "C_SUB": lambda x, y, z, w, c: c - x,
    "MUL_C": lambda x, y, z, w, c: c * x,
    "DIV_C": lambda x, y, z, w, c: x / c,
    "C_DIV": lambda x, y, z, w, c: _divide(c, x),
    "SQRT": lambda x, y, z, w, c: np.sqrt(x),
    "EXP": lambda x, y, z, w, c: _exp(x),
    "POWER": lambda x, y, z, w, c: _power(x, c),
    "ADD_MUL": lambda x, y, z, w, c: x + c * y,
    "MUL_SUB": lambda x, y, z, w, c: c * y - x,
    "SUB_DIV": lambda x, y, z, w, c: _divide(x - y, z),
    "DIV_ADD": lambda x, y, z, w, c: _divide(x, y + z),
    "RATIO": lambda x, y, z, w, c: _divide(x - y, z + w),
}
