"""Byte ranges of a file, wherever it lies: local path, file://, http(s)://, s3://.

Belongs here: one attempt at a range (``fetch``), the rule of retrying (``retrying``). Does not
belong here: what the bytes mean (``cog``), checksums of whole files (``checksums``). GDAL's
network layer is avoided on purpose: its range cache replays failures.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote, urlsplit

import urllib3

from neve.errors import ReadFailed
from neve.reading.connections import get, pool_manager
from neve.scenes.fields import printable
from neve.scenes.hosts import FIX, named
from neve.scenes.hrefs import shown

Span = tuple[int, int]

# Neighbouring spans are fetched as one when the gap costs less than a request.
GAP = 64 * 1024
# A server that ignores ranges is borne with up to this size of file.
WHOLE = 8 * 1024 * 1024
# Bytes; twice what the largest image takes uncompressed.
LARGEST = 2**32


@dataclass(frozen=True)
class Reads:
    """How files are read.

    ``attempts`` at each read, the first pause between them ``pause`` seconds and doubling;
    ``timeout`` seconds without a byte fail an attempt; ``concurrency`` threads read remote
    scenes at once. Checksums are verified by reading the file whole, once per process:
    of local files (``local``), of ``all`` files, or ``never``. ``hosts``: names that may have
    private addresses, and that a server may redirect to, and buckets that are asked with this
    machine's credentials; ``*.name`` are all below a name.
    """

    # A month has thousands of reads: where one in ten fails, four attempts would lose one of them.
    attempts: int = 7
    pause: float = 0.5
    timeout: float = 30.0
    concurrency: int = 8
    verify: Literal["local", "all", "never"] = "local"
    hosts: tuple[str, ...] = ()


class Hiccup(Exception):
    """One attempt failed in a way that a fresh attempt may mend."""


def retrying[T](href: str, reads: Reads, attempt: Callable[[bool], T]) -> T:
    """``attempt(fresh)``, again over fresh connections while it raises ``Hiccup``.

    Raises ``ReadFailed`` with the last reason. A local file is tried once: it stays as it is.
    """
    tries = reads.attempts if remote(href) else 1
    for number in range(tries):
        try:
            return attempt(number > 0)
        except Hiccup as error:
            reason = error
        if number + 1 < tries:
            time.sleep(reads.pause * 2**number)
    times = f" ({tries} attempts)" if tries > 1 else ""
    raise ReadFailed(f"{shown(href)}: {printable(reason)}{times}") from reason


def fetch(
    href: str, spans: Sequence[Span], fresh: bool, reads: Reads, known: int | None = None
) -> tuple[list[bytes], int]:
    """One attempt at the bytes of ``spans`` (offset, length), and the size of the file.

    A span may reach past the end and is cut there. ``fresh`` shuns connections in use; ``known``:
    the size that earlier answers told, another one fails the attempt.
    Raises ``Hiccup`` where another attempt may help, else ``ReadFailed``.
    """
    read = _transport(href)
    parts: list[bytes] = [b""] * len(spans)
    size = 0
    for group in grouped(href, spans):
        start = spans[group[0]][0]
        stop = max(sum(spans[k]) for k in group)
        data, size = read(href, (start, stop - start), fresh, reads)
        if size > LARGEST:
            raise ReadFailed(f"{shown(href)}: {size} bytes are more than an image can have")
        if known not in (None, size):
            raise Hiccup(f"the file has {size} bytes now, and had {known} before")
        if len(data) != max(min(stop, size) - start, 0):
            raise Hiccup(f"got {len(data)} bytes of {stop - start} at {start}: cut short")
        for k in group:
            offset, length = spans[k]
            parts[k] = data[offset - start : offset - start + length]
    return parts, size


def remote(href: str) -> bool:
    """Whether reading the file crosses a network."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def local_path(href: str) -> str:
    """The path of a local href."""
    return unquote(urlsplit(href).path) if href.startswith("file://") else href


def grouped(href: str, spans: Sequence[Span]) -> list[list[int]]:
    """Indices of the spans that one request serves, in order of offset; local: one each."""
    gap = GAP if remote(href) else -1
    groups: list[list[int]] = []
    end = 0
    for k in sorted(range(len(spans)), key=lambda k: spans[k]):
        if not groups or spans[k][0] - end > gap:
            groups.append([])
        groups[-1].append(k)
        end = max(end, sum(spans[k]))
    return groups


def _transport(href: str) -> Callable[[str, Span, bool, Reads], tuple[bytes, int]]:
    scheme = urlsplit(href).scheme
    if scheme == "s3":
        return _read_s3
    if "://" in href and scheme not in ("http", "https", "file"):
        raise ReadFailed(f"{shown(href)}: {scheme} cannot be read; use http, https, s3 or a path")
    return _read_http if scheme in ("http", "https") else _read_local


def _read_local(href: str, span: Span, fresh: bool, reads: Reads) -> tuple[bytes, int]:
    try:
        file = os.open(local_path(href), os.O_RDONLY | os.O_NONBLOCK)  # no waiting at a pipe
        try:
            told = os.fstat(file)
            if not stat.S_ISREG(told.st_mode):
                raise ReadFailed(f"{href}: not a regular file")
            return os.pread(file, span[1], span[0]), told.st_size
        finally:
            os.close(file)
    except OSError as error:
        raise ReadFailed(f"{href}: {error.strerror}") from error


@lru_cache(maxsize=4)
def _pool(process: int, concurrency: int, hosts: tuple[str, ...]) -> urllib3.PoolManager:
    """Connections of one process: a forked one must not share them."""
    return pool_manager(hosts, 8, concurrency)


def _read_http(href: str, span: Span, fresh: bool, reads: Reads) -> tuple[bytes, int]:
    hosts = reads.hosts
    pool = pool_manager(hosts, 1, 1) if fresh else _pool(os.getpid(), reads.concurrency, hosts)
    headers = {
        "Range": f"bytes={span[0]}-{span[0] + span[1] - 1}",
        "Accept-Encoding": "identity",
    }
    if fresh:
        headers |= {"Connection": "close", "Cache-Control": "no-cache"}
    try:
        answer = get(pool, href, headers, reads.timeout, hosts)
        try:
            return _body(answer, span, href)
        finally:
            # Closes the connection where the body was not read to its end.
            answer.release_conn() if answer.length_remaining == 0 else answer.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # urllib3's text repeats the URL, query and all.
        cause = getattr(error, "reason", None) or error
        raise Hiccup(str(cause).replace(href, shown(href))) from error


def _body(answer: urllib3.BaseHTTPResponse, span: Span, href: str) -> tuple[bytes, int]:
    """The bytes asked for, and the size of the file, from an answer to a range request."""
    status = answer.status
    if status == 206:
        unit, _, total = answer.headers.get("Content-Range", "").rpartition("/")
        if not unit.startswith(f"bytes {span[0]}-"):
            raise Hiccup(f"Content-Range {unit}/{total} does not answer the request")
        # One byte more than was asked for tells that there is too much, however much there is.
        return answer.read(span[1] + 1, decode_content=False), _number(total)
    if status == 200:
        length = _number(answer.headers.get("Content-Length", str(WHOLE + 1)))
        if length > WHOLE:
            raise ReadFailed(f"{shown(href)}: the server does not serve byte ranges")
        data = answer.read(WHOLE + 1, decode_content=False)
        if len(data) != length:
            raise Hiccup(f"got {len(data)} bytes of {length}")
        return data[span[0] : span[0] + span[1]], len(data)
    if 400 <= status < 500 and status not in (408, 425, 429):
        raise ReadFailed(f"{shown(href)}: HTTP {status}")
    raise Hiccup(f"HTTP {status}")


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise Hiccup(f"{text!r:.60} is no number of bytes")
    return int(text)


@lru_cache(maxsize=32)
def _store(process: int, bucket: str, timeout: float, signed: bool):  # type: ignore[no-untyped-def]
    """obstore takes credentials, region and endpoint from its usual places."""
    from obstore.store import S3Store

    return S3Store(
        bucket,
        client_options={"timeout": f"{timeout}s", "allow_http": True},
        retry_config={"max_retries": 0},
        skip_signature=not signed,
    )


def _read_s3(href: str, span: Span, fresh: bool, reads: Reads) -> tuple[bytes, int]:
    import obstore
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    where = urlsplit(href)
    # An item must not lend our credentials to whatever bucket it names.
    signed = named(where.netloc, reads.hosts)
    try:
        build = _store.__wrapped__ if fresh else _store
        store = build(os.getpid(), where.netloc, reads.timeout, signed)
        answer = obstore.get(
            store, unquote(where.path.lstrip("/")), options={"range": (span[0], span[0] + span[1])}
        )
        # As over HTTP: one byte more than was asked for, however much there is.
        data = next(iter(answer.stream(min_chunk_size=span[1] + 1)), b"")
        return bytes(data)[: span[1] + 1], int(answer.meta["size"])
    except FileNotFoundError as error:
        raise ReadFailed(f"{shown(href)}: no such object") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        fix = "" if signed else f": asked without credentials; {FIX}"
        raise ReadFailed(f"{shown(href)}: access denied{fix}") from error
    except ValueError as error:  # a key that obstore takes for none: a//b, ../b
        raise ReadFailed(f"{shown(href)}: {printable(error)}") from error
    except (BaseError, OSError) as error:
        raise Hiccup(f"{type(error).__name__}: {error}") from error
