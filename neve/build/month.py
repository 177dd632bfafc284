"""A month of a region, executed: all blocks through an engine, one transaction, one report.

Belongs here: running the planned blocks, the commit and its metadata. Does not belong here: the
plan (``plan``), one block's work (``block``), Dagster.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from neve.build.block import BlockResult, BlockTask, Means, clear_block, record, run_block
from neve.build.checks import Check, Made, month_checks, refuse_loss, refuse_losses
from neve.build.engine import Engine
from neve.build.plan import Change, MonthPlan, change_of
from neve.build.shared_chunks import SharedChunks
from neve.build.staging import Staging
from neve.build.watching import refuse_shrink
from neve.cube import geozarr
from neve.cube.history import last_change
from neve.cube.places import explained
from neve.cube.records import Records
from neve.cube.store import MAIN, Cube
from neve.errors import MonthConflict
from neve.grid import Block
from neve.previews.drawing import draw_previews
from neve.previews.month import month_canvas
from neve.region import Region

CONFLICT_RETRIES = 3
GIB = 2**30
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Provenance:
    """Who builds: recorded in the commit."""

    run_id: str
    code_version: str


@dataclass(frozen=True)
class Wishes:
    """What a person asked for besides the routine.

    ``rebuild``: make the blocks that are right, too; ``allow_shrink``: publish the month although
    most of its scenes are gone.
    """

    rebuild: bool = False
    allow_shrink: bool = False


@dataclass(frozen=True)
class MonthReport:
    """What is published now, and what it took.

    ``blocks``, ``pixels``, ``valid_pixels`` and ``counts`` (native pixels with n clear
    observations) are those of the whole month; ``recomputed`` blocks were made by this build, and
    ``used`` and ``lost`` are their scenes; ``resumed`` ones by an attempt that was killed. Where
    nothing had changed, ``published`` is false and ``snapshot`` the one that the month is from.
    ``unstaged``: why finished blocks were not kept for a later attempt; mostly empty.
    """

    snapshot: str
    parent: str
    published: bool
    pixels: int
    valid_pixels: int
    counts: tuple[int, ...]
    blocks: int
    recomputed: int
    resumed: int
    checks: tuple[Check, ...]
    used: tuple[str, ...]
    lost: tuple[tuple[str, str, str], ...]
    seconds: float
    levels: tuple[tuple[str, tuple[int, int]], ...]
    unstaged: str = ""

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
    wishes: Wishes = Wishes(),
) -> MonthReport:
    """Build and publish one month; main is untouched until the single commit at the end.

    Only blocks whose scenes differ from those they were made of are made; where there are none,
    nothing is published. When another writer publishes the same month meanwhile, the attempt
    starts again from the new state, and takes over its blocks that are still wanted; where all
    are to be rebuilt nothing is staged, and none is taken over. Raises
    ``ScenesVanished``, ``BlockFailed``, ``MonthConflict``, or what ``explained`` makes of the
    store's troubles; main is then as it was.
    """
    with explained(cube.location):
        published = last_change(cube.repository, plan.month, plan.region.name)
        if published and not wishes.allow_shrink:
            refuse_shrink(plan.region, plan.month, len(plan.promised), len(published.scenes))
        for _ in range(CONFLICT_RETRIES):
            try:
                return _attempt(plan, cube, engine, provenance, progress, wishes)
            except MonthConflict as error:
                conflict = error
        raise conflict


def _attempt(
    plan: MonthPlan,
    cube: Cube,
    engine: Engine,
    provenance: Provenance,
    progress: Progress,
    wishes: Wishes,
) -> MonthReport:
    began = time.perf_counter()
    transaction = cube.begin(plan.month)
    index = plan.layout.month_index(plan.month)
    own_fork = transaction.own_fork
    recorded = Records.read(plan.layout, own_fork.store, index)
    before = _report(plan, recorded, transaction.base).valid_pixels
    change = change_of(plan, recorded, wishes.rebuild)
    if not change.works and not change.marked:
        Staging(plan, cube).drop()
        return _unchanged(plan, cube, recorded, wishes, began)
    means = _means(plan.region, engine.threads(len(change.works)))
    task = partial(BlockTask, plan.layout, plan.region.recipe(), means, index)
    blocks = [*change.emptied, *(work.block for work in change.works)]
    shared = SharedChunks(plan.layout, blocks, own_fork, index)
    for block in change.emptied:
        shared.add(clear_block(task(block, (), own_fork)))
    staging = Staging(plan, cube)
    resumed: list[BlockResult] = []
    for result in () if wishes.rebuild else staging.take_over(change.works, own_fork):
        shared.add(result)
        resumed.append(replace(result, coarse={}))
    results: list[BlockResult] = []
    done = {result.block for result in resumed}
    todo = [
        task(work.block, work.scenes, transaction.fork)
        for work in change.works
        if work.block not in done
    ]
    for result in engine.map(run_block, todo):
        if not wishes.rebuild:  # main may tell their fingerprints of a block that lost scenes
            staging.add(result)
        shared.add(result)
        results.append(replace(result, coarse={}))
        progress(len(results), len(todo))
    lost = sorted({loss for result in results for loss in result.lost})
    refuse_losses(plan, lost)
    _record(recorded, change, [*resumed, *results])
    recorded.write(own_fork.store)
    report = _report(plan, recorded, transaction.base)
    if not wishes.allow_shrink:
        refuse_loss(plan, before, report.valid_pixels)
    # An engine that runs in this process hands the same fork back; it is merged once.
    forks = {id(result.fork): result.fork for result in results}
    own_fork.merge(*forks.values())
    previews = draw_previews(month_canvas(plan.layout, own_fork, index, _drawn(plan, change)))
    checks = month_checks(plan, recorded, own_fork.store, _made(results, wishes))
    with staging.kept_on_conflict():
        snapshot = transaction.commit(
            [own_fork],
            f"{plan.region.name} {plan.month}: {len(plan.promised)} scenes, "
            f"{len(todo)} of {len(plan.works)} blocks",
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
                "previews": previews,
            },
        )
    staging.drop()
    return replace(
        report,
        snapshot=snapshot,
        published=True,
        recomputed=len(results),
        resumed=len(resumed),
        unstaged=staging.trouble,
        checks=checks,
        used=tuple(sorted({scene for result in results for scene in result.used})),
        lost=tuple(lost),
        seconds=time.perf_counter() - began,
    )


def _means(region: Region, threads: int) -> Means:
    return Means(region.memory * GIB, threads, region.reading.reads())


def _drawn(plan: MonthPlan, change: Change) -> list[Block]:
    """Blocks whose previews change: of those stretched by the month's own values all do."""
    fixed = all(preview.stretch for preview in plan.layout.previews)
    return [*change.emptied, *(w.block for w in (change.works if fixed else plan.works))]


def _made(results: Sequence[BlockResult], wishes: Wishes) -> Made:
    return Made(
        len(results),
        sum(result.valid_pixels for result in results),
        sum(result.odd for result in results),
        len({loss for result in results for loss in result.lost}),
        wishes.allow_shrink,
    )


def _unchanged(
    plan: MonthPlan, cube: Cube, recorded: Records, wishes: Wishes, began: float
) -> MonthReport:
    """The report of a month that is right as it is published."""
    tip = cube.tip()
    commit = last_change(cube.repository, plan.month, plan.region.name)
    snapshot = commit.snapshot if commit else tip
    store = cube.repository.readonly_session(MAIN).store
    checks = month_checks(plan, recorded, store, _made((), wishes))
    report = _report(plan, recorded, tip)
    return replace(report, snapshot=snapshot, seconds=time.perf_counter() - began, checks=checks)


def _record(records: Records, change: Change, results: Sequence[BlockResult]) -> None:
    for block in change.marked:
        records.leave_out(block)
    wanted = {work.block: work.fingerprint for work in change.works}
    for result in results:
        record(records, result, wanted[result.block])


def _report(plan: MonthPlan, records: Records, parent: str) -> MonthReport:
    layout = plan.layout
    valid, counts = records.totals([work.block for work in plan.works])
    return MonthReport(
        snapshot="",
        parent=parent,
        published=False,
        pixels=sum(work.block.grid.height * work.block.grid.width for work in plan.works),
        valid_pixels=valid,
        counts=counts,
        blocks=len(plan.works),
        recomputed=0,
        resumed=0,
        checks=(),
        used=(),
        lost=(),
        seconds=0.0,
        levels=tuple((geozarr.level_name(f), layout.grid.level(f).shape) for f in layout.levels),
    )
