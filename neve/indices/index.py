"""One index: its data, and what the names in its formula mean.

Belongs here: the ``Index`` value and how its formula becomes a tree: bands, constants, kernels.
Does not belong here: the catalogue (``catalogue``), the grammar (``expression``).
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from neve.indices import expression
from neve.indices.catalogue import BANDS
from neve.indices.expression import Expr

_WORD = re.compile(r"[A-Za-z]\w*")
_KERNEL = re.compile(r"k([NRGB])([NRGBL])")


@dataclass(frozen=True)
class Index:
    """One index as data: everything that its values, storage and legend need.

    ``formula`` is the text as its author wrote it; its names are STAC common names, spyndex's
    band letters, kernels (``kNR``) and ``constants`` (sorted pairs of name and value).
    ``reference`` is a DOI or URL, empty for a region's own formula. ``bands`` are the STAC
    common names of all bands that it needs, sorted. ``dtype``: int16 in units of 0.0001 with
    fill −32768 where it is bounded under that, float32 with NaN elsewhere. ``display`` is the
    range of values for a legend, ``colormap`` the name of a matplotlib colormap.
    """

    name: str
    formula: str
    long_name: str
    domain: str
    reference: str
    bands: tuple[str, ...]
    dtype: Literal["int16", "float32"]
    display: tuple[float, float]
    colormap: str
    constants: tuple[tuple[str, float], ...] = ()

    @property
    def tree(self) -> Expr:
        """The expression that is evaluated; equal for indices that are equal numerically."""
        return tree_of(self.formula, self.constants)


def constants_used(formula: str) -> set[str]:
    """Names in a formula that may be constants, and those that its kernels stand on."""
    words = set(_WORD.findall(formula))
    kernels = [word for word in words if _KERNEL.fullmatch(word)]
    return words | ({"sigma"} if kernels else set()) | ({"L"} if "kNL" in words else set())


@cache
def tree_of(formula: str, constants: tuple[tuple[str, float], ...]) -> Expr:
    """The tree of a formula with its names resolved; FormulaError as ``expression.parse``."""
    names: dict[str, Expr] = {common: ("band", common) for common in BANDS.values()}
    names |= {letter: ("band", common) for letter, common in BANDS.items()}
    numbers = {name: expression.number(value) for name, value in constants}
    names |= numbers
    for word in set(_WORD.findall(formula)):
        if match := _KERNEL.fullmatch(word):
            names[word] = _kernel(names[match[1]], names[match[2]], numbers.get("sigma"))
    return expression.parse(formula, names)


def _kernel(a: Expr, b: Expr, sigma: Expr | None) -> Expr:
    """The RBF kernel exp(−(a − b)² / 2σ²), σ = (a + b) / 2 for each pixel unless it is given.

    That σ is the one of Camps-Valls et al. 2021 (doi:10.1126/sciadv.abc7447), by which kNDVI
    is tanh(NDVI²).
    """
    two = expression.number(2.0)
    if a == b:
        # exp(0) = 1, but missing where the band is missing.
        nought = expression.mul(expression.number(0.0), a)
        return expression.add(expression.number(1.0), nought)
    if sigma is None:
        ratio = expression.div(expression.sub(a, b), expression.add(a, b))
        return expression.exp(expression.mul(expression.number(-2.0), expression.power(ratio, two)))
    scale = expression.mul(two, expression.power(sigma, two))
    square = expression.power(expression.sub(a, b), two)
    return expression.exp(expression.mul(expression.number(-1.0), expression.div(square, scale)))
