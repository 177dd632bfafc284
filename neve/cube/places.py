"""Where repositories lie: a location's text → Icechunk storage, or the repository there.

Belongs here: schemes, options of another S3 API, and what is said when a place cannot be reached.
Does not belong here: layouts, sessions, commits (``store``). Credentials come from the environment
and from nowhere else, in the names that each provider's own tools use.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import icechunk as ic

from neve.errors import AskPerson, CubeMismatch, Retry

SCHEMES = "s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, "
SCHEMES += "al://org/repository, memory://name or a folder"
CREATING_SECONDS = 10
PASSING = (
    "connect",
    "timeout",
    "timed out",
    "SlowDown",  # Icechunk tells S3's own codes
    "TooManyRequests",
    "InternalError",
    "ServiceUnavailable",
)
FULL = ("No space left", "quota exceeded")
# What Icechunk says where something is, and no repository yet.
UNCLEAN = "clean prefixes"
# What Icechunk says of a snapshot beside its parent's clock, and beside the store's.
AHEAD = "timestamp ordering"
CLOCK = (AHEAD, "timestamp is invalid")


def local_folder(location: str) -> Path | None:
    """The folder of a local place (a path or ``file://``), None for all others."""
    if location.startswith("file://"):
        return Path(location.removeprefix("file://"))
    return None if "://" in location else Path(location).absolute()


def storage(location: str, s3_options: Mapping[str, Any] | None = None) -> ic.Storage:
    """Icechunk storage of a location.

    ``s3_options`` are passed on to ``icechunk.s3_storage`` (``endpoint_url``, ``allow_http``, …).
    ``memory://name`` is this process's own and ends with it. Raises ``AskPerson`` for anything
    that names no place.
    """
    folder = local_folder(location)
    if folder is not None:
        # Icechunk warns that local commits need a guard; Cube holds a file lock around them.
        ic.set_logs_filter("error")
        return ic.local_filesystem_storage(str(folder))
    scheme, _, path = location.partition("://")
    first, _, rest = path.partition("/")
    if scheme == "s3" and first:
        return ic.s3_storage(bucket=first, prefix=rest, from_env=True, **(s3_options or {}))
    if scheme == "gs" and first:
        return ic.gcs_storage(bucket=first, prefix=rest, from_env=True)
    container, _, prefix = rest.partition("/")
    if scheme == "az" and first and container:
        return ic.azure_storage(account=first, container=container, prefix=prefix, from_env=True)
    if scheme == "memory":
        return _memory(path)
    raise AskPerson(f"store {location}: no such kind of place; use {SCHEMES}")


def s3_options(endpoint: str | None) -> dict[str, Any]:
    """Options of ``storage`` for an S3 API at a URL other than AWS's; none for AWS."""
    if not endpoint:
        return {}
    insecure = endpoint.startswith("http://")
    return {"endpoint_url": endpoint, "allow_http": insecure, "force_path_style": True}


def open_repository(location: str, s3_options: Mapping[str, Any] | None = None) -> ic.Repository:
    """The repository at a location; raises ``CubeMismatch`` where there is none."""
    if location.startswith("al://"):
        return _arraylake().get_repo(location.removeprefix("al://"))
    with explained(location):
        place = storage(location, s3_options)
        if ic.Repository.exists(place):
            return ic.Repository.open(place)
    raise CubeMismatch(
        f"{location}: no cube here, nor another Icechunk repository; neve build makes one"
    )


def open_or_create(
    location: str, config: ic.RepositoryConfig, s3_options: Mapping[str, Any] | None = None
) -> ic.Repository:
    """The repository at a place, created where there is none; the caller guards a local folder."""
    if location.startswith("al://"):
        return _arraylake().get_or_create_repo(location.removeprefix("al://"))
    with explained(location):
        place = storage(location, s3_options)
        for _ in range(CREATING_SECONDS):
            try:
                return ic.Repository.open_or_create(place, config=config)
            except ic.StorageError:
                raise
            except ic.IcechunkError as error:
                if isinstance(error, ic.InvalidInputError) and UNCLEAN not in str(error):
                    raise
                # Something is there and no repository yet: another writer may be creating it.
                reason = error
                time.sleep(1)
    raise CubeMismatch(f"{location}: not empty, and no repository; name another place") from reason


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Turn Icechunk's errors of a place into ours, in one line that names the place.

    ``Retry`` for what may pass (no connection, a busy server), else ``AskPerson``.
    """
    try:
        yield
    except ic.IcechunkError as error:
        reason = str(error).split("\n\n")[0].removeprefix("object store error ")
        stored = isinstance(error, ic.StorageError)
        if stored and any(word.lower() in reason.lower() for word in PASSING):
            raise Retry(f"{location}: {reason}; run again when the store answers") from error
        raise AskPerson(f"{location}: {_explained(reason, stored)}") from error


def _explained(reason: str, stored: bool) -> str:
    """What a person should do about an error that will not pass by itself."""
    if any(word.lower() in reason.lower() for word in FULL):
        return f"{reason}; nothing was published; make room, then run again"
    if any(words in reason for words in CLOCK):
        return f"{reason}; nothing was published; set the machines' clocks, then run again"
    if stored:
        return (
            f"{reason}; is the bucket there, are the provider's credentials in the "
            "environment, and does NEVE_S3_ENDPOINT name the S3 API where it is not AWS's?"
        )
    return f"the repository cannot be used: {reason}; restore it, or name another store"


@cache
def _memory(name: str) -> ic.Storage:
    return ic.in_memory_storage()


def _arraylake() -> Any:
    try:
        from arraylake import Client
    except ImportError as error:
        raise AskPerson(
            "al:// needs Arraylake's own client: pip install arraylake, and arraylake auth login"
        ) from error
    return Client()
