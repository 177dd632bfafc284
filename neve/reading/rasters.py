"""Images that are no deflate COGs (JPEG 2000, LZW, ZSTD, striped …), through GDAL.

Belongs here: the same face as ``cog.Cog`` on top of rasterio. Does not belong here: the common
case; this one is slower. GDAL reads through a ``RangeFile``: its own network layer would replay
failures from its cache.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from functools import partial
from uuid import uuid4

import numpy as np
import rasterio
from rasterio._vsiopener import _opener_registration
from rasterio.windows import Window as RasterWindow

from neve.errors import ReadFailed
from neve.reading.cog import HEAD, Level
from neve.reading.rangefile import Check, RangeFile, unchecked
from neve.reading.ranges import Hiccup, Reads, fetch, retrying
from neve.reading.warping import Window
from neve.scenes.hrefs import shown

# What GDAL may read of the smallest file, again and again.
_LEAST = 2**20

# Files that GDAL may open now, by name.
_sources: dict[str, RangeFile] = {}


def _open(path: str, mode: str = "rb") -> RangeFile:
    name = path.rpartition("/")[2]
    if name not in _sources:  # GDAL asks for companions (.aux.xml, .ovr) too
        raise FileNotFoundError(path)
    return _sources[name].again()


# ``rasterio.open(…, opener=…)`` installs a handler in GDAL and removes it again; threads that look
# for theirs meanwhile crash the process. This one stays; it is known in one context alone.
_known = Context()
_registration = _opener_registration("neve", _open)
_FOLDER = _known.run(_registration.__enter__).removesuffix("neve")


def _knowing[**P, T](work: Callable[P, T]) -> Callable[P, T]:
    """The same work, in that context."""

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return _known.copy().run(work, *args, **kwargs)

    return run


class Raster:
    """A file: ``levels`` (one: no overviews), ``dtype``, ``epsg``, ``size``, ``sums`` if known.

    ``plain``: its pixels are stored as they are. Nothing is held open, since GDAL's handles
    belong to one thread.
    """

    def __init__(self, href: str, reads: Reads, check: Check = unchecked) -> None:
        """Read the header of a file that passes. Raises ``ReadFailed``."""
        self.href, self.reads, self._check = href, reads, check
        retrying(href, reads, self._describe)

    @_knowing
    def _describe(self, fresh: bool, known: int | None = None) -> None:
        (head,), self.size = fetch(self.href, [(0, HEAD)], fresh, self.reads, known)
        most, self.sums = 2 * self.size + _LEAST, self._check(self.size)
        known_head = b"" if self.sums else head  # GDAL may not see that later answers differ
        self._source = RangeFile(self.href, known_head, self.size, self.reads, most, self.sums)
        # Left to choose, GDAL knows formats that open further files, wherever the first one says.
        self._driver = "GTiff" if head[:2] in (b"II", b"MM") else "JP2OpenJPEG"
        with self._opened() as dataset:
            self.dtype = np.dtype(dataset.dtypes[0])
            if self.dtype not in (np.uint8, np.uint16) or dataset.count != 1:
                raise ReadFailed(
                    f"{shown(self.href)}: {dataset.count} × {self.dtype}; "
                    "one band of uint8 or uint16 is expected"
                )
            self.epsg = dataset.crs.to_epsg() if dataset.crs else None
            self.plain = dataset.driver == "GTiff" and dataset.compression is None
            height, width = dataset.shape
            self.levels = (Level(height, width, dataset.block_shapes[0], dataset.transform),)
            self.levels[0].check()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[rasterio.DatasetReader]:
        """The dataset; what goes wrong has the reason of the file where that is to blame."""
        failures, name = self._source.failures, str(uuid4())
        failures.clear()
        _sources[name] = self._source
        try:
            with (
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
                rasterio.open(_FOLDER + name, driver=self._driver) as dataset,
            ):
                yield dataset
        except (Hiccup, ReadFailed):
            raise
        except Exception as error:  # GDAL and rasterio raise whatever a broken file leads to
            raise failures[0] if failures else Hiccup(f"GDAL: {error}") from error
        finally:
            del _sources[name]
        if failures:
            raise failures[0]
        if self._source.blank and not self.plain:
            raise Hiccup("zeros in a row, more of them than any compressed image has")

    def prefetch(self, level: int, wanted: Sequence[tuple[int, int]]) -> None:
        """GDAL fetches while it decodes."""

    def close(self) -> None:
        """Nothing is held open."""

    def paste(
        self, level: int, wanted: Sequence[tuple[int, int]], window: Window
    ) -> Iterator[tuple[int, int]]:
        """See ``cog.Cog.paste``."""
        for at in wanted:
            retrying(self.href, self.reads, partial(self._paste, at=at, window=window))
            yield at

    @_knowing
    def _paste(self, fresh: bool, at: tuple[int, int], window: Window) -> None:
        if fresh:
            self._describe(fresh, self.size)
        shape = self.levels[0]
        row, col = at[0] * shape.tile[0], at[1] * shape.tile[1]
        top, left = max(row, window.row), max(col, window.col)
        bottom = min(row + shape.tile[0], shape.height, window.row + window.pixels.shape[0])
        right = min(col + shape.tile[1], shape.width, window.col + window.pixels.shape[1])
        if bottom <= top or right <= left:
            return
        rows = slice(top - window.row, bottom - window.row)
        cols = slice(left - window.col, right - window.col)
        with self._opened() as dataset:
            if dataset.driver == "GTiff":
                count = dataset.get_tag_item(f"BLOCK_SIZE_{at[1]}_{at[0]}", "TIFF", bidx=1)
                if not count:  # GDAL would read zeros.
                    raise ReadFailed(
                        f"{shown(self.href)}: tile {at} is missing: unfinished or sparse file"
                    )
                shape.check_stored(int(count), self.dtype)
            part = RasterWindow(left, top, right - left, bottom - top)
            window.pixels[rows, cols] = dataset.read(1, window=part)
