"""Checks: what a month must fulfil before it is published, and what a person should look at.

Belongs here: judging blocks that were just written and the totals of a month, all before the
commit. Does not belong here: making them (``block``, ``month``), showing the verdicts (assets).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from zarr.abc.store import Store

from neve.build.plan import MonthPlan
from neve.cube.layout import NEVER, Layout
from neve.cube.pooled import coarser, shares
from neve.cube.records import Records
from neve.cube.variable import packed
from neve.errors import BlockFailed, CheckFailed, ScenesVanished
from neve.grid import Block
from neve.scenes.values import FILL

Read = Callable[[int, str], np.ndarray]  # (level's factor, variable) → its cells of a block

# Reflectance of real ground, units of 0.0001: glints and deep shadows may lie beyond.
PLAUSIBLE = (-1000, 16_000)
ODD_SHARE = 0.01
# Of the mean valid fraction of the same month in earlier years.
LOW_SHARE = 0.5


@dataclass(frozen=True)
class Check:
    """A verdict on a month: ``blocking`` ones raise before the commit, so they have passed."""

    name: str
    passed: bool
    blocking: bool
    told: dict[str, float | int | str]


@dataclass(frozen=True)
class Made:
    """What one build did: ``blocks`` made and compared, their pixels with data, band values that
    are ``odd``, scenes lost; and whether it was allowed to shrink the month."""

    blocks: int = 0
    valid: int = 0
    odd: int = 0
    lost: int = 0
    allow_shrink: bool = False


NAMES = {
    "levels_consistent": "Every level is, bit for bit, what the stored native pixels give.",
    "no_shrink": "The month keeps its scenes and its data.",
    "scenes_complete": "Every promised scene could be read.",
    "value_ranges": "Reflectance is that of real ground, but for glints and shadows.",
    "valid_fraction": "As much data as in the same month of earlier years.",
}


def verify_block(layout: Layout, block: Block, read: Read, days: int) -> int:
    """Compare a block's levels, as they are read back, with what its native pixels give.

    Returns how many valid band values are implausible. Raises ``CheckFailed`` for a difference of
    a single bit, or for more observations than days. One variable is in memory at a time.
    """
    odd, low, high = 0, *PLAUSIBLE
    how = layout.factors, layout.overview_methods
    for name in layout.bands:
        values = packed(read(1, name))
        valid = values != FILL
        odd += int(np.count_nonzero(valid & ((values < low) | (values > high))))
        _compare(layout, block, name, coarser(name, values, *how), read)
    _compare(layout, block, "valid_fraction", shares(valid, layout.factors), read)
    count = read(1, "count")
    if int(count.max(initial=0)) > days:
        raise CheckFailed(
            f"{layout.name}: block {block.key}: a pixel has {count.max()} observations of {days} "
            "days; nothing was published; report this"
        )
    _compare(layout, block, "count", coarser("count", count, *how), read)
    return odd


def _compare(
    layout: Layout, block: Block, name: str, wanted: Sequence[np.ndarray], read: Read
) -> None:
    for factor, cells in zip(layout.factors, wanted, strict=True):
        found = read(factor, name)
        found = packed(found) if name in layout.bands else found
        if not np.array_equal(found, cells, equal_nan=cells.dtype.kind == "f"):
            raise CheckFailed(
                f"{layout.name}: block {block.key}: {name} at {factor}x is not what the native "
                "pixels give; nothing was published; run again, and check the storage"
            )


def refuse_loss(plan: MonthPlan, before: int, after: int) -> None:
    """Raise ``ScenesVanished`` where too few of the published pixels with data would be left."""
    if after < plan.region.keep_scenes * before:
        raise ScenesVanished(
            f"{plan.region.name} {plan.month}: {after} native pixels would have data, {before} are "
            "published; the month stays as it is. Look at its scenes; if this is right, run with "
            "allow_shrink: true (neve build --allow-shrink)"
        )


def refuse_losses(plan: MonthPlan, lost: Sequence[tuple[str, str, str]]) -> None:
    """Raise ``BlockFailed`` where more scenes (id, URL, reason) are lost than the region allows."""
    if len({scene for scene, _, _ in lost}) > plan.region.max_lost:
        raise BlockFailed(
            f"{plan.region.name} {plan.month}: {len(lost)} scenes lost, {plan.region.max_lost} "
            f"allowed: {lost[0]}; run again, or raise max_lost in the region file"
        )


def month_checks(plan: MonthPlan, records: Records, store: Store, made: Made) -> tuple[Check, ...]:
    """The verdicts on a month that is about to be published; none where nothing was judged."""
    blocks = [work.block for work in plan.works]
    pixels = max(sum(block.grid.height * block.grid.width for block in blocks), 1)
    valid = records.totals(blocks)[0]
    told = {"promised": len(plan.promised), "lost": made.lost}
    found = [Check("scenes_complete", not made.lost, False, {**told})]
    if made.blocks:
        found.append(Check("levels_consistent", True, True, {"blocks": made.blocks}))
    if not made.allow_shrink:
        found.append(Check("no_shrink", True, True, {"pixels with data": valid}))
    if made.valid:
        share = made.odd / (made.valid * len(plan.layout.bands))
        beyond = {"share beyond −0.1…1.6": share}
        found.append(Check("value_ranges", share <= ODD_SHARE, False, {**beyond}))
    years = (
        Records.read(plan.layout, store, index)
        for index in range(records.month_index - 12, -1, -12)
    )
    earlier = [year.totals(blocks)[0] / pixels for year in years if (year.status != NEVER).any()]
    if earlier:
        fraction, usual = valid / pixels, float(np.mean(earlier))
        shares = {"valid fraction": fraction, "earlier years": usual, "change": fraction - usual}
        found.append(Check("valid_fraction", fraction >= LOW_SHARE * usual, False, {**shares}))
    return tuple(found)
