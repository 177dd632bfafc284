"""Counting what a request reads.

Belongs here: a store that notes the chunks that are asked of it, how many a question about one
pixel may read and a comparison may list. Does not belong here: answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

MOST_MONTHS, MOST_CHUNKS = 240, 1000
# Icechunk lists what differs as a whole: some 300 bytes a chunk, before anything can be left out.
MOST_LISTED = 1_000_000
_reads: ContextVar[set[str] | None] = ContextVar("reads", default=None)


def most_months(arrays: int) -> int:
    """Months of so many stored variables that may be read; each has a chunk for each month."""
    return min(MOST_MONTHS, max(1, MOST_CHUNKS // arrays))


def most_commits(chunks: int) -> int:
    """Commits that may lie between two versions which are compared; each may touch ``chunks``."""
    return max(1, MOST_LISTED // chunks)


@contextmanager
def counted() -> Iterator[set[str]]:
    """Collects the keys of all chunks that are read in this context, also by its threads."""
    reads: set[str] = set()
    token = _reads.set(reads)
    try:
        yield reads
    finally:
        _reads.reset(token)


class CountingStore(WrapperStore[Store]):
    """A store that notes which chunks are asked of it."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As the store itself."""
        reads = _reads.get()
        if reads is not None and "/c/" in key:
            reads.add(key)
        return await self._store.get(key, prototype, byte_range)
