"""Checksums of whole files, as their items tell them.

Belongs here: reading a file once for its digest. Does not belong here: what else is wrong with a
file (``image``), how its bytes get here (``ranges``).
"""

import hashlib
from functools import lru_cache, partial
from pathlib import Path

from neve.errors import ReadFailed
from neve.reading.rangefile import sums_of
from neve.reading.ranges import WHOLE, Reads, fetch, local_path, remote, retrying
from neve.scenes.hrefs import shown

_HASHES = {"1114": "sha1", "1220": "sha256", "1340": "sha512", "d50110": "md5"}


def verify(href: str, checksum: str, size: int, reads: Reads) -> bytes:
    """Raise ``ReadFailed`` unless the file has this checksum (a multihash in hex).

    Returns what ``sums_of`` the file is, or nothing where checksums are not looked at.
    """
    if reads.verify == "never" or (reads.verify == "local" and remote(href)):
        return b""
    stamp = 0 if remote(href) else Path(local_path(href)).stat().st_mtime_ns
    return _verify(href, checksum, size, stamp, reads)


@lru_cache(maxsize=100_000)
def _verify(href: str, checksum: str, size: int, stamp: int, reads: Reads) -> bytes:
    prefix = next((key for key in _HASHES if checksum.startswith(key)), None)
    if prefix is None:
        raise ReadFailed(
            f"{shown(href)}: unknown kind of checksum {checksum[:8]}…; "
            "Reads(verify='never') passes over it"
        )
    digest = hashlib.new(_HASHES[prefix])
    sums = b""
    for start in range(0, size, WHOLE):
        attempt = partial(fetch, href, [(start, WHOLE)], reads=reads, known=size)
        parts, _ = retrying(href, reads, attempt)
        digest.update(parts[0])
        sums += sums_of(parts[0])
    if digest.hexdigest() != checksum.removeprefix(prefix).lower():
        raise ReadFailed(f"{shown(href)}: the file does not match the checksum of its item")
    return sums
