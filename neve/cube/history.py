"""A cube's history: its commits, what two of them differ in, names for them.

Belongs here: everything that is told by Icechunk's snapshots and their metadata, no pixel read.
Does not belong here: values (``reader``), publishing (``store``).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import icechunk as ic
import zarr
from zarr.errors import GroupNotFoundError

from neve.cube.layout import month_after
from neve.cube.store import MAIN
from neve.errors import AskPerson, CubeMismatch

# A tag is part of a tile's address.
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# In the repository's own metadata: what is still told of commits that were tidied away.
WORD = "neve/history"


@dataclass(frozen=True)
class Commit:
    """One snapshot; ``month`` is None for one that publishes none (the empty cube, a repair).

    Of one that was tidied away, ``snapshot`` is one that stands for it, with its month as it was
    left, and ``parent`` None. ``counts[n]``: native pixels with n clear observations; ``lost``:
    (scene, reason, place).
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


def remembered(repository: ic.Repository, ref: str = MAIN) -> Iterator[Commit]:
    """The commits, and before the repository's first one those that are only spoken of.

    These are the last ones, of each month and region, of all that were tidied away: earlier ones
    are forgotten.
    """
    last = ""
    for commit in commits(repository, ref):
        if commit.parent is None:
            yield from _spoken_of(repository, last)
        yield commit
        last = commit.snapshot


def last_changes(repository: ic.Repository, ref: str = MAIN) -> list[Commit]:
    """The commit that each month has its present values from, in order of months.

    The cube of a UTM zone has one for each region that was built in the month.
    """
    found: dict[tuple[str, str], Commit] = {}
    for commit in remembered(repository, ref):
        if commit.month is not None:
            found.setdefault((commit.month, commit.region or ""), commit)
    return [found[key] for key in sorted(found)]


def last_change(repository: ic.Repository, month: str, region: str) -> Commit | None:
    """The commit on main that a region's month has its present values from, if there is one."""
    found = (c for c in remembered(repository, MAIN) if (c.month, c.region) == (month, region))
    return next(found, None)


def keep_word(
    repository: ic.Repository, words: Mapping[str, Sequence[Commit]], kept: Collection[str]
) -> None:
    """Let snapshots speak for commits below them that are about to be lost.

    ``words``: snapshot → the last changes below it; ``kept``: those whose earlier words stay.
    """
    told = repository.metadata.get(WORD, {"at": {}, "commits": {}})
    at = {snapshot: keys for snapshot, keys in told["at"].items() if snapshot in kept}
    known = dict(told["commits"])
    for snapshot, lost in words.items():
        records = {f"{c.region} {c.month} {c.written_at.isoformat()}": c for c in lost}
        at[snapshot] = list(records)
        known |= {key: _record(commit) for key, commit in records.items()}
    used = {key for keys in at.values() for key in keys}
    spoken = {"at": at, "commits": {key: known[key] for key in sorted(used)}}
    if spoken != told:
        repository.update_metadata({WORD: spoken})


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
    start = str(require_cube(repository, last)["start"])
    for path, touched in sorted(diff.updated_chunks.items()):
        _, level, variable = path.split("/")
        found = sorted((month_after(start, c[0]), c[1], c[2]) for c in touched if len(c) >= 3)
        if level != "blocks" and found:
            chunks.setdefault(level, {})[variable] = tuple(found)
    months = {
        month for level in chunks.values() for places in level.values() for month, *_ in places
    }
    return Changes(first, last, tuple(sorted(months)), chunks)


def check_tag(repository: ic.Repository, name: str, ref: str = MAIN) -> str:
    """The snapshot that ``tag`` would name, which it does not; raises ``AskPerson`` as it does.

    Only that a name was used once and deleted is not seen here.
    """
    snapshot = resolve(repository, ref)
    if not TAG.fullmatch(name) or name in repository.list_branches():
        raise AskPerson(
            f"tag {name!r}: a tag has letters, digits, dots, dashes and underscores, and is no "
            "branch's name; choose another name"
        )
    if name in repository.list_tags():
        raise AskPerson(f"tag {name!r} is there already and never moved; choose another name")
    return snapshot


def tag(repository: ic.Repository, name: str, ref: str = MAIN) -> str:
    """Name a snapshot for good; returns its id. Raises ``AskPerson`` for a name that cannot be."""
    snapshot = check_tag(repository, name, ref)
    try:
        repository.create_tag(name, snapshot)
    except ic.IcechunkError as error:
        raise AskPerson(
            f"tag {name!r} cannot be made: a tag is never moved nor its name used again, and it "
            "may have been used; choose another name"
        ) from error
    return snapshot


def require_cube(repository: ic.Repository, ref: str = MAIN) -> dict[str, Any]:
    """What the cube tells of itself; raises ``CubeMismatch`` where the repository holds none."""
    session = repository.readonly_session(snapshot_id=resolve(repository, ref))
    try:
        identity = zarr.open_group(session.store, mode="r").attrs.get("neve")
    except GroupNotFoundError:
        identity = None
    if not isinstance(identity, dict):
        raise CubeMismatch("the repository holds no neve cube; name another store")
    return identity


def _spoken_of(repository: ic.Repository, snapshot: str) -> Iterator[Commit]:
    told = repository.metadata.get(WORD, {"at": {}})
    for key in told["at"].get(snapshot, ()):
        record = told["commits"][key]
        for name in ("scenes", "counts"):
            record[name] = tuple(record[name])
        record["lost"] = tuple(map(tuple, record["lost"]))
        record["written_at"] = datetime.fromisoformat(record["written_at"])
        yield Commit(**record, snapshot=snapshot, parent=None)


def _record(commit: Commit) -> dict[str, Any]:
    told = asdict(commit) | {"written_at": commit.written_at.isoformat()}
    del told["snapshot"], told["parent"]
    return told


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
