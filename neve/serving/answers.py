"""Answers: bodies with the right caching and security headers.

Belongs here: everything in a header. Does not belong here: what a body says.

What a snapshot id names never changes: its stored bytes are immutable, and what this release makes
of them holds for a day, then their ETag is asked for. Branches move and tags may belong to another
cube tomorrow, so theirs are asked for each time.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

import neve
from neve import page

IMMUTABLE = "public, max-age=31536000, immutable"
A_DAY = "public, max-age=86400"
REVALIDATE = "no-cache"
INLINE = " ".join(page.inline_hashes())
SECURITY = {
    # A page that needs nothing from elsewhere; a notebook on this machine may frame it.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' {INLINE}; worker-src 'self' blob:; "
        "media-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self' data: blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def cached(request: Request, body: Any, fixed: bool, media: str = "application/json") -> Response:
    """A JSON answer, or bytes as they are; ``fixed``: of a snapshot id that the URL names."""
    if isinstance(body, bytes):
        data = body
    else:
        data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    if unchanged(request, tag):
        return not_modified(tag, fixed)
    return Response(data, media_type=media, headers=caching(tag, fixed))


def etag(snapshot: str) -> str:
    """The tag of what depends on a snapshot, the URL and this release only."""
    return f'"{snapshot}-{neve.__version__}"'


def caching(tag: str, fixed: bool, holds: str = A_DAY) -> dict[str, str]:
    """Headers that say how long an answer holds: a ``fixed`` one ``holds`` unasked."""
    return {"ETag": tag, "Cache-Control": holds if fixed else REVALIDATE}


def unchanged(request: Request, tag: str) -> bool:
    """Whether the client holds this answer already."""
    held = request.headers.get("If-None-Match", "")
    return tag in (part.strip().removeprefix("W/") for part in held.split(","))


def not_modified(tag: str, fixed: bool) -> Response:
    """304: what the client holds is right."""
    return Response(status_code=304, headers=caching(tag, fixed))


def failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as JSON, not to be kept."""
    return Response(
        json.dumps({"error": message}),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )
