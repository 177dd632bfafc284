"""The observations of a block: which scene is valid where, and its values band by band.

Belongs here: masks and reads of many scenes, their order, and what becomes of failed reads.
Does not belong here: files and resampling (``reading``), the mask of one scene (``masking``),
statistics over days (``compositing``).
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, groupby

import numpy as np
from numpy.typing import NDArray

from neve.compositing import masking
from neve.compositing.recipe import Recipe
from neve.compositing.stacks import Stacks
from neve.errors import BlockFailed, ReadFailed
from neve.grid import Grid
from neve.reading.ahead import Ahead
from neve.reading.averaging import Clear
from neve.reading.image import (
    Bits,
    How,
    Image,
    Target,
    observe,
    open_image,
    prefetch,
    prefetch_window,
    read_window,
)
from neve.reading.ranges import Reads
from neve.reading.warping import Planes, footprint, lattice, metres, ratio, select
from neve.scenes.hrefs import shown
from neve.scenes.values import FILL, Scene

SCL = "scl"


class Observations:
    """Scenes on a grid, grouped by ``days`` (numbers into ``scenes``), both in a fixed order.

    ``valid``: uint8 (scene, h, ceil(w / 8)), a bit per pixel: clear, and no band found without
    data so far. Bits are set by what ``ahead`` begins and only cleared later, where a band lacks
    data and for scenes that are ``lost``: number → (id, URL, reason).
    """

    def __init__(
        self, grid: Grid, scenes: Sequence[Scene], recipe: Recipe, reads: Reads, masks: int
    ) -> None:
        """``masks``: how many may be made at once, for memory's sake."""
        self.grid, self.recipe, self.reads = grid, recipe, reads
        self.scenes = sorted(scenes, key=lambda scene: (scene.day, scene.id))
        numbers = range(len(self.scenes))
        self.days = [list(g) for _, g in groupby(numbers, key=lambda k: self.scenes[k].day)]
        self._group = {k: group for group in self.days for k in group}
        self.targets = {
            crs: Target(grid, crs, lattice(grid, crs)) for crs in {s.crs for s in self.scenes}
        }
        self.valid = np.zeros((len(self.scenes), grid.height, -(-grid.width // 8)), np.uint8)
        self.everywhere = np.full(self.valid.shape[1:], 255, np.uint8)
        self.clear: dict[int, Clear] = {}
        self.images: dict[tuple[int, str], Image] = {}
        self.lost: dict[int, tuple[str, str, str]] = {}
        self._lock, self._masking = threading.Lock(), threading.BoundedSemaphore(masks)
        self._seen = np.zeros(len(self.scenes), np.bool_)
        self._ahead: Ahead[tuple[str, int]] | None = None

    def close(self) -> None:
        """Close the images."""
        for image in self.images.values():
            image.close()

    def ahead(self, steps: int, bands: bool) -> Ahead[tuple[str, int]]:
        """A context in which masks are made, and ``bands`` fetched, ahead of ``fill``."""
        order = self._order(steps) if bands else ((SCL, k) for group in self.days for k in group)
        self._ahead = Ahead(list(order), self._begin, steps)
        return self._ahead

    def _order(self, lead: int) -> Iterator[tuple[str, int]]:
        """Masks are made ``lead`` days before the day's first band is fetched."""
        first, *others = self.recipe.bands
        for n in range(len(self.days) + lead):
            yield from ((SCL, k) for group in self.days[n : n + 1] for k in group)
            if n >= lead:
                yield from ((first, k) for k in self.days[n - lead])
        yield from ((band, k) for band in others for group in self.days for k in group)

    def fill(self, pool: ThreadPoolExecutor, band: str, stack: NDArray[np.int16]) -> int:
        """All observations of a band; returns how many days have any.

        From then on ``days`` has no others. A day is read once it and all before it are masked.
        """

        def one(n: int) -> None:
            self._await(self.days[: n + 1])
            if self._seen[self.days[n]].any():
                plane = stack[sum(bool(self._seen[group].any()) for group in self.days[:n])]
                plane.fill(FILL)
                self._observe(self.days[n], band, self.everywhere, plane)

        each(pool, one, range(len(self.days)))
        self.days = [group for group in self.days if self._seen[group].any()]
        return len(self.days)

    def mend(self, band: str, seen: Bits, stacks: Stacks) -> tuple[Bits, NDArray[np.bool_]]:
        """Take back observations that no longer count, for the next scene of the day if any.

        Returns the validity that the band has seen now, and the pixels that were touched.
        """
        touched = np.zeros(self.grid.shape, np.bool_)
        for n, group in enumerate(self.days):
            focus = np.bitwise_or.reduce(seen[group] ^ self.valid[group])
            if focus.any():
                pixels = self.pixels(focus)
                plane = stacks.load(band, n)
                plane[pixels] = FILL
                self._observe(group, band, focus, plane)
                stacks.store(band, n, plane)
                # A scene lost just now counted elsewhere too: that is left for the next round.
                seen[group] = (seen[group] & ~focus) | (self.valid[group] & focus)
                touched |= pixels
        return seen, touched

    def _await(self, days: Sequence[list[int]]) -> None:
        """Wait until it is known where the scenes of days are clear."""
        assert self._ahead is not None
        for k in chain.from_iterable(days):
            self._ahead.wait((SCL, k))

    def _begin(self, key: tuple[str, int]) -> bool:
        """What is done ahead: a mask, which is kept, or a fetch, which is held until it is read."""
        name, k = key
        if name != SCL:
            return self._prefetch(name, k)
        self._guarded(k, SCL, lambda: self._mask(k))
        self._seen[k] = self.valid[k].any()
        return False

    def _mask(self, k: int) -> None:
        """Set the bits of the scene's clear pixels; keep its native mask for averages."""
        recipe, crs = self.recipe, self.scenes[k].crs
        level = self._image(k, SCL).levels[0]
        at = self._target(k).at.into(level.transform)
        margin = int(ratio(self.grid, crs, level.transform)) + 2
        place = footprint(at, margin, (level.height, level.width))
        if place is None:
            return
        size = metres(crs, level.transform.e)
        opening, dilation = recipe.opening / size, recipe.dilation / size
        edge = masking.halo(opening, dilation)
        row, col, height, width = place
        window = (row - edge, col - edge), (height + 2 * edge, width + 2 * edge)
        prefetch_window(self._image(k, SCL), *window)
        with self._masking:
            classes = read_window(self._image(k, SCL), *window)
            clear = masking.clear(classes, recipe.drop, opening, dilation)
            clear = clear[edge : edge + height, edge : edge + width]
            if clear.any():
                select(at, clear, row, col, self.valid[k], self.grid.width)
                bits = np.packbits(clear, axis=1)
                self.clear[k] = Clear(bits, width, (row, col), level.transform)

    def _observe(self, group: list[int], band: str, focus: Bits, out: NDArray[np.int16]) -> None:
        """One band of one day at the pixels in focus; scenes in the order of their ids."""
        taken = ~focus
        for k in group:
            self._guarded(k, band, partial(self._read, k, band, self.valid[k] & ~taken, out))
            taken |= self.valid[k]

    def _prefetch(self, band: str, k: int) -> bool:
        """Fetch what ``_read`` will want; what is known of other scenes may still change."""
        group = self._group[k]
        self._await([group])
        earlier = np.bitwise_or.reduce(self.valid[group[: group.index(k)]], initial=0)
        need = self.valid[k] & ~earlier
        if need.any():
            prefetch(self._image(k, band), self._target(k), need, self._how(k, band))
        return bool(need.any())

    def _read(self, k: int, band: str, need: Bits, out: NDArray[np.int16]) -> None:
        if self._ahead is not None:
            self._ahead.take((band, k))
        if need.any():
            planes = Planes(need, self.valid[k], out)
            observe(self._image(k, band), self._target(k), planes, self._how(k, band))

    def _how(self, k: int, band: str) -> How:
        shift = self.scenes[k].assets[band].shift
        return How(shift, self.recipe.source_overviews, self.clear.get(k))

    def _target(self, k: int) -> Target:
        return self.targets[self.scenes[k].crs]

    def _image(self, k: int, name: str) -> Image:
        """The asset, opened once."""
        if (k, name) not in self.images:
            scene = self.scenes[k]
            self.images[k, name] = open_image(scene.assets[name], scene.crs, self.reads)
        return self.images[k, name]

    def _guarded(self, k: int, name: str, work: Callable[[], None]) -> None:
        """Do the work; where a read fails for good, the whole scene is lost, or the block."""
        try:
            work()
        except ReadFailed as error:
            scene = self.scenes[k]
            url = shown(scene.assets[name].href)
            with self._lock:
                self.lost.setdefault(k, (scene.id, url, str(error)))
                self.valid[k] = 0
                if len(self.lost) > self.recipe.max_lost:
                    raise BlockFailed(
                        f"scene {scene.id}: {url} could not be read: {error}; run the month "
                        f"again, or let the region lose more than {self.recipe.max_lost} scenes"
                    ) from error

    def pixels(self, bits: Bits) -> NDArray[np.bool_]:
        """Bits as a (h, w) mask."""
        return np.unpackbits(bits, axis=1, count=self.grid.width).view(np.bool_)

    def counts(self) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
        """Valid days of each pixel (uint16, h, w), and the ids of scenes that gave any."""
        count, used = np.zeros(self.grid.shape, np.uint16), []
        for group in self.days:
            taken = np.zeros_like(self.valid[0])
            for k in group:
                if (self.valid[k] & ~taken).any():
                    used.append(self.scenes[k].id)
                taken |= self.valid[k]
            count += self.pixels(taken)
        return count, tuple(sorted(used))


def each(pool: ThreadPoolExecutor, work: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Run the work on all numbers; the first failure is raised."""
    for _ in pool.map(work, numbers):
        pass
