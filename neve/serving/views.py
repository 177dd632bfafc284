"""Snapshots of a cube, opened for reading: what every answer is made from.

Belongs here: from a branch, tag or snapshot id to an opened snapshot, and keeping the last few.
Does not belong here: pixels, answers.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import icechunk as ic
import xarray as xr
from starlette.concurrency import run_in_threadpool
from xpublish_tiles.multiscale import assign_leaf_xpublish_ids

from neve.cube.derived import Given, given, sources
from neve.cube.geozarr_check import check
from neve.cube.history import last_changes, resolve
from neve.cube.reader import tree_of
from neve.errors import AskPerson
from neve.grid import Grid
from neve.serving.counting import CountingStore
from neve.serving.turns import Turns
from neve.serving.variables import Shown, shown

# An opened snapshot with all indices holds some 10 MB.
KEPT = 8
AT_ONCE, WAITING = 2, 32
XPUBLISH_ID = "_xpublish_id"


@dataclass(frozen=True)
class View:
    """One snapshot: its tree (a group per level), and the repository that tells its commits.

    These are read anew for each question: kept, the memory of a server would grow with them.
    """

    snapshot: str
    repository: ic.Repository = field(repr=False)
    store: CountingStore
    tree: xr.DataTree

    @cached_property
    def levels(self) -> dict[str, xr.Dataset]:
        """Levels by name, the finest first."""
        named = [entry["asset"] for entry in self.tree.attrs["multiscales"]["layout"]]
        return {name: self.tree[name].to_dataset() for name in named}

    @cached_property
    def blocks(self) -> xr.Dataset | None:
        """``status`` of every block and month; None for a cube that was not built in blocks."""
        node = self.tree.children.get("blocks")
        return node.to_dataset() if node is not None else None

    @cached_property
    def native(self) -> xr.Dataset:
        """The finest level."""
        return next(iter(self.levels.values()))

    @cached_property
    def months(self) -> tuple[str, ...]:
        """Months on the time axis, YYYY-MM."""
        return tuple(str(time)[:7] for time in self.native["time"].to_numpy())

    def month(self, wanted: str | None) -> str:
        """The month that is wanted, the last one by default; ``AskPerson`` for one not there."""
        month = wanted or (self.months[-1] if self.months else "")
        if month not in self.months:
            raise AskPerson(f"no month {month!r}; there are {', '.join(self.months) or 'none'}")
        return month

    @cached_property
    def variables(self) -> dict[str, Shown]:
        """What a map can show, by name."""
        latest = last_changes(self.repository, self.snapshot)
        most = max((len(commit.counts) for commit in latest), default=1) - 1
        return shown(self.native, most)

    @cached_property
    def given(self) -> Given:
        """The indices that are computed from the stored variables, and aliases of these."""
        told = self.tree.attrs.get("neve", {})
        return given(told) if "catalogue" in told else ()

    def arrays(self, names: Iterable[str]) -> set[str]:
        """The stored variables of a level that some of its variables are read from."""
        held = self.native.variables
        return {source for name in names for source in sources(held[name], name)}

    def grid(self, level: str) -> Grid:
        """The grid of a level."""
        told = self.levels[level].attrs
        size, _, left, _, _, top = told["spatial:transform"]
        height, width = told["spatial:shape"]
        return Grid(told["proj:code"], size, left, top, width, height)

    @cached_property
    def native_grid(self) -> Grid:
        """The grid of the finest level."""
        return self.grid(next(iter(self.levels)))

    @cached_property
    def window(self) -> Grid:
        """The piece of the finest level that the cube says its data are in, else all of it."""
        told = self.tree.attrs.get("neve", {})
        return Grid(**told["window"]) if "window" in told else self.native_grid

    def factor(self, level: str) -> int:
        """How many native pixels a pixel of a level is wide."""
        return round(self.grid(level).resolution / self.native_grid.resolution)

    def chunk(self, level: str, name: str | None = None) -> tuple[int, int]:
        """Rows and columns of a stored chunk; the whole level where the store does not tell.

        ``name``: of the array, by default the first that a map shows.
        """
        dims = self.levels[level].attrs["spatial:dimensions"]
        name = name or next(name for name, told in self.variables.items() if told.stored)
        sizes = self.levels[level][name].encoding.get("preferred_chunks", {})
        rows, cols = (int(sizes.get(dim, self.levels[level].sizes[dim])) for dim in dims)
        return rows, cols


class Views:
    """The snapshots of one repository; the ``KEPT`` last used ones stay open."""

    def __init__(self, repository: ic.Repository, name: str) -> None:
        self.repository = repository
        self.name = name
        self._open: OrderedDict[str, View] = OrderedDict()
        self._opening: dict[str, asyncio.Task[View]] = {}
        self._turns = Turns(AT_ONCE, WAITING, "versions")

    def at(self, ref: str) -> View:
        """The snapshot that a branch, a tag or an id names now; for a caller who is alone.

        Raises ``AskPerson`` for an unknown one, ``MetadataInvalid`` where a tile server would
        be led astray.
        """
        snapshot = resolve(self.repository, ref)
        return self._kept(self._open.get(snapshot) or self._opened(snapshot))

    async def among_others(self, ref: str) -> View:
        """As ``at``, for requests: who asks for an open snapshot waits for no opening.

        Whoever asks for one that is being opened waits for that, without a thread. Raises
        ``Retry`` too, where many others are to be opened first.
        """
        snapshot = await run_in_threadpool(resolve, self.repository, ref)
        if view := self._open.get(snapshot):
            return self._kept(view)
        if snapshot not in self._opening:
            task = self._opening[snapshot] = asyncio.create_task(self._in_turn(snapshot))
            task.add_done_callback(lambda _: self._opening.pop(snapshot))
        return await asyncio.shield(self._opening[snapshot])

    async def _in_turn(self, snapshot: str) -> View:
        async with self._turns.turn():
            return self._kept(await run_in_threadpool(self._opened, snapshot))

    def _kept(self, view: View) -> View:
        self._open[view.snapshot] = view
        self._open.move_to_end(view.snapshot)
        while len(self._open) > KEPT:
            self._open.popitem(last=False)
        return view

    def _opened(self, snapshot: str) -> View:
        session = self.repository.readonly_session(snapshot_id=snapshot)
        store = CountingStore(session.store)
        tree: Any = tree_of(store, self.name)
        check(tree, f"{self.name} at {snapshot}")
        # Without an id xpublish-tiles works the grid out anew for every tile.
        tree.attrs[XPUBLISH_ID] = snapshot
        assign_leaf_xpublish_ids(tree)
        return View(
            snapshot=snapshot,
            repository=self.repository,
            store=store,
            tree=tree,
        )
