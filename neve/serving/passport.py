"""The pixel passport: a value, the observations behind it, and where it comes from.

Belongs here: one pixel of one variable through all months, and its block, chunk, commit, scenes.
Does not belong here: maps, routes.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import icechunk as ic
import numpy as np
from numpy.typing import NDArray

from neve.cube.history import Commit, changes, remembered
from neve.cube.sampling import locate
from neve.errors import AskPerson
from neve.serving.counting import most_months
from neve.serving.describing import Json
from neve.serving.views import View

# Commits of a month whose chunks are looked through, at up to half a second each.
MOST_REBUILDS = 16


@dataclass(frozen=True)
class Question:
    """Which pixel of which variable, level and month."""

    lon: float
    lat: float
    variable: str
    level: str
    month: str


def passport(view: View, asked: Question) -> Json:
    """All that is known of one pixel; values are None where there are none.

    Raises ``AskPerson`` for a point outside, a level or a variable that is not there.
    """
    if asked.level not in view.levels:
        raise AskPerson(f"no level {asked.level!r}; there are {', '.join(view.levels)}")
    if asked.variable not in view.variables or view.variables[asked.variable].colours:
        raise AskPerson(f"no variable {asked.variable!r} with one value a pixel")
    grid = view.grid(asked.level)
    pixel = locate(grid, asked.lon, asked.lat)
    series = _series(view, asked, pixel.row, pixel.col)
    here = next(entry for entry in series if entry["month"] == asked.month)
    rows, cols = view.chunk(asked.level, asked.variable)
    chunk = (pixel.row // rows, pixel.col // cols)
    commit, upto = _origin(view, asked, chunk)
    x, y = grid.transform @ (pixel.col + 0.5, pixel.row + 0.5)
    return {
        "variable": asked.variable,
        "month": asked.month,
        "value": here["value"],
        "count": here["count"],
        "level": asked.level,
        "row": pixel.row,
        "col": pixel.col,
        "x": x,
        "y": y,
        "block": _block(view, asked, pixel.row, pixel.col),
        "chunk": list(chunk),
        "snapshot": commit.snapshot if commit else None,
        "upto": upto,
        "written_at": commit.written_at.isoformat() if commit else None,
        "run_id": commit.run_id if commit else None,
        "scenes": list(commit.scenes) if commit else [],
        "series": series,
    }


def _origin(
    view: View, asked: Question, chunk: tuple[int, int]
) -> tuple[Commit | None, str | None]:
    """The newest commit that wrote a chunk of a month; None where none did: it is all fill.

    With a snapshot where the commit is not sure: it is that one or an earlier one, which was
    tidied away or is beyond ``MOST_REBUILDS``. Then the month's only one among these speaks for
    all; None where that may be any of several. Read anew each time: tidying runs beside a server.
    """
    size, held = view.chunk(asked.level, asked.variable), view.levels[asked.level].data_vars
    alike = tuple(name for name in map(str, held) if view.chunk(asked.level, name) == size)
    ours = [
        (commit, below)
        for commit, below in pairwise(remembered(view.repository, view.snapshot))
        # The oldest one left too: its difference to the first holds all that was tidied away.
        if commit.month in (asked.month, None) or (commit.parent and below.parent is None)
    ]
    known = [pair for pair in ours if pair[1].parent is not None][:MOST_REBUILDS]
    for commit, below in known:
        between = (below.snapshot, commit.snapshot)
        touched = _touched(view.repository, between, (asked.level, *alike), asked.month)
        if np.any(touched == _place(*chunk)):
            return commit, None
    rest = [commit for commit, _ in ours[len(known) :]]
    candidates = [commit for commit in rest if commit.month == asked.month]
    if not candidates or candidates == rest[:1]:
        return next(iter(candidates), None), None
    return candidates[0] if len(candidates) == 1 else None, rest[0].snapshot


@lru_cache(maxsize=4 * MOST_REBUILDS)
def _touched(
    repository: ic.Repository, between: tuple[str, str], names: tuple[str, ...], month: str
) -> NDArray[np.int64]:
    """Places of the month's chunks of any of these variables of a level (``names``: it, they).

    Not of each, nor of other months: of a large cube that fills the memory.
    """
    level, *variables = names
    held = changes(repository, *between).chunks.get(level, {})
    places = {_place(i, j) for n in variables for at, i, j in held.get(n, ()) if at == month}
    return np.array(sorted(places), np.int64)


def _place(row: int, col: int) -> int:
    """A chunk as one number: so many of them are kept."""
    return row << 32 | col


def _series(view: View, asked: Question, row: int, col: int) -> list[Json]:
    level = view.levels[asked.level]
    y, x = level.attrs["spatial:dimensions"]
    names = [asked.variable] + ["count"] * ("count" in level and asked.variable != "count")
    most = most_months(len(view.arrays(names)))
    first = min(max(0, len(view.months) - most), view.months.index(asked.month))
    months = view.months[first : first + most]
    window = {y: row, x: col, "time": slice(first, first + most)}
    found = {name: level.variables[name].isel(window).to_numpy() for name in names}
    counts = found.get("count", np.full(len(months), np.nan))
    return [
        {"month": month, "value": _number(value), "count": _number(count)}
        for month, value, count in zip(months, found[asked.variable], counts, strict=True)
    ]


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _block(view: View, asked: Question, row: int, col: int) -> Json | None:
    """The block that the pixel lies in, and what became of it in that month."""
    if view.blocks is None:
        return None
    factor, size = view.factor(asked.level), int(view.blocks.attrs["block"])
    i, j = row * factor // size, col * factor // size
    told = view.blocks["status"]
    status = int(told[view.months.index(asked.month), i, j])
    meaning = str(told.attrs["flag_meanings"]).split()[status]
    return {"row": i, "col": j, "status": status, "meaning": meaning}
