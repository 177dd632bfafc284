"""The audit: how an index is stored and shown, found by evaluating it, not by looking it up.

Belongs here: the spectra that a formula is tried on, and what follows from its values. Does
not belong here: files; ``docs/indices.md`` shows the outcome for the whole catalogue.

Two fixed samples of reflectances, alike on every machine:

- *extreme*: each band on its own between 0.0001 and 1.6, all corners included. An index is
  int16 only if nothing there passes ±3.2767, what int16 × 0.0001 can hold.
- *plausible*: mixtures of eleven typical spectra. Their 2nd and 98th percentile are the range
  of the display; under 0.02 between them int16 would leave less than 200 steps: float32.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neve.indices import plain
from neve.indices.expression import Expr
from neve.indices.plain import Outputs
from neve.indices.program import compiled

LARGEST = 3.2767
LEAST_SPREAD = 0.02
_POINTS = 8192

# Typical reflectance in thousandths, from coastal to swir22 in order of wavelength.
_ORDER = (
    *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3"),
    *("nir", "nir08", "nir09", "swir16", "swir22"),
)
_SPECTRA = {
    "dense vegetation": (20, 25, 50, 30, 90, 250, 330, 360, 380, 380, 170, 80),
    "grass": (40, 50, 80, 60, 130, 270, 320, 340, 360, 360, 220, 130),
    "dry vegetation": (60, 80, 110, 140, 180, 220, 240, 270, 290, 300, 330, 250),
    "dark soil": (60, 80, 110, 150, 180, 200, 210, 230, 250, 260, 310, 270),
    "sand": (180, 220, 310, 400, 430, 450, 460, 480, 500, 500, 560, 500),
    "urban": (120, 130, 140, 160, 170, 180, 190, 200, 210, 210, 230, 210),
    "clear water": (30, 35, 30, 15, 12, 10, 10, 8, 7, 7, 4, 3),
    "turbid water": (60, 70, 100, 90, 80, 50, 50, 40, 35, 35, 10, 8),
    "snow": (900, 920, 900, 880, 850, 830, 800, 780, 740, 700, 100, 80),
    "cloud": (550, 550, 540, 550, 570, 580, 580, 580, 580, 570, 420, 340),
    "burnt": (40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 200, 220),
}

# Domain → matplotlib colormap where the display crosses zero, and where it does not.
_COLORMAPS = {
    "vegetation": ("RdYlGn", "YlGn"),
    "kernel": ("RdYlGn", "YlGn"),
    "water": ("RdBu", "Blues"),
    "snow": ("RdBu", "Blues"),
    "burn": ("RdYlGn", "inferno"),
    "soil": ("BrBG_r", "YlOrBr"),
    "urban": ("PuOr_r", "magma"),
    "clouds": ("RdGy", "gray"),
}


@dataclass(frozen=True)
class Look:
    """How an index is stored and shown, and the values that this follows from.

    ``extremes``: least and largest finite value on the extreme sample.
    """

    dtype: Literal["int16", "float32"]
    display: tuple[float, float]
    colormap: str
    extremes: tuple[float, float]


@lru_cache(maxsize=1024)
def look(tree: Expr, domain: str) -> Look:
    """What the audit says of an expression; ``domain`` only chooses the colormap."""
    bounds = _finite(tree, "extreme")
    extremes = (float(bounds.min()), float(bounds.max())) if bounds.size else (0.0, 0.0)
    usual = _finite(tree, "plausible")
    low, high = np.percentile(usual, (2, 98)).tolist() if usual.size else (0.0, 1.0)
    small = max(map(abs, extremes)) <= LARGEST and high - low >= LEAST_SPREAD
    display = _rounded(low, high)
    signed, unsigned = _COLORMAPS.get(domain, ("RdBu", "viridis"))
    return Look(
        dtype="int16" if small else "float32",
        display=display,
        colormap=signed if display[0] < 0 < display[1] else unsigned,
        extremes=extremes,
    )


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Both to two digits of their distance, and never equal."""
    digits = 1 - int(np.floor(np.log10(high - low))) if high > low else 2
    low, high = round(low, digits) + 0.0, round(high, digits) + 0.0
    return (low, high) if high > low else (low, low + 10.0**-digits)


def _finite(tree: Expr, sample: str) -> NDArray[np.float32]:
    """The values of an expression on a sample, without nodata."""
    program = compiled([(tree, False)])
    stored = np.stack([_sample(sample)[band] for band in program.bands])
    outputs = Outputs(
        floats=np.empty((1, stored.shape[1]), np.float32),
        ints=np.empty((0, stored.shape[1]), np.int16),
        nodata=np.zeros((2, 1), np.int64),
        missing=np.zeros(2 ** len(program.bands), np.int64),
    )
    plain.run(program, stored, outputs, 0)
    values = outputs.floats[0]
    return values[np.isfinite(values)]


@cache
def _sample(name: str) -> dict[str, NDArray[np.int16]]:
    """Band → int16 reflectance of every spectrum of a sample."""
    count = len(_ORDER)
    if name == "extreme":
        corners = np.where(np.arange(2**count)[:, None] >> np.arange(count) & 1, 16000.0, 1.0)
        spectra = np.concatenate([corners, 16000.0 ** _spread(count)])
    else:
        typical = np.array(list(_SPECTRA.values())) * 10.0
        first, second = np.divmod(np.arange(_POINTS) % len(typical) ** 2, len(typical))
        share, light, *noise = _spread(2 + count).T[..., None]
        spectra = share * typical[first] + (1 - share) * typical[second]
        spectra *= (0.8 + 0.4 * light) * (0.92 + 0.16 * np.hstack(noise))
    stored = np.rint(spectra).clip(1, 16000).astype(np.int16)
    return dict(zip(_ORDER, stored.T.copy(), strict=True))


def _spread(columns: int) -> NDArray[np.float64]:
    """Points spread evenly over the unit cube (a Kronecker sequence): no chance, no seed."""
    primes = [n for n in range(2, 60) if all(n % k for k in range(2, n))][:columns]
    return np.outer(np.arange(1, _POINTS + 1), np.sqrt(primes)) % 1.0
