"""Turns: how many do something costly at once, and how many may wait for it.

Belongs here: the line and its end. Does not belong here: what is done in a turn.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from neve.errors import Retry


class Turns:
    """At most ``at_once`` at a time; ``waiting`` further ones wait, the rest are sent away."""

    def __init__(self, at_once: int, waiting: int, what: str) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._waiting, self._most, self._what = 0, waiting, what

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One turn; raises ``Retry`` where too many wait for theirs."""
        if self._waiting >= self._most:
            raise Retry(f"{self._most} {self._what} wait already; ask again in a moment")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
