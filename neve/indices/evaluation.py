"""Evaluation: stored reflectance → the values of indices, as they are stored.

Belongs here: from named bands to named results, nodata, what is counted, reused memory. Does
not belong here: formulas (``expression``), loops over pixels (``kernel``, ``plain``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.indices import plain
from neve.indices.buffers import STRIP, Buffers
from neve.indices.index import Index
from neve.indices.plain import Outputs
from neve.indices.program import Program, compiled

PIECE = 96 * STRIP  # pixels at a time: whole strips, and small enough for the cache


@dataclass(frozen=True)
class Evaluated:
    """The values of indices and how many of them could not be computed.

    ``values``: name → array of the shape of the bands: int16 in units of 0.0001 with
    ``FILL``, or float32 with NaN, as ``Index.dtype`` says; aliases share one array. float32 is
    rounded to 12 bits of its fraction (relative error up to 2⁻¹³) so that it packs well: here,
    not in a codec, as a value that is derived on read must equal one that was stored.
    ``invalid``: name → pixels where all bands of the index are there but the formula has no
    finite value (division by zero, root of a negative number) or one that int16 cannot hold.
    """

    values: dict[str, NDArray[Any]]
    invalid: dict[str, int]


def compute(
    indices: Sequence[Index], reflectance: Mapping[str, NDArray[np.int16]]
) -> dict[str, NDArray[Any]]:
    """Name → values of each index, as ``evaluate`` gives them.

    A pure function of the stored reflectance: a value is the same bit for bit whichever other
    indices are computed with it, so one that is derived on read equals one that was stored.
    """
    return evaluate(indices, reflectance).values


def evaluate(
    indices: Sequence[Index],
    reflectance: Mapping[str, NDArray[np.int16]],
    buffers: Buffers | None = None,
    engine: ModuleType | None = None,
) -> Evaluated:
    """All indices of a block, each common subexpression once.

    ``reflectance``: STAC common name → int16 in units of 0.0001, ``FILL`` where there is none,
    all of one shape. A pixel is nodata where a band that its index needs is missing or the
    formula has no finite value there. Arithmetic is float32 on reflectance 0–1. ``buffers``:
    memory to reuse. ``engine``: ``kernel`` or ``plain``, for tests; they give equal bits.
    Raises KeyError for a band that is not there, ValueError for wrong shapes or dtypes.
    """
    if not indices:
        return Evaluated({}, {})
    program, slots = _program(tuple((index.tree, index.dtype == "int16") for index in indices))
    buffers = Buffers() if buffers is None else buffers
    planes = _planes(program, reflectance)
    pixels, shape = planes[0].size, planes[0].shape
    columns = -(-pixels // STRIP) * STRIP
    outputs = Outputs(
        floats=buffers.take("floats", program.rows[0], columns, "float32"),
        ints=buffers.take("ints", program.rows[1], columns, "int16"),
        nodata=np.zeros((2, max(program.rows, default=0)), np.int64),
        missing=np.zeros(2 ** len(program.bands), np.int64),
    )
    flat = [plane.ravel() for plane in planes]
    run = (engine or _engine()).run
    for start in range(0, pixels, PIECE):
        run(program, np.stack([plane[start : start + PIECE] for plane in flat]), outputs, start)
    values, invalid = {}, {}
    for index, (small, row) in zip(indices, slots, strict=True):
        plane = (outputs.ints if small else outputs.floats)[row, :pixels]
        values[index.name] = plane.reshape(shape)
        missing = _missing(program.bands, index.bands, outputs.missing)
        invalid[index.name] = int(outputs.nodata[int(small), row]) - missing
    return Evaluated(values, invalid)


@lru_cache(maxsize=64)
def _program(
    outputs: tuple[tuple[Any, bool], ...],
) -> tuple[Program, tuple[tuple[bool, int], ...]]:
    """The program of the distinct outputs, and for each output whether int16 and its row."""
    rows: dict[tuple[Any, bool], int] = {}
    counts = [0, 0]
    for output in outputs:
        if output not in rows:
            rows[output] = counts[output[1]]
            counts[output[1]] += 1
    return compiled(tuple(rows)), tuple((output[1], rows[output]) for output in outputs)


def _planes(
    program: Program, reflectance: Mapping[str, NDArray[np.int16]]
) -> list[NDArray[np.int16]]:
    """The bands of a program, checked."""
    planes = [reflectance[band] for band in program.bands]
    for band, plane in zip(program.bands, planes, strict=True):
        if plane.dtype != np.int16 or plane.shape != planes[0].shape:
            raise ValueError(
                f"band {band} is {plane.dtype} {plane.shape}; all bands must be int16 and of one "
                f"shape, as {program.bands[0]} with {planes[0].shape}"
            )
    return planes


def _missing(order: Sequence[str], needed: Sequence[str], counts: NDArray[np.int64]) -> int:
    """Pixels where any of the needed bands is missing."""
    mask = sum(1 << order.index(band) for band in needed)
    return int(counts[(np.arange(counts.size) & mask) != 0].sum())


def _engine() -> ModuleType:
    """The kernel, or plain numpy where numba cannot be imported."""
    try:
        from neve.indices import kernel  # numba takes long to import
    except ModuleNotFoundError:
        return plain
    return kernel
