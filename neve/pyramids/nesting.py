"""Moving native arrays out of the root group, so that levels can lie beside them.

Belongs here: renaming nodes of a store, without copying a chunk. Does not belong here: levels.

Zarr 3 has no move; Icechunk's and a local directory's are used. Arrays keep their names: what
was ``/red`` is ``/1x/red``, and readers of the old path must be told.
"""

from pathlib import Path

import icechunk
import zarr
from zarr.storage import LocalStore

from neve.cube import geozarr
from neve.errors import CubeMismatch
from neve.pyramids.dataset import spatial_dimensions
from neve.pyramids.state import STATE, as_stored, begin, finish

NATIVE = geozarr.level_name(1)


def nest_icechunk(repo: icechunk.Repository, branch: str = "main") -> str:
    """Move the root's arrays into ``1x``; returns the snapshot. Metadata only, two commits."""
    session = repo.writable_session(branch)
    root = zarr.open_group(session.store, mode="r+")
    names = sorted(root.array_keys())
    if NATIVE not in root:
        root.create_group(NATIVE, attributes=dict(root.attrs))
        session.commit(f"group {NATIVE} for the native arrays")
    session = repo.rearrange_session(branch)
    for name in names:
        session.move(f"/{name}", f"/{NATIVE}/{name}")
    return str(session.commit(f"native arrays moved to {NATIVE}"))


def nest_local(root: zarr.Group) -> None:
    """Move the arrays of a group in a local directory into its group ``1x``, by renaming.

    Call again after an interruption: rasters move last, so that the root lies flat until then.
    Raises ``CubeMismatch`` for other stores.
    """
    store = root.store
    if not isinstance(store, LocalStore):
        raise CubeMismatch(f"{store} cannot rename arrays: move them into {NATIVE}/ yourself")
    root = as_stored(root)
    begin(root, {})
    attributes = {key: value for key, value in root.attrs.items() if key != STATE}
    root.require_group(NATIVE).update_attributes(attributes)
    place = Path(store.root) / root.path
    arrays = dict(root.arrays())
    for name in sorted(arrays, key=lambda n: (bool(spatial_dimensions({n: arrays[n]})), n)):
        (place / name).rename(place / NATIVE / name)
    finish(root)
