"""The values of a block's levels: from its composite to every variable in storage dtypes.

Belongs here: pure steps from arrays to arrays. Does not belong here: the kernels themselves,
where values are written (``block``).

The reflectance of a level is the mean of its valid native pixels. An index is a function of the
*stored* reflectance of its own level, so that a reader who derives it gets the very same value;
unless the region asks for the mean of the native index.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve import indices
from neve.compositing.composite import Composite
from neve.cube.layout import Layout
from neve.grid import Grid
from neve.overviews import pooling as overviews
from neve.scenes.values import FILL, REFLECTANCE_UNIT

Arrays = dict[str, NDArray[np.generic]]


def level_arrays(composite: Composite, layout: Layout, grid: Grid) -> dict[int, Arrays]:
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
    cells = {name: coarser(name, values, layout) for name, values in native.items()}
    cells["valid_fraction"] = shares(valid, layout, grid)
    for k, factor in enumerate(layout.factors):
        levels[factor] = {name: values[k] for name, values in cells.items()}
    return levels


def shares(valid: NDArray[np.bool_], layout: Layout, grid: Grid) -> list[NDArray[np.float32]]:
    """``valid_fraction`` of every coarser level of one block."""
    if not layout.factors:
        return []
    return [
        (pooled.total / overviews.cells(grid.shape, factor)).astype(np.float32)
        for factor, pooled in zip(
            layout.factors, overviews.pools(valid, layout.factors, None), strict=True
        )
    ]


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
        arrays |= {band: _unpacked(values) for band, values in bands.items()}
    invalid = [found.invalid.get(index.name, 0) for index in layout.stored]
    return {v.name: arrays[v.name] for v in layout.variables}, np.array(invalid, np.int64)


def coarser(name: str, values: NDArray[Any], layout: Layout) -> list[NDArray[Any]]:
    """A variable's cells at every coarser level."""
    if not layout.factors:
        return []
    method = layout.overview_methods.get(name, "mean")
    if name != "count":
        fill = FILL if values.dtype == np.int16 else np.nan
        return overviews.reduce(values, layout.factors, method, fill)
    if method == "mean":
        pools = overviews.pools(values, layout.factors, None)
        return [overviews.mean(pooled, np.float32, np.nan) for pooled in pools]
    return [
        cells.astype(np.float32) for cells in overviews.reduce(values, layout.factors, method, None)
    ]


def _unpacked(values: NDArray[np.generic]) -> NDArray[np.float32]:
    scaled = values.astype(np.float32) * np.float32(REFLECTANCE_UNIT)
    return np.where(values == FILL, np.float32("nan"), scaled)
