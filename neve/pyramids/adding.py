"""``neve overviews``: add or rebuild the levels of a GeoZarr, CF Zarr or Icechunk dataset.

Belongs here: the order of things, resuming and publishing. Does not belong here: what is asked for
and refused (``asked``), groups and attributes of levels (``groups``), pixels (``building``).

Levels are groups beside the native one, named by their factor. Until all of them are complete,
they carry no GeoZarr attributes, so that no tile server takes them for levels.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import icechunk
import zarr

from neve.cube.codec import Array
from neve.cube.stored_chunks import StoredChunks
from neve.errors import CubeMismatch, MonthConflict
from neve.pyramids.asked import Wanted, levels_there, planned
from neve.pyramids.building import Builder
from neve.pyramids.dataset import Dataset, lies_flat
from neve.pyramids.groups import create_levels, describe_levels, level_path
from neve.pyramids.keeping import KeptChunks
from neve.pyramids.nesting import nest_icechunk, nest_local
from neve.pyramids.plan import RasterPlan
from neve.pyramids.state import STATE, as_stored, begin, finish, state_of

WORK_BRANCH = "neve-overviews"
Progress = Callable[[str, int, int], None]
Save = Callable[[zarr.Group], zarr.Group]  # keeps what is done; returns the group to go on with


def add_to_zarr(
    root: zarr.Group, wanted: Wanted, progress: Progress = lambda name, done, total: None
) -> None:
    """Add levels to a dataset in place; a second call after an interruption goes on.

    ``root``: the writable group that holds, or shall hold, GeoZarr ``multiscales``. Existing
    levels are rebuilt, and hidden from readers until all are complete. The native arrays must not
    change meanwhile; ``root`` itself does not see the new attributes until it is opened again.
    ``progress``: variable, windows done, windows in all. Raises what ``planned`` raises, before
    anything is written; ``CubeMismatch`` if the native arrays changed between two calls (in a local
    store; in others only chunks that came or went are noticed).
    """
    root = as_stored(root)
    if wanted.nest and lies_flat(root):
        if not state_of(root):  # else it was interrupted in the midst of it
            planned(root, wanted)
        nest_local(root)
    _add(root, wanted, _Run(progress, lambda same: same))


def add_to_icechunk(
    repo: icechunk.Repository,
    wanted: Wanted,
    branch: str = "main",
    progress: Progress = lambda name, done, total: None,
    folder: Path | None = None,
) -> str:
    """Add levels to the root group of a branch in one commit; returns its snapshot.

    ``folder``: where the repository is if it is on this machine; chunks are then read as files.
    Nesting, where it is wanted, is two commits of its own before.

    Work is kept on the branch ``neve-overviews`` until it is complete, so readers of
    ``branch`` see all levels or none, and an interrupted call goes on where it was. Raises
    ``MonthConflict`` if ``branch`` moved meanwhile (call again), else like ``add_to_zarr``.
    """
    root = zarr.open_group(repo.readonly_session(branch).store, mode="r")
    if wanted.nest and lies_flat(root):
        planned(root, wanted)
        nest_icechunk(repo, branch)
    base = repo.lookup_branch(branch)
    message = f"overviews {', '.join(f'{factor}x' for factor in wanted.factors)}"
    _branch_off(repo, base)
    session = repo.writable_session(WORK_BRANCH)

    def keep() -> None:
        if session.snapshot_id == base:
            session.commit(message, {STATE: base})
        else:
            session.amend(message, metadata={STATE: base})

    def save(_: zarr.Group) -> zarr.Group:
        nonlocal session
        keep()
        session = repo.writable_session(WORK_BRANCH)
        return zarr.open_group(session.store, mode="r+")

    _add(zarr.open_group(session.store, mode="r+"), wanted, _Run(progress, save, folder))
    keep()
    snapshot = repo.lookup_branch(WORK_BRANCH)
    try:
        repo.reset_branch(branch, snapshot, from_snapshot_id=base)
    except icechunk.ConflictError as error:
        raise MonthConflict(
            f"branch {branch} moved while its overviews were built: build them again from there"
        ) from error
    repo.delete_branch(WORK_BRANCH)
    return snapshot


def _branch_off(repo: icechunk.Repository, base: str) -> None:
    """Begin the work branch at a snapshot, unless work from there is on it."""
    if WORK_BRANCH in repo.list_branches() and _base_of_work(repo) != base:
        repo.delete_branch(WORK_BRANCH)
    if WORK_BRANCH not in repo.list_branches():
        repo.create_branch(WORK_BRANCH, base)


def _base_of_work(repo: icechunk.Repository) -> str:
    head = next(iter(repo.ancestry(branch=WORK_BRANCH)))
    return str(head.metadata.get(STATE, head.id))


@dataclass(frozen=True)
class _Run:
    progress: Progress
    save: Save
    folder: Path | None = None


def _add(root: zarr.Group, wanted: Wanted, run: _Run) -> None:
    dataset, plans = planned(root, wanted)
    begun = hashlib.sha256(repr(plans).encode()).hexdigest()
    if state_of(root).get("plan") != begun:
        levels = {level_path(dataset, factor) for factor in wanted.factors}
        levels |= levels_there(root, dataset)
        begin(root, {"native": dataset.path, "levels": sorted(levels)})
        create_levels(root, dataset, plans)
        root.attrs[STATE] = state_of(root) | {"plan": begun, "done": {}}
    for plan in plans:
        root = _build(root, dataset, plan, wanted.checkpoint, run)
    describe_levels(root, dataset, plans)
    finish(root)


def _build(
    root: zarr.Group, dataset: Dataset, plan: RasterPlan, checkpoint: float, run: _Run
) -> zarr.Group:
    """Build one raster from where the state says it is; returns the group to go on with."""
    name = plan.raster.name
    native = StoredChunks(_array(root, dataset.path, name), run.folder)
    windows = plan.windows(native.coordinates)
    fingerprint = plan.fingerprint(windows, native.stamps())
    while True:
        state = state_of(root)
        recorded, done = state["done"].get(name, [fingerprint, 0])
        if recorded != fingerprint:
            raise CubeMismatch(
                f"{name} changed since its overviews were begun: delete the attribute {STATE!r} "
                "of the root group to start again"
            )
        if done == len(windows):
            return root
        levels = [_array(root, level_path(dataset, factor), name) for factor in plan.factors]
        source = KeptChunks(native, plan, windows[done:]) if plan.rereads else native
        builder = Builder(plan, windows, source, levels, done)
        stop = time.monotonic() + checkpoint
        with closing(builder.steps()) as steps:
            for _ in steps:
                done += 1
                run.progress(name, done, len(windows))
                if time.monotonic() > stop:
                    break
        builder.flush()
        state["done"][name] = [fingerprint, done]
        root.attrs[STATE] = state
        if done < len(windows):
            root = run.save(root)


def _array(root: zarr.Group, path: str, name: str) -> Array:
    return root[f"{path}/{name}"]  # type: ignore[return-value]
