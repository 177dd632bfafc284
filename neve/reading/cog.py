"""Cloud-optimised GeoTIFFs, tile by tile: headers by tifffile, inflated by libdeflate.

Belongs here: what a file says of itself and how one tile becomes pixels. Does not belong here:
grids and validity. Files of other kinds are ``rasters``. Why raw tiles: see docs/reading.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import deflate
import numpy as np
import tifffile
from affine import Affine
from numba import njit
from numpy.typing import NDArray

from neve.errors import ReadFailed
from neve.reading.rangefile import Check, RangeFile, unchecked
from neve.reading.ranges import Hiccup, Reads, Span, fetch, grouped, remote, retrying
from neve.reading.warping import Window
from neve.scenes.hrefs import shown
from neve.scenes.values import LARGEST_SIDE

# Holds the header of a 10980² file with its overviews; GDAL reads 16 KiB.
HEAD = 32 * 1024
# So much of a file may be its header, and so many images may be in it.
_MOST_HEADER, _MOST_PAGES = 2**25, 64
# Pixels of a tile or strip, and tiles of a level.
_LARGEST_TILE, _MOST_TILES = 2**24, 2**18
_TIFF = (b"II*\0", b"II+\0")
_FOR_GDAL = (b"MM\0*", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_DEFLATE = (8, 32946)
_PIXEL_IS_POINT = 2


class Unsupported(Exception):
    """Not a kind of file that is read raw; GDAL may know it."""


@dataclass(frozen=True)
class Level:
    """One resolution of an image: its size, its tiles (rows, columns) and where it lies."""

    height: int
    width: int
    tile: tuple[int, int]
    transform: Affine

    @property
    def tiles(self) -> tuple[int, int]:
        """Number of tiles down and across."""
        return -(-self.height // self.tile[0]), -(-self.width // self.tile[1])

    def check(self) -> None:
        """Raise ``Hiccup`` for sizes that no granule's image has: memory would go by them."""
        sides = (self.height, self.width, *self.tile)
        sound = min(sides) > 0 and max(sides[:2]) <= LARGEST_SIDE
        sound = sound and self.tile[0] * self.tile[1] <= _LARGEST_TILE
        if not sound or self.tiles[0] * self.tiles[1] > _MOST_TILES:
            raise Hiccup(f"no image of a granule: {sides[:2]} pixels in tiles of {self.tile}")

    def check_stored(self, count: int, dtype: np.dtype[Any]) -> None:
        """Raise ``Hiccup`` for a tile of more stored bytes than any compression makes of it."""
        if count > 2 * self.tile[0] * self.tile[1] * dtype.itemsize + 1024:
            raise Hiccup(f"a tile of {self.tile} pixels cannot take {count} bytes")


@dataclass(frozen=True)
class TileIndex:
    """Where the tiles of a level lie in the file."""

    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    predictor: int


class Cog:
    """An opened file: ``levels`` (finest first), ``dtype`` (uint8, uint16), ``epsg``, ``size``."""

    def __init__(self, href: str, reads: Reads, check: Check = unchecked) -> None:
        """Read the header of a file that passes. Raises ``Unsupported`` and ``ReadFailed``."""
        self.href, self.reads, self._check = href, reads, check
        self._packed: dict[Span, bytes] = {}
        retrying(href, reads, self._open)

    def _open(self, fresh: bool) -> None:
        (head,), self.size = fetch(self.href, [(0, HEAD)], fresh, self.reads)
        if head.startswith(_FOR_GDAL):
            raise Unsupported("big-endian TIFF or JPEG 2000")
        if not head.startswith(_TIFF):
            raise Hiccup(f"no image: it begins with {head[:16]!r}")
        if (sums := self._check(self.size)) and remote(self.href):
            head = b""  # another answer may have been right: read it anew, and compare
        source = RangeFile(self.href, head, self.size, self.reads, _MOST_HEADER, sums)
        try:
            with tifffile.TiffFile(source, name=self.href) as tiff:
                pages = [page for page in islice(tiff.pages, _MOST_PAGES) if _is_image(page)]
                self._describe(pages)
        except (Hiccup, ReadFailed, Unsupported):
            raise
        except Exception as error:  # the library raises whatever a broken header leads to
            raise Hiccup(f"broken TIFF header: {error}") from error

    def _describe(self, pages: Sequence[tifffile.TiffPage]) -> None:
        first = pages[0]
        if first.dtype not in ("uint8", "uint16") or first.samplesperpixel != 1:
            raise Unsupported(f"{first.samplesperpixel} × {first.dtype}")
        if any(page.compression not in _DEFLATE or not page.is_tiled for page in pages):
            raise Unsupported("not tiled deflate")
        self.dtype = np.dtype(first.dtype)
        transform, self.epsg = _georeference(first)
        self.levels = tuple(_level(page, first, transform) for page in pages)
        for level in self.levels:
            level.check()
        self._index = tuple(
            TileIndex(
                np.asarray(page.dataoffsets, np.int64),
                np.asarray(page.databytecounts, np.int64),
                int(page.predictor),
            )
            for page in pages
        )
        if any(index.predictor not in (1, 2) for index in self._index):
            raise Unsupported("predictor")
        for level, index in zip(self.levels, self._index, strict=True):
            if not index.offsets.size == index.counts.size == level.tiles[0] * level.tiles[1]:
                raise Hiccup(f"{index.offsets.size} tiles are listed of {level.tiles}")
            level.check_stored(int(index.counts.max()), self.dtype)

    def prefetch(self, level: int, wanted: Sequence[tuple[int, int]]) -> None:
        """Fetch the bytes of tiles that ``paste`` will take. Raises ``ReadFailed``."""
        spans = [self._span(level, at) for at in wanted]
        self._packed = dict(zip(spans, self._fetch(spans), strict=True))

    def close(self) -> None:
        """Let go of what was fetched."""
        self._packed = {}

    def paste(
        self, level: int, wanted: Sequence[tuple[int, int]], window: Window
    ) -> Iterator[tuple[int, int]]:
        """Write the wanted tiles (row, column) into the window; yields each when it is there.

        Raises ``ReadFailed`` for tiles that are missing, cut short or do not inflate.
        """
        tile, predictor = self.levels[level].tile, self._index[level].predictor
        spans = [self._span(level, at) for at in wanted]
        # One request at a time: a tile is inflated while its bytes are warm, and let go.
        for group in grouped(self.href, spans):
            packed = self._fetch([spans[k] for k in group])
            for k, data in zip(group, packed, strict=True):
                pixels = np.frombuffer(self._inflated(spans[k], data, tile), self.dtype)
                top, left = wanted[k][0] * tile[0], wanted[k][1] * tile[1]
                put = _sums if predictor == 2 else _copy
                put(pixels.reshape(tile), window.pixels, top - window.row, left - window.col)
                yield wanted[k]

    def _span(self, level: int, at: tuple[int, int]) -> Span:
        index, k = self._index[level], at[0] * self.levels[level].tiles[1] + at[1]
        offset, count = int(index.offsets[k]), int(index.counts[k])
        if count == 0 or offset == 0:
            raise ReadFailed(
                f"{shown(self.href)}: tile {at} is missing: an unfinished or sparse file"
            )
        if offset + count > self.size:
            raise ReadFailed(
                f"{shown(self.href)}: truncated, tile {at} ends at byte {offset + count} "
                f"of {self.size}"
            )
        return offset, count

    def _fetch(self, spans: Sequence[Span]) -> list[bytes]:
        """The bytes of spans, prefetched ones first."""
        missing = [span for span in spans if span not in self._packed]
        parts = retrying(self.href, self.reads, lambda fresh: self._ask(missing, fresh))
        found = dict(zip(missing, parts, strict=True))
        return [found[span] if span in found else self._packed.pop(span) for span in spans]

    def _ask(self, spans: Sequence[Span], fresh: bool) -> list[bytes]:
        return fetch(self.href, spans, fresh, self.reads, self.size)[0]

    def _inflated(self, span: Span, data: bytes, tile: tuple[int, int]) -> bytearray:
        """The pixels of a tile; bytes that do not inflate (checksum included) are fetched anew."""

        def attempt(fresh: bool) -> bytearray:
            packed = self._ask([span], fresh)[0] if fresh else data
            wanted = tile[0] * tile[1] * self.dtype.itemsize
            try:
                pixels = deflate.zlib_decompress(packed, wanted)
            except deflate.DeflateError as error:
                raise Hiccup(f"the tile at byte {span[0]} does not inflate: {error}") from error
            if len(pixels) != wanted:
                raise Hiccup(f"the tile at byte {span[0]} holds {len(pixels)} of {wanted} bytes")
            return pixels

        return retrying(self.href, self.reads, attempt)


def _is_image(page: tifffile.TiffPage | tifffile.TiffFrame) -> bool:
    """Not a transparency mask."""
    return not int(page.tags[254].value if 254 in page.tags else 0) & 4


def _level(page: tifffile.TiffPage, first: tifffile.TiffPage, transform: Affine) -> Level:
    scale = Affine.scale(first.imagewidth / page.imagewidth, first.imagelength / page.imagelength)
    return Level(
        page.imagelength, page.imagewidth, (page.tilelength, page.tilewidth), transform @ scale
    )


def _georeference(page: tifffile.TiffPage) -> tuple[Affine, int | None]:
    """Pixel corner → CRS, and the EPSG code of the CRS."""
    tags = page.tags
    if 33550 not in tags or 33922 not in tags:
        raise Unsupported("no scale and tie point")
    (sx, sy, *_), (i, j, _, x, y, *_) = tags[33550].value, tags[33922].value
    words = tags[34735].value if 34735 in tags else ()
    keys = np.asarray(words, int).reshape(-1, 4)[1:]
    geo = {int(key): int(value) for key, place, _, value in keys if place == 0}
    half = 0.5 if geo.get(1025) == _PIXEL_IS_POINT else 0.0
    epsg = geo.get(3072, geo.get(2048))
    transform = Affine(sx, 0, x - (i + half) * sx, 0, -sy, y + (j + half) * sy)
    return transform, epsg if epsg != 32767 else None


@njit(cache=True, nogil=True)
def _sums(tile, window, top, left):  # type: ignore[no-untyped-def]
    """Undo the horizontal differences of a tile into the window at (top, left)."""
    height, width = window.shape
    first = max(-left, 0)
    last = min(tile.shape[1], width - left)
    for r in range(max(-top, 0), min(tile.shape[0], height - top)):
        total = 0
        for c in range(first):
            total += tile[r, c]
        for c in range(first, last):
            total += tile[r, c]
            window[top + r, left + c] = total


@njit(cache=True, nogil=True)
def _copy(tile, window, top, left):  # type: ignore[no-untyped-def]
    """Copy a tile into the window at (top, left)."""
    height, width = window.shape
    first = max(-left, 0)
    last = min(tile.shape[1], width - left)
    for r in range(max(-top, 0), min(tile.shape[0], height - top)):
        window[top + r, left + first : left + last] = tile[r, first:last]
