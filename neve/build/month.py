"""A month of a region, executed: all blocks through an engine, one transaction, one report.

Belongs here: running the planned blocks, the commit and its metadata. Does not belong here: the
plan (``plan``), one block's work (``block``), what is told of it (``report``), Dagster.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from neve.build.block import BlockResult, BlockTask, clear_block, record, run_block
from neve.build.budget import Budget
from neve.build.checks import Made, month_checks, refuse_loss, refuse_losses
from neve.build.engine import Engine
from neve.build.plan import Change, MonthPlan, change_of
from neve.build.report import MonthReport, report_of
from neve.build.shared_chunks import SharedChunks
from neve.build.staging import Staging
from neve.build.watching import refuse_shrink
from neve.cube.history import last_change
from neve.cube.places import explained
from neve.cube.records import Records
from neve.cube.store import MAIN, Cube, Transaction
from neve.errors import MonthConflict
from neve.grid import Block
from neve.previews.drawing import draw_previews
from neve.previews.month import month_canvas

CONFLICT_RETRIES = 3
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
    """What is to change → its blocks → their records → checks → one commit."""
    began = time.perf_counter()
    transaction = cube.begin(plan.month)
    own_fork = transaction.own_fork
    index = plan.layout.month_index(plan.month)
    recorded = Records.read(plan.layout, own_fork.store, index)
    before = report_of(plan, recorded, transaction.base).valid_pixels
    change = change_of(plan, recorded, wishes.rebuild)
    staging = Staging(plan, cube, wishes.rebuild)
    if not change.works and not change.marked:
        staging.drop()
        return _unchanged(plan, cube, recorded, wishes, began)
    with transaction.explained():
        resumed, made = _blocks(plan, change, transaction, staging, engine, progress)
        report = _record(plan, change, transaction, recorded, resumed, made)
        if not wishes.allow_shrink:
            refuse_loss(plan, before, report.valid_pixels)
        # An engine that runs in this process hands the same fork back; it is merged once.
        forks = {id(result.fork): result.fork for result in made}
        own_fork.merge(*forks.values())
        previews = draw_previews(month_canvas(plan.layout, own_fork, index, _drawn(plan, change)))
        checks = month_checks(plan, recorded, own_fork.store, _made(made, wishes))
        message = (
            f"{plan.region.name} {plan.month}: {len(plan.promised)} scenes, "
            f"{report.recomputed} of {report.blocks} blocks"
        )
        told = _told(plan, report, provenance) | {"previews": previews}
        with staging.kept_on_conflict():
            snapshot = transaction.commit([own_fork], message, told)
    staging.drop()
    return replace(
        report,
        snapshot=snapshot,
        run_id=provenance.run_id,
        published=True,
        unstaged=staging.trouble,
        checks=checks,
        seconds=time.perf_counter() - began,
    )


def _blocks(
    plan: MonthPlan,
    change: Change,
    transaction: Transaction,
    staging: Staging,
    engine: Engine,
    progress: Progress,
) -> tuple[list[BlockResult], list[BlockResult]]:
    """Blocks taken over from an attempt that was killed, and those made now; all are written."""
    index, own_fork = plan.layout.month_index(plan.month), transaction.own_fork
    budget = Budget.of(plan.region, engine.threads(len(change.works)))
    task = partial(BlockTask, plan.layout, plan.region.recipe(), budget, index)
    blocks = [*change.emptied, *(work.block for work in change.works)]
    shared = SharedChunks(plan.layout, blocks, own_fork, index)
    for block in change.emptied:
        shared.add(clear_block(task(block, (), own_fork)))
    resumed: list[BlockResult] = []
    for result in staging.take_over(change.works, own_fork):
        shared.add(result)
        resumed.append(replace(result, coarse={}))
    done = {result.block for result in resumed}
    todo = [
        task(work.block, work.scenes, transaction.fork)
        for work in change.works
        if work.block not in done
    ]
    made: list[BlockResult] = []
    for result in engine.map(run_block, todo):
        staging.add(result)
        shared.add(result)
        made.append(replace(result, coarse={}))
        progress(len(made), len(todo))
    return resumed, made


def _record(
    plan: MonthPlan,
    change: Change,
    transaction: Transaction,
    recorded: Records,
    resumed: Sequence[BlockResult],
    made: Sequence[BlockResult],
) -> MonthReport:
    """Put down what became of the blocks, unless too many scenes are lost; what to tell of it."""
    lost = sorted({loss for result in made for loss in result.lost})
    refuse_losses(plan, lost)
    for block in change.marked:
        recorded.leave_out(block)
    wanted = {work.block: work.fingerprint for work in change.works}
    for result in (*resumed, *made):
        record(recorded, result, wanted[result.block])
    recorded.write(transaction.own_fork.store)
    return replace(
        report_of(plan, recorded, transaction.base),
        recomputed=len(made),
        resumed=len(resumed),
        used=tuple(sorted({scene for result in made for scene in result.used})),
        lost=tuple(lost),
    )


def _told(plan: MonthPlan, report: MonthReport, provenance: Provenance) -> dict[str, Any]:
    """What the commit says of the month."""
    return {
        "region": plan.region.name,
        "month": plan.month,
        "fingerprint": plan.fingerprint,
        "scenes": list(plan.promised),
        "lost": list(report.lost),
        "collection": plan.region.collection,
        "valid_fraction": report.valid_pixels / plan.layout.pixels,
        "counts": list(report.counts),
        "run_id": provenance.run_id,
        "code_version": provenance.code_version,
    }


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
    return replace(
        report_of(plan, recorded, tip),
        snapshot=snapshot,
        run_id=(commit.run_id if commit else None) or "",
        seconds=time.perf_counter() - began,
        checks=checks,
    )
