"""Tidying: old states of a cube are forgotten, and what no state needs any more is deleted.

Belongs here: what goes (a plan, before anything is touched), and letting it go. Does not belong
here: telling what is left (``history``).

A session reads the state that main had when it began, and writes chunks that no snapshot names
before it commits. No session commits that is older than ``store.LONGEST``; tidying keeps every
state that was main's, and every object that was written, within at least twice that. So it may
run beside any writer of any machine, and need not know of it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import icechunk as ic

from neve.cube.history import Commit, commits, keep_word, last_changes, require_cube
from neve.cube.locking import locked
from neve.cube.store import LONGEST, MAIN, STAGING
from neve.errors import AskPerson, Retry

LEAST = 2 * LONGEST
Lines = Mapping[str, Sequence[Commit]]


@dataclass(frozen=True)
class Plan:
    """What tidying takes away.

    ``before``: objects go that were written earlier and that no snapshot needs. ``cut``: of the
    snapshots that were written earlier only tips of main, branches and tags stay; ``snapshots``
    are those that go, newest first. ``branches``: staging branches of attempts that nobody has
    taken up since. ``cuts``: snapshot that stays → the one below it, which goes. ``kept``: all
    snapshots that stay.
    """

    before: datetime
    cut: datetime
    snapshots: tuple[str, ...]
    branches: tuple[str, ...]
    cuts: dict[str, str]
    kept: frozenset[str]


@dataclass(frozen=True)
class Tidied:
    """What went, or would go: snapshots, staging branches, and what no snapshot needs.

    Of a plan that was not carried out, ``bytes`` and ``chunks`` are those that no snapshot needs
    already; what only the snapshots hold that are to go is not among them.
    """

    snapshots: tuple[str, ...]
    branches: tuple[str, ...]
    bytes: int
    chunks: int


def plan(branches: Lines, tags: Lines, before: datetime) -> Plan:
    """What goes where every state is to stay that main had since ``before``.

    The commits that each branch or tag stands on come newest first, down to the repository's
    first one, which is never lost.
    """
    main = branches[MAIN]
    # The one that was main's tip then: a session that began then reads it.
    cut = next((c for c in main if c.written_at <= before), main[-1]).written_at
    staging = [name for name in branches if name.startswith(STAGING)]
    stale = tuple(sorted(name for name in staging if branches[name][0].written_at < cut))
    lines = [*branches.values(), *tags.values()]
    tips = {line[0].snapshot for line in tags.values()}
    tips |= {line[0].snapshot for name, line in branches.items() if name not in stale}

    def stays(commit: Commit) -> bool:
        return commit.snapshot in tips or commit.parent is None or commit.written_at >= cut

    found = {commit.snapshot: commit for line in lines for commit in line}
    kept = {snapshot for snapshot, commit in found.items() if stays(commit)}
    gone = sorted(found.keys() - kept, key=lambda s: found[s].written_at, reverse=True)
    cuts = {
        newer.snapshot: older.snapshot
        for line in (*tags.values(), *(branches[name] for name in branches.keys() - staging))
        for newer, older in pairwise(line)
        if newer.snapshot in kept and older.snapshot not in kept
    }
    return Plan(before, cut, tuple(gone), stale, cuts, frozenset(kept))


def planned(repository: ic.Repository, keep: timedelta, now: datetime) -> Plan:
    """The plan for a cube; raises ``AskPerson`` where ``keep`` might hurt a session."""
    if keep < LEAST:
        raise AskPerson(
            f"keep {keep.days} days: a build may take {LONGEST.days} days, and tidying keeps what "
            f"is younger than twice that; keep {LEAST.days} days or more"
        )
    require_cube(repository)
    branches = {}
    for name in repository.list_branches():
        with suppress(ic.RefNotFoundError):  # a staging branch may go at any time
            branches[name] = list(commits(repository, repository.lookup_branch(name)))
    tags = {
        name: list(commits(repository, repository.lookup_tag(name)))
        for name in repository.list_tags()
    }
    return plan(branches, tags, now - keep)


def preview(repository: ic.Repository, keep: timedelta, now: datetime) -> Tidied:
    """What ``tidy`` would do; nothing is touched."""
    found = planned(repository, keep, now)
    return _tidied(found, repository.garbage_collect(found.before, dry_run=True))


def tidy(repository: ic.Repository, keep: timedelta, now: datetime, lock: Path | None) -> Tidied:
    """Forget and delete what the plan says.

    Every state that main had within ``keep``, every tag and every branch can be read as before;
    of the months that were last made by a commit that goes, ``last_changes`` still tells who
    made them of what. ``lock``: the file lock of a local repository; writers wait for it, and raise
    ``Retry`` where that takes longer than ``locking.LOCK_SECONDS``. Raises ``AskPerson``, and
    ``Retry`` where not all could be deleted.
    """
    with locked(lock):
        found = planned(repository, keep, now)
        words = {at: last_changes(repository, below) for at, below in found.cuts.items()}
        # Killed before the snapshots are gone, they must still speak for what went before.
        keep_word(repository, words, found.kept.union(found.snapshots))
        for branch in found.branches:
            with suppress(ic.RefNotFoundError):
                repository.delete_branch(branch)
        repository.expire_snapshots(found.cut)
        summary = repository.garbage_collect(found.before)
    if summary.objects_failed_to_delete:
        raise Retry(
            f"{summary.objects_failed_to_delete} objects could not be deleted: "
            f"{'; '.join(map(str, summary.delete_errors[:3]))}; nothing is lost, run again"
        )
    return _tidied(found, summary)


def _tidied(found: Plan, summary: ic.GCSummary) -> Tidied:
    return Tidied(found.snapshots, found.branches, summary.bytes_deleted, summary.chunks_deleted)
