"""The cube's layout: which groups and arrays there are.

Belongs here: the contract with readers (names, dtypes, fills, chunks) as plain values. Does not
belong here: arrays in a store (``creation``), Icechunk (``store``), pixels (``block``).

Every level group holds one array per band and index, ``count``, ``valid_fraction``, and the
coordinates. The group ``blocks`` holds ``status``: one number per month and block.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any

from neve.compositing.recipe import Recipe
from neve.errors import RegionInvalid
from neve.grid import Grid
from neve.indices import Index
from neve.region import Region
from neve.scenes.values import FILL, REFLECTANCE_UNIT

FORMAT = 1
NEVER, LAND_FILTERED, NO_SCENES, CLOUDY, CLEAR = range(5)
STATUS_MEANINGS = "never_processed land_filter_skipped no_scenes all_cloudy has_data"


@dataclass(frozen=True)
class Variable:
    """One array of every level: how its values are stored at ``1x`` and at the overviews."""

    name: str
    dtype: str
    fill: float
    attributes: dict[str, Any]
    overview_dtype: str


@dataclass(frozen=True)
class Layout:
    """All that decides which bytes belong where in a cube."""

    name: str
    start: str
    grid: Grid
    bands: tuple[str, ...]
    indices: tuple[Index, ...]
    factors: tuple[int, ...]
    chunk: int
    block: int
    reflectance_dtype: str
    recipe: Recipe

    @property
    def levels(self) -> tuple[int, ...]:
        """All factors, native first."""
        return (1, *self.factors)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The arrays that every level has, in the order in which readers list them."""
        bands = [
            _variable(
                b,
                self.reflectance_dtype,
                {"long_name": f"{b} reflectance", "cell_methods": f"time: {self.recipe.method}"},
            )
            for b in self.bands
        ]
        indices = [
            _variable(
                i.name,
                i.dtype,
                _described(i),
            )
            for i in self.indices
        ]
        count = {"long_name": "clear observations (solar days)", "units": "1"}
        valid = {"long_name": "share of native pixels with data", "units": "1"}
        return (
            *bands,
            *indices,
            Variable("count", "uint16", 0, count, "float32"),
            Variable("valid_fraction", "float32", 0.0, valid, "float32"),
        )

    def chunk_shape(self, factor: int) -> tuple[int, int, int]:
        """(time, y, x) chunk of a level: one month, square, never wider than the level."""
        height, width = self.grid.level(factor).shape
        return 1, min(self.chunk, height), min(self.chunk, width)

    def owned(self, factor: int) -> bool:
        """Whether a block covers whole chunks of this level, so that it writes them alone."""
        return self.block % (self.chunk * factor) == 0

    @property
    def pixels(self) -> int:
        """Native pixels of the whole grid."""
        return self.grid.height * self.grid.width

    def blocks_shape(self) -> tuple[int, int]:
        """Number of blocks down and across."""
        return ceil(self.grid.height / self.block), ceil(self.grid.width / self.block)

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
            "bands": list(self.bands),
            "indices": {i.name: [i.formula, dict(i.constants)] for i in self.indices},
            "overviews": list(self.factors),
            "chunk": self.chunk,
            "block": self.block,
            "dtypes": {v.name: v.dtype for v in self.variables},
            "recipe": _pixels_of(self.recipe),
        }


def layout_of(region: Region) -> Layout:
    """The layout that a region asks for."""
    return Layout(
        name=region.name,
        start=region.start,
        grid=region.grid(),
        bands=region.bands,
        indices=tuple(
            replace(i, dtype="float32") if region.dtypes.indices == "float32" else i
            for i in region.index_values()
        ),
        factors=region.overviews,
        chunk=region.chunk,
        block=region.block,
        reflectance_dtype=region.dtypes.reflectance,
        recipe=region.recipe(),
    )


def _variable(name: str, dtype: str, attributes: dict[str, Any]) -> Variable:
    attributes = {**attributes, "units": "1"}
    if dtype == "int16":
        packing = {"scale_factor": REFLECTANCE_UNIT, "add_offset": 0.0, "_FillValue": FILL}
        return Variable(name, dtype, FILL, {**attributes, **packing}, dtype)
    return Variable(name, dtype, float("nan"), attributes, dtype)


def _pixels_of(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides pixels, as JSON values."""
    values = {name: value for name, value in asdict(recipe).items() if name != "max_lost"}
    return values | {"bands": list(recipe.bands), "drop": list(recipe.drop)}


def _described(index: Index) -> dict[str, Any]:
    """Attributes of an index; the formula and its constants together define the values."""
    return {
        "long_name": index.long_name,
        "formula": index.formula,
        "constants": dict(index.constants),
        "references": index.reference,
        "application_domain": index.domain,
        "display_range": list(index.display),
        "colormap": index.colormap,
    }


def months_of(month: str) -> int:
    """Months since year 0 of a month written YYYY-MM."""
    year, number = month.split("-")
    return int(year) * 12 + int(number) - 1
