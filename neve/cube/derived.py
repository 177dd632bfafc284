"""Derived variables: what a cube gives without storing it.

Belongs here: which indices the stored bands give besides the stored variables, and the lazy
arrays that evaluate them on the part that is read. Does not belong here: opening a store
(``reader``), formulas (``neve.indices``).

An index is a function of the stored reflectance of its own level, so what is derived here has
the very bits that storing would have given; attributes and encoding are those of a stored one.
"""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.conventions import encode_cf_variable
from xarray.core import indexing

from neve.cube.variable import index_variable, packed, unstored
from neve.indices import Index, compute, tree_of

DERIVED, ALIAS = "derived_from", "alias_of"
Given = tuple[tuple[Index, str], ...]


class DerivedArray(BackendArray):
    """An index as xarray's lazy array: any read evaluates it on just that part of its bands.

    Values are encoded as stored ones are (int16 or bit-rounded float32). Can be pickled.
    """

    def __init__(self, index: Index, bands: Mapping[str, xr.Variable]):
        self.index = index
        self.bands = {name: bands[name] for name in index.bands}
        self.shape = bands[index.bands[0]].shape
        self.dtype = np.dtype(index.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> Any:
        """As ``[]``, with all bands fetched at once: tile servers read so."""
        outer = indexing.IndexingSupport.OUTER
        return await indexing.async_explicit_indexing_adapter(key, self.shape, outer, self._fetch)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        return self._evaluated({name: band[key].load() for name, band in self.bands.items()})

    async def _fetch(self, key: tuple[Any, ...]) -> NDArray[Any]:
        parts = {name: band[key] for name, band in self.bands.items()}
        await asyncio.gather(*(part.load_async() for part in parts.values()))
        return self._evaluated(parts)

    def _evaluated(self, parts: Mapping[str, xr.Variable]) -> NDArray[Any]:
        stored = {name: packed(part.to_numpy()) for name, part in parts.items()}
        return compute([self.index], stored)[self.index.name]


def given(told: Mapping[str, Any]) -> Given:
    """(index, stored variable of the very same values or "") of all that is given unstored.

    ``told``: what the cube says of itself (``Layout.identity``).
    """
    same = {
        tree_of(formula, tuple(sorted(constants.items()))): name
        for name, (formula, constants) in told["indices"].items()
        if name in told["dtypes"] and name not in told["overview_methods"]
    }
    return tuple(
        (index, told["aliases"].get(index.name) or same.get(index.tree, ""))
        for index in unstored(told)
    )


def completed(level: xr.Dataset, also: Given) -> xr.Dataset:
    """A level, not decoded yet, and every variable that it gives unstored, encoded alike."""
    bands: dict[Hashable, xr.Variable] = {name: v.variable for name, v in level.items()}
    return level.assign(
        {
            index.name: _alias(index, bands, of) if of else _derived(index, bands)
            for index, of in also
        }
    )


def sources(variable: xr.Variable, name: str) -> list[str]:
    """The stored variables that a variable of an opened level is read from."""
    return list(variable.attrs.get(DERIVED, [variable.attrs.get(ALIAS, name)]))


def loaded(part: xr.Dataset, names: Sequence[str], also: Given) -> xr.Dataset:
    """Variables of a part of an opened level, in memory; each stored one is read just once."""
    stored = {source for name in names for source in sources(part.variables[name], name)}
    raw = {name: encode_cf_variable(part.variables[name].load()) for name in sorted(stored)}
    wanted = tuple((index, of) for index, of in also if index.name in names)
    return xr.decode_cf(completed(xr.Dataset(raw), wanted))[list(names)].load()


def _derived(index: Index, bands: Mapping[Any, xr.Variable]) -> xr.Variable:
    like = bands[index.bands[0]]
    data = indexing.LazilyIndexedArray(DerivedArray(index, bands))
    attributes = _attributes(index, like) | {DERIVED: list(index.bands)}
    encoding = {key: value for key, value in like.encoding.items() if key != "dtype"}
    return xr.Variable(like.dims, data, attributes, encoding)


def _alias(index: Index, stored: Mapping[Any, xr.Variable], of: str) -> xr.Variable:
    same = stored[of].copy(deep=False)
    same.attrs |= _attributes(index, same) | {ALIAS: of}
    return same


def _attributes(index: Index, like: xr.Variable) -> dict[str, Any]:
    mapping = {"grid_mapping": like.attrs["grid_mapping"]}
    return index_variable(index).attributes | mapping
