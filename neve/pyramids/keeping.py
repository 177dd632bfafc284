"""Decoded chunks, kept while windows that cut them still need them.

Belongs here: when a chunk is decoded and when it is forgotten. Does not belong here: which windows
there are (``plan``), stored bytes (``cube``).

For chunks that are no whole cells (1830² and cells of 64²): without this each would be decoded
for every window that has a part of it.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from itertools import product
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.cube.stored_chunks import StoredChunks
from neve.pyramids.plan import Cut, RasterPlan, Window, overlap

KEPT = 2**28  # bytes of decoded chunks; beyond, the oldest go and may be decoded again


class KeptChunks:
    """Reads windows as ``StoredChunks`` does, from chunks that each are decoded once.

    ``windows``: all that will be read. ``kept``: bytes of decoded chunks. Reading is safe from
    many threads.
    """

    def __init__(
        self, stored: StoredChunks, plan: RasterPlan, windows: Sequence[Window], kept: int = KEPT
    ) -> None:
        """Count how often each chunk is needed; nothing is read yet."""
        self._stored, self._raster, self._uses = stored, plan.raster, plan.uses(windows)
        self._most = max(kept // (prod(plan.raster.chunks) * plan.raster.dtype.itemsize), 1)
        self._kept: dict[Window, Future[NDArray[Any]]] = {}
        self._lock = Lock()
        self.local = stored.local

    def read(self, cut: Cut) -> NDArray[Any]:
        """The values of a window within the array."""
        values = np.empty([s.stop - s.start for s in cut], self._raster.dtype)
        sizes = zip(cut, self._raster.chunks, strict=True)
        for place in product(*(range(s.start // n, (s.stop - 1) // n + 1) for s, n in sizes)):
            spans = zip(place, self._raster.chunks, self._raster.shape, strict=True)
            bounds = tuple(slice(k * n, min((k + 1) * n, size)) for k, n, size in spans)
            target, source = zip(*map(overlap, cut, bounds), strict=True)
            values[target] = self._chunk(place, bounds)[source]
        return values

    def _chunk(self, place: Window, bounds: Cut) -> NDArray[Any]:
        """A chunk's values; whoever asks first reads, others wait for it."""
        with self._lock:
            chunk = self._kept.pop(place, None)
            first = chunk is None
            chunk = chunk or Future()
            self._uses[place] -= 1
            if self._uses[place]:
                self._kept[place] = chunk  # the last of the dictionary is the one used last
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        if first:
            try:
                chunk.set_result(self._stored.read(bounds))
            except BaseException as error:
                chunk.set_exception(error)
        return chunk.result()
