"""The kernel: runs a program over pixels, strip by strip, so that strips stay in cache.

Belongs here: loops over pixels. Does not belong here: formulas; the kernel is an interpreter
of ``program.Program``. So it is compiled once for all sets of indices (and cached on disk),
and no code is ever made from the text of a formula.

Every operation is one IEEE 754 operation (no contraction, no reordering, no library call), so
a value depends on its formula and its pixel alone: not on the other indices of the set, the
length of strips, or whether this kernel or plain numpy (``plain``) ran it.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from neve.indices import plain
from neve.indices.buffers import STRIP, VECTOR, Buffers
from neve.indices.plain import (
    INT_LARGEST,
    KEPT_BITS,
    LARGEST,
    LN_2,
    LOG2_E,
    ROOT_HALF,
    UNIT,
    Outputs,
)
from neve.indices.program import OPERATIONS, Program
from neve.indices.streaming import borrowed, fence, stream
from neve.scenes.values import FILL

# Repeated from program.OPERATIONS (and checked): numba's cache on disk notices changes of this
# file alone.
_NAMES = """ADD SUB MUL DIV ADD_C C_SUB MUL_C DIV_C C_DIV SQRT EXP POWER
    ADD_MUL MUL_SUB SUB_DIV DIV_ADD RATIO FLOAT INT"""
ADD, SUB, MUL, DIV, ADD_C, C_SUB, MUL_C, DIV_C, C_DIV, SQRT, EXP, POWER = range(12)
ADD_MUL, MUL_SUB, SUB_DIV, DIV_ADD, RATIO, FLOAT, INT = range(12, 19)
if " ".join(OPERATIONS) != " ".join(_NAMES.split()):
    raise ImportError("kernel.py and program.py number operations differently; make them equal")

NAN, ZERO, MISSING = np.float32(np.nan), np.float32(0.0), np.float32(FILL)
# Bits of a float32: an infinity, NaN, all but the sign; and rounding to the nearest, ties to even.
INFINITE, QUIET, MAGNITUDE = np.int32(0x7F800000), np.int32(0x7FC00000), np.int32(0x7FFFFFFF)
DROPPED, ONE = np.int32(23 - KEPT_BITS), np.int32(1)
HALF, KEPT = np.int32((1 << 22 - KEPT_BITS) - 1), np.int32(-1 << 23 - KEPT_BITS)

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")
_inline = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
_exp_series = _jit(plain.exp_series)
_log_series = _jit(plain.log_series)


def run(program: Program, stored: NDArray[np.int16], outputs: Outputs, start: int) -> None:
    """As ``plain.run``, faster; start and rows are whole strips, aligned to VECTOR.

    Columns are written up to the end of the last strip. Raises ValueError for other outputs.
    """
    for rows in (outputs.floats, outputs.ints):
        misplaced = start % STRIP or rows.shape[1] % STRIP or rows.ctypes.data % VECTOR
        if rows.size and misplaced:
            raise ValueError(f"outputs must be whole strips of {STRIP}, aligned to {VECTOR} bytes")
    work = Buffers()
    registers = work.take("registers", program.registers, STRIP, "float32")
    line, short = work.take("line", 1, STRIP, "int32"), work.take("short", 1, STRIP, "int16")
    _run(
        (program.code, program.numbers),
        (stored, registers, line[0], short[0]),
        (outputs.floats, outputs.ints),
        (outputs.nodata, outputs.missing),
        start,
    )


@_jit
def _run(program, work, stores, counts, offset):  # type: ignore[no-untyped-def]
    code, numbers = borrowed(program[0]), borrowed(program[1])
    stored, register = borrowed(work[0]), borrowed(work[1])
    line, short = borrowed(work[2]), borrowed(work[3])
    floats, ints = borrowed(stores[0]), borrowed(stores[1])
    nodata, missing = borrowed(counts[0]), borrowed(counts[1])
    for start in range(0, stored.shape[1], STRIP):
        n = min(STRIP, stored.shape[1] - start)
        for band in range(len(stored)):
            _load(stored[band, start : start + n], register[band])
        _count_missing(stored[:, start : start + n], register, missing)
        for k in range(len(code)):
            operation, target, c = code[k, 0], code[k, 5], numbers[k]
            x, y = register[code[k, 1]], register[code[k, 2]]
            if operation == FLOAT:
                nodata[0, target] += _float(x.view(np.int32), n, line)
                row = floats[target, offset + start : offset + start + STRIP]
                for i in range(0, STRIP, VECTOR // 4):
                    stream(row, i, line, i)
            elif operation == INT:
                nodata[1, target] += _int(x, n, short)
                units = ints[target, offset + start : offset + start + STRIP]
                for i in range(0, STRIP, VECTOR // 2):
                    stream(units, i, short, i)
            elif SQRT <= operation <= POWER:
                _function(operation, x, c, register[target])
            else:
                z, w = register[code[k, 3]], register[code[k, 4]]
                _arithmetic(operation, (x, y, z, w), c, register[target])
    fence()


@_inline
def _load(source, row):  # type: ignore[no-untyped-def]
    """Reflectance of a band, NaN where it is missing."""
    for i in range(len(source)):
        row[i] = NAN if source[i] == FILL else np.float32(source[i]) / UNIT


@_jit
def _count_missing(stored, register, missing):  # type: ignore[no-untyped-def]
    """Adds to the pixels of each set of missing bands."""
    largest = np.int32(0)
    for band in range(len(stored)):
        largest = max(largest, _largest(register[band].view(np.int32)))
    if largest < INFINITE:
        missing[0] += stored.shape[1]
        return
    for i in range(stored.shape[1]):
        which = 0
        for band in range(len(stored)):
            which |= (stored[band, i] == FILL) << band
        missing[which] += 1


@_inline
def _largest(bits):  # type: ignore[no-untyped-def]
    """The largest magnitude as bits: from INFINITE on something is not finite."""
    largest = np.int32(0)
    for i in range(STRIP):
        largest = max(largest, bits[i] & MAGNITUDE)
    return largest


@_inline
def _float(bits, n, line):  # type: ignore[no-untyped-def]
    """Rounds to KEPT_BITS, NaN where that is not finite; the number of NaN among the first n."""
    for i in range(STRIP):
        line[i] = (bits[i] + HALF + (bits[i] >> DROPPED & ONE)) & KEPT
    if _largest(line) < INFINITE:
        return 0
    bad = 0
    for i in range(STRIP):
        line[i] = line[i] if line[i] & MAGNITUDE < INFINITE else QUIET
    for i in range(n):
        bad += line[i] == QUIET
    return bad


@_inline
def _int(x, n, short):  # type: ignore[no-untyped-def]
    """x in whole units, FILL where it does not fit; the number of those among the first n."""
    lowest = np.int16(0)
    for i in range(STRIP):
        units = np.rint(x[i] * UNIT)
        short[i] = np.int16(np.int32(units if abs(units) <= INT_LARGEST else MISSING))
        lowest = min(lowest, short[i])
    bad = 0
    if lowest == FILL:
        for i in range(n):
            bad += short[i] == FILL
    return bad


@_inline
def _arithmetic(operation, operands, c, target):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912
    x, y, z, w = operands
    if operation == ADD:
        for i in range(STRIP):
            target[i] = x[i] + y[i]
    elif operation == SUB:
        for i in range(STRIP):
            target[i] = x[i] - y[i]
    elif operation == MUL:
        for i in range(STRIP):
            target[i] = x[i] * y[i]
    elif operation == DIV:
        for i in range(STRIP):
            target[i] = x[i] / y[i] if abs(y[i]) <= LARGEST else NAN
    elif operation == ADD_C:
        for i in range(STRIP):
            target[i] = x[i] + c
    elif operation == C_SUB:
        for i in range(STRIP):
            target[i] = c - x[i]
    elif operation == MUL_C:
        for i in range(STRIP):
            target[i] = c * x[i]
    elif operation == DIV_C:
        for i in range(STRIP):
            target[i] = x[i] / c
    elif operation == C_DIV:
        for i in range(STRIP):
            target[i] = c / x[i] if abs(x[i]) <= LARGEST else NAN
    elif operation == ADD_MUL:
        for i in range(STRIP):
            target[i] = x[i] + c * y[i]
    elif operation == MUL_SUB:
        for i in range(STRIP):
            target[i] = c * y[i] - x[i]
    elif operation == SUB_DIV:
        for i in range(STRIP):
            target[i] = (x[i] - y[i]) / z[i] if abs(z[i]) <= LARGEST else NAN
    elif operation == DIV_ADD:
        for i in range(STRIP):
            target[i] = x[i] / (y[i] + z[i]) if abs(y[i] + z[i]) <= LARGEST else NAN
    elif operation == RATIO:
        for i in range(STRIP):
            divisor = z[i] + w[i]
            target[i] = (x[i] - y[i]) / divisor if abs(divisor) <= LARGEST else NAN


@_jit
def _function(operation, x, c, target):  # type: ignore[no-untyped-def]
    if operation == SQRT:
        for i in range(STRIP):
            target[i] = np.sqrt(x[i])
    elif operation == EXP:
        for i in range(STRIP):
            good = abs(x[i]) <= LARGEST
            power = _exp2(np.float64(x[i] if good else ZERO) * LOG2_E)
            target[i] = power if good else NAN
    else:
        for i in range(STRIP):
            power = _power(np.float64(x[i]), np.float64(c))
            power = ZERO if x[i] == ZERO else power
            target[i] = power if (x[i] >= ZERO) & (x[i] <= LARGEST) else NAN


@_inline
def _power(x, exponent):  # type: ignore[no-untyped-def]
    """x ** exponent of x > 0; as plain._power."""
    bits = np.float64(x).view(np.int64)
    whole = (bits - ROOT_HALF) >> 52
    log2 = np.float64(whole) + _log_series(np.int64(bits - (whole << 52)).view(np.float64))
    return _exp2(exponent * log2)


@_inline
def _exp2(y):  # type: ignore[no-untyped-def]
    """2 ** y; as plain._exp2."""
    y = min(max(y, -1000.0), 1000.0)
    whole = np.floor(y + 0.5)
    scale = np.int64((np.int64(whole) + 1023) << 52).view(np.float64)
    return np.float32(_exp_series((y - whole) * LN_2) * scale)
