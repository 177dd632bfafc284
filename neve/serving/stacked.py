"""Three variables as one with a band dimension, read lazily: what draws true and false colour.

Belongs here: xarray's lazy array over others. Does not belong here: which bands, and colours.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

BAND = "band"


class StackedArray(BackendArray):
    """Variables of one shape, on top of each other along a new first axis."""

    def __init__(self, layers: Sequence[xr.Variable]) -> None:
        self.layers = tuple(layers)
        self.shape = (len(self.layers), *self.layers[0].shape)
        self.dtype = np.result_type(*(layer.dtype for layer in self.layers))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> Any:
        """As ``__getitem__``, in a thread: the bands may have to be computed."""
        return await asyncio.to_thread(self.__getitem__, key)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        bands, *window = key
        chosen = np.arange(len(self.layers))[bands]
        parts = [self.layers[k][tuple(window)].to_numpy() for k in np.atleast_1d(chosen)]
        return np.stack(parts) if np.ndim(chosen) else parts[0]


def stacked(layers: Sequence[xr.Variable]) -> xr.Variable:
    """The layers as one variable with the first dimension ``band``; reads nothing."""
    data = indexing.LazilyIndexedArray(StackedArray(layers))
    first = layers[0]
    return xr.Variable((BAND, *first.dims), data, first.attrs, first.encoding)
