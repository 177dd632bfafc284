"""The mask of one scene, at the native resolution of its scene classification (SCL).

Belongs here: which pixels are clear. Does not belong here: reading and resampling the SCL.

``opening`` is a morphological opening of the *clear* area by a disk: clear specks and slits
between clouds that the disk does not fit into are masked. Clouds only ever grow: no cloud,
however small, is erased (the opening of the cloud mask, which some pipelines use, does that).
``dilation`` then grows every masked pixel by a disk. Nodata (class 0) is never clear, but it is
no cloud either: it is not dilated and not opened against, so swath edges stay where they are.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

NODATA = 0
FARTHEST = 254


def halo(opening: float, dilation: float) -> int:
    """Pixels around a window that its mask depends on; radii in pixels."""
    return 2 * int(opening) + int(dilation)


def clear(
    classes: NDArray[np.uint8],
    drop: Sequence[int],
    opening: float = 0.0,
    dilation: float = 0.0,
) -> NDArray[np.bool_]:
    """Which pixels of a classification are clear, (h, w) bool.

    ``opening`` and ``dilation``: radii of disks in pixels; a pixel belongs to a disk when its
    centre does. Pixels that are nearer to the window's edge than ``halo`` may lack what lies
    beyond. Raises ValueError for radii above ``FARTHEST``.
    """
    if max(opening, dilation) > FARTHEST:
        raise ValueError(f"cleanup reaches over {FARTHEST} pixels at most: {opening}, {dilation}")
    kept = np.ones(256, np.bool_)
    kept[list(drop)] = False
    cloud = ~kept[classes] & (classes != NODATA)
    if opening >= 1:
        cloud = ~_within(~_within(cloud, opening), opening) if cloud.any() else cloud
    if dilation >= 1:
        cloud = _within(cloud, dilation)
    return ~cloud & (classes != NODATA)


def _within(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Pixels at most ``radius`` from a pixel of the mask."""
    reach = np.arange(-int(radius), int(radius) + 1)
    return _grow(mask, np.sqrt(radius**2 - reach**2).astype(np.int64))


@njit(cache=True, nogil=True)
def _grow(mask, reach):  # type: ignore[no-untyped-def]
    """Disk dilation: along each row the distance to the mask (in a byte), then up and down."""
    height, width = mask.shape
    far = reach.max() + 1
    away = np.empty((height, width), np.uint8)
    for r in range(height):
        near = far
        for c in range(width):
            near = 0 if mask[r, c] else min(near + 1, far)
            away[r, c] = near
        near = far
        for c in range(width - 1, -1, -1):
            near = 0 if mask[r, c] else min(near + 1, far)
            away[r, c] = min(away[r, c], near)
    out = np.zeros((height, width), np.bool_)
    half = len(reach) // 2
    for r in range(height):
        for k in range(max(-half, -r), min(half, height - 1 - r) + 1):
            limit = reach[k + half]
            for c in range(width):
                out[r, c] |= away[r + k, c] <= limit
    return out
