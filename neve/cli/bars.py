"""Progress bars on a terminal.

Belongs here: how a count of what is done is shown. Does not belong here: what is counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm


class Show(Protocol):
    """Shows how much is done of how much; ``title``: of what, where that changes."""

    def __call__(self, done: int, total: int, title: str | None = None) -> None:
        """What is done so far, of how much."""


@contextmanager
def counted(unit: str, title: str = "") -> Iterator[Show]:
    """A bar while something is done; none where standard error is no terminal."""
    bar: tqdm[Any]
    with tqdm(unit=unit, desc=title, disable=None) as bar:

        def show(done: int, total: int, title: str | None = None) -> None:
            if title is not None:
                bar.set_description(title, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        yield show
