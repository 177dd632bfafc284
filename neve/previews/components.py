"""The first three principal components of many variables as red, green and blue, equalised.

Belongs here: pure arithmetic from values to bytes. Does not belong here: storage (``drawing``).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.previews.colours import Floats, as_bytes

# Where a component's distribution is known, between which it is taken for even: closer at the
# ends, where values lie far apart.
TAIL = np.array([0, 0.001, 0.005, 0.01, 0.02])
SHARES = np.concatenate([TAIL, np.arange(1, 32) / 32, 1 - TAIL[::-1]])
# Values taken at a time, so that double precision stays small beside the planes.
STRIP = 2**22


@dataclass(frozen=True)
class Components:
    """From n variables to colours.

    ``mean`` (n,); ``axes`` (3, n), unit vectors of falling variance whose largest element is
    positive; ``knots`` (3, SHARES), each component's quantiles; ``explained`` (3,),
    shares of the whole variance.
    """

    mean: Floats
    axes: Floats
    knots: Floats
    explained: Floats

    @classmethod
    def fit(cls, sample: Floats) -> "Components":
        """The components of ``sample`` (n ≥ 3, cells), all finite; cells may be 0."""
        n, cells = sample.shape
        values = sample.astype(np.float64)
        mean = values.mean(axis=1) if cells else np.zeros(n)
        values -= mean[:, None]
        variances, vectors = np.linalg.eigh(values @ values.T / max(cells - 1, 1))
        axes = vectors[:, :-4:-1].T
        largest = np.abs(axes).argmax(axis=1)
        axes = axes * np.sign(axes[np.arange(3), largest])[:, None]
        scores = axes @ values
        knots = np.quantile(scores, SHARES, axis=1).T if cells else np.zeros((3, len(SHARES)))
        whole = variances.sum()
        explained = variances[:-4:-1] / whole if whole > 0 else np.zeros(3)
        return cls(mean, axes, knots, np.clip(explained, 0, 1))

    def render(self, planes: Floats) -> NDArray[np.uint8]:
        """(n, …) values → (…, 3) bytes; 0 in all bands where one value is not finite."""
        flat = planes.reshape(len(planes), -1)
        out = np.empty((flat.shape[1], 3), np.uint8)
        step = max(STRIP // len(planes), 1)
        for first in range(0, flat.shape[1], step):
            values = flat[:, first : first + step].astype(np.float64)
            valid = np.isfinite(values).all(axis=0)
            if not valid.all():
                values[:, ~valid] = 0
            scores = self.axes @ values - (self.axes @ self.mean)[:, None]
            pairs = zip(scores, self.knots, strict=True)
            shares = np.stack([_equalised(row, knots) for row, knots in pairs])
            out[first : first + step] = as_bytes(shares, valid)
        return out.reshape(*planes.shape[1:], 3)

    def told(self) -> dict[str, Any]:
        """What is recorded, as JSON values."""
        return {
            "mean": self.mean.tolist(),
            "components": self.axes.tolist(),
            "explained": self.explained.tolist(),
            "quantiles": self.knots.tolist(),
        }


def _equalised(scores: Floats, knots: Floats) -> Floats:
    """Share of the sample below each score; of equal ones the half."""
    rising, first, ties = np.unique(knots, return_index=True, return_counts=True)
    if len(rising) == 1:
        return np.full(scores.shape, 0.5)
    return np.interp(scores, rising, (SHARES[first] + SHARES[first + ties - 1]) / 2)
