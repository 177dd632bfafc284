"""Building the levels of one raster: windows in, whole storage objects of the levels out.

Belongs here: gathering the cells of windows in the objects they belong to, writing each object
once. Does not belong here: which windows there are (``plan``), creating arrays (``groups``) and
transactions (``adding``), stored bytes (``cube``), the arithmetic of cells (``overviews``).
"""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import batched
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.cube import chunks
from neve.cube.codec import Array, absent
from neve.cube.stored_chunks import StoredChunks
from neve.cuts import Cut, bounds, overlap, places
from neve.overviews import pooling as overviews
from neve.pyramids.keeping import KeptChunks
from neve.pyramids.plan import Level, RasterPlan, Window, spanned

Values = NDArray[Any]
Written = tuple[Array, Sequence[int], Values]  # an array, the first index on each axis, values
# Windows handed to a thread at a time, and objects written at a time: handing over costs as much
# Python as a window's arithmetic.
TOGETHER = 8
# Bytes of complete objects after which they are written, however few they are.
HELD = 2**28


class Builder:
    """Builds all levels of one raster.

    Memory: a native window and its cells (where windows are read ahead: one per thread, and the
    cells of ``TOGETHER`` for each thread and one more), the objects of each level that are begun,
    of complete ones ``HELD`` bytes and one window's, and what the source keeps.

    ``targets``: existing arrays of the levels, finest first. The first ``start`` windows have
    been built and flushed before: begun objects are taken up from the arrays.
    """

    def __init__(
        self,
        plan: RasterPlan,
        windows: Sequence[Window],
        source: StoredChunks | KeptChunks,
        targets: Sequence[Array],
        start: int = 0,
    ) -> None:
        """Count what each object waits for; nothing is read yet."""
        self._plan, self._source = plan, source
        self._todo = windows[start:]
        self._complete: list[Written] = []
        self._objects = [
            _Objects(plan, level, target)
            for level, target in zip(plan.levels, targets, strict=True)
        ]
        for objects in self._objects:
            objects.expect(windows, start)

    def steps(self) -> Generator[Window]:
        """Build window after window, yielding each that is done."""
        here = (self._cells(window) for window in self._todo)
        with closing(here if self._source.local else self._ahead()) as levels:
            for window, cells in zip(self._todo, levels, strict=True):
                self._put(self._plan.cut(window), cells)
                yield window

    def _ahead(self) -> Generator[list[Values]]:
        """The cells of each window; the next windows are read meanwhile, until it is closed.

        For stores that answer over a network. Files are not waited for: with a second thread on
        two cores they took an eighth less time for a sixth more CPU.
        """
        threads = os.cpu_count() or 1
        size = min(TOGETHER, max(len(self._todo) // threads, 1))  # few windows: some for each
        tasks = list(batched(self._todo, size, strict=False))
        ahead: deque[Future[list[list[Values]]]] = deque()
        closed = Event()

        def cells(task: Sequence[Window]) -> list[list[Values]]:
            return [self._cells(window) for window in task if not closed.is_set()]

        with ThreadPoolExecutor(threads) as pool:
            try:
                for k in range(len(tasks)):
                    for later in tasks[k + len(ahead) : k + threads + 1]:
                        ahead.append(pool.submit(cells, later))
                    yield from ahead.popleft().result()
            finally:
                closed.set()

    def flush(self) -> None:
        """Write the objects that are open, so that the arrays hold all windows done so far."""
        begun = [written for objects in self._objects for written in objects.begun()]
        chunks.write([*self._complete, *begun])
        self._complete = []

    def _put(self, cut: Cut, levels: Sequence[Values]) -> None:
        for objects, cells in zip(self._objects, levels, strict=True):
            self._complete += objects.put(cut, cells)
        held = sum(values.nbytes for *_, values in self._complete)
        if len(self._complete) >= TOGETHER or held >= HELD:
            chunks.write(self._complete)
            self._complete = []

    def _cells(self, window: Window) -> list[Values]:
        """The cells of a window at all levels, dimensions in the native order."""
        cut = self._plan.cut(window)
        plan, axes = self._plan, self._plan.raster.axes
        order = (*(axis for axis in range(len(cut)) if axis not in axes), *axes)
        planes = self._source.read(cut).transpose(order)
        lead = planes.shape[:-2]
        per_plane = [
            overviews.reduce(plane, plan.factors, plan.method, plan.raster.nodata)
            for plane in planes.reshape(-1, *planes.shape[-2:])
        ]
        back = [order.index(axis) for axis in range(len(order))]
        return [
            (level[0] if len(level) == 1 else np.stack(level))
            .reshape(*lead, *level[0].shape)
            .transpose(back)
            for level in zip(*per_plane, strict=True)
        ]


class _Objects:
    """The storage objects of one level that are begun and not complete."""

    def __init__(self, plan: RasterPlan, level: Level, target: Array) -> None:
        self._plan, self._level, self._target = plan, level, target
        self._open: dict[Window, Values] = {}
        self._missing: Counter[Window] = Counter()
        self._begun: set[Window] = set()

    def expect(self, windows: Sequence[Window], start: int) -> None:
        """Count the windows that each object waits for."""
        first, last = self._plan.objects(np.array(windows).reshape(len(windows), -1), self._level)
        self._begun = set(spanned(first[:start], last[:start]))
        self._missing = spanned(first[start:], last[start:])

    def put(self, cut: Cut, cells: Values) -> Iterator[Written]:
        """Take the cells of a native window; gives the objects that are complete with them."""
        place = self._plan.place(cut, self._level.factor)
        for key in places(place, self._level.unit):
            whole = self._bounds(key)
            values = self._open.get(key)
            if values is None:
                values = self._open[key] = self._begin(key, whole)
            target, source = overlap(whole, place)
            values[target] = cells[source]
            self._missing[key] -= 1
            if not self._missing[key]:
                yield self._written(whole, self._open.pop(key))

    def begun(self) -> list[Written]:
        """The objects that are not complete, as they are so far."""
        return [self._written(self._bounds(key), values) for key, values in self._open.items()]

    def _written(self, whole: Cut, values: Values) -> Written:
        return self._target, [s.start for s in whole], values

    def _begin(self, key: Window, whole: Cut) -> Values:
        if key in self._begun:
            return np.array(self._target[whole])
        return absent(self._target, [s.stop - s.start for s in whole])

    def _bounds(self, key: Window) -> Cut:
        return bounds(key, self._level.unit, self._level.shape)
