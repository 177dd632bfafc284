"""Buffers: memory as the kernel wants it, used again.

Belongs here: alignment, lengths of rows, reuse. Does not belong here: what is put there.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bytes that streamed stores move at once, and pixels of a strip: rows are whole strips.
VECTOR, STRIP = 64, 384


@dataclass
class Buffers:
    """Memory that is used again from block to block: first touches cost more than arithmetic.

    Arrays of an evaluation are views of it and hold only until the next one with it. One
    thread at a time.
    """

    _kept: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    def take(self, purpose: str, rows: int, columns: int, dtype: str) -> NDArray[Any]:
        """An uninitialised (rows, columns) array, aligned to 64 bytes."""
        size = rows * columns * np.dtype(dtype).itemsize
        kept = self._kept.get(purpose)
        if kept is None or kept.size < size + VECTOR:
            kept = self._kept[purpose] = np.empty(size + VECTOR, np.uint8)
        skip = -kept.ctypes.data % VECTOR
        return kept[skip : skip + size].view(dtype).reshape(rows, columns)
