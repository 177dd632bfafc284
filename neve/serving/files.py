"""The page's own files and its packages, as they lie in folders.

Belongs here: which files are handed out. Does not belong here: what is in them (``neve.page``).
"""

from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Scope

from neve import page as pages
from neve.serving import answers

NOTICE = (
    "<!doctype html><title>neve</title>"
    "<p>The map page is not installed; the API is at <a href=api/cube>api/cube</a>."
)


def add_page(app: FastAPI, page: Path | None, vendor: Path | None) -> None:
    """Routes of the page, the files of ``page`` and those of ``vendor`` that the page needs."""
    index = page / "index.html" if page else None

    @app.get("/", response_model=None)
    def start() -> Response:
        if index is None or not index.is_file():
            return HTMLResponse(NOTICE)
        return FileResponse(index, headers={"Cache-Control": answers.REVALIDATE})

    for path, folder, only in (("/page", page, ()), ("/vendor", vendor, pages.vendored())):
        if folder and folder.is_dir():
            app.mount(path, Files(folder, only))


class Files(StaticFiles):
    """A folder's files, or ``only`` these of them; asked for again each time, by their ETag."""

    def __init__(self, folder: Path, only: tuple[str, ...]) -> None:
        super().__init__(directory=folder)
        self.only = only
        self.within = tuple(path for path in only if path.endswith("/"))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at a path; 404 where there is none or it is not for the page."""
        if self.only and path not in self.only and not path.startswith(self.within):
            raise HTTPException(404)
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = answers.REVALIDATE
        return answer
