"""The Icechunk repository of a region, and the transaction that publishes a month.

Belongs here: opening and creating repositories, beginning at a known snapshot, merging forks,
the one commit on ``main`` and what may happen beside it. Does not belong here: what is in the
arrays (``layout``, ``block``).

Forks are always merged into a session opened on main's tip, after comparing that tip with the
base they were made from: Icechunk itself would let a stale fork overwrite another writer.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import icechunk as ic
from icechunk.session import ForkSession

from neve.cube import creation, places
from neve.cube.layout import Layout
from neve.cube.locking import lock_of, locked
from neve.errors import CubeMismatch, MonthConflict

MAIN = "main"
COMMIT_ATTEMPTS = 60
# Losers of a race wait a random time, up to twice this, four times, … 32 times as long.
PAUSE_SECONDS = 0.1
# Clocks of two machines may differ by this: a commit must be younger than the one it stands on.
AHEAD_SECONDS = 5.0
# No session commits that is older; ``tidying`` leaves alone what may be a younger one's.
LONGEST = timedelta(days=7)
STAGING = "staging."
# Months per manifest: a commit rewrites one manifest per array, a cold open reads few of them.
MONTHS_PER_MANIFEST = 12


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
            creation.extend_time(session.store, self.layout, month)
            return Transaction(self, month, base, began, session.fork(), session.fork())

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
        with self.guarded():
            if name in self.repository.list_branches():
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
            longest = PAUSE_SECONDS * 2 ** min(lost, 5)
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

    def _refuse_stale(self, session: ic.Session) -> None:
        if datetime.now(UTC) - self.began > LONGEST:
            raise MonthConflict(
                f"{self.cube.layout.name} {self.month}: the attempt took longer than "
                f"{LONGEST.days} days, and its chunks may have been tidied away; run again, with "
                "more workers: finished blocks are taken over"
            )
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


def open_cube(location: str, layout: Layout, s3_options: Mapping[str, Any] | None = None) -> Cube:
    """Open a region's repository, creating it with an empty layout where there is none.

    Raises ``CubeMismatch`` when the store holds something else than ``layout``, ``Retry`` or
    ``AskPerson`` when the place cannot be reached.
    """
    folder, lock = places.local_folder(location), lock_of(location)
    with places.explained(location):
        if folder is None:
            repository = places.open_or_create(location, _config(), s3_options)
            _initialise(repository, layout)
        else:
            with locked(lock):
                repository = _open_local(folder.resolve(), layout)
        creation.check(repository.readonly_session(MAIN).store, layout)
    return Cube(repository, layout, lock, location)


def _open_local(folder: Path, layout: Layout) -> ic.Repository:
    """The repository in a folder; a new one appears there whole, with its empty layout."""
    place = places.storage(str(folder))
    if ic.Repository.exists(place):
        repository = ic.Repository.open(place, config=_config())
        _initialise(repository, layout)
        return repository
    if folder.exists() and any(folder.iterdir()):
        raise CubeMismatch(f"store {folder}: not empty, and no repository; name another folder")
    begun = folder.with_name(folder.name + ".creating")
    shutil.rmtree(begun, ignore_errors=True)
    new = ic.Repository.create(places.storage(str(begun)), config=_config())
    new.save_config()
    _initialise(new, layout)
    begun.rename(folder)
    return ic.Repository.open(place, config=_config())


def _initialise(repository: ic.Repository, layout: Layout) -> None:
    """Commit the empty layout unless main holds something already."""
    session = repository.writable_session(MAIN)
    if len(list(repository.ancestry(snapshot_id=session.snapshot_id))) > 1:
        return
    creation.create(session.store, layout)
    # Another writer may create it first; ``check`` tells whether it is the same.
    with suppress(ic.ConflictError):
        session.commit(f"{layout.name}: empty cube", metadata={"region": layout.name})


def _config() -> ic.RepositoryConfig:
    config = ic.RepositoryConfig.default()
    time_axis = ic.ManifestSplitDimCondition.DimensionName("time")
    splitting = ic.ManifestSplittingConfig.from_dict(
        {ic.ManifestSplitCondition.AnyArray(): {time_axis: MONTHS_PER_MANIFEST}}
    )
    config.manifest = ic.ManifestConfig(splitting=splitting)
    return config
