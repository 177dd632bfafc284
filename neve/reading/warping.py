"""Where the pixels of a grid lie in a source image.

Belongs here: coordinate maps, and what needs nothing but them (which tiles are touched, a mask
taken to the grid). Does not belong here: files, what a mask means, days, resampling
(``interpolating``, ``averaging``). A map is kept at every ``STEP``-th pixel of the *whole* grid
and interpolated between, so that a piece of a grid gets bit-identical coordinates. Boolean planes
are bits, (height, ceil(width / 8)), as numpy packs.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from affine import Affine
from numba import njit
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from neve.grid import Grid

# At 10 m the interpolation is right to 0.0001 px at 60° and to 0.001 px at 1 km.
SHIFT = 3
STEP = 1 << SHIFT
METRES_PER_DEGREE = 111_319.49
# A centre this close below a pixel's edge counts as on it: rounding must not decide.
NUDGE = 1e-6


class Lattice(NamedTuple):
    """Coordinates in a source CRS (or in an image) of every ``STEP``-th pixel centre of a grid.

    ``x``, ``y``: float64 (rows, cols); not finite where the projection is not defined.
    ``row``, ``col``: the grid's first pixel, counted from the first node.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    row: int
    col: int

    def into(self, transform: Affine) -> "Lattice":
        """The lattice in pixel coordinates (corner = 0) of an image with this transform."""
        inverse = ~transform
        x = inverse.a * self.x + inverse.b * self.y + inverse.c
        y = inverse.d * self.x + inverse.e * self.y + inverse.f
        return Lattice(x, y, self.row, self.col)


class Planes(NamedTuple):
    """Of the grid: which pixels are wanted, which are valid (bits), and where values go."""

    need: NDArray[np.uint8]
    valid: NDArray[np.uint8]
    out: NDArray[np.int16]


class Window(NamedTuple):
    """Pixels of a part of an image; (``row``, ``col``) is its place there."""

    row: int
    col: int
    pixels: NDArray[np.unsignedinteger]


def lattice(grid: Grid, crs: str) -> Lattice:
    """The map from a grid, or a piece of it, to a CRS; exact at the nodes."""
    first_row, first_col = grid.row // STEP * STEP, grid.col // STEP * STEP
    rows = np.arange(first_row, grid.row + grid.height + STEP, STEP)
    cols = np.arange(first_col, grid.col + grid.width + STEP, STEP)
    x, y = np.meshgrid(
        grid.left + (cols + 0.5) * grid.resolution, grid.top - (rows + 0.5) * grid.resolution
    )
    if not _same(grid.crs, crs):
        x, y = _transformer(grid.crs, crs).transform(x, y)
    return Lattice(x, y, grid.row - first_row, grid.col - first_col)


@lru_cache(maxsize=256)
def _same(one: str, other: str) -> bool:
    return one == other or CRS(one) == CRS(other)


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=256)
def _unit(crs: str, other: str) -> float:
    """Metres in a unit of ``crs``, north–south; both in degrees: degrees."""
    one, two = CRS(crs), CRS(other)
    if one.is_geographic and two.is_geographic:
        return 1.0
    return METRES_PER_DEGREE if one.is_geographic else one.axis_info[0].unit_conversion_factor


def ratio(grid: Grid, crs: str, transform: Affine) -> float:
    """Size of the grid's pixels in pixels of an image, the same for all pieces of a grid."""
    size = abs(transform.e) * _unit(crs, grid.crs)
    return grid.resolution * _unit(grid.crs, crs) / size


def metres(crs: str, size: float) -> float:
    """A pixel's size in metres, north–south."""
    return abs(size) * _unit(crs, "EPSG:3857")


def footprint(at: Lattice, margin: int, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """(row, col, height, width) of an image that a grid with a margin touches; None: nothing."""
    finite = np.isfinite(at.x) & np.isfinite(at.y)
    if not finite.any():
        return None
    x, y = at.x[finite], at.y[finite]
    top, left = max(int(y.min()) - margin, 0), max(int(x.min()) - margin, 0)
    bottom = min(int(y.max()) + 1 + margin, shape[0])
    right = min(int(x.max()) + 1 + margin, shape[1])
    return (top, left, bottom - top, right - left) if bottom > top and right > left else None


@njit(cache=True, nogil=True)
def touched(at, size, bits, margin, tile, marks):  # type: ignore[no-untyped-def]
    """Mark the tiles that pixels with a set bit may need, by lattice cell; never too few."""
    x, y, (rows, cols) = at.x, at.y, marks.shape
    for i in range(x.shape[0] - 1):
        for j in range(x.shape[1] - 1):
            if not any_in_cell(bits, size, i * STEP - at.row, j * STEP - at.col):
                continue
            u0 = min(x[i, j], x[i + 1, j], x[i, j + 1], x[i + 1, j + 1]) - margin
            u1 = max(x[i, j], x[i + 1, j], x[i, j + 1], x[i + 1, j + 1]) + margin
            v0 = min(y[i, j], y[i + 1, j], y[i, j + 1], y[i + 1, j + 1]) - margin
            v1 = max(y[i, j], y[i + 1, j], y[i, j + 1], y[i + 1, j + 1]) + margin
            if not (u1 >= 0 and v1 >= 0 and u0 < cols * tile[1] and v0 < rows * tile[0]):
                continue
            for r in range(max(int(v0) // tile[0], 0), min(int(v1) // tile[0] + 1, rows)):
                for c in range(max(int(u0) // tile[1], 0), min(int(u1) // tile[1] + 1, cols)):
                    marks[r, c] = True


@njit(cache=True, nogil=True, inline="always")
def any_in_cell(bits, size, row, col):  # type: ignore[no-untyped-def]
    """Whether a bit is set in the cell of the grid that begins at (row, col)."""
    first, last = max(col, 0) >> 3, (min(col + STEP, size[1]) - 1) >> 3
    for r in range(max(row, 0), min(row + STEP, size[0])):
        for b in range(first, last + 1):
            if bits[r, b]:
                return True
    return False


@njit(cache=True, nogil=True, inline="always")
def node_row(x, row, out, steps):  # type: ignore[no-untyped-def]
    """Nodes interpolated to one row of the grid, and the step per pixel after each node."""
    i, t = row >> SHIFT, (row & STEP - 1) / STEP
    for j in range(x.shape[1]):
        out[j] = x[i, j] + (x[i + 1, j] - x[i, j]) * t
    for j in range(x.shape[1] - 1):
        steps[j] = (out[j + 1] - out[j]) / STEP


@njit(cache=True, nogil=True)
def select(at, clear, row, col, bits, width):  # type: ignore[no-untyped-def]
    """Set the bit of each pixel whose centre lies on a clear pixel of the window at (row, col)."""
    us, vs, du, dv = np.empty((4, at.x.shape[1]))
    high, wide = clear.shape
    for r in range(bits.shape[0]):
        node_row(at.x, r + at.row, us, du)
        node_row(at.y, r + at.row, vs, dv)
        for c in range(width):
            j, s = c + at.col >> SHIFT, c + at.col & STEP - 1
            u = us[j] + du[j] * s + NUDGE - col
            v = vs[j] + dv[j] * s + NUDGE - row
            if u >= 0 and v >= 0 and u < wide and v < high and clear[np.uint32(v), np.uint32(u)]:
                bits[r, c >> 3] |= np.uint8(128 >> (c & 7))
