"""The observations of a block: one plane per band and day, for statistics over days.

Belongs here: where planes are kept. Does not belong here: what is in them.
"""

import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.int16]


class Stacks:
    """int16 planes by band and day: all in memory, or one band there and the rest in a file.

    The file is a nameless temporary one; it takes 2 bytes per pixel, day and band but one, and is
    read again only where a later band shows that an observation does not count.
    """

    def __init__(
        self, bands: Sequence[str], days: int, shape: tuple[int, int], together: bool
    ) -> None:
        """``together``: all bands are needed at once."""
        self._bands, self._together = tuple(bands), together
        self.days = days
        self._shape, self._size = shape, shape[0] * shape[1]
        self._planes = np.empty((len(bands) if together else 1, days, *shape), np.int16)
        self._current: str | None = None
        self._file = None if together else tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> "Stacks":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def trim(self, days: int) -> None:
        """Let go of all but the first ``days``, before anything is loaded."""
        self.days, self._planes = days, self._planes[:, :days]

    @property
    def whole(self) -> NDArray[np.int16]:
        """(bands, days, h, w), where all are kept together."""
        return self._planes

    def band(self, name: str) -> NDArray[np.int16]:
        """(days, h, w) of a band in memory, to be filled; another one is put away for it."""
        if self._together:
            return self._planes[self._bands.index(name)]
        if self._current is not None and self._current != name:
            self._put_away()
        self._current = name
        return self._planes[0]

    def load(self, band: str, day: int) -> Plane:
        """One plane; a change lasts once it is stored."""
        if self._file is None:
            return self.band(band)[day]
        self._put_away()
        self._seek(band, day)
        plane: Plane = np.fromfile(self._file, np.int16, self._size)
        return plane.reshape(self._shape)

    def store(self, band: str, day: int, plane: Plane) -> None:
        """Keep a plane that was loaded."""
        if self._file is not None:
            self._seek(band, day)
            plane.tofile(self._file)

    def _put_away(self) -> None:
        if self._current is not None and self._file is not None:
            self._seek(self._current, 0)
            self._planes[0].tofile(self._file)
            self._current = None

    def _seek(self, band: str, day: int) -> None:
        assert self._file is not None
        planes = self._bands.index(band) * self._planes.shape[1] + day
        self._file.seek(planes * self._size * 2)
