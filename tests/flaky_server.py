"""A range server that misbehaves on demand, for tests of failed reads."""

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

from loopback import Handler, Loopback, running

from neve.scenes.values import Scene

STALL = 0.8


class Flaky(Loopback):
    """Serves a folder; the first ``failures`` requests of a path fail in the way ``mode`` says.

    Modes: "500", "reset" (the connection closes unanswered), "html" (200 and a page), "short"
    (half of the body), "garbled" (right length, zeros), "elsewhere" (another range, said so),
    "shrunk" (a file a byte shorter), "vast" (a file of a petabyte), "stall" (no answer for
    ``STALL`` seconds), "hang" (none until the client gives up;
    ``hung``: after how many seconds it did), "404". ``only``: paths that fail; ``spared``: so
    many requests of a path are answered well before. ``fate``: of further requests of paths that
    fail, in the order of their coming. ``faults``: how many have failed.
    """

    def __init__(self, folder: Path, mode: str, failures: int, only: str) -> None:
        super().__init__(_Handler)
        self.folder, self.mode, self.failures, self.only = folder, mode, failures, only
        self.fate: Iterator[bool] = repeat(False)
        self.spared = self.faults = 0
        self.requests: dict[str, int] = {}
        self.hung: list[float] = []


class _Handler(Handler):
    server: Flaky

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.requests[self.path] = server.requests.get(self.path, 0) + 1
            nth = server.requests[self.path] - server.spared
            fails = server.only in self.path
            fails = fails and (0 < nth <= server.failures or next(server.fate))
            server.faults += fails
        data = (server.folder / self.path.lstrip("/").split("?")[0]).read_bytes()
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        body = data[int(first) : int(last) + 1]
        if not fails:
            self._send(206, body, f"bytes {first}-{int(first) + len(body) - 1}/{len(data)}")
        elif server.mode == "reset":
            self.close_connection = True
        elif server.mode == "stall":
            time.sleep(STALL)
            self.close_connection = True
        elif server.mode == "hang":
            began = time.monotonic()
            self.connection.recv(1)
            server.hung.append(time.monotonic() - began)
            self.close_connection = True
        elif server.mode == "elsewhere":
            self._send(206, body, f"bytes {int(first) + 1}-{int(first) + len(body)}/{len(data)}")
        elif server.mode in ("shrunk", "vast"):
            size = 10**15 if server.mode == "vast" else len(data) - 1
            body = body[: size - int(first)]
            self._send(206, body, f"bytes {first}-{int(first) + len(body) - 1}/{size}")
        elif server.mode == "html":
            self._send(200, b"<html>The service is busy</html>")
        elif server.mode in ("short", "garbled"):
            bad = body[: len(body) // 2] if server.mode == "short" else bytes(len(body))
            self._send(206, bad, f"bytes {first}-{last}/{len(data)}", len(body))
            # Only where it must: a connection closed without a word costs the next read an attempt.
            self.close_connection = server.mode == "short"
        else:
            self._send(int(server.mode), b"no")

    def _send(self, status: int, body: bytes, span: str = "", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body)


def served(scenes: Iterable[Scene], folder: Path, url: str) -> list[Scene]:
    """The scenes with URLs of a server in place of paths below its folder."""
    return [
        replace(one, assets={
            name: replace(asset, href=f"{url}/{Path(asset.href).relative_to(folder)}")
            for name, asset in one.assets.items()
        })
        for one in scenes
    ]  # fmt: skip


def fate(chance: random.Random, rate: float, requests: int) -> Iterator[bool]:
    """Each request fails by this chance; of so many first ones at least one does."""
    first = [False]
    while not any(first):
        first = [chance.random() < rate for _ in range(requests)]
    return chain(first, (chance.random() < rate for _ in repeat(None)))


@contextmanager
def flaky(
    folder: Path,
    mode: str = "500",
    failures: int = 0,
    only: str = "",
    fate: Iterator[bool] | None = None,
) -> Iterator[Flaky]:
    server = Flaky(folder, mode, failures, only)
    server.fate = fate or server.fate
    with running(server):
        yield server
