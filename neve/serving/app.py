"""The routes: what may be asked, checked before anything is opened.

Belongs here: addresses, the form of their parameters, status codes. Does not belong here: what
the answers say (``tiles``, ``describing``, ``passport``), processes (``running``).

Every address names a branch, a tag or a snapshot id, and variables of its list: no paths, no
expressions. A parameter that is not known is refused.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import icechunk as ic
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from zarr.core.buffer import default_buffer_prototype

from neve.cube.history import resolve
from neve.cube.store import MAIN
from neve.errors import AskPerson, NeveError, Retry
from neve.serving import answers, describing, positions, tiles
from neve.serving.asking import (
    Asked,
    At,
    AtMonth,
    AtPixel,
    AtPosition,
    Between,
    Key,
    Name,
    Names,
    Place,
    Ref,
    Styled,
)
from neve.serving.desk import WAITING, Desk
from neve.serving.files import add_page
from neve.serving.passport import Question, passport
from neve.serving.turns import Turns
from neve.serving.views import View, Views

LOG = logging.getLogger(__name__)


def create_app(
    repository: ic.Repository,
    name: str,
    hosts: list[str],
    page: Path | None = None,
    vendor: Path | None = None,
) -> FastAPI:
    """The server of one cube.

    ``name``: what errors call it; ``hosts``: names by which it may be addressed (["*"]: any);
    ``page``, ``vendor``: folders of the page's own files and of its packages. Raises
    ``CubeMismatch`` for an empty repository, ``MetadataInvalid`` where tiles would be wrong.
    """
    views = Views(repository, name.rstrip("/").rpartition("/")[2])
    views.at(MAIN)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.painter = tiles.Painter()
        await tiles.prewarm(await run_in_threadpool(views.at, MAIN), app.state.painter)
        yield

    app = FastAPI(title="neve", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_exception_handler(NeveError, _refused)
    app.add_exception_handler(ic.IcechunkError, _unread)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unforeseen)
    desk = Desk(views)
    _add_api(app, desk)
    _add_images(app, desk)
    _add_raw(app, desk)
    add_page(app, page, vendor)
    return app


def _add_api(app: FastAPI, desk: Desk) -> None:
    """Plain facts."""
    # Each may take some 300 MB, for the chunks of a commit.
    comparing, originating = Turns(1, WAITING, "comparisons"), Turns(2, WAITING, "passports")

    @app.get("/api/cube")
    async def cube(request: Request, asked: Annotated[At, Query()]) -> Response:
        return await desk.answer(request, asked.at, describing.cube, holds=False)

    @app.get("/api/history")
    async def history(request: Request, asked: Annotated[At, Query()]) -> Response:
        return await desk.answer(request, asked.at, describing.history)

    @app.get("/api/months")
    async def months(request: Request, asked: Annotated[At, Query()]) -> Response:
        return await desk.answer(request, asked.at, describing.months)

    @app.get("/api/blocks")
    async def blocks(request: Request, asked: Annotated[AtMonth, Query()]) -> Response:
        tell = partial(describing.blocks, month=asked.month)
        return await desk.answer(request, asked.at, tell)

    @app.get("/api/diff")
    async def diff(request: Request, asked: Annotated[Between, Query()]) -> Response:
        older = await run_in_threadpool(resolve, desk.views.repository, asked.older)
        tell = partial(describing.diff, older=older)
        async with comparing.turn():
            return await desk.answer(request, asked.newer, tell, holds=asked.older == older)

    @app.get("/api/pixel")
    async def pixel(request: Request, asked: Annotated[AtPixel, Query()]) -> Response:
        def tell(view: View) -> Any:
            level = asked.level or next(iter(view.levels))
            month = view.month(asked.month)
            question = Question(asked.lon, asked.lat, asked.variable, level, month)
            return passport(view, question)

        async with originating.turn():
            return await desk.answer(request, asked.at, tell)

    @app.get("/edr/{ref}/position")
    async def position(
        request: Request, ref: Annotated[Ref, InPath()], asked: Annotated[AtPosition, Query()]
    ) -> Response:
        query = positions.Position(asked.coords, asked.names, asked.datetime)
        written, media = positions.FORMATS[asked.form]
        return await desk.answer(request, ref, lambda v: written(positions.series(v, query)), media)


def _add_images(app: FastAPI, desk: Desk) -> None:
    @app.get("/tiles/{ref}/{variable}/{z}/{y}/{x}.png")
    async def tile(
        request: Request,
        ref: Annotated[Ref, InPath()],
        variable: Annotated[Names, InPath()],
        place: Annotated[Place, Depends()],
        style: Annotated[Styled, Query()],
    ) -> Response:
        view = await desk.view(ref)
        tag = answers.etag(view.snapshot)
        if answers.unchanged(request, tag):
            return answers.not_modified(tag, ref == view.snapshot)
        look = tiles.look_of(view, variable, style.month, (style.lo, style.hi), style.colormap)
        painter: tiles.Painter = request.app.state.painter
        drawn = await painter.tile(view, place, look, request.is_disconnected)
        if drawn is None:
            return Response(status_code=499)
        headers = answers.caching(tag, ref == view.snapshot) | {
            "X-Multiscale-Level": drawn.level,
            "X-Chunks-Read": str(drawn.chunks),
            "Server-Timing": f"wait;dur={drawn.waited_ms:.1f}, tile;dur={drawn.drawn_ms:.1f}",
        }
        return Response(drawn.png, media_type="image/png", headers=headers)

    @app.get("/legend/{ref}/{variable}.{form}")
    async def legend(
        request: Request,
        ref: Annotated[Ref, InPath()],
        variable: Annotated[Name, InPath()],
        form: Annotated[str, InPath(pattern="^(png|json)$")],
        style: Annotated[Styled, Query()],
    ) -> Response:
        def tell(view: View) -> Any:
            limits = (style.lo, style.hi)
            look = tiles.look_of(view, variable, style.month, limits, style.colormap)
            return tiles.legend(view.variables[variable], look, form)

        media = "image/png" if form == "png" else "application/json"
        return await desk.answer(request, ref, tell, media)


def _add_raw(app: FastAPI, desk: Desk) -> None:
    @app.get("/zarr/{ref}/{key:path}")
    async def raw(
        request: Request,
        ref: Annotated[Ref, InPath()],
        key: Annotated[Key, InPath()],
        asked: Annotated[Asked, Query()],
    ) -> Response:
        """One key of the snapshot's Zarr hierarchy, as it is stored."""
        view = await desk.view(ref)
        tag = answers.etag(view.snapshot)
        headers = answers.caching(tag, ref == view.snapshot, answers.IMMUTABLE)
        if answers.unchanged(request, tag):
            return Response(status_code=304, headers=headers)
        async with desk.turns.turn():
            found = await view.store.get(key, default_buffer_prototype())
        if found is None:  # an empty chunk: fill, as Zarr has it
            return Response(status_code=404, headers=headers)
        media = "application/json" if key.endswith("zarr.json") else "application/octet-stream"
        return Response(found.to_bytes(), media_type=media, headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Retry):
        return answers.failure(503, str(error), {"Retry-After": "2"})
    return answers.failure(422 if isinstance(error, AskPerson) else 500, str(error))


def _unread(request: Request, error: Exception) -> Response:
    LOG.warning("%s: %s", request.url.path, error)
    told = "the store did not answer as it should; ask again, or see the server's log"
    return _refused(request, Retry(told))


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answers.failure(error.status_code, str(error.detail), error.headers)


def _unforeseen(request: Request, error: Exception) -> Response:
    """The log has the traceback."""
    return answers.failure(500, "an error within the server; its log tells more")


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong: list[Any] = list(error.errors())
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong[:5])
    return answers.failure(422, told)
