"""The slow, obvious ways to the values of indices: spyndex itself, and plain float64 trees."""

from collections.abc import Mapping

import numpy as np
import spyndex

from neve.indices import Index
from neve.indices.catalogue import BANDS
from neve.indices.expression import Expr

HALF_ULP = 2.0**-24

Reflectance = Mapping[str, np.ndarray]


def by_spyndex(index: Index, reflectance: Reflectance) -> np.ndarray:
    """``spyndex.computeIndex`` in float64 on reflectance 0–1 by STAC common name."""
    letters = {letter: reflectance[name] for letter, name in BANDS.items() if name in reflectance}
    letters |= dict(index.constants)
    for kernel in ("kNN", "kNR", "kNB", "kNL", "kGG", "kGR", "kGB"):
        if kernel in spyndex.indices[index.name].bands:
            a, b = letters[kernel[1]], letters[kernel[2]]
            sigma = dict(index.constants).get("sigma", 0.5 * (a + b))
            letters[kernel] = spyndex.computeKernel("RBF", {"a": a, "b": b, "sigma": sigma})
    with np.errstate(all="ignore"):
        values = spyndex.computeIndex(index.name, letters)
    return np.broadcast_to(values, next(iter(reflectance.values())).shape)


def by_tree(tree: Expr, reflectance: Reflectance) -> tuple[np.ndarray, np.ndarray]:
    """(float64 value, bound of the error of the same tree in float32) of every pixel.

    The bound adds up what each float32 operation may lose at most and how later operations
    enlarge it. It is infinite or NaN where float32 cannot tell a divisor or a root from 0.
    """
    with np.errstate(all="ignore"):
        return _bounded(tree, reflectance)


def _bounded(tree: Expr, reflectance: Reflectance) -> tuple[np.ndarray, np.ndarray]:
    operation = tree[0]
    if operation in ("band", "number"):
        v = reflectance[tree[1]] if operation == "band" else np.float64(tree[1])
        return v, HALF_ULP * np.abs(v)
    x, ex = _bounded(tree[1], reflectance)
    if operation in ("add", "sub", "mul", "div"):
        v, error = _two(operation, (x, ex), _bounded(tree[2], reflectance))
    elif operation == "exp":
        v = np.exp(x)
        error = v * np.expm1(ex)
    else:
        exponent = 0.5 if operation == "sqrt" else tree[2]
        v = np.power(x, exponent)
        spread = np.power(x + ex, exponent) - np.power(np.maximum(x - ex, 0), exponent)
        error = np.where(np.abs(x) <= ex, np.inf, spread + HALF_ULP * 1e-3 * v)
    return v, error + HALF_ULP * (np.abs(v) + error)


def _two(
    operation: str, left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    (x, ex), (y, ey) = left, right
    if operation in ("add", "sub"):
        return (x + y if operation == "add" else x - y), ex + ey
    if operation == "mul":
        return x * y, np.abs(x) * ey + np.abs(y) * ex + ex * ey
    v = x / y
    return v, np.where(np.abs(y) <= ey, np.inf, (ex + np.abs(v) * ey) / (np.abs(y) - ey))
