"""What the API tells of a cube: its variables, months, history, blocks and changes.

Belongs here: plain JSON values from an opened snapshot, no pixel read. Does not belong here:
routes, caching, values of pixels (``passport``).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

import numpy as np
from pyproj import Transformer

from neve.cube.history import Commit, changes, commits, last_changes
from neve.errors import AskPerson
from neve.grid import Grid
from neve.serving.counting import most_commits
from neve.serving.views import View

MOST_COMMITS = 1000
Json = dict[str, Any]
LonLat = list[float]


def cube(view: View) -> Json:
    """What there is to see."""
    repository = view.repository
    west, south, east, north = view.window.lonlat_bounds()
    branches = {name: repository.lookup_branch(name) for name in sorted(repository.list_branches())}
    tags = {name: repository.lookup_tag(name) for name in sorted(repository.list_tags())}
    return {
        "name": view.tree.attrs.get("neve", {}).get("region", view.tree.attrs.get("title", "")),
        "crs": view.native_grid.crs,
        "bounds": [west, south, east + 360 * (east < west), north],
        "months": list(view.months),
        "period": view.tree.attrs.get("neve", {}).get("period", "month"),
        "levels": [_level(view, name) for name in view.levels],
        "variables": [told.as_json() for told in view.variables.values()],
        "refs": {"branches": branches, "tags": tags},
        "snapshot": view.snapshot,
    }


def _level(view: View, name: str) -> Json:
    grid = view.grid(name)
    return {
        "name": name,
        "factor": view.factor(name),
        "height": grid.height,
        "width": grid.width,
        "resolution": grid.resolution,
        "chunk": list(view.chunk(name)),
    }


def history(view: View) -> list[Json]:
    """The commits that a snapshot stands on, newest first; those before the last are its parent's.

    At most ``MOST_COMMITS``.
    """
    return [_commit(c) for c in islice(commits(view.repository, view.snapshot), MOST_COMMITS)]


def _commit(commit: Commit) -> Json:
    return asdict(commit) | {"written_at": commit.written_at.isoformat()}


def months(view: View) -> list[Json]:
    """What each month was made of, in order; the cube of a UTM zone tells of each region.

    Months without a commit of their own are left out.
    """
    return [
        {
            "month": commit.month,
            "region": commit.region,
            "valid_fraction": commit.valid_fraction,
            "counts": list(commit.counts),
            "median_count": median_of(commit.counts),
            "snapshot": commit.snapshot,
            "scenes": list(commit.scenes),
        }
        for commit in last_changes(view.repository, view.snapshot)
        if commit.month in view.months
    ]


def median_of(counts: Sequence[int]) -> int | None:
    """Median of the values 0, 1, 2, … that occur ``counts`` times; None of none.

    Of an even number of values the lower of the two middle ones.
    """
    total = sum(counts)
    middle = (total + 1) // 2
    return next((n for n, upto in enumerate(accumulate(counts)) if total and upto >= middle), None)


def blocks(view: View, month: str | None) -> Json:
    """What became of each block in a month (the last), and the corners of the blocks in lon/lat."""
    month = view.month(month)
    if view.blocks is None:
        raise AskPerson("this cube was not built in blocks")
    status = view.blocks["status"]
    size = int(view.blocks.attrs["block"])
    rows, cols = status.shape[1:]
    return {
        "month": month,
        "rows": rows,
        "cols": cols,
        "block": size,
        "meanings": str(status.attrs["flag_meanings"]).split(),
        "status": status[view.months.index(month)].to_numpy().tolist(),
        "corners": corners(view.native_grid, size),
    }


def corners(grid: Grid, size: int) -> list[list[LonLat]]:
    """[lon, lat] of the corners of square pieces: piece (i, j) lies between (i, j), (i+1, j+1)."""
    rows = np.append(np.arange(0, grid.height, size), grid.height)
    cols = np.append(np.arange(0, grid.width, size), grid.width)
    return [_lonlat(grid, np.full(len(cols), row), cols) for row in rows]


@lru_cache(maxsize=16)
def _from_grid(crs: str) -> Transformer:
    """Kept: it takes as long as the outlines of fifty chunks."""
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _lonlat(grid: Grid, rows: Any, cols: Any) -> list[LonLat]:
    """[lon, lat] of pixel edges; a grid over 180° goes on beyond it."""
    x, y = grid.left + cols * grid.resolution, grid.top - rows * grid.resolution
    if not grid.geographic:
        x, y = _from_grid(grid.crs).transform(x, y)
        x = np.where(x < np.asarray(x)[0] - 180, np.asarray(x) + 360, x)
    return [[round(float(a), 7), round(float(b), 7)] for a, b in zip(x, y, strict=True)]


def diff(view: View, older: str) -> Json:
    """Which chunks a snapshot holds anew since an ancestor of it.

    Places and outlines are those of chunks as large as ``/api/cube`` says. Raises ``AskPerson``
    where more commits lie between them than ``most_commits``.
    """
    line = enumerate(commits(view.repository, view.snapshot))
    between = next((number for number, commit in line if commit.snapshot == older), 0)
    if between > (most := most_commits(_chunks_of_a_month(view))):
        raise AskPerson(
            f"{between} commits lie between {older} and {view.snapshot}: name versions that are at "
            f"most {most} apart (/api/history lists them), or ask neve diff"
        )
    found = changes(view.repository, older, view.snapshot)
    levels: dict[str, list[tuple[int, int]]] = {}
    outlines: dict[str, list[list[LonLat]]] = {}
    names: set[str] = set()
    for level, touched in found.chunks.items():
        names |= set(touched)
        alike = (c for n, c in touched.items() if view.chunk(level, n) == view.chunk(level))
        places = sorted({(i, j) for chunks in alike for _, i, j in chunks})
        levels[level] = places
        outlines[level] = [_outline(view, level, i, j) for i, j in places]
    return {
        "from": found.older,
        "to": found.newer,
        "months": list(found.months),
        "levels": levels,
        "outlines": outlines,
        "variables": sorted(names & set(view.variables)),
    }


def _chunks_of_a_month(view: View) -> int:
    """Of all levels and stored variables: as many as a commit can touch."""
    stored = [name for name, told in view.variables.items() if told.stored]
    sizes = ((view.grid(level), view.chunk(level, n)) for level in view.levels for n in stored)
    return sum(
        math.ceil(grid.height / rows) * math.ceil(grid.width / cols) for grid, (rows, cols) in sizes
    )


def _outline(view: View, level: str, i: int, j: int) -> list[LonLat]:
    """Corners of a chunk in lon/lat, clockwise from the top left."""
    grid = view.grid(level)
    height, width = view.chunk(level)
    top, left = i * height, j * width
    bottom, right = min(top + height, grid.height), min(left + width, grid.width)
    return _lonlat(grid, np.array([top, top, bottom, bottom]), np.array([left, right, right, left]))
