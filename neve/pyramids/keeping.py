"""Decoded chunks, kept while windows that cut them still need them.

Belongs here: when a chunk is decoded and when it is forgotten. Does not belong here: which windows
there are (``plan``), stored bytes (``cube``).

For chunks that are no whole cells (1830² and cells of 64²): without this each would be decoded
for every window that has a part of it.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.cube.stored_chunks import StoredChunks
from neve.cuts import Cut, bounds, overlap, places
from neve.pyramids.plan import RasterPlan, Window

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
        for place in places(cut, self._raster.chunks):
            whole = bounds(place, self._raster.chunks, self._raster.shape)
            target, source = overlap(cut, whole)
            values[target] = self._chunk(place, whole)[source]
        return values

    def _chunk(self, place: Window, whole: Cut) -> NDArray[Any]:
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
                chunk.set_result(self._stored.read(whole))
            except BaseException as error:
                chunk.set_exception(error)
        return chunk.result()
