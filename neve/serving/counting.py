"""Counting what a request reads.

Belongs here: a store that notes the chunks that are asked of it, and how many a question about one
pixel may read. Does not belong here: answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

MOST_MONTHS, MOST_CHUNKS = 240, 1000
_reads: ContextVar[set[str] | None] = ContextVar("reads", default=None)


def most_months(arrays: int) -> int:
    """Months of so many stored variables that may be read; each has a chunk for each month."""
    return min(MOST_MONTHS, max(1, MOST_CHUNKS // arrays))


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
