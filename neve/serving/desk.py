"""The desk: which version a question is about, and its turn.

Belongs here: what all answers but tiles have in common. Does not belong here: addresses (``app``),
what is told (``describing``, ``passport``, ``positions``).
"""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from neve.errors import AskPerson
from neve.serving import answers
from neve.serving.turns import Turns
from neve.serving.views import View, Views

# Of the 40 threads that tiles and the opening of versions need, too.
AT_ONCE, WAITING = 8, 256


class Desk:
    """Where questions about a cube are answered, ``AT_ONCE`` at a time."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.turns = Turns(AT_ONCE, WAITING, "questions")

    async def view(self, ref: str) -> View:
        """The snapshot that an address names; 404 for none."""
        try:
            return await self.views.among_others(ref)
        except AskPerson as error:
            raise HTTPException(404, str(error)) from error

    async def answer(
        self,
        request: Request,
        ref: str,
        tell: Callable[[View], Any],
        media: str = "application/json",
        holds: bool = True,
    ) -> Response:
        """What ``tell`` tells of a snapshot, in a thread of its own.

        ``holds``: of a snapshot id it will always be that.
        """
        view = await self.view(ref)

        def answered() -> Response:
            return answers.cached(request, tell(view), holds and ref == view.snapshot, media)

        async with self.turns.turn():
            return await run_in_threadpool(answered)
