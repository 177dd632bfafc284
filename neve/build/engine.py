"""Engines: run one pure function over many tasks, on some workers.

Belongs here: the small interface, and the engine of this machine's processes. Does not belong
here: what a task does.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Protocol

from neve.errors import Stop


class Engine(Protocol):
    """Somewhere to run tasks; ``function`` and tasks must be picklable."""

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Results as they finish, in any order; the first exception of a task is raised."""
        ...


class Inline:
    """Runs the tasks one by one in this process: for tests, tiny regions and debuggers."""

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``."""
        return map(function, tasks)


@dataclass(frozen=True)
class Processes:
    """Spawned processes of this machine; they end with this process, however it ends."""

    workers: int

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``. Raises ``Stop`` when a worker dies (killed, out of memory)."""
        todo = list(tasks)
        if not todo:
            return
        pool = ProcessPoolExecutor(
            min(self.workers, len(todo)),
            # fork and forkserver copy Icechunk's runtime threads and hang.
            mp_context=get_context("spawn"),
            initializer=_end_with_parent,
        )
        try:
            for future in as_completed([pool.submit(function, task) for task in todo]):
                yield future.result()
        except BrokenProcessPool as error:
            raise Stop(
                f"a worker process died ({error}); is there enough memory for {self.workers} "
                "workers? lower the number of workers or the region's memory"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A killed run must not leave workers that go on writing."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
