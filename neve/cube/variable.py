"""One variable of every level: how it is stored and described, and which indices need not be.

Belongs here: dtypes, packing and CF attributes of arrays as plain values. Does not belong here:
which variables a cube has (``layout``), arrays (``creation``, ``derived``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.indices import Index, possible, select
from neve.scenes.values import FILL, REFLECTANCE_UNIT


@dataclass(frozen=True)
class Variable:
    """One array of every level: how its values are stored at ``1x`` and at the overviews."""

    name: str
    dtype: str
    fill: float
    attributes: dict[str, Any]
    overview_dtype: str


@dataclass(frozen=True)
class Catalogue:
    """Which indices a cube's bands give besides those that are stored, and how they are encoded.

    ``release`` of spyndex; ``constants`` other than its defaults; ``dtypes`` "auto" or "float32".
    """

    release: str
    constants: dict[str, float]
    dtypes: str


def unstored(told: Mapping[str, Any]) -> tuple[Index, ...]:
    """Every index that a cube gives and holds no array of; ``told`` is its ``identity``.

    All of its catalogue that its bands allow, and aliases that are formulas of its own.
    """
    source = Catalogue(**told["catalogue"])
    choice = told["bands"], source.release, source.constants
    indices = {index.name: index for index in possible(*choice)}
    own = [{name: told["indices"][name][0]} for name in told["aliases"] if name not in indices]
    indices |= {index.name: index for index in select(own, *choice)}
    given = tuple(index for name, index in indices.items() if name not in told["dtypes"])
    return encoded(given, source.dtypes)


def encoded(indices: tuple[Index, ...], dtypes: str) -> tuple[Index, ...]:
    """The indices with the dtype that ``Catalogue.dtypes`` asks for."""
    return tuple(replace(i, dtype="float32") if dtypes == "float32" else i for i in indices)


def index_variable(index: Index) -> Variable:
    """How an index is stored, or would be; formula and constants together define its values."""
    return packed_variable(
        index.name,
        index.dtype,
        {
            "long_name": index.long_name,
            "formula": index.formula,
            "constants": dict(index.constants),
            "references": index.reference,
            "application_domain": index.domain,
            "display_range": list(index.display),
            "colormap": index.colormap,
        },
    )


def packed_variable(name: str, dtype: str, attributes: dict[str, Any]) -> Variable:
    """A variable of values around 1: int16 in units of 0.0001 with fill, or float32 with NaN."""
    attributes = {**attributes, "units": "1"}
    if dtype == "int16":
        packing = {"scale_factor": REFLECTANCE_UNIT, "add_offset": 0.0, "_FillValue": FILL}
        return Variable(name, dtype, FILL, {**attributes, **packing}, dtype)
    return Variable(name, dtype, float("nan"), attributes, dtype)


def packed(reflectance: NDArray[Any]) -> NDArray[np.int16]:
    """Stored reflectance in units of 0.0001, also where a region stores it as float32."""
    if reflectance.dtype == np.int16:
        return reflectance
    units = np.rint(reflectance / np.float32(REFLECTANCE_UNIT))
    return np.where(np.isnan(units), np.float32(FILL), units).astype(np.int16)


def unpacked(units: NDArray[Any]) -> NDArray[np.float32]:
    """Reflectance as float32, NaN for nodata: of int16 in units of 0.0001."""
    scaled = units.astype(np.float32) * np.float32(REFLECTANCE_UNIT)
    return np.where(units == FILL, np.float32("nan"), scaled)
