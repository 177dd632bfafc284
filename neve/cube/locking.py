"""The lock file that Icechunk on local disk needs: without it acknowledged commits get lost there.

Belongs here: which file it is, and holding it. Does not belong here: what is done under it
(``store``, ``tidying``). Object stores compare and swap; they have none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neve.cube import places
from neve.errors import AskPerson, Retry

LOCK_SECONDS = 600


@contextmanager
def locked(lock: Path | None) -> Iterator[None]:
    """Hold a lock file, whose folder is made if need be; nothing for None.

    Raises ``Retry`` when another holds it for long, ``AskPerson`` where it cannot be made.
    """
    if lock is None:
        yield
        return
    held = FileLock(lock, timeout=LOCK_SECONDS)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout as error:
        raise Retry(
            f"{lock}: held by another writer for {LOCK_SECONDS} s; run again when it has ended"
        ) from error
    except OSError as error:
        raise AskPerson(
            f"{lock}: the lock file of the store cannot be made: {error.strerror}; make room, or "
            "let this user write there, then run again"
        ) from error
    try:
        yield
    finally:
        held.release()


def lock_of(location: str) -> Path | None:
    """The lock file beside a local repository; None elsewhere."""
    folder = places.local_folder(location)
    if folder is None:
        return None
    folder = folder.resolve()
    return folder.with_name(folder.name + ".lock")
