"""The values of a block's levels: from its composite to every variable in storage dtypes.

Belongs here: pure steps from arrays to arrays. Does not belong here: the kernels themselves,
where values are written (``block``).

The reflectance of a level is the mean of its valid native pixels. An index is a function of the
*stored* reflectance of its own level, so that a reader who derives it gets the very same value;
unless the region asks for the mean of the native index.
"""

import numpy as np
from numpy.typing import NDArray

from neve import indices
from neve.compositing.composite import Composite
from neve.cube.layout import Layout
from neve.cube.pooled import coarser, shares
from neve.cube.variable import unpacked
from neve.scenes.values import FILL

Arrays = dict[str, NDArray[np.generic]]


def level_arrays(composite: Composite, layout: Layout) -> dict[int, Arrays]:
    """What every level of one block has before indices are computed from it; keys are factors.

    Bands as int16, ``count``, ``valid_fraction``, and at coarser levels the indices that are
    means of native values there.
    """
    native: Arrays = {**composite.bands, "count": composite.count}
    valid = composite.bands[layout.bands[0]] != FILL
    levels: dict[int, Arrays] = {1: native | {"valid_fraction": valid.astype(np.float32)}}
    if not layout.factors:
        return levels
    means = [index for index in layout.stored if index.name in layout.overview_methods]
    native |= indices.compute(means, composite.bands)
    cells = {
        name: coarser(name, values, layout.factors, layout.overview_methods)
        for name, values in native.items()
    }
    cells["valid_fraction"] = shares(valid, layout.factors)
    for k, factor in enumerate(layout.factors):
        levels[factor] = {name: values[k] for name, values in cells.items()}
    return levels


def with_indices(
    arrays: Arrays, layout: Layout, buffers: indices.Buffers | None = None
) -> tuple[Arrays, NDArray[np.int64]]:
    """All variables of a level or a piece of it in storage dtypes; ``BlockResult.invalid`` of it.

    ``arrays``: of ``level_arrays``. Indices are views of ``buffers`` where it is given.
    """
    todo = [index for index in layout.stored if index.name not in arrays]
    bands = {band: arrays[band] for band in layout.bands}
    found = indices.evaluate(todo, bands, buffers)  # type: ignore[arg-type]
    arrays = arrays | found.values
    if layout.reflectance_dtype == "float32":
        arrays |= {band: unpacked(values) for band, values in bands.items()}
    invalid = [found.invalid.get(index.name, 0) for index in layout.stored]
    return {v.name: arrays[v.name] for v in layout.variables}, np.array(invalid, np.int64)
