"""A file at any href as a seekable Python file, for libraries that read headers or whole formats.

Belongs here: the file object. Does not belong here: how bytes get here (``ranges``).
"""

import io
from collections import OrderedDict
from collections.abc import Callable
from zlib import crc32

from neve.errors import ReadFailed
from neve.reading.ranges import Hiccup, Reads, fetch, retrying
from neve.scenes.hrefs import shown

# Bytes fetched at once, and how many such pieces are kept.
PIECE = 256 * 1024
KEPT = 32
# Of 2²⁴ equal pixels deflate makes 4 KiB of zeros in a row, other compressions 36 bytes; an index
# of tiles that were never written is some 15 KiB of them.
_BLANK = bytes(64 * 1024)
# From the size of a file to what ``sums_of`` it is, or nothing where its checksum is not looked at;
# raises ``ReadFailed`` for a file that is not the one that was meant.
Check = Callable[[int], bytes]


def unchecked(size: int) -> bytes:
    """Takes any file."""
    return b""


class RangeFile(io.RawIOBase):
    """Reads by retried ranges; ``head``: the first bytes, already here.

    ``most``: bytes that it gives out, again and again included, before it fails. ``blank``:
    numbers of the pieces that hold more zeros in a row than anything compressed. ``sums``: what
    ``sums_of`` the whole file is, where that is known; other bytes are asked for again.
    """

    def __init__(
        self,
        href: str,
        head: bytes,
        size: int,
        reads: Reads,
        most: int,
        sums: bytes = b"",
    ) -> None:
        self._href, self._head, self._size, self._reads = href, head, size, reads
        self._most = self._left = most
        self._sums = sums
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._at, self._raises = 0, True
        self._last = max(size // PIECE - 1, 0)
        self.failures: list[ReadFailed] = []
        self.blank: list[int] = []

    def again(self) -> "RangeFile":
        """Another one on the same file, at its start, with the same memory, for GDAL.

        That swallows or prints what a file object raises: failures stay in ``failures``, and
        after one there are no more bytes.
        """
        other = RangeFile(self._href, self._head, self._size, self._reads, self._most, self._sums)
        other._pieces, other._raises = self._pieces, False
        other.failures, other.blank = self.failures, self.blank
        return other

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, here or the end."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes from here on. Raises ``ReadFailed``."""
        if self.failures and not self._raises:
            return b""
        try:
            return self._read(size)
        except ReadFailed as error:
            self.failures.append(error)
            if self._raises:
                raise
            return b""

    def _read(self, size: int) -> bytes:
        stop = self._size if size < 0 else min(self._at + size, self._size)
        self._left -= max(stop - self._at, 0)
        if self._left < 0:
            raise ReadFailed(f"{shown(self._href)}: read over and over, its header is broken")
        data = bytearray(self._head[self._at : stop])
        while self._at + len(data) < stop:
            at = self._at + len(data)
            number = min(at // PIECE, self._last)
            start = at - number * PIECE
            data += self._piece(number)[start : start + stop - at]
        self._at += len(data)
        return bytes(data)

    def _piece(self, number: int) -> bytes:
        if number not in self._pieces:
            data = retrying(self._href, self._reads, lambda fresh: self._fetch(number, fresh))
            self._pieces[number] = data
            if _BLANK in data or not any(data):
                self.blank.append(number)
            if len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(number)
        return self._pieces[number]

    def _fetch(self, number: int, fresh: bool) -> bytes:
        # The last takes what is left over: so short that it could be zeros is none.
        span = (number * PIECE, 2 * PIECE if number == self._last else PIECE)
        (data,), _ = fetch(self._href, [span], fresh, self._reads, self._size)
        known = self._sums[4 * number :]
        if known and not known.startswith(sums_of(data)):
            raise Hiccup("other bytes than when its checksum was looked at")
        return data


def sums_of(data: bytes) -> bytes:
    """CRC-32 of each piece, four bytes each, of data that begin with one."""
    pieces = (data[start : start + PIECE] for start in range(0, len(data), PIECE))
    return b"".join(crc32(piece).to_bytes(4) for piece in pieces)
