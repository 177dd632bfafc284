"""A cube's history: its commits, what two of them differ in, names for them.

Belongs here: everything that is told by Icechunk's snapshots and their metadata, no pixel read.
Does not belong here: values (``reader``), publishing (``store``).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import icechunk as ic
import zarr

from neve.cube.layout import month_after
from neve.cube.store import MAIN
from neve.errors import AskPerson, CubeMismatch

# A tag is part of a tile's address.
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Commit:
    """One snapshot; ``month`` is None for one that publishes none (the empty cube, a repair).

    ``counts[n]``: native pixels with n clear observations; ``lost``: (scene, reason, place).
    """

    snapshot: str
    parent: str | None
    written_at: datetime
    message: str
    month: str | None
    region: str | None
    run_id: str | None
    code_version: str | None
    fingerprint: str | None
    scenes: tuple[str, ...]
    lost: tuple[tuple[str, ...], ...]
    valid_fraction: float | None
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Changes:
    """What lies between two snapshots.

    ``chunks``: level → variable → (month, chunk row, chunk column) of every chunk that the later
    one holds anew, in order.
    """

    older: str
    newer: str
    months: tuple[str, ...]
    chunks: dict[str, dict[str, tuple[tuple[str, int, int], ...]]]


def resolve(repository: ic.Repository, ref: str) -> str:
    """Snapshot id of a branch, a tag or a snapshot id; raises ``AskPerson`` for anything else."""
    for lookup in (repository.lookup_branch, repository.lookup_tag):
        try:
            return lookup(ref)
        except ic.RefNotFoundError:
            continue
    try:
        return repository.lookup_snapshot(ref).id
    except ic.IcechunkError as error:
        known = sorted({*repository.list_branches(), *repository.list_tags()})
        raise AskPerson(
            f"no branch, tag or snapshot {ref!r}; there are {', '.join(known)} and the snapshots "
            "that neve log lists"
        ) from error


def commits(repository: ic.Repository, ref: str = MAIN) -> Iterator[Commit]:
    """The commits that a branch, tag or snapshot stands on, newest first."""
    return map(_commit, repository.ancestry(snapshot_id=resolve(repository, ref)))


def last_changes(repository: ic.Repository, ref: str = MAIN) -> list[Commit]:
    """The commit that each month has its present values from, in order of months.

    The cube of a UTM zone has one for each region that was built in the month.
    """
    found: dict[tuple[str, str], Commit] = {}
    for commit in commits(repository, ref):
        if commit.month is not None:
            found.setdefault((commit.month, commit.region or ""), commit)
    return [found[key] for key in sorted(found)]


def last_change(repository: ic.Repository, month: str, region: str) -> Commit | None:
    """The commit on main that a region's month has its present values from, if there is one."""
    found = (c for c in commits(repository) if (c.month, c.region) == (month, region))
    return next(found, None)


def changes(repository: ic.Repository, older: str, newer: str) -> Changes:
    """What ``newer`` holds that ``older``, an ancestor of it, does not.

    Raises ``AskPerson`` where the one is no ancestor of the other.
    """
    first, last = resolve(repository, older), resolve(repository, newer)
    if first == last:  # Icechunk refuses to compare a snapshot with itself
        return Changes(first, last, (), {})
    try:
        diff = repository.diff(from_snapshot_id=first, to_snapshot_id=last)
    except ic.IcechunkError as error:
        raise AskPerson(
            f"{older} is no ancestor of {newer}; name the older snapshot first (neve log)"
        ) from error
    chunks: dict[str, dict[str, tuple[tuple[str, int, int], ...]]] = {}
    start = _start(repository, last)
    for path, touched in sorted(diff.updated_chunks.items()):
        _, level, variable = path.split("/")
        found = sorted((month_after(start, c[0]), c[1], c[2]) for c in touched if len(c) >= 3)
        if level != "blocks" and found:
            chunks.setdefault(level, {})[variable] = tuple(found)
    months = {
        month for level in chunks.values() for places in level.values() for month, *_ in places
    }
    return Changes(first, last, tuple(sorted(months)), chunks)


def tag(repository: ic.Repository, name: str, ref: str = MAIN) -> str:
    """Name a snapshot for good; returns its id. Raises ``AskPerson`` for a name that cannot be."""
    snapshot = resolve(repository, ref)
    if not TAG.fullmatch(name) or name in repository.list_branches():
        raise AskPerson(
            f"tag {name!r}: a tag has letters, digits, dots, dashes and underscores, and is no "
            "branch's name; choose another name"
        )
    try:
        repository.create_tag(name, snapshot)
    except ic.IcechunkError as error:
        raise AskPerson(
            f"tag {name!r} cannot be made: a tag is never moved nor its name used again, and it "
            "may have been used; choose another name"
        ) from error
    return snapshot


def _start(repository: ic.Repository, snapshot: str) -> str:
    root = zarr.open_group(repository.readonly_session(snapshot_id=snapshot).store, mode="r")
    identity = root.attrs.get("neve")
    if not isinstance(identity, dict):
        raise CubeMismatch("the repository holds no neve cube")
    return str(identity["start"])


def _commit(info: ic.SnapshotInfo) -> Commit:
    told = info.metadata
    return Commit(
        snapshot=info.id,
        parent=info.parent_id,
        written_at=info.written_at,
        message=info.message,
        month=told.get("month"),
        region=told.get("region"),
        run_id=told.get("run_id"),
        code_version=told.get("code_version"),
        fingerprint=told.get("fingerprint"),
        scenes=tuple(told.get("scenes", ())),
        lost=tuple(tuple(loss) for loss in told.get("lost", ())),
        valid_fraction=told.get("valid_fraction"),
        counts=tuple(told.get("counts", ())),
    )
