"""The Icechunk repository of a region, and the transaction that publishes a month.

Belongs here: opening and creating repositories, beginning at a known snapshot, merging forks,
the one commit on ``main`` and what may happen beside it. Does not belong here: what is in the
arrays (``layout``, ``block``).

Forks are always merged into a session opened on main's tip, after comparing that tip with the
base they were made from: Icechunk itself would let a stale fork overwrite another writer.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import icechunk as ic
from filelock import FileLock, Timeout
from icechunk.session import ForkSession

from neve.cube import creation
from neve.cube.layout import Layout
from neve.errors import CubeMismatch, MonthConflict, Retry

MAIN = "main"
COMMIT_ATTEMPTS = 20
LOCK_SECONDS = 600
# Months per manifest: a commit rewrites one manifest per array, a cold open reads few of them.
MONTHS_PER_MANIFEST = 12


def storage(location: str, s3_options: Mapping[str, Any] | None = None) -> ic.Storage:
    """Icechunk storage of ``s3://bucket/prefix`` or of a local folder.

    S3 credentials come from the environment; ``s3_options`` are passed on to
    ``icechunk.s3_storage`` (``endpoint_url``, ``allow_http``, ``force_path_style``, …).
    """
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return ic.s3_storage(bucket=bucket, prefix=prefix, from_env=True, **(s3_options or {}))
    if "://" in location:
        scheme = location.split("://")[0]
        raise CubeMismatch(f"store {location}: no storage for {scheme}://; use s3:// or a folder")
    # Icechunk warns that local commits need a guard; Cube holds a file lock around them.
    ic.set_logs_filter("error")
    return ic.local_filesystem_storage(str(Path(location).absolute()))


def s3_options(endpoint: str | None) -> dict[str, Any]:
    """Options of ``storage`` for an S3 API at a URL other than AWS's; none for AWS."""
    if not endpoint:
        return {}
    insecure = endpoint.startswith("http://")
    return {"endpoint_url": endpoint, "allow_http": insecure, "force_path_style": True}


@dataclass(frozen=True)
class Cube:
    """One region's repository; ``lock`` is None where storage itself compares and swaps."""

    repository: ic.Repository
    layout: Layout
    lock: Path | None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Hold the file lock that local storage needs around anything that moves a branch."""
        if self.lock is None:
            yield
            return
        with _locked(self.lock):
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
            session = self.repository.writable_session(MAIN)
            base = session.snapshot_id
            creation.extend_time(session.store, self.layout, month)
            fork = session.fork()
        return Transaction(self, month, base, fork)


@dataclass(frozen=True)
class Transaction:
    """One attempt at one month: write into copies of ``fork``, then ``commit`` them together.

    ``fork`` may be pickled to any number of workers; nothing is visible before ``commit``,
    and an attempt that is dropped leaves main as it was.
    """

    cube: Cube
    month: str
    base: str
    fork: ForkSession = field(repr=False)

    def commit(
        self, forks: Iterable[ForkSession], message: str, metadata: Mapping[str, Any]
    ) -> str:
        """Publish the month on main in one commit; returns the snapshot id.

        Commits of other months that came in between are kept. Raises ``MonthConflict`` when
        one of them touched this month: the attempt must start again from the new state.
        """
        merged = list(forks)
        for _ in range(COMMIT_ATTEMPTS):
            with self.cube.guarded():
                session = self.cube.repository.writable_session(MAIN)
                self._refuse_stale(session.snapshot_id)
                creation.extend_time(session.store, self.cube.layout, self.month)
                session.merge(*merged)
                try:
                    return session.commit(message, metadata=dict(metadata))
                except ic.ConflictError:
                    continue  # another writer moved main after the session was opened
        raise MonthConflict(
            f"{self.cube.layout.name} {self.month}: main moved {COMMIT_ATTEMPTS} times while "
            "committing; lower the number of concurrent runs or run again"
        )

    def _refuse_stale(self, tip: str) -> None:
        if tip == self.base:
            return
        index = self.cube.layout.month_index(self.month)
        try:
            diff = self.cube.repository.diff(from_snapshot_id=self.base, to_snapshot_id=tip)
        except ic.IcechunkError as error:
            raise MonthConflict(
                f"{self.cube.layout.name} {self.month}: main no longer descends from {self.base}: "
                f"{error}; run again"
            ) from error
        touched = [
            path
            for path, chunks in diff.updated_chunks.items()
            if any(len(chunk) == 3 and chunk[0] == index for chunk in chunks)
        ]
        reshaped = [*diff.deleted_arrays, *diff.deleted_groups, *diff.new_arrays, *diff.new_groups]
        if touched or reshaped:
            raise MonthConflict(
                f"{self.cube.layout.name} {self.month}: another writer changed "
                f"{(touched or reshaped)[0]} in {tip} since {self.base}; run again to recompute"
            )


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    try:
        with FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise Retry(
            f"{lock}: held by another writer for {LOCK_SECONDS} s; run again when it has ended"
        ) from error


def open_cube(location: str, layout: Layout, s3_options: Mapping[str, Any] | None = None) -> Cube:
    """Open a region's repository, creating it with an empty layout where there is none.

    Raises ``CubeMismatch`` when the store holds something else than ``layout``.
    """
    place = storage(location, s3_options)
    if location.startswith("s3://"):
        repository = ic.Repository.open_or_create(place, config=_config())
        _initialise(repository, layout)
        lock = None
    else:
        folder = Path(location).resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(folder.name + ".lock")
        with _locked(lock):
            repository = _open_local(folder, layout)
    creation.check(repository.readonly_session(MAIN).store, layout)
    return Cube(repository, layout, lock)


def _open_local(folder: Path, layout: Layout) -> ic.Repository:
    """The repository in a folder; a new one appears there whole, with its empty layout."""
    place = storage(str(folder))
    if ic.Repository.exists(place):
        repository = ic.Repository.open(place, config=_config())
        _initialise(repository, layout)
        return repository
    if folder.exists() and any(folder.iterdir()):
        raise CubeMismatch(f"store {folder}: not empty, and no repository; name another folder")
    begun = folder.with_name(folder.name + ".creating")
    shutil.rmtree(begun, ignore_errors=True)
    new = ic.Repository.create(storage(str(begun)), config=_config())
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
    try:
        session.commit(f"{layout.name}: empty cube", metadata={"region": layout.name})
    except ic.ConflictError:
        return  # another writer created it first; ``check`` tells whether it is the same


def _config() -> ic.RepositoryConfig:
    config = ic.RepositoryConfig.default()
    splitting = ic.ManifestSplittingConfig.from_dict(
        {
            ic.ManifestSplitCondition.AnyArray(): {
                ic.ManifestSplitDimCondition.DimensionName("time"): MONTHS_PER_MANIFEST
            }
        }
    )
    config.manifest = ic.ManifestConfig(splitting=splitting)
    return config
