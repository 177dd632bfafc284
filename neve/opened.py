"""An opened cube as people hold it: an xarray tree that says what it is and shows its map.

Belongs here: what ``neve.open`` adds to a tree. Does not belong here: reading (``neve.cube``),
answering the map (``neve.serving``).
"""

import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import pandas as pd
import xarray as xr

from neve.cube.history import commits, resolve
from neve.cube.places import open_repository
from neve.cube.reader import tree_of, variables
from neve.cube.store import MAIN
from neve.errors import AskPerson

WIDTH, MARGIN = 96, 9


@dataclass(frozen=True)
class Source:
    """Where a cube was opened: ``snapshot`` is what ``at`` named then."""

    location: str
    at: str
    snapshot: str
    s3_options: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Map:
    """The map of a cube at an address of this machine: a frame in a notebook.

    It is there until the process ends, however that ends.
    """

    url: str
    height: int

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{self.url}" width="100%" height="{self.height}" style="border:0">'
            f'</iframe><p><a href="{self.url}" target="_blank" rel="noopener">{self.url}</a></p>'
        )


class Opened(xr.DataTree):
    """A cube's tree: a group per level (``1x``, ``4x``, …), and ``blocks``.

    All that xarray does with a tree it does with this one; what is computed from it is a plain
    tree. Only copies keep ``history`` and ``view``.
    """

    __slots__ = ("_source",)
    from_dict = xr.DataTree.from_dict  # type: ignore[assignment]

    def __init__(
        self,
        dataset: xr.Dataset | None = None,
        children: Mapping[str, xr.DataTree] | None = None,
        name: str | None = None,
        source: Source | None = None,
    ) -> None:
        super().__init__(dataset, children, name)
        self._source = source

    def _copy_node(self, *arguments: Any, **options: Any) -> Self:
        node = super()._copy_node(*arguments, **options)
        node._source = self._source
        return node

    @property
    def source(self) -> Source:
        """Where it was opened; raises ``AskPerson`` for a group that is no cube of its own."""
        if self._source is None:
            raise AskPerson("this group was not opened as a cube: ask what neve.open returned")
        return self._source

    def history(self) -> pd.DataFrame:
        """The commits that the opened snapshot stands on, newest first: a row each.

        The columns are the fields of ``neve.cube.history.Commit``.
        """
        repository = open_repository(self.source.location, self.source.s3_options)
        return pd.DataFrame([asdict(found) for found in commits(repository, self.source.snapshot)])

    def view(self, height: int = 640) -> Map:
        """The map of this snapshot, in place in a notebook; ``url`` is its address.

        Served on loopback by a process of its own, one for each cube, that ends with this one.
        Raises ``AskPerson`` where it cannot be served (the extra neve[serve] is missing).
        """
        from neve.serving.beside import address

        url = address(self.source.location, self.source.s3_options)
        return Map(f"{url}#at={self.source.snapshot}", height)

    def __repr__(self, *_: Any) -> str:
        levels = [node for node in self.children.values() if "spatial:transform" in node.attrs]
        if self._source is None or not levels:
            return super().__repr__()
        levels.sort(key=lambda node: node.attrs["spatial:transform"][0])
        told = [f"neve cube  {self._source.location} at {self._source.at}"]
        told += [_line(name, text) for name, text in _facts(self, levels).items()]
        return "\n".join((*told, _line("", ".history() lists its commits, .view() shows its map")))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def open(
    location: str,
    at: str = MAIN,
    s3_options: Mapping[str, Any] | None = None,
    derived: bool = True,
) -> Opened:
    """A cube as an xarray DataTree that prints well, with ``.history()`` and ``.view()``.

    ``location``: folder or ``s3://bucket/prefix``. ``at``: a branch, a tag or a snapshot id. A
    level holds what is stored and, unless ``derived`` is False, every other index of the
    cube's catalogue that its bands give: the same values, dtype and attributes as if it were
    stored, computed for the part that is read. Everything is lazy, nothing is kept after a
    read, and the tree can be pickled. Raises ``CubeMismatch`` where there is no cube,
    ``AskPerson`` for an unknown ``at``.
    """
    options = dict(s3_options or {})
    repository = open_repository(location, options)
    snapshot = resolve(repository, at)
    session = repository.readonly_session(snapshot_id=snapshot)
    tree = tree_of(session.store, location, derived)
    source = Source(location, at, snapshot, options)
    return Opened(tree.to_dataset(), tree.children, source=source)


def _facts(tree: xr.DataTree, levels: Sequence[xr.DataTree]) -> dict[str, str]:
    """What the lines of a printed cube say, by their first word."""
    held = variables(tree)
    stored = [v.name for v in held if v.kind == "stored"]
    further = [v.name for v in held if v.kind != "stored"]
    months = [str(time)[:7] for time in levels[0]["time"].to_numpy()]
    found = {
        "snapshot": tree.source.snapshot if isinstance(tree, Opened) else "",
        "months": f"{len(months)}: {months[0]} … {months[-1]}" if months else "none yet",
        "levels": ", ".join(map(_level, levels)) + f" in {tree.attrs.get('proj:code', '')}",
        "stored": ", ".join(stored),
    }
    if further:
        found["derived"] = f'{len(further)} more when read, e.g. ["1x"]["{further[0]}"]'
    return found


def _level(node: xr.DataTree) -> str:
    height, width = node.attrs["spatial:shape"]
    return f"{node.name} ({height} × {width} of {node.attrs['spatial:transform'][0]:g})"


def _line(name: str, text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=f"{name:<{MARGIN}}", subsequent_indent=" " * MARGIN
    )
