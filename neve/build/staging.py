"""Staging: finished blocks kept beside main, so that a killed attempt's work is not done again.

Belongs here: putting finished blocks on a branch of their own, and taking over those that are
still wanted. Does not belong here: computing blocks (``block``), publishing (``month``).

A staged block counts only if its fingerprint is the wanted one; its pixels follow from that
alone, so it does not matter what main has become since. What is taken over is written into the
new attempt's own fork: nothing of a stale snapshot is ever merged into main.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import icechunk as ic
import numpy as np
from icechunk.session import ForkSession

from neve.build.block import BlockResult, read_levels, record, stored_arrays, write_level
from neve.build.levels import Arrays
from neve.build.plan import MonthPlan, Work
from neve.cube import chunks
from neve.cube.creation import time_length
from neve.cube.records import Records
from neve.cube.store import STAGING, Cube
from neve.errors import MonthConflict, NeveError, Retry

# A month that takes less is not staged; staging takes at most a tenth of the time.
SECONDS = 60.0
SHARE = 0.1


class Staging:
    """The finished blocks of one month's attempts, on the branch ``staging.<region>.<month>``.

    A saving only: where the store refuses (another run may have dropped the branch), ``trouble``
    says why, and the month goes on without it. Of a ``rebuild`` nothing is kept or taken over:
    main may tell the wanted fingerprints of a block that lost scenes.
    """

    def __init__(self, plan: MonthPlan, cube: Cube, rebuild: bool = False) -> None:
        self._plan = plan
        self._cube = cube
        self._rebuild = rebuild
        self._index = plan.layout.month_index(plan.month)
        self._name = f"{STAGING}{plan.region.name}.{plan.month}"
        self._wanted = {work.block: work.fingerprint for work in plan.works}
        self._waiting: list[BlockResult] = []
        self.trouble = ""
        self._next = time.monotonic() + SECONDS

    def take_over(self, works: Sequence[Work], fork: ForkSession) -> Iterator[BlockResult]:
        """Those of the works that an earlier attempt finished, each written into ``fork``."""
        if self._rebuild:
            return
        try:
            store = self._cube.staged(self._name)
            if store is None or time_length(store) <= self._index:
                return
            records = Records.read(self._plan.layout, store, self._index)
            for work in works:
                if records.fingerprint[records.place(work.block)] == work.fingerprint:
                    yield self._copied(work, records, store, fork)
        except ic.IcechunkError as error:
            self.trouble = str(error)

    def add(self, result: BlockResult) -> None:
        """Keep a finished block; from time to time they are put on the branch."""
        if not (result.lost or self.trouble or self._rebuild):
            self._waiting.append(result)
        if time.monotonic() >= self._next:
            began = time.monotonic()
            self._keep()
            now = time.monotonic()
            self._next = now + max(SECONDS, (now - began) / SHARE)

    @contextmanager
    def kept_on_conflict(self) -> Iterator[None]:
        """Where another writer was first or holds the lock, the next attempt finds the blocks."""
        try:
            yield
        except (MonthConflict, Retry):
            self._keep()
            raise

    def drop(self) -> None:
        """Remove the branch: the month is published."""
        try:
            self._cube.unstage(self._name)
        except (ic.IcechunkError, NeveError) as error:
            self.trouble = str(error)

    def _keep(self) -> None:
        if not self._waiting:
            return
        try:
            self._flush()
        except (ic.IcechunkError, NeveError) as error:
            self.trouble = str(error)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        forks = {id(result.fork): result.fork for result in waiting}
        layout = self._plan.layout

        def write(session: ic.Session) -> None:
            session.merge(*forks.values())
            records = Records.read(layout, session.store, self._index)
            # A shared fork holds pixels of blocks that are not staged (yet, or for a loss): what
            # the branch tells of them by an older plan is no longer true.
            for block, fingerprint in self._wanted.items():
                if records.fingerprint[place := records.place(block)] != fingerprint:
                    records.fingerprint[place] = 0
            stored = {f: stored_arrays(session.store, layout, f) for f in waiting[0].coarse}
            for result in waiting:
                record(records, result, self._wanted[result.block])
                for factor, arrays in result.coarse.items():
                    level = result.block.grid.level(factor)
                    start = self._index, level.row, level.col
                    chunks.amend([(stored[factor][n], start, v[None]) for n, v in arrays.items()])
            records.write(session.store)

        self._cube.stage(self._name, self._plan.month, write)

    def _copied(
        self, work: Work, records: Records, store: ic.IcechunkStore, fork: ForkSession
    ) -> BlockResult:
        layout, grid, place = self._plan.layout, work.block.grid, records.place(work.block)
        levels: dict[int, Arrays] = {}
        for factor in layout.levels:
            level = grid.level(factor)
            levels[factor] = read_levels(stored_arrays(store, layout, factor), self._index, level)
            if layout.owned(factor):
                forked = stored_arrays(fork.store, layout, factor)
                write_level(forked, self._index, level, levels.pop(factor))
        return BlockResult(
            block=work.block,
            fork=fork,
            status=int(records.status[place]),
            coarse=levels,
            counts=records.observations[place].astype(np.int64),
            valid_pixels=int(records.valid_pixels[place]),
            invalid=records.invalid[place].astype(np.int64),
            used=(),
            lost=(),
            seconds=0.0,
        )
