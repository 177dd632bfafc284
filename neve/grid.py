"""Pixel grids: where a region's pixels, blocks and levels lie on the ground.

Belongs here: pure arithmetic on north-up grids. Does not belong here: reading, storage, land.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

# The grid of a UTM zone, in metres: the zone, its neighbours' scenes, and 1,000 km beyond the
# equator, for areas that lie on it. Sparse storage makes the empty part free.
ZONE_WIDTH, ZONE_HEIGHT, BEYOND_EQUATOR = 1_000_000.0, 11_000_000.0, 1_000_000.0
# Bounds that lie on an edge up to this share of a pixel do not claim another row of pixels.
SNAP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Grid:
    """A north-up grid of square pixels, or a piece of one.

    ``left`` and ``top`` are the outer edges of the *whole* grid in units of ``crs``; a piece
    (a block) keeps them and says its offset in ``row`` and ``col``, so that a pixel has
    bit-identical coordinates in the whole and in every piece. x may pass 180° in a
    geographic CRS (a region over the antimeridian runs from 179 to 181).
    """

    crs: str
    resolution: float
    left: float
    top: float
    width: int
    height: int
    row: int = 0
    col: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, cols) of this piece in the whole grid."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    @property
    def transform(self) -> Affine:
        """Pixel corner (col, row) → CRS coordinates of this piece."""
        res = self.resolution
        return Affine(res, 0.0, self.left + self.col * res, 0.0, -res, self.top - self.row * res)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges (left, bottom, right, top) of this piece."""
        res = self.resolution
        return (
            self.left + self.col * res,
            self.top - (self.row + self.height) * res,
            self.left + (self.col + self.width) * res,
            self.top - self.row * res,
        )

    @property
    def geographic(self) -> bool:
        """Whether the axes are longitude and latitude."""
        return CRS(self.crs).is_geographic

    def xs(self) -> np.ndarray:
        """float64 (width,): x of the pixel centres."""
        return self.left + (self.col + np.arange(self.width) + 0.5) * self.resolution

    def ys(self) -> np.ndarray:
        """float64 (height,): y of the pixel centres, descending."""
        return self.top - (self.row + np.arange(self.height) + 0.5) * self.resolution

    def piece(self, row: int, col: int, height: int, width: int) -> "Grid":
        """The part at (row, col) of this grid, cut at its edges."""
        return replace(
            self,
            row=self.row + row,
            col=self.col + col,
            height=min(height, self.height - row),
            width=min(width, self.width - col),
        )

    def covering(self, bounds: tuple[float, float, float, float], step: int) -> "Grid":
        """The piece of whole ``step`` × ``step`` squares of this grid that holds ``bounds``.

        ``bounds``: (left, bottom, right, top) in units of the CRS; ValueError where they reach
        beyond the grid.
        """
        left, bottom, right, top = bounds
        first, last = _pixels(left - self.left, right - self.left, self.resolution)
        high, low = _pixels(self.top - top, self.top - bottom, self.resolution)
        if min(first, high) < 0 or last > self.width or low > self.height:
            raise ValueError(
                f"the area, in {self.crs} from {left:.0f}, {bottom:.0f} to {right:.0f}, {top:.0f}, "
                f"reaches beyond the grid, which is {self.bounds}"
            )
        row, col = high // step * step, first // step * step
        height, width = (ceil(end / step) * step for end in (low, last))
        return self.piece(row, col, height - row, width - col)

    def level(self, factor: int) -> "Grid":
        """The grid ``factor`` times coarser; partial cells at the far edges are kept."""
        return replace(
            self,
            resolution=self.resolution * factor,
            width=ceil(self.width / factor),
            height=ceil(self.height / factor),
            row=self.row // factor,
            col=self.col // factor,
        )

    def blocks(self, size: int) -> Iterator["Block"]:
        """All blocks of ``size`` × ``size`` pixels, row by row; cut at the far edges."""
        for i in range(ceil(self.height / size)):
            for j in range(ceil(self.width / size)):
                yield self.block(i, j, size)

    def block(self, i: int, j: int, size: int) -> "Block":
        """The block in row ``i`` and column ``j`` of the blocks."""
        return Block(i, j, self.piece(i * size, j * size, size, size))

    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees of what the grid covers; over 180° east < west."""
        to_lonlat = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        return to_lonlat.transform_bounds(*self.bounds, densify_pts=21)


@dataclass(frozen=True)
class Block:
    """The unit of work: whole storage chunks of every level that it writes.

    ``i`` and ``j`` count blocks from the top left of the region; ``grid`` is its piece.
    """

    i: int
    j: int
    grid: Grid

    @property
    def key(self) -> str:
        """Short name, stable for a region: ``i-j``."""
        return f"{self.i}-{self.j}"


@dataclass(frozen=True)
class BlockList:
    """The blocks of a region that are to be built, and what they were filtered by."""

    blocks: tuple[Block, ...]
    land: str


def utm_of(lon: float, lat: float) -> str:
    """EPSG code of the WGS 84 UTM zone that holds a point (no Norway or Svalbard exceptions)."""
    zone = int((lon + 180) % 360 // 6) + 1
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def zone_grid(zone: int, north: bool, resolution: float, anchor: tuple[float, float]) -> Grid:
    """The grid of one hemisphere of a WGS 84 UTM zone (1–60), the same for all its regions."""
    bottom = -BEYOND_EQUATOR if north else 0.0
    bounds = (0.0, bottom, ZONE_WIDTH, bottom + ZONE_HEIGHT)
    return snap(f"EPSG:{(32600 if north else 32700) + zone}", resolution, anchor, bounds)


def snap(
    crs: str,
    resolution: float,
    anchor: tuple[float, float],
    bounds: tuple[float, float, float, float],
) -> Grid:
    """The smallest grid that covers ``bounds`` with edges at ``anchor`` + k · ``resolution``.

    ``bounds``: (left, bottom, right, top) in units of ``crs``. Regions with one CRS, anchor
    and resolution share pixel edges.
    """
    left, bottom, right, top = bounds
    first, last = _pixels(left - anchor[0], right - anchor[0], resolution)
    low, high = _pixels(bottom - anchor[1], top - anchor[1], resolution)
    return Grid(
        crs=crs,
        resolution=resolution,
        left=anchor[0] + first * resolution,
        top=anchor[1] + high * resolution,
        width=max(last - first, 1),
        height=max(high - low, 1),
    )


def _pixels(start: float, stop: float, resolution: float) -> tuple[int, int]:
    """First pixel and end of the pixels that two distances from an edge lie between."""
    return (
        floor(start / resolution + SNAP_TOLERANCE),
        ceil(stop / resolution - SNAP_TOLERANCE),
    )


def project_bounds(
    crs: str, lonlat: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Bounds in ``crs`` of a lon/lat box (west, south, east, north); east < west crosses 180°."""
    west, south, east, north = lonlat
    if east < west:
        east += 360
    if CRS(crs).is_geographic:
        return west, south, east, north
    to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    steps = np.linspace(0, 1, 65)
    lons, lats = west + steps * (east - west), south + steps * (north - south)
    edge = [
        (np.r_[lons, lons, np.full(65, west), np.full(65, east)]),
        (np.r_[np.full(65, south), np.full(65, north), lats, lats]),
    ]
    xs, ys = to_crs.transform(*edge)
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError(f"{crs} does not reach the whole area {lonlat}")
    along = np.abs(np.diff(np.split(xs, (65, 130))[0]))
    if along.max() > 0.5 * (xs.max() - xs.min()):
        raise ValueError(f"{crs} tears the area {lonlat} apart; choose a CRS that holds it whole")
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())
