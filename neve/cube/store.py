"""The Icechunk repository of a region, and the transaction that publishes a month.

Belongs here: beginning at a known snapshot, merging forks, the one commit on ``main`` and what may
happen beside it. Does not belong here: opening and creating repositories (``opening``), what is in
the arrays (``layout``, ``block``).

Forks are always merged into a session opened on main's tip, after comparing that tip with the
base they were made from: Icechunk itself would let a stale fork overwrite another writer.
"""

import pickle
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import icechunk as ic
from icechunk.session import ForkSession

from neve.cube import creation, places
from neve.cube.layout import Layout
from neve.cube.locking import locked
from neve.errors import MonthConflict

MAIN = "main"
COMMIT_ATTEMPTS = 60
# Losers of a race wait a random time of up to 2, 4, … 32 times as long as the commit took them.
DOUBLINGS = 5
# Clocks of two machines may differ by this: a commit must be younger than the one it stands on.
AHEAD_SECONDS = 5.0
# No session commits that is older; ``tidying`` leaves alone what may be a younger one's.
LONGEST = timedelta(days=7)
STAGING = "staging."


@dataclass(frozen=True)
class Cube:
    """One region's repository; ``lock`` is None where storage itself compares and swaps."""

    repository: ic.Repository
    layout: Layout
    lock: Path | None
    location: str

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Hold the file lock that local storage needs around anything that moves a branch."""
        with locked(self.lock):
            yield

    @property
    def fleeting(self) -> bool:
        """Whether the cube is in this process's memory."""
        return self.location.startswith("memory:")

    def tip(self) -> str:
        """Snapshot id of main."""
        return self.repository.lookup_branch(MAIN)

    def history(self) -> list[ic.SnapshotInfo]:
        """Commits on main, newest first."""
        return list(self.repository.ancestry(branch=MAIN))

    def begin(self, month: str) -> "Transaction":
        """Start the transaction of one month at main's present tip."""
        with self.guarded():
            began = datetime.now(UTC)
            session = self.repository.writable_session(MAIN)
            base = session.snapshot_id
            creation.lengthen_time(session.store, self.layout, month)
            fork = session.fork()
            # Where the axis grew each ``fork()`` writes a snapshot of its own; a copy does not, but
            # would find nothing in a store that is this process's memory.
            own = session.fork() if self.fleeting else pickle.loads(pickle.dumps(fork))
            return Transaction(self, month, base, began, fork, own)

    def staged(self, name: str) -> ic.IcechunkStore | None:
        """What ``stage`` has put on the branch ``name``; None where there is nothing."""
        if name not in self.repository.list_branches():
            return None
        return self.repository.readonly_session(name).store

    def stage(self, name: str, month: str, write: Callable[[ic.Session], None]) -> None:
        """Add what ``write`` does to a session to the branch ``name``; main sees nothing of it."""
        with self.guarded():
            found = name in self.repository.list_branches()
            session = self.repository.writable_session(name if found else MAIN)
            creation.extend_time(session.store, self.layout, month)
            write(session)
            snapshot = session.flush(f"{self.layout.name} {month}: staged")
            if found:
                self.repository.reset_branch(name, snapshot)
            else:
                self.repository.create_branch(name, snapshot)

    def unstage(self, name: str) -> None:
        """Remove the branch ``name`` if it is there."""
        if name in self.repository.list_branches():
            with self.guarded():
                self.repository.delete_branch(name)


@dataclass(frozen=True)
class Transaction:
    """One attempt at one month: write into copies of ``fork``, then ``commit`` them together.

    ``fork`` may be pickled to any number of workers, ``own_fork`` is for this process alone:
    tasks are pickled late and must not carry what it writes. Nothing is visible before ``commit``,
    and an attempt that is dropped leaves main as it was.
    """

    cube: Cube
    month: str
    base: str
    began: datetime
    fork: ForkSession = field(repr=False)
    own_fork: ForkSession = field(repr=False)

    def commit(
        self, forks: Iterable[ForkSession], message: str, metadata: Mapping[str, Any]
    ) -> str:
        """Publish the month on main in one commit; returns the snapshot id.

        Commits of other months that came in between are kept. Raises ``MonthConflict`` when
        one of them touched this month: the attempt must start again from the new state.
        """
        merged = list(forks)
        told = {**metadata, "attempt": uuid4().hex}
        for lost in range(COMMIT_ATTEMPTS):
            with self.cube.guarded():
                started = time.monotonic()
                session = self.cube.repository.writable_session(MAIN)
                creation.extend_time(session.store, self.cube.layout, self.month)
                session.merge(*merged)
                self._refuse_stale(session)
                try:
                    return session.commit(message, metadata=told)
                except ic.IcechunkError as error:
                    # The store may have taken the commit although no answer came.
                    if published := self._published(told["attempt"]):
                        return published
                    ahead = places.AHEAD in str(error)
                    again = ahead and lost + 1 < COMMIT_ATTEMPTS
                    if not isinstance(error, ic.ConflictError) and not again:
                        raise
            # Main's tip was made by a faster clock, or another writer has just moved main.
            longest = (time.monotonic() - started) * 2 ** min(lost + 1, DOUBLINGS)
            time.sleep(AHEAD_SECONDS / COMMIT_ATTEMPTS if ahead else random.uniform(0, longest))
        raise MonthConflict(
            f"{self.cube.layout.name} {self.month}: main moved {COMMIT_ATTEMPTS} times while "
            "committing; lower the number of concurrent runs or run again"
        )

    def _published(self, attempt: str) -> str | None:
        """The snapshot that an attempt has published since it began, if there is one."""
        for info in self.cube.repository.ancestry(branch=MAIN):
            if info.id == self.base:
                return None
            if info.metadata.get("attempt") == attempt:
                return info.id
        return None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Where an attempt that is too old stumbles over the store, raises ``MonthConflict``."""
        try:
            yield
        except ic.IcechunkError:
            self._refuse_old()
            raise

    def _refuse_old(self) -> None:
        fix = "run again, with more workers: finished blocks are taken over"
        refuse_old(self.began, f"{self.cube.layout.name} {self.month}: the attempt", fix)

    def _refuse_stale(self, session: ic.Session) -> None:
        self._refuse_old()
        if (tip := session.snapshot_id) == self.base:
            return
        index = self.cube.layout.month_index(self.month)
        try:
            diff = self.cube.repository.diff(from_snapshot_id=self.base, to_snapshot_id=tip)
        except ic.IcechunkError as error:
            raise MonthConflict(
                f"{self.cube.layout.name} {self.month}: main no longer descends from {self.base}: "
                f"{error}; run again"
            ) from error
        touched = {
            path: {tuple(chunk) for chunk in chunks if len(chunk) >= 3 and chunk[0] == index}
            for path, chunks in diff.updated_chunks.items()
        }
        if any(touched.values()):  # by a build of this month, or of another region of the zone
            ours = session.status().updated_chunks
            touched = {
                path: chunks & {tuple(chunk) for chunk in ours.get(path, ())}
                for path, chunks in touched.items()
            }
        conflicts = [path for path, chunks in touched.items() if chunks]
        reshaped = [*diff.deleted_arrays, *diff.deleted_groups, *diff.new_arrays, *diff.new_groups]
        if conflicts or reshaped:
            raise MonthConflict(
                f"{self.cube.layout.name} {self.month}: another writer changed "
                f"{(conflicts or reshaped)[0]} in {tip} since {self.base}; run again to recompute"
            )


def refuse_old(began: datetime, what: str, fix: str) -> None:
    """Raise ``MonthConflict`` where tidying may have taken what an attempt has written."""
    if datetime.now(UTC) - began > LONGEST:
        raise MonthConflict(
            f"{what} took longer than {LONGEST.days} days, and its chunks may have been tidied "
            f"away; {fix}"
        )
