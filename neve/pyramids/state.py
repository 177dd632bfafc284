"""What a dataset's root group notes of levels that are not complete.

Belongs here: hiding levels from readers while they are built, and showing them again. Does not
belong here: what is built (``adding``), attributes of complete levels (``groups``).

Readers find levels by ``multiscales``, or in consolidated metadata, a copy of all metadata from
before. Both go before the first array is touched; without them datasets are read from native.
"""

import warnings
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.errors import ZarrUserWarning

STATE = "neve:overviews"
CONSOLIDATED = "consolidated"  # whether it is to be brought back


def as_stored(root: zarr.Group) -> zarr.Group:
    """The group, writable and not as its consolidated metadata have it."""
    return zarr.open_group(root.store, path=root.path, mode="r+", use_consolidated=False)


def state_of(root: zarr.Group) -> dict[str, Any]:
    """What is noted; empty if nothing is under way."""
    state: Any = root.attrs.get(STATE, {})
    return dict(state)


def begin(root: zarr.Group, state: dict[str, Any]) -> None:
    """Note a state in a root that is ``as_stored``, and hide its levels, if any."""
    before = zarr.open_group(root.store, path=root.path, mode="r").metadata.consolidated_metadata
    again = before is not None or state_of(root).get(CONSOLIDATED, False)
    others = {key: value for key, value in root.attrs.items() if key != "multiscales"}
    root.attrs.put(others | {STATE: state | {CONSOLIDATED: again}})  # Zarr 3 has it in this file
    if root.metadata.zarr_format == 2:
        sync((root.store_path / ".zmetadata").delete())


def finish(root: zarr.Group) -> None:
    """Forget the state; metadata that were consolidated are so again."""
    again = state_of(root)[CONSOLIDATED]
    del root.attrs[STATE]
    if again:
        with warnings.catch_warnings():  # Zarr 3 has no standard for it yet; the dataset has it
            warnings.simplefilter("ignore", ZarrUserWarning)
            zarr.consolidate_metadata(root.store, root.path, zarr_format=root.metadata.zarr_format)
