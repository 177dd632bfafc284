"""The cube's layout: which groups and arrays there are.

Belongs here: the contract with readers (names, dtypes, fills, chunks) as plain values. Does not
belong here: arrays in a store (``creation``), Icechunk (``store``), pixels (``block``).

Every level group holds one array per band and index, ``count``, ``valid_fraction``, and the
coordinates. The group ``blocks`` holds what is known of each block and month (``records``).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any

from neve.compositing.recipe import Recipe
from neve.cube.variable import Catalogue, Variable, encoded, index_variable, packed_variable
from neve.errors import RegionInvalid
from neve.grid import Grid
from neve.indices import Index, aliases, pinned
from neve.region import Region

FORMAT = 2
NEVER, LAND_FILTERED, NO_SCENES, CLOUDY, CLEAR = range(5)
# Blocks a side of a chunk of the group ``blocks``: of a region's cube, and at least of a zone's.
RECORD_CHUNK, ZONE_RECORD_CHUNK = 256, 16
STATUS_MEANINGS = "never_processed land_filter_skipped no_scenes all_cloudy has_data"


@dataclass(frozen=True)
class Preview:
    """A uint8 picture of some variables at every level: (time, y, x, rgb).

    0 is nodata, colours are 1–255. ``stretch``: fixed range of values, None for the month's own.
    """

    name: str
    variables: tuple[str, ...]
    stretch: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layout:
    """All that decides which bytes belong where in a cube.

    ``window``: the piece of ``grid``, of whole blocks, around the region's area: all of it,
    unless the cube is a UTM zone's, which other regions share.
    """

    name: str
    start: str
    grid: Grid
    window: Grid
    shared: bool
    collection: str
    bands: tuple[str, ...]
    indices: tuple[Index, ...]
    factors: tuple[int, ...]
    chunk: int
    block: int
    reflectance_dtype: str
    recipe: Recipe
    catalogue: Catalogue
    overview_methods: dict[str, str]
    previews: tuple[Preview, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """All factors, native first."""
        return (1, *self.factors)

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Index → the stored index that has its very values at every level."""
        return _aliases(self.indices, self.overview_methods)

    @cached_property
    def stored(self) -> tuple[Index, ...]:
        """The indices that have arrays: each that is equal to others once."""
        return tuple(index for index in self.indices if index.name not in self.aliases)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The arrays that every level has, in the order in which readers list them."""
        bands = [
            packed_variable(
                b,
                self.reflectance_dtype,
                {"long_name": f"{b} reflectance", "cell_methods": f"time: {self.recipe.method}"},
            )
            for b in self.bands
        ]
        indices = [index_variable(index) for index in self.stored]
        count = {"long_name": "clear observations (solar days)", "units": "1"}
        valid = {"long_name": "share of native pixels with data", "units": "1"}
        found = (
            *bands,
            *indices,
            Variable("count", "uint16", 0, count, "float32"),
            Variable("valid_fraction", "float32", 0.0, valid, "float32"),
        )
        for variable in found:
            if variable.name in self.overview_methods:
                variable.attributes["overview_method"] = self.overview_methods[variable.name]
        return found

    def chunk_shape(self, factor: int) -> tuple[int, int, int]:
        """(time, y, x) chunk of a level: one month, square, never wider than the level."""
        height, width = self.grid.level(factor).shape
        return 1, min(self.chunk, height), min(self.chunk, width)

    def owned(self, factor: int) -> bool:
        """Whether a block covers whole chunks of this level, so that it writes them alone."""
        return self.block % (self.chunk * factor) == 0

    @property
    def pixels(self) -> int:
        """Native pixels of the region's window."""
        return self.window.height * self.window.width

    def blocks_shape(self) -> tuple[int, int]:
        """Number of blocks down and across."""
        return ceil(self.grid.height / self.block), ceil(self.grid.width / self.block)

    def blocks_window(self) -> tuple[slice, slice]:
        """Which rows and columns of blocks the region's window is."""
        rows, cols = self.window.row // self.block, self.window.col // self.block
        down, across = ceil(self.window.height / self.block), ceil(self.window.width / self.block)
        return slice(rows, rows + down), slice(cols, cols + across)

    def record_chunk(self) -> tuple[int, int]:
        """Blocks down and across of a chunk of the group ``blocks``.

        In a zone's cube as much as one chunk of the coarsest level: so two regions seldom write
        one object there if they share no other.
        """
        coarsest = ceil(self.chunk * self.levels[-1] / self.block)
        span = max(coarsest, ZONE_RECORD_CHUNK) if self.shared else RECORD_CHUNK
        down, across = self.blocks_shape()
        return min(span, down), min(span, across)

    def month_index(self, month: str) -> int:
        """Place of a month ("YYYY-MM") on the time axis; ``RegionInvalid`` before the start."""
        index = months_of(month) - months_of(self.start)
        if index < 0:
            raise RegionInvalid(
                f"{self.name}: month {month} is before the region's start {self.start}; "
                "choose a later month, or change start in the region file and name another store"
            )
        return index

    def identity(self) -> dict[str, Any]:
        """What must be the same in the region and in the store, as JSON values."""
        return {
            "format": FORMAT,
            "region": self.name,
            "start": self.start,
            "grid": asdict(self.grid),
            "collection": self.collection,
            "bands": list(self.bands),
            "indices": {i.name: [i.formula, dict(i.constants)] for i in self.indices},
            "aliases": self.aliases,
            "catalogue": asdict(self.catalogue),
            "overviews": list(self.factors),
            "overview_methods": self.overview_methods,
            "chunk": self.chunk,
            "block": self.block,
            "dtypes": {v.name: v.dtype for v in self.variables},
            "recipe": _pixels_of(self.recipe),
            "previews": {
                p.name: [list(p.variables), p.stretch and list(p.stretch)] for p in self.previews
            },
        }


def layout_of(region: Region) -> Layout:
    """The layout that a region asks for."""
    indices = encoded(region.index_values(), region.dtypes.indices)
    same = _aliases(indices, region.overview_methods)
    previews = tuple(
        replace(p, variables=tuple(same.get(name, name) for name in p.variables))
        for p in _previews(region)
    )
    return Layout(
        name=region.cube,
        start=region.start,
        grid=region.grid(),
        window=region.window(),
        shared=region.zone is not None,
        collection=region.collection,
        bands=region.bands,
        indices=indices,
        factors=region.overviews,
        chunk=region.chunk,
        block=region.block,
        reflectance_dtype=region.dtypes.reflectance,
        recipe=region.recipe(),
        catalogue=Catalogue(
            pinned(region.catalogue), dict(region.constants), region.dtypes.indices
        ),
        overview_methods=dict(region.overview_methods),
        previews=previews,
    )


def _aliases(indices: tuple[Index, ...], methods: Mapping[str, str]) -> dict[str, str]:
    of_levels = [index for index in indices if index.name not in methods]
    of_native = [index for index in indices if index.name in methods]
    return aliases(of_levels) | aliases(of_native)


def _previews(region: Region) -> tuple[Preview, ...]:
    picture = region.picture
    visual = [Preview("visual", picture.bands, picture.stretch)] if picture else []
    return (*visual, *([Preview("pca", region.pca)] if region.pca else []))


def _pixels_of(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides pixels, as JSON values."""
    values = {name: value for name, value in asdict(recipe).items() if name != "max_lost"}
    return values | {"bands": list(recipe.bands), "drop": list(recipe.drop)}


def months_of(month: str) -> int:
    """Months since year 0 of a month written YYYY-MM."""
    year, number = month.split("-")
    return int(year) * 12 + int(number) - 1


def month_after(start: str, months: int) -> str:
    """The month ("YYYY-MM") so many months after ``start``."""
    year, number = divmod(months_of(start) + months, 12)
    return f"{year:04}-{number + 1:02}"
