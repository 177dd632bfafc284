import threading
import time
from concurrent.futures import CancelledError

import pytest

from neve.reading.ahead import Ahead


def test_work_runs_in_order_and_not_too_far_ahead() -> None:
    begun: list[int] = []

    def work(key: int) -> bool:
        begun.append(key)
        return True

    with Ahead(range(10), work, steps=3) as ahead:
        deadline = time.monotonic() + 5
        while len(begun) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert sorted(begun) == [0, 1, 2]
        for key in range(10):
            ahead.take(key)
            assert key in begun
            ahead.take(key)
    assert sorted(begun) == list(range(10))


def test_a_failure_reaches_who_takes_and_the_rest_goes_on() -> None:
    def work(key: int) -> bool:
        if key == 1:
            raise LookupError("one")
        return True

    with Ahead(range(4), work, steps=2) as ahead:
        ahead.take(0)
        with pytest.raises(LookupError, match="one"):
            ahead.take(1)
        ahead.take(2)
        ahead.take(3)


def test_what_holds_nothing_need_not_be_taken_and_may_be_awaited() -> None:
    def work(key: int) -> bool:
        if key:
            ahead.wait(key - 1)
        return False

    ahead = Ahead(range(10), work, steps=2)
    with ahead:
        ahead.wait(9)
        ahead.wait(9)


def test_leaving_lets_go_of_who_waits() -> None:
    raised: list[BaseException] = []

    def wait(ahead: Ahead[int]) -> None:
        try:
            ahead.take(9)
        except CancelledError as error:
            raised.append(error)

    with Ahead(range(10), lambda key: True, steps=2) as ahead:
        waiting = threading.Thread(target=wait, args=(ahead,))
        waiting.start()
        time.sleep(0.05)
    waiting.join(5)
    assert not waiting.is_alive()
    assert len(raised) == 1
