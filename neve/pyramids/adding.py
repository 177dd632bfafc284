"""``neve overviews``: add or rebuild the levels of a GeoZarr, CF Zarr or Icechunk dataset.

Belongs here: the order of things, resuming and publishing. Does not belong here: finding out
what a dataset holds (``dataset``), groups and attributes of levels (``pyramid_groups``), windows
(``pyramid_plan``), pixels (``pyramid_build``).

Levels are groups beside the native one, named by their factor. Until all of them are complete,
they carry no GeoZarr attributes, so that no tile server takes them for levels.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr

from neve.cube.codec import Array
from neve.cube.stored_chunks import StoredChunks
from neve.errors import CubeMismatch, MonthConflict
from neve.overviews.pooling import METHODS, reduce
from neve.pyramids.building import Builder
from neve.pyramids.dataset import Dataset, describe
from neve.pyramids.groups import consolidate_again, create_levels, describe_levels, level_path
from neve.pyramids.plan import BUDGET, RasterPlan, plan_raster

STATE = "neve:overviews"
WORK_BRANCH = "neve-overviews"
Progress = Callable[[str, int, int], None]
Save = Callable[[zarr.Group], zarr.Group]  # keeps what is done; returns the group to go on with


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    ``methods``: per variable, ``mean`` for those not named. ``crs``: for datasets that do not
    say. ``budget``: bytes of native pixels in a window. ``checkpoint``: seconds of work that an
    interruption may cost.
    """

    factors: tuple[int, ...] = (4, 16, 64)
    methods: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    budget: int = BUDGET
    checkpoint: float = 120.0


def add_to_zarr(
    root: zarr.Group, wanted: Wanted, progress: Progress = lambda name, done, total: None
) -> None:
    """Add levels to a dataset in place; a second call after an interruption goes on.

    ``root``: the writable group that holds, or shall hold, GeoZarr ``multiscales``. Existing
    levels are rebuilt. The native arrays must not change meanwhile; ``root`` itself does not see
    the new attributes until it is opened again. ``progress``: variable,
    windows done, windows in all. Raises ``CubeMismatch`` before anything is written if the
    dataset is not one that levels can be added to; ValueError for wrong factors or methods.
    """
    fresh = zarr.open_group(root.store, path=root.path, mode="r+", use_consolidated=False)
    _add(fresh, wanted, _Run(progress, lambda same: same))
    consolidate_again(root)


def add_to_icechunk(
    repo: icechunk.Repository,
    wanted: Wanted,
    branch: str = "main",
    progress: Progress = lambda name, done, total: None,
    folder: Path | None = None,
) -> str:
    """Add levels to the root group of a branch in one commit; returns its snapshot.

    ``folder``: where the repository is if it is on this machine; chunks are then read as files.

    Work is kept on the branch ``neve-overviews`` until it is complete, so readers of
    ``branch`` see all levels or none, and an interrupted call goes on where it was. Raises
    ``MonthConflict`` if ``branch`` moved meanwhile (call again), else like ``add_to_zarr``.
    """
    base = repo.lookup_branch(branch)
    message = f"overviews {', '.join(f'{factor}x' for factor in wanted.factors)}"
    if WORK_BRANCH in repo.list_branches() and _base_of_work(repo) != base:
        repo.delete_branch(WORK_BRANCH)
    if WORK_BRANCH not in repo.list_branches():
        repo.create_branch(WORK_BRANCH, base)
    session = repo.writable_session(WORK_BRANCH)

    def save(_: zarr.Group) -> zarr.Group:
        nonlocal session
        if session.snapshot_id == base:
            session.commit(message, {STATE: base})
        else:
            session.amend(message, metadata={STATE: base})
        session = repo.writable_session(WORK_BRANCH)
        return zarr.open_group(session.store, mode="r+")

    _add(zarr.open_group(session.store, mode="r+"), wanted, _Run(progress, save, folder))
    save(zarr.open_group(session.store, mode="r+"))
    snapshot = repo.lookup_branch(WORK_BRANCH)
    try:
        repo.reset_branch(branch, snapshot, from_snapshot_id=base)
    except icechunk.ConflictError as error:
        raise MonthConflict(
            f"branch {branch} moved while its overviews were built: build them again from there"
        ) from error
    repo.delete_branch(WORK_BRANCH)
    return snapshot


def planned(root: zarr.Group, wanted: Wanted) -> list[RasterPlan]:
    """What ``add_to_zarr`` would build in a group, which may be read-only; raises as it does."""
    state: Any = root.attrs.get(STATE, {})
    dataset = describe(root, wanted.crs, state.get("native"))
    _check_levels(root, dataset, wanted)
    return _plans(dataset, wanted)


def _base_of_work(repo: icechunk.Repository) -> str:
    head = next(iter(repo.ancestry(branch=WORK_BRANCH)))
    return str(head.metadata.get(STATE, head.id))


@dataclass(frozen=True)
class _Run:
    progress: Progress
    save: Save
    folder: Path | None = None


def _add(root: zarr.Group, wanted: Wanted, run: _Run) -> None:
    state: Any = root.attrs.get(STATE, {})
    dataset = describe(root, wanted.crs, state.get("native"))
    plans = _plans(dataset, wanted)
    _check_levels(root, dataset, wanted)
    begun = hashlib.sha256(repr(plans).encode()).hexdigest()
    if state.get("plan") != begun:
        create_levels(root, dataset, plans)
        root.attrs[STATE] = {"plan": begun, "native": dataset.path, "done": {}}
    for plan in plans:
        root = _build(root, dataset, plan, wanted.checkpoint, run)
    describe_levels(root, dataset, plans)
    del root.attrs[STATE]


def _build(
    root: zarr.Group, dataset: Dataset, plan: RasterPlan, checkpoint: float, run: _Run
) -> zarr.Group:
    """Build one raster from where the state says it is; returns the group to go on with."""
    name = plan.raster.name
    native = StoredChunks(_array(root, dataset.path, name), run.folder)
    windows = plan.windows(native.coordinates)
    fingerprint, done = plan.fingerprint(windows), 0
    while True:
        state: Any = root.attrs[STATE]
        recorded, done = state["done"].get(name, [fingerprint, 0])
        if recorded != fingerprint:
            raise CubeMismatch(
                f"{name} changed since its overviews were begun: delete the attribute {STATE!r} "
                "of the root group to start again"
            )
        if done == len(windows):
            return root
        levels = [_array(root, level_path(dataset, factor), name) for factor in plan.factors]
        builder = Builder(plan, windows, native, levels, done)
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


def _plans(dataset: Dataset, wanted: Wanted) -> list[RasterPlan]:
    names = {raster.name for raster in dataset.rasters}
    wrong = set(wanted.methods.values()) - set(METHODS)
    if wrong or set(wanted.methods) - names:
        raise ValueError(
            f"overview methods {dict(wanted.methods)}: variables are {sorted(names)}, methods "
            f"{', '.join(METHODS)}"
        )
    plans = [
        plan_raster(r, wanted.factors, wanted.methods.get(r.name, "mean"), wanted.budget)
        for r in dataset.rasters
    ]
    for plan in plans:
        raster = plan.raster
        try:  # of what the kernels refuse (64-bit integers, …) hear before anything is written
            reduce(np.zeros((1, 1), raster.dtype), plan.factors, plan.method, raster.nodata)
        except (TypeError, ValueError) as error:
            raise CubeMismatch(f"{raster.name} by {plan.method}: {error}") from error
    return plans


def _check_levels(root: zarr.Group, dataset: Dataset, wanted: Wanted) -> None:
    if not dataset.path:
        raise CubeMismatch(
            "the native arrays lie in the root group, where a tree of levels cannot be opened "
            "for their coordinates: move them into a group first (neve.pyramids.nesting)"
        )
    layout: Any = root.attrs.get("multiscales", {})
    present = {entry["asset"] for entry in layout.get("layout", [])} - {dataset.path}
    extra = present - {level_path(dataset, factor) for factor in wanted.factors}
    if extra:
        raise CubeMismatch(f"levels {sorted(extra)} are there and not asked for: delete them first")


def _array(root: zarr.Group, path: str, name: str) -> Array:
    return root[f"{path}/{name}"]  # type: ignore[return-value]
