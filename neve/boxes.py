"""Boxes: the longitudes and latitudes between which the blocks of a grid lie.

Belongs here: projecting a grid's lattice of blocks, over poles and the antimeridian. Does not
belong here: what the boxes are compared with (``land``), the grid itself (``grid``).
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from neve.grid import Grid

Floats = NDArray[np.float64]

# Segments of a block's edge: at least 3, so that a step round the whole Earth stays under 180°.
EDGE_STEPS = 4


def lonlat_boxes(grid: Grid, size: int) -> Floats:
    """(blocks, 4) lon/lat boxes (east may pass 180) that hold the blocks, row by row."""
    edges = _lonlat_edges(grid, size)
    outside = ~np.isfinite(edges).all(axis=(1, 2, 3))
    edges[outside] = 0
    # A step over 180° looks like a jump of a turn. A ring that ends a turn off goes round a pole.
    wound = turns(np.append(edges[..., 0].reshape(len(edges), -1), edges[:, 0, :1, 0], axis=1))
    edges[..., 0] += wound[:, :-1].reshape(edges.shape[:-1])
    # Between two points an edge bows out by an eighth of its second difference, by a half
    # where it runs into a pole.
    bow = np.abs(np.diff(edges, n=2, axis=2)).max(axis=(1, 2)) / 2
    low, high = edges.min(axis=(1, 2)) - bow, edges.max(axis=(1, 2)) + bow
    polar, north = wound[:, -1] != 0, edges[..., 1].mean(axis=(1, 2)) > 0
    low[polar | outside, 0], high[polar | outside, 0] = -180, 180
    low[polar & ~north | outside, 1], high[polar & north | outside, 1] = -90, 90
    return np.concatenate([low, high], axis=1)


def _lonlat_edges(grid: Grid, size: int) -> Floats:
    """(blocks, 4 edges, EDGE_STEPS + 1, lon/lat) clockwise; inf outside the CRS's domain.

    Neighbours share an edge, so every line of the lattice is projected once.
    """
    left, bottom, right, top = grid.bounds
    step = size * grid.resolution
    xs = np.minimum(left + np.arange(ceil(grid.width / size) + 1) * step, right)
    ys = np.maximum(top - np.arange(ceil(grid.height / size) + 1) * step, bottom)
    share = np.linspace(0, 1, EDGE_STEPS + 1)
    along_x = xs[:-1, None] + np.diff(xs)[:, None] * share
    along_y = ys[:-1, None] + np.diff(ys)[:, None] * share
    level = np.broadcast_arrays(along_x[None], ys[:, None, None])
    plumb = np.broadcast_arrays(xs[None, :, None], along_y[:, None])
    x, y = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(level, plumb, strict=True))
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    points = np.stack(to_lonlat.transform(x, y), axis=-1)
    across = points[: level[0].size].reshape(*level[0].shape, 2)
    down = points[level[0].size :].reshape(*plumb[0].shape, 2)
    edges = [across[:-1], down[:, 1:], across[1:, :, ::-1], down[:, :-1, ::-1]]
    return np.stack(edges, axis=2).reshape(-1, 4, EDGE_STEPS + 1, 2)


def turns(lons: Floats) -> Floats:
    """Multiples of 360° that make ``lons`` continuous along the last axis."""
    jumps = np.round(np.diff(lons, axis=-1, prepend=lons[..., :1]) / 360)
    return -360 * np.cumsum(jumps, axis=-1)
