"""From an asset to pixels of a grid: the file opened and checked, the right tiles, resampled.

Belongs here: which level and which tiles of an image are read, and by which resampling. Does
not belong here: bytes (``ranges``), tiles (``cog``, ``rasters``), masks' meaning, days.

Resampling of a band, aware of nodata (DN 0; where an offset is still to be applied, raw DN 1
too), to whole DN, then shifted to reflectance and saturated:
- a target similar to the source or finer: bilinear; neighbours without data lose their weight.
  On the source's own pixel grid this is an exact copy;
- a target ``AVERAGE_FROM`` times coarser or more: area average of clear pixels with data.
"""

import threading
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from neve.errors import ReadFailed
from neve.grid import Grid
from neve.reading.averaging import Clear, Sums
from neve.reading.checksums import verify
from neve.reading.cog import Cog, Level, Unsupported
from neve.reading.interpolating import interpolate
from neve.reading.ranges import Reads, remote
from neve.reading.rasters import Raster
from neve.reading.warping import Lattice, Planes, Window, footprint, ratio, touched
from neve.scenes.hrefs import shown
from neve.scenes.values import Asset

Image = Cog | Raster
Bits = NDArray[np.uint8]
AVERAGE_FROM = 1.5
# Of a pixel's size and place, in units of any CRS.
_LEAST, _MOST = 1e-9, 1e9
_own = threading.local()


@dataclass(frozen=True)
class Target:
    """A grid, and where its pixels lie in the CRS of a scene."""

    grid: Grid
    crs: str
    at: Lattice


def open_image(asset: Asset, crs: str, reads: Reads) -> Image:
    """Open an asset and hold it against what its item says (size, checksum, CRS, place).

    Raises ``ReadFailed`` where it cannot be opened or differs.
    """
    reads = replace(reads, hosts=(*reads.hosts, *asset.hosts))
    check = partial(_checked, asset, reads)
    try:
        image: Image = Cog(asset.href, reads, check)
    except Unsupported:
        image = Raster(asset.href, reads, check)
    if remote(asset.href) and isinstance(image, Raster) and image.plain and not image.sums:
        raise ReadFailed(
            f"{shown(asset.href)}: not compressed, so that zeros of a broken server cannot be told "
            "from nodata; compress the file, or have checksums checked (reading: {verify: all})"
        )
    if image.epsg is not None and _epsg(crs) not in (None, image.epsg):
        raise ReadFailed(f"{shown(asset.href)}: in EPSG:{image.epsg}, its item says {crs}")
    _check_place(asset, image.levels[0])
    return image


def _checked(asset: Asset, reads: Reads, size: int) -> bytes:
    """What ``verify`` returns; raises ``ReadFailed`` for another size or checksum."""
    if asset.size is not None and asset.size != size:
        raise ReadFailed(
            f"{shown(asset.href)}: {size} bytes, its item says {asset.size}: "
            "truncated, or replaced since the item was written"
        )
    return verify(asset.href, asset.checksum, size, reads) if asset.checksum else b""


def _check_place(asset: Asset, level: Level) -> None:
    """Raise ``ReadFailed`` where the image has no place, or another than its item says.

    The item's transform may be that of another asset's resolution: outer edges are compared.
    """
    size, turned, left, skewed, down, top = level.transform[:6]
    # Where the file ends between its pixel size and its place, the place is read as (0, 0).
    placed = (left, top) != (0, 0) and turned == skewed == 0 and size > _LEAST and down < -_LEAST
    if not placed or not all(abs(number) < _MOST for number in (size, left, down, top)):
        raise ReadFailed(f"{shown(asset.href)}: the file does not say where it lies, north up")
    if asset.transform is None or asset.shape is None:
        return
    said = _edges(Affine(*asset.transform[:6]), asset.shape)
    found = _edges(level.transform, (level.height, level.width))
    if not np.abs(np.subtract(said, found)).max() <= 0.01 * size:
        raise ReadFailed(
            f"{shown(asset.href)}: left, top, right, bottom are {found}, its item says {said}"
        )


def _edges(transform: Affine, shape: tuple[int, int]) -> tuple[float, ...]:
    return *(transform @ (0, 0)), *(transform @ (shape[1], shape[0]))


@lru_cache(maxsize=256)
def _epsg(crs: str) -> int | None:
    return CRS(crs).to_epsg()


def read_window(image: Image, place: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Native pixels of the finest level; 0 beyond the image. Raises ``ReadFailed``."""
    level = image.levels[0]
    window = Window(*place, np.zeros(shape, image.dtype))
    for _ in image.paste(0, _under(level, place, shape), window):
        pass
    # Tiles at the far edges are padded with whatever the writer chose.
    window.pixels[max(level.height - place[0], 0) :] = 0
    window.pixels[:, max(level.width - place[1], 0) :] = 0
    return window.pixels


def prefetch_window(image: Image, place: tuple[int, int], shape: tuple[int, int]) -> None:
    """Fetch what ``read_window`` will read. Raises ``ReadFailed``."""
    image.prefetch(0, _under(image.levels[0], place, shape))


def _under(level: Level, place: tuple[int, int], shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Tiles that a window of a level touches."""
    rows = range(max(place[0], 0) // level.tile[0], level.tiles[0])
    cols = range(max(place[1], 0) // level.tile[1], level.tiles[1])
    return [
        (i, j)
        for i in rows
        for j in cols
        if i * level.tile[0] < place[0] + shape[0] and j * level.tile[1] < place[1] + shape[1]
    ]


@dataclass(frozen=True)
class How:
    """``shift``: of the asset; ``overviews`` may be read; ``clear``: the scene's, for averages."""

    shift: int
    overviews: bool
    clear: Clear | None

    @property
    def low(self) -> int:
        """The highest DN that means nodata."""
        return 1 if self.shift else 0


@dataclass(frozen=True)
class Tiles:
    """Which tiles (row, column) of which level of an image are read, and by which resampling.

    ``at``: the target in pixels of that level.
    """

    image: Image
    number: int
    wanted: tuple[tuple[int, int], ...]
    at: Lattice
    average: bool


def prefetch(image: Image, target: Target, need: Bits, how: How) -> None:
    """Fetch what ``observe`` will read of the needed pixels. Raises ``ReadFailed``."""
    tiles = _tiles(image, target, need, how)
    image.prefetch(tiles.number, tiles.wanted)


def observe(image: Image, target: Target, planes: Planes, how: How) -> None:
    """Write the reflectance of the needed pixels (int16, units of 0.0001) into ``planes.out``.

    The valid bits of needed pixels without data are cleared; nothing else is touched.
    Raises ``ReadFailed``, before anything is written.
    """
    tiles = _tiles(image, target, planes.need, how)
    (_average if tiles.average else _interpolate)(tiles, planes, how)


def _tiles(image: Image, target: Target, need: Bits, how: How) -> Tiles:
    times = ratio(target.grid, target.crs, image.levels[0].transform)
    number = _level(image, times) if how.overviews else 0
    level = image.levels[number]
    times *= level.width / image.levels[0].width
    at = target.at.into(level.transform)
    average = times >= AVERAGE_FROM
    margin = int(times) + 2 if average else 1
    marks = np.zeros(level.tiles, np.bool_)
    touched(at, target.grid.shape, need, margin, level.tile, marks)
    wanted = tuple((int(i), int(j)) for i, j in np.argwhere(marks))
    return Tiles(image, number, wanted, at, average)


def _level(image: Image, times: float) -> int:
    """The coarsest level that is not coarser than the target."""
    width = image.levels[0].width
    fits = [k for k, level in enumerate(image.levels) if width / level.width <= times * 1.001]
    return max(fits, default=0, key=lambda k: width / image.levels[k].width)


def _interpolate(tiles: Tiles, planes: Planes, how: How) -> None:
    image, at, level = tiles.image, tiles.at, tiles.image.levels[tiles.number]
    place = footprint(at, 2, (level.height, level.width))
    if place is None:
        planes.valid[:] &= ~planes.need
        return
    row, col, height, width = place
    window = Window(row, col, _blank((max(height, 2), max(width, 2)), image.dtype))
    for _ in image.paste(tiles.number, tiles.wanted, window):
        pass
    pixels = window.pixels.astype(np.uint16, copy=False)
    interpolate(at, Window(row, col, pixels), planes, how.low, how.shift)


def _blank(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[np.unsignedinteger]:
    """Zeros, in memory that this thread uses again: fresh pages cost as much as what fills them."""
    size = shape[0] * shape[1] * dtype.itemsize
    if size > len(getattr(_own, "memory", b"")):
        _own.memory = np.empty(size, np.uint8)
    _own.memory[:size] = 0
    pixels: NDArray[np.unsignedinteger] = _own.memory[:size].view(dtype).reshape(shape)
    return pixels


def _average(tiles: Tiles, planes: Planes, how: How) -> None:
    image, level = tiles.image, tiles.image.levels[tiles.number]
    sums = Sums(tiles.at, planes)
    for i, j in tiles.wanted:
        row, col = i * level.tile[0], j * level.tile[1]
        shape = min(level.tile[0], level.height - row), min(level.tile[1], level.width - col)
        window = Window(row, col, np.empty(shape, image.dtype))
        for _ in image.paste(tiles.number, [(i, j)], window):
            if how.clear is not None:
                how.clear.erase(window, level.transform)
            sums.add(window, how.low)
    sums.settle(how.shift)
