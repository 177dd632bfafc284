"""Engines: run one pure function over many tasks, on some workers.

Belongs here: the small interface, and the engine of this machine's processes. Does not belong
here: what a task does.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, connection, get_context, parent_process
from typing import Protocol

from neve.errors import Stop

# A task that ends its worker so often is to blame itself.
DEATHS = 3


class Engine(Protocol):
    """Somewhere to run tasks; ``function`` and tasks must be picklable."""

    def threads(self, tasks: int) -> int:
        """How many cores each of so many tasks may keep busy while the others run."""
        ...

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Results as they finish, in any order; the first exception of a task is raised."""
        ...


class Inline:
    """Runs the tasks one by one in this process: for tests, tiny regions and debuggers."""

    def threads(self, tasks: int) -> int:
        """All of the machine's."""
        return os.cpu_count() or 1

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``."""
        return map(function, tasks)


@dataclass(frozen=True)
class Processes:
    """Spawned processes of this machine; they end with this process, however it ends.

    Where one dies, all are started anew and do what is left.
    """

    workers: int

    def threads(self, tasks: int) -> int:
        """Its share of the machine's."""
        return max((os.cpu_count() or 1) // max(min(self.workers, tasks), 1), 1)

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``. Raises ``Stop`` when workers die (killed, out of memory) again."""
        left = dict(enumerate(tasks))
        for _ in range(DEATHS):
            if not left:
                return
            try:
                for number, result in self._finished(function, left):
                    del left[number]
                    yield result
            except BrokenProcessPool as error:
                died = error
        if left:
            raise Stop(
                f"worker processes died {DEATHS} times ({died}); is there enough memory for "
                f"{self.workers} workers? lower the number of workers or the region's memory"
            ) from died

    def _finished[T, R](
        self, function: Callable[[T], R], tasks: Mapping[int, T]
    ) -> Iterator[tuple[int, R]]:
        """Number and result of each task as it finishes."""
        others = set(active_children())
        pool = ProcessPoolExecutor(
            min(self.workers, len(tasks)),
            # fork and forkserver copy Icechunk's runtime threads and hang.
            mp_context=get_context("spawn"),
            initializer=end_with_parent,
        )
        try:
            numbers = {pool.submit(function, task): number for number, task in tasks.items()}
            for future in as_completed(list(numbers)):
                yield numbers.pop(future), future.result()
        except BrokenProcessPool:
            # Python's pool waits for ever for a worker that was being started when another died.
            for worker in set(active_children()) - others:
                worker.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """In a worker process: a killed run must not leave workers that go on writing."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
