"""A month of a region, executed: all blocks through an engine, one transaction, one report.

Belongs here: running the planned blocks, the commit and its metadata. Does not belong here: the
plan (``plan``), one block's work (``block``), Dagster.
"""

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import zarr
from icechunk.session import ForkSession
from numpy.typing import NDArray

from neve.build.block import BlockResult, BlockTask, clear_block, run_block
from neve.build.engine import Engine
from neve.build.plan import MonthPlan
from neve.build.shared_chunks import SharedChunks
from neve.cube import geozarr
from neve.cube.layout import CLEAR, LAND_FILTERED
from neve.cube.store import Cube
from neve.errors import BlockFailed, MonthConflict

CONFLICT_RETRIES = 3
GIB = 2**30
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Provenance:
    """Who builds: recorded in the commit."""

    run_id: str
    code_version: str


@dataclass(frozen=True)
class MonthReport:
    """What was published. ``counts[n]``: native pixels with n clear observations."""

    snapshot: str
    parent: str
    pixels: int
    valid_pixels: int
    counts: tuple[int, ...]
    blocks: int
    used: tuple[str, ...]
    lost: tuple[tuple[str, str, str], ...]
    seconds: float
    levels: tuple[tuple[str, tuple[int, int]], ...]

    @property
    def median_count(self) -> int:
        """Median number of clear observations of the built pixels."""
        return int(np.searchsorted(np.cumsum(self.counts), sum(self.counts) / 2))


def build_month(
    plan: MonthPlan,
    cube: Cube,
    engine: Engine,
    provenance: Provenance,
    progress: Progress = lambda done, total: None,
) -> MonthReport:
    """Build and publish one month; main is untouched until the single commit at the end.

    When another writer publishes the same month meanwhile, everything is computed again from
    the new state. Raises ``BlockFailed`` or ``MonthConflict``; main is then as it was.
    """
    for _ in range(CONFLICT_RETRIES):
        try:
            return _attempt(plan, cube, engine, provenance, progress)
        except MonthConflict as error:
            conflict = error
    raise conflict


def _attempt(
    plan: MonthPlan, cube: Cube, engine: Engine, provenance: Provenance, progress: Progress
) -> MonthReport:
    began = time.perf_counter()
    transaction = cube.begin(plan.month)
    index = plan.layout.month_index(plan.month)
    # The parent's own copy: tasks are pickled late and must not carry what it writes.
    own_fork = pickle.loads(pickle.dumps(transaction.fork))
    todo, left_out = _tasks(plan, index, transaction.fork, own_fork)
    status = np.full(plan.layout.blocks_shape(), LAND_FILTERED, np.uint8)
    shared = SharedChunks(plan.layout, [task.block for task in (*todo, *left_out)])
    for task in left_out:
        shared.add(clear_block(task), own_fork, index)
    results: list[BlockResult] = []
    for result in engine.map(run_block, todo):
        shared.add(result, own_fork, index)
        status[result.block.i, result.block.j] = result.status
        results.append(replace(result, coarse={}))
        progress(len(results), len(todo))
    lost = _losses(plan, results)
    zarr.open_group(own_fork.store, path="blocks", mode="r+")["status"][index] = status  # type: ignore[index]
    report = _report(plan, results, transaction.base)
    # An engine that runs in this process hands the same fork back; it is merged once.
    forks = {id(fork): fork for fork in [own_fork, *(result.fork for result in results)]}
    snapshot = transaction.commit(
        list(forks.values()),
        f"{plan.region.name} {plan.month}: {len(plan.promised)} scenes, {len(todo)} blocks",
        {
            "region": plan.region.name,
            "month": plan.month,
            "fingerprint": plan.fingerprint,
            "scenes": list(plan.promised),
            "lost": lost,
            "collection": plan.region.collection,
            "valid_fraction": report.valid_pixels / plan.layout.pixels,
            "counts": list(report.counts),
            "run_id": provenance.run_id,
            "code_version": provenance.code_version,
        },
    )
    return replace(report, snapshot=snapshot, seconds=time.perf_counter() - began)


def _tasks(
    plan: MonthPlan, index: int, fork: ForkSession, own_fork: ForkSession
) -> tuple[list[BlockTask], list[BlockTask]]:
    """Blocks to build; and those left out now that hold data of an earlier build."""
    layout, region = plan.layout, plan.region
    task = partial(BlockTask, layout, region.recipe(), region.memory * GIB, index)
    todo = [task(work.block, work.scenes, fork) for work in plan.works]
    status = zarr.open_array(own_fork.store, path="blocks/status", mode="r")
    held = np.asarray(status[index]) == CLEAR
    planned = {work.block for work in plan.works}
    left_out = [
        task(block, (), own_fork)
        for block in layout.grid.blocks(layout.block)
        if held[block.i, block.j] and block not in planned
    ]
    return todo, left_out


def _losses(plan: MonthPlan, results: Sequence[BlockResult]) -> list[tuple[str, str, str]]:
    """All lost scenes with URL and reason; ``BlockFailed`` when the month lost too many."""
    lost = sorted({loss for result in results for loss in result.lost})
    if len({scene for scene, _, _ in lost}) > plan.region.max_lost:
        raise BlockFailed(
            f"{plan.region.name} {plan.month}: {len(lost)} scenes lost, {plan.region.max_lost} "
            f"allowed: {lost[0]}; run again, or raise max_lost in the region file"
        )
    return lost


def _report(plan: MonthPlan, results: Sequence[BlockResult], parent: str) -> MonthReport:
    layout = plan.layout
    counts: NDArray[np.int64] = np.zeros(
        max((len(result.counts) for result in results), default=1), np.int64
    )
    for result in results:
        counts[: len(result.counts)] += result.counts
    return MonthReport(
        snapshot="",
        parent=parent,
        pixels=sum(result.block.grid.width * result.block.grid.height for result in results),
        valid_pixels=sum(result.valid_pixels for result in results),
        counts=tuple(counts.tolist()),
        blocks=len(results),
        used=tuple(sorted({scene for result in results for scene in result.used})),
        lost=tuple(sorted({loss for result in results for loss in result.lost})),
        seconds=0.0,
        levels=tuple((geozarr.level_name(f), layout.grid.level(f).shape) for f in layout.levels),
    )
