"""Three variables as red, green and blue, each stretched between two values.

Belongs here: pure arithmetic from values to bytes. Does not belong here: storage (``drawing``),
combinations of variables (``components``).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
PERCENTILES = (2, 98)
DARKEST, LIGHTEST = 1, 255  # 0 is nodata


@dataclass(frozen=True)
class Stretch:
    """From values to colours: ``ranges`` (darkest, lightest) of red, green and blue."""

    ranges: tuple[tuple[float, float], ...]

    @classmethod
    def fit(cls, sample: Floats) -> "Stretch":
        """The 2nd and 98th percentile of each row of ``sample`` (3, n); n may be 0, all finite."""
        if not sample.shape[1]:
            return cls(((0.0, 1.0),) * 3)
        # in float64 their interpolation cannot overflow
        found = np.percentile(sample.astype(np.float64), PERCENTILES, axis=1)
        return cls(tuple((float(low), float(high)) for low, high in found.T))

    def render(self, planes: Floats) -> NDArray[np.uint8]:
        """(3, …) values → (…, 3) bytes; 0 in all bands where one is not finite."""
        low, high = (np.reshape(side, (3,) + (1,) * (planes.ndim - 1)) for side in self._sides())
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (planes.astype(np.float64) - low) / np.where(high > low, high - low, np.nan)
        # Where all values are one, it is in the middle.
        return as_bytes(np.where(high > low, share, 0.5), np.isfinite(planes).all(axis=0))

    def told(self) -> dict[str, Any]:
        """What is recorded, as JSON values."""
        return {"stretch": [list(pair) for pair in self.ranges]}

    def _sides(self) -> tuple[Floats, Floats]:
        low, high = np.array(self.ranges).T
        return low, high


def as_bytes(share: Floats, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3, …) shares, clipped to 0–1, → (…, 3) bytes 1–255; 0 where not ``valid``."""
    level = np.rint(np.clip(np.where(valid, share, 0), 0, 1) * (LIGHTEST - DARKEST)) + DARKEST
    return np.moveaxis(np.where(valid, level, 0).astype(np.uint8), 0, -1)
