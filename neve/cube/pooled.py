"""What the coarser levels hold of a variable: its native pixels, pooled.

Belongs here: fills, dtypes and methods of a cube's variables, for those who build levels and those
who verify them. Does not belong here: pooling (``neve.overviews``), indices of a coarser level's
own reflectance (``neve.build.levels``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neve.overviews import pooling
from neve.scenes.values import FILL


def coarser(
    name: str, values: NDArray[Any], factors: Sequence[int], methods: Mapping[str, str]
) -> list[NDArray[Any]]:
    """A variable's cells at every coarser level; ``methods`` other than "mean", by variable."""
    if not factors:
        return []
    method = methods.get(name, "mean")
    if name != "count":
        fill = FILL if values.dtype == np.int16 else np.nan
        return pooling.reduce(values, factors, method, fill)
    if method == "mean":
        pools = pooling.pools(values, factors, None)
        return [pooling.mean(pooled, np.float32, np.nan) for pooled in pools]
    return [cells.astype(np.float32) for cells in pooling.reduce(values, factors, method, None)]


def shares(valid: NDArray[np.bool_], factors: Sequence[int]) -> list[NDArray[np.float32]]:
    """``valid_fraction`` of every coarser level."""
    if not factors:
        return []
    return [
        (pooled.total / pooling.cells(valid.shape, factor)).astype(np.float32)
        for factor, pooled in zip(factors, pooling.pools(valid, factors, None), strict=True)
    ]
