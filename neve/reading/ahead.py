"""Work done in the background, in a given order, what it holds bounded until it is taken.

Belongs here: the order and the bound. Does not belong here: what the work is.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor


class Ahead[K: Hashable]:
    """Runs ``work`` for the keys; at most ``steps`` of them are at work or held.

    ``work`` says whether it holds something until its key is taken; it may wait for keys before
    its own. What is held must be taken, about in order: a taker that waits for a later key while
    nobody takes the earlier ones waits forever.
    """

    def __init__(self, keys: Sequence[K], work: Callable[[K], bool], steps: int) -> None:
        self._work, self._free, self._closed = work, threading.Semaphore(steps), False
        self._done: dict[K, Future[bool]] = {key: Future() for key in keys}
        self._pool = ThreadPoolExecutor(steps)
        self._feeder = threading.Thread(target=self._feed, args=(list(keys),), daemon=True)

    def __enter__(self) -> "Ahead[K]":
        self._feeder.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop; who still waits gets ``CancelledError``."""
        self._closed = True
        self._free.release()
        self._feeder.join()
        for done in list(self._done.values()):
            done.cancel()
        self._pool.shutdown(cancel_futures=True)

    def wait(self, key: K) -> None:
        """Wait until the work for a key, not to be taken, is done. Raises what it raised."""
        self._done[key].result()

    def take(self, key: K) -> None:
        """Wait until the work for ``key`` is done. Raises what it raised; does nothing twice."""
        done = self._done.get(key)
        if done is not None:
            try:
                if done.result():
                    self._free.release()
            finally:
                del self._done[key]

    def _feed(self, keys: list[K]) -> None:
        for key in keys:
            self._free.acquire()
            if self._closed:
                return
            self._pool.submit(self._run, key, self._done[key])

    def _run(self, key: K, done: Future[bool]) -> None:
        if not done.set_running_or_notify_cancel():
            return
        held = False
        try:
            held = self._work(key)
            done.set_result(held)
        except BaseException as error:
            done.set_exception(error)
        finally:
            if not held:
                self._free.release()
