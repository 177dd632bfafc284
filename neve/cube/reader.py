"""Reading a published cube back: what anyone sees of it.

Belongs here: opening a snapshot as an xarray tree. Does not belong here: commits (``history``),
points (``sampling``), ``pictures``, writing, serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr
import zarr
from zarr.errors import GroupNotFoundError

from neve.cube.derived import ALIAS, DERIVED, Given, completed, given
from neve.errors import CubeMismatch


@dataclass(frozen=True)
class CubeVariable:
    """One variable of a cube's levels, as plain values.

    ``kind``: "stored"; "alias" (another name of a stored index); "derived" (computed from the
    stored bands when it is read, with the values that storing would have given). ``attributes``:
    long_name, units; of an index also formula, constants, references, application_domain,
    display_range (least, largest) and colormap (matplotlib's name).
    """

    name: str
    kind: Literal["stored", "alias", "derived"]
    attributes: dict[str, Any]


def tree_of(store: Any, location: str, derived: bool = True) -> xr.DataTree:
    """The cube of a session's store as ``neve.open`` tells; ``location``: what errors call it."""
    try:
        root = zarr.open_group(store, mode="r")
    except GroupNotFoundError as error:
        raise CubeMismatch(f"{location}: an empty repository; build a month first") from error
    told: Any = root.attrs.get("neve", {})
    also = given(told) if derived and "catalogue" in told else ()
    order = list(told.get("dtypes", ()))
    # Group by group: open_datatree fetches every array's metadata twice.
    nodes = {path: _group(store, path, order, also) for path in ("/", *root.group_keys())}
    return xr.DataTree.from_dict(nodes)


def _group(store: Any, path: str, order: list[str], also: Given) -> xr.Dataset:
    zarr3: dict[str, Any] = {"engine": "zarr", "zarr_format": 3, "consolidated": False}
    raw = xr.open_dataset(store, group=path, **zarr3, decode_cf=False, cache=False)
    if "spatial:transform" in raw.attrs:
        raw = raw[sorted(raw.data_vars, key=lambda n: order.index(n) if n in order else len(order))]
        raw = completed(raw, also)
    # Decoded together, so that stored and derived variables cannot be told apart.
    return xr.decode_cf(raw)


def variables(tree: xr.DataTree) -> tuple[CubeVariable, ...]:
    """What the levels of an opened cube hold: bands, stored indices, the rest; reads nothing.

    ``tree``: of ``tree_of``. Every level has the same variables.
    """
    level = next(node for node in tree.children.values() if "spatial:transform" in node.attrs)
    spatial = set(level.attrs["spatial:dimensions"])
    return tuple(
        CubeVariable(str(name), _kind(values.attrs), dict(values.attrs))
        for name, values in level.data_vars.items()
        if spatial <= set(values.dims)
    )


def _kind(attributes: Mapping[str, Any]) -> Literal["stored", "alias", "derived"]:
    return "alias" if ALIAS in attributes else "derived" if DERIVED in attributes else "stored"
