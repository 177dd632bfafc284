"""Engines beyond this process's own machine: Dask and Lithops, imported when they are used.

Belongs here: handing tasks to an installed client and taking results as they finish. Does not
belong here: what a task does, which engine a project wants (its settings).

Workers write straight to the cube's storage, so it must be one that they all reach: an object
store, or a file system that all of them mount.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neve.errors import AskPerson, Retry, Stop

# Another worker may succeed where one failed; what fails everywhere is not tried for long.
RETRIES = 1


@dataclass(frozen=True)
class Dask:
    """Workers of the scheduler at ``address`` (``tcp://host:port``), of whatever cluster.

    Without an address, ``workers`` processes of this machine. A task whose worker dies is done
    again by another; a worker should have one thread, and as much memory as one block needs.
    """

    workers: int
    address: str | None = None

    def threads(self, tasks: int) -> int:
        """A worker's one."""
        return 1

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``. Raises ``Retry`` when no scheduler answers, ``Stop`` when tasks
        kill their workers, ``AskPerson`` where Dask is not installed."""
        todo = list(tasks)
        if not todo:
            return
        try:
            import distributed
        except ImportError as error:
            raise AskPerson("the engine dask: pip install 'neve[dask]'") from error
        with self._client(distributed) as client:
            futures = client.map(function, todo, pure=False, retries=RETRIES, key="neve-block")
            try:
                # ``futures`` is given up so that workers let go of what has been taken.
                finished = distributed.as_completed(futures, with_results=True)
                del futures
                for _, result in finished:
                    yield result
            except distributed.KilledWorker as error:
                raise Stop(
                    f"a task ended each worker that ran it ({error}); more memory?"
                ) from error

    def _client(self, distributed: Any) -> Any:
        if self.address is None:
            return distributed.Client(
                n_workers=self.workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                # The region's memory is the bound; Dask would pause at a share of the machine's.
                memory_limit=0,
            )
        try:
            return distributed.Client(self.address)
        except OSError as error:
            raise Retry(f"no Dask scheduler at {self.address}: {error}") from error


@dataclass(frozen=True)
class Lithops:
    """Functions of a cloud, as Lithops' own configuration says; without one, local processes.

    The functions' runtime must have this version of neve installed. Every call starts a process
    that imports it, so that where there are more tasks than functions at once a call does several;
    after ``seconds``, which pay for a start, it hands back what it has and another does the others.
    """

    seconds: float = 60.0

    def threads(self, tasks: int) -> int:
        """A function's one."""
        return 1

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``Engine.map``. Raises ``AskPerson`` where Lithops is not installed."""
        todo = list(tasks)
        if not todo:
            return
        try:
            import lithops
            from lithops.wait import ANY_COMPLETED
        except ImportError as error:
            raise AskPerson("the engine lithops: pip install 'neve[lithops]'") from error
        config = lithops.config.load_config()
        # Its own default is the first ``python`` on the path.
        config.setdefault("localhost", {}).setdefault("runtime", sys.executable)
        with lithops.FunctionExecutor(config=config, log_level=None) as executor:

            def call(batches: list[list[T]]) -> dict[Any, list[T]]:
                data = [(function, batch, self.seconds) for batch in batches]
                return dict(
                    zip(executor.map(_some, data, include_modules=None), batches, strict=True)
                )

            found = executor.config[executor.backend]
            each = found["worker_processes"]  # "AUTO": the cores of a function, wherever it runs
            calls = found["max_workers"] * (each if isinstance(each, int) else 1)
            calls = min(calls, len(todo))
            pending = call([todo[k::calls] for k in range(calls)])
            while pending:
                done, _ = executor.wait(
                    list(pending), return_when=ANY_COMPLETED, show_progressbar=False
                )
                for future in done:
                    results = future.result()
                    yield from results
                    if left := pending.pop(future)[len(results) :]:
                        pending |= call([left])


def _some[T, R](function: Callable[[T], R], tasks: Sequence[T], seconds: float) -> list[R]:
    """The results of the first tasks: as many as are begun within ``seconds``, at least one."""
    end = time.monotonic() + seconds
    results = [function(tasks[0])]
    for task in tasks[1:]:
        if time.monotonic() >= end:
            break
        results.append(function(task))
    return results
