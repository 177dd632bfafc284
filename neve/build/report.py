"""What there is to tell of a month that was built, as plain values.

Belongs here: the report and how the records of blocks add up to it. Does not belong here: making
blocks and publishing them (``month``), words and pictures for people (``assets``).
"""

from dataclasses import dataclass

import numpy as np

from neve.build.checks import Check
from neve.build.plan import MonthPlan
from neve.cube import geozarr
from neve.cube.records import Records


@dataclass(frozen=True)
class MonthReport:
    """What is published now, and what it took.

    ``blocks``, ``pixels``, ``valid_pixels`` and ``counts`` (native pixels with n clear
    observations) are those of the whole month; ``recomputed`` blocks were made by this build, and
    ``used`` and ``lost`` are their scenes; ``resumed`` ones by an attempt that was killed. Where
    nothing had changed, ``published`` is false and ``snapshot`` the one that the month is from;
    ``run_id`` is that of the run which committed it, empty where all is by other regions' runs.
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
    run_id: str = ""
    unstaged: str = ""

    @property
    def median_count(self) -> int:
        """Median number of clear observations of the built pixels."""
        return int(np.searchsorted(np.cumsum(self.counts), sum(self.counts) / 2))


def report_of(plan: MonthPlan, records: Records, parent: str) -> MonthReport:
    """What the records tell of a planned month on top of ``parent``; nothing is published yet."""
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
