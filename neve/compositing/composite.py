"""The composite of a block: many scenes in, one value per pixel and band out.

Belongs here: the statistics over a block's observations, and the memory they take. Does not
belong here: reading scenes (``observations``), kernels (``median``), choice of scenes
(``choosing``).

An observation is a solar day. It is valid at a pixel when one of its scenes is clear there and
has data in every band; of several such scenes (overlapping tiles and zones) the first by id
counts, for all bands. The same observations enter every band and ``count``.

Bands are read one after the other into one stack, so that memory does not grow with bands. When
a band turns out to lack data at a pixel where an earlier one had some, as happens along swath
edges, or when a scene is lost, then earlier bands are mended at just those pixels.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neve.compositing.median import geomedian, median, medoid
from neve.compositing.observations import Observations
from neve.compositing.recipe import Recipe
from neve.compositing.stacks import Stacks
from neve.grid import Grid
from neve.reading.image import Bits
from neve.reading.ranges import Reads, remote
from neve.reading.warping import metres
from neve.scenes.values import FILL, Scene

__all__ = ["Composite", "Recipe", "compose", "predict_memory"]

Values = dict[str, NDArray[np.int16]]

# Bytes for tiles on their way and windows being resampled, in all threads; for masks being made.
_READING, _CLASSIFYING = 64 << 20, 16 << 20
# Bytes for each pixel of a mask while it is made.
_CLASSIFY = 5
# Pixels whose medians are mended at once.
_MENDED = 1 << 18


@dataclass(frozen=True)
class Composite:
    """One value per pixel of a grid of (h, w) pixels.

    ``bands``: int16 (h, w), units of 0.0001, ``FILL`` where count < ``min_obs``; ``count``:
    uint16 (h, w), solar days with a valid observation; ``used``: ids of the scenes that gave at
    least one of them; ``lost``: (scene id, URL, reason) of the scenes that could not be read.
    """

    bands: dict[str, NDArray[np.int16]]
    count: NDArray[np.uint16]
    used: tuple[str, ...]
    lost: tuple[tuple[str, str, str], ...]


def compose(
    grid: Grid,
    scenes: Sequence[Scene],
    recipe: Recipe,
    reads: Reads | None = None,
    threads: int = 0,
) -> Composite:
    """The composite of ``scenes`` on ``grid``; their order does not matter.

    ``threads`` compute at once; 0: one for each of the machine's cores. Pieces of a grid give bit
    for bit what the whole gives. Raises ``BlockFailed``, naming the scene and the URL, when more
    than ``recipe.max_lost`` scenes cannot be read.
    """
    reads = reads or Reads()
    far = any(remote(asset.href) for scene in scenes for asset in scene.assets.values())
    workers = threads or os.cpu_count() or 1
    masks = max(2, _CLASSIFYING // (_CLASSIFY * _scl_pixels(grid) + 1))
    found = Observations(grid, scenes, recipe, reads, masks)
    try:
        # In this order: whoever waits for bytes is let go before the workers are waited for.
        with (
            ThreadPoolExecutor(workers) as pool,
            found.ahead(reads.concurrency if far else workers, far),
        ):
            values = _settle(found, pool)
    finally:
        found.close()
    count, used = found.counts()
    for plane in values.values():
        plane[count < recipe.min_obs] = FILL
    return Composite(values, count, used, tuple(sorted(found.lost.values())))


def predict_memory(grid: Grid, n_scenes: int, recipe: Recipe) -> int:
    """Most bytes that ``compose`` takes above what the process has before.

    For ``n_scenes`` on as many days; scenes that share a day take less.
    """
    pixels, bands = grid.height * grid.width, len(recipe.bands)
    stack = 2 * n_scenes * pixels * (1 if recipe.method == "median" else bands)
    bits = (bands + 2) * n_scenes * pixels // 8
    native = n_scenes * _scl_pixels(grid) // 8 + max(
        _CLASSIFYING, 2 * _CLASSIFY * _scl_pixels(grid)
    )
    results = (2 * bands + 2 + 8) * pixels
    return stack + bits + native + results + _READING


def _scl_pixels(grid: Grid) -> int:
    """About how many pixels of a scene's SCL (20 m, 5490²) a grid covers."""
    times = metres(grid.crs, grid.resolution) / 20
    return int(min(grid.height * grid.width * times**2, 5490**2))


def _settle(found: Observations, pool: ThreadPoolExecutor) -> Values:
    """Read all bands, then mend until every band has seen the same observations."""
    bands, method = found.recipe.bands, found.recipe.method
    values: Values = {}
    seen: dict[str, Bits] = {}
    with Stacks(bands, len(found.days), found.grid.shape, method != "median") as stacks:
        last = found.valid.copy()
        for band in bands:
            stacks.trim(found.fill(pool, band, stacks.band(band)))
            if method == "median":
                values[band] = median(stacks.band(band))
            last = last if np.array_equal(last, found.valid) else found.valid.copy()
            seen[band] = last
        while stale := [b for b in bands if not np.array_equal(seen[b], found.valid)]:
            for band in stale:
                seen[band], pixels = found.mend(band, seen[band].copy(), stacks)
                if method == "median":
                    _restate(band, np.flatnonzero(pixels), stacks, values[band])
        if method == "median":
            return values
        whole = (geomedian if method == "geomedian" else medoid)(stacks.whole)
        return dict(zip(bands, whole, strict=True))


def _restate(band: str, pixels: NDArray[np.int64], stacks: Stacks, out: NDArray[np.int16]) -> None:
    """Medians of some pixels (flat indices) anew."""
    for start in range(0, len(pixels), _MENDED):
        part = pixels[start : start + _MENDED]
        columns = np.stack([stacks.load(band, n).reshape(-1)[part] for n in range(stacks.days)])
        out.reshape(-1)[part] = median(columns[:, None])[0]
