"""A file at any href as a seekable Python file, for libraries that read headers or whole formats.

Belongs here: the file object. Does not belong here: how bytes get here (``ranges``).
"""

import io
from collections import OrderedDict

from neve.errors import ReadFailed
from neve.reading.ranges import Reads, fetch, retrying
from neve.scenes.hrefs import shown

# Bytes fetched at once, and how many such pieces are kept.
PIECE = 256 * 1024
KEPT = 32


class RangeFile(io.RawIOBase):
    """Reads by retried ranges; ``head``: the first bytes, already here.

    ``most``: bytes that it gives out, again and again included, before it fails.
    """

    def __init__(self, href: str, head: bytes, size: int, reads: Reads, most: int) -> None:
        self._href, self._head, self._size, self._reads = href, head, size, reads
        self._most = self._left = most
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._at, self._raises = 0, True
        self.failures: list[ReadFailed] = []

    def again(self) -> "RangeFile":
        """Another one on the same file, at its start, with the same memory, for GDAL.

        That swallows or prints what a file object raises: failures stay in ``failures``, and
        after one there are no more bytes.
        """
        other = RangeFile(self._href, self._head, self._size, self._reads, self._most)
        other._pieces, other.failures, other._raises = self._pieces, self.failures, False
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
            piece = self._piece(at // PIECE)
            data += piece[at % PIECE : at % PIECE + stop - at]
        self._at += len(data)
        return bytes(data)

    def _piece(self, number: int) -> bytes:
        if number not in self._pieces:
            span = (number * PIECE, PIECE)
            parts, _ = retrying(
                self._href,
                self._reads,
                lambda fresh: fetch(self._href, [span], fresh, self._reads, self._size),
            )
            self._pieces[number] = parts[0]
            if len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(number)
        return self._pieces[number]
