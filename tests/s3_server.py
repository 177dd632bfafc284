"""An S3 API on loopback, in memory, for many writers: in one thread each request is one step.

Run as a process of its own: ``python tests/s3_server.py PORT``. It knows what storing objects takes
(put, also on a condition, get, ranges, head, delete, list): no signatures, versions, uploads in
parts. ``test_s3_server`` holds it against moto, which takes longer, and checks a condition and puts
the object in two steps.
"""

import asyncio
import hashlib
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

REASONS = {
    "BucketAlreadyOwnedByYou": 409, "InvalidRange": 416, "InvalidRequest": 400,
    "MethodNotAllowed": 405, "NoSuchBucket": 404, "NoSuchKey": 404, "PreconditionFailed": 412,
}  # fmt: skip


class Stored(NamedTuple):
    """An object: its bytes, their ETag, when they came, what its writer said of them."""

    body: bytes
    tag: str
    when: datetime
    said: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        when = format_datetime(self.when, usegmt=True)
        return self.said | {"ETag": self.tag, "Last-Modified": when}

    def fits(self, tag: str | None) -> bool:
        """Whether it is the one that is asked for; quotes do not matter, no tag is any."""
        return tag is None or tag.strip('"') == self.tag.strip('"')


Bucket = dict[str, Stored]
Headers = dict[str, str]
Answer = tuple[int, Headers, bytes]
buckets: dict[str, Bucket] = {}


def refused(code: str) -> Answer:
    return REASONS[code], {}, f"<Error><Code>{code}</Code></Error>".encode()


def answer(method: str, target: str, headers: Headers, body: bytes) -> Answer:
    path, _, query = target.partition("?")
    name, _, key = unquote(path).lstrip("/").partition("/")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    if not key and method == "PUT":
        return refused("BucketAlreadyOwnedByYou") if name in buckets else made(name)
    if name not in buckets:
        return refused("NoSuchBucket")
    bucket = buckets[name]
    match method, bool(key):
        case "GET", False:
            return 200, {}, listed(bucket, asked)
        case "POST", False if "delete" in asked:
            return 200, {}, deleted(bucket, body)
        case "PUT", True:
            return put(bucket, key, headers, body)
        case "GET" | "HEAD", True:
            return got(bucket, key, headers)
        case "DELETE", True:
            bucket.pop(key, None)
            return 204, {}, b""
    return refused("MethodNotAllowed")


def made(name: str) -> Answer:
    buckets[name] = {}
    return 200, {"Location": f"/{name}"}, b""


def put(bucket: Bucket, key: str, headers: Headers, body: bytes) -> Answer:
    there = bucket.get(key)
    if "if-match" in headers and there is None:
        return refused("NoSuchKey")
    if there and ("if-none-match" in headers or not there.fits(headers.get("if-match"))):
        return refused("PreconditionFailed")
    if "x-amz-copy-source" in headers:
        return copied(bucket, key, headers)
    if "aws-chunked" in headers.get("content-encoding", ""):
        return refused("InvalidRequest")
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    said = {n: v for n, v in headers.items() if n.startswith("x-amz-meta-") or n == "content-type"}
    bucket[key] = Stored(body, tag, datetime.now(UTC), said)
    return 200, {"ETag": tag}, b""


def copied(bucket: Bucket, key: str, headers: Headers) -> Answer:
    where, _, source = unquote(headers["x-amz-copy-source"]).lstrip("/").partition("/")
    if source not in buckets.get(where, {}):
        return refused("NoSuchKey")
    there = buckets[where][source]
    if not there.fits(headers.get("x-amz-copy-source-if-match")):
        return refused("PreconditionFailed")
    if buckets[where] is bucket and source == key:
        return refused("InvalidRequest")
    bucket[key] = there._replace(when=datetime.now(UTC))
    told = f"<ETag>{there.tag}</ETag><LastModified>{_iso(bucket[key].when)}</LastModified>"
    return 200, {}, f"<CopyObjectResult>{told}</CopyObjectResult>".encode()


def got(bucket: Bucket, key: str, headers: Headers) -> Answer:
    if key not in bucket:
        return refused("NoSuchKey")
    there = bucket[key]
    if not there.fits(headers.get("if-match")):
        return refused("PreconditionFailed")
    if "if-none-match" in headers and there.fits(headers["if-none-match"]):
        return 304, {"ETag": there.tag}, b""
    if "range" not in headers:
        return 200, there.headers, there.body
    size = len(there.body)
    first, _, last = headers["range"].removeprefix("bytes=").partition("-")
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return refused("InvalidRange")
    span = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return 206, there.headers | span, there.body[start:end]


def listed(bucket: Bucket, asked: dict[str, str]) -> bytes:
    """A page: objects, and what keys have in common up to the delimiter."""
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    after = asked.get("continuation-token") or asked.get("start-after", "")
    rows: dict[str, str] = {}
    last, more = "", False
    for key in sorted(key for key in bucket if key.startswith(prefix) and key > after):
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key[: end + len(delimiter)] if end >= 0 else key
        if more := name not in rows and len(rows) == int(asked.get("max-keys", 1000)):
            break
        rows[name], last = (_prefix(name) if end >= 0 else _object(key, bucket[key])), key
    token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult><KeyCount>{len(rows)}</KeyCount><IsTruncated>{str(more).lower()}"
        f"</IsTruncated>{token}{''.join(rows.values())}</ListBucketResult>"
    ).encode()


def _iso(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S.000Z}"


def _prefix(name: str) -> str:
    return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"


def _object(key: str, there: Stored) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><Size>{len(there.body)}</Size><ETag>{there.tag}</ETag>"
        f"<LastModified>{_iso(there.when)}</LastModified>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def deleted(bucket: Bucket, body: bytes) -> bytes:
    told = ""
    for one in ElementTree.fromstring(body).iter():
        if one.tag.endswith("Key"):
            bucket.pop(one.text or "", None)
            told += f"<Deleted><Key>{escape(one.text or '')}</Key></Deleted>"
    return f"<DeleteResult>{told}</DeleteResult>".encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.rstrip().split("\r\n")
            method, target, _ = request.split()
            fields = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            if "expect" in headers:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status, more, told = answer(method, target, headers, body)
            length = {"Content-Length": str(len(told))} if status not in (204, 304) else {}
            said = "".join(f"{name}: {value}\r\n" for name, value in (more | length).items())
            writer.write(f"HTTP/1.1 {status} -\r\n{said}\r\n".encode())
            writer.write(b"" if method == "HEAD" else told)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):  # whoever asked is gone
        writer.close()


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
