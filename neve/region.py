"""A region: the small YAML file that says what cube is wanted.

Belongs here: the keys of a region file, their checks, and the values that follow from them
alone (grid, area). Does not belong here: anything that needs a catalogue, land or a store.
"""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from neve.area import Area, Part
from neve.compositing.composite import Recipe
from neve.documents import read_yaml
from neve.errors import RegionInvalid
from neve.grid import Grid, project_bounds, snap, utm_of
from neve.indices import Index, select
from neve.overviews.pooling import Method
from neve.parts import (
    Dtypes,
    Host,
    Mask,
    Reading,
    Visual,
    Zone,
    check_methods,
    check_previews,
    did_you_mean,
)

BANDS = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3",
    "nir", "nir08", "nir09", "swir16", "swir22",
)  # fmt: skip
# Once round the Earth at 10 m is 4,007,502 pixels; a slip of units passes that at once.
MOST_PIXELS = 4_100_000
PARTS: dict[str, type[Part]] = {
    "area": Area, "mask": Mask, "dtypes": Dtypes, "grid": Zone, "visual": Visual,
    "reading": Reading,
}  # fmt: skip
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"


class Region(Part):
    """A validated region file; every field is a key of the file.

    Raises ``RegionInvalid`` from ``load`` only; the object itself is always consistent.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    area: Area
    crs: str | None = None
    zone: Zone | None = Field(None, alias="grid")
    resolution: float = Field(gt=0, allow_inf_nan=False)
    anchor: tuple[float, float] = (0.0, 0.0)
    start: str
    bands: tuple[str, ...] = Field(min_length=1)
    indices: str | tuple[str | dict[str, str], ...] = "default"
    catalogue: str = "default"
    constants: dict[str, float] = Field(default_factory=dict)
    overviews: tuple[int, ...] = (4, 16, 64)
    overview_methods: dict[str, Method] = Field(default_factory=dict)
    mask: Mask = Mask()
    reading: Reading = Reading()
    collection: str = "sentinel-2-l2a"
    catalog: str = EARTH_SEARCH
    hosts: tuple[Host, ...] = ()
    store: str | None = None
    dtypes: Dtypes = Dtypes()
    method: Literal["median", "geomedian", "medoid"] = "median"
    min_obs: int = Field(1, ge=1)
    source_overviews: bool = False
    max_lost: int = Field(0, ge=0)
    keep_scenes: float = Field(0.5, ge=0, le=1)
    update_days: int = Field(60, ge=1)
    chunk: int = Field(512, ge=16, le=4096)
    block: int = Field(2048, ge=16, le=16384)
    memory: float = Field(2.0, gt=0, description="GiB that one block may need")
    land: bool = True
    visual: bool | Visual = False
    pca: tuple[str, ...] = ()

    @field_validator("start", mode="before")
    @classmethod
    def _month(cls, value: Any) -> str:
        if not MONTH.fullmatch(str(value)):
            raise ValueError("a month is written YYYY-MM, for example 2023-08")
        return str(value)

    @field_validator("bands")
    @classmethod
    def _known_bands(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        for band in bands:
            if band not in BANDS:
                raise ValueError(f"no band {band!r}{did_you_mean(band, BANDS)}; known: {BANDS}")
        if len(set(bands)) != len(bands):
            raise ValueError("a band is named twice")
        return bands

    @field_validator("overviews")
    @classmethod
    def _dividing(cls, factors: tuple[int, ...]) -> tuple[int, ...]:
        for finer, coarser in zip((1, *factors), factors, strict=False):
            if coarser <= finer or coarser % finer:
                raise ValueError("factors increase and each divides the next, e.g. [4, 16, 64]")
        return factors

    @field_validator("crs")
    @classmethod
    def _north_up(cls, crs: str | None) -> str | None:
        if crs is None or crs == "utm":
            return crs
        try:
            parsed = CRS(crs)
        except CRSError as error:
            raise ValueError(f"{crs!r} is no CRS: give EPSG:<code> or utm") from error
        if not crs.startswith("EPSG:") or len(parsed.axis_info) != 2:
            raise ValueError("give a two-dimensional CRS as EPSG:<code>, or utm")
        if parsed.is_geographic and parsed.axis_info[0].unit_name != "degree":
            raise ValueError(f"{crs} counts in {parsed.axis_info[0].unit_name}s; give degrees")
        return crs

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if (self.crs is None) == (self.zone is None):
            raise ValueError(
                "give either crs: EPSG:<code> (or utm), or grid: {utm-zone: 33, hemisphere: north} "
                "for a place in the zone's cube"
            )
        return self

    @model_validator(mode="after")
    def _aligned(self, info: ValidationInfo) -> Self:
        coarsest = self.overviews[-1] if self.overviews else 1
        if self.block % self.chunk or self.block % coarsest:
            raise ValueError(
                f"block {self.block} must be a multiple of chunk {self.chunk} and of the "
                f"coarsest overview {coarsest}"
            )
        stored = [index.name for index in self.index_values()]  # raises where a band is missing
        check_methods(self.overview_methods, self.bands, stored)
        check_previews(self.picture, self.pca, (*self.bands, *stored))
        return self

    @property
    def picture(self) -> Visual | None:
        """What ``visual`` asks for; None for no picture."""
        return (Visual() if self.visual else None) if isinstance(self.visual, bool) else self.visual

    def index_values(self) -> tuple[Index, ...]:
        """The region's indices as data; raises ``RegionInvalid`` naming index, band and fix."""
        choice = self.indices if isinstance(self.indices, str) else list(self.indices)
        return select(choice, self.bands, self.catalogue, dict(self.constants))

    def grid(self) -> Grid:
        """The native grid of the region's cube: the area's, snapped outwards, or the zone's."""
        if self.zone is not None:
            return self.zone.grid(self.resolution, self.anchor)
        shape = self.area.shape()
        crs = self.crs
        if crs is None or crs == "utm":
            crs = utm_of(shape.centroid.x, shape.centroid.y)
        return snap(crs, self.resolution, self.anchor, project_bounds(crs, shape.bounds))

    def window(self) -> Grid:
        """The whole blocks of ``grid`` around the area; ValueError where the grid ends before."""
        grid = self.grid()
        return grid.covering(project_bounds(grid.crs, self.area.shape().bounds), self.block)

    @property
    def cube(self) -> str:
        """Name of the cube: the region's, or the zone's (``utm33n-10m``), which others share."""
        return self.name if self.zone is None else f"{self.zone.name}-{self.resolution:g}m"

    def recipe(self) -> Recipe:
        """How the scenes of a month become a composite."""
        return Recipe(
            bands=self.bands,
            drop=self.mask.drop,
            method=self.method,
            min_obs=self.min_obs,
            opening=self.mask.opening,
            dilation=self.mask.dilation,
            source_overviews=self.source_overviews,
            max_lost=self.max_lost,
        )


def load(path: Path) -> Region:
    """Read a region file.

    Relative paths in it are taken from the file's folder. Raises ``RegionInvalid`` with the
    file, the key and the fix for anything that is wrong with it.
    """
    try:
        data = read_yaml(path)
    except (OSError, ValueError) as error:
        raise RegionInvalid(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise RegionInvalid(f"{path}: a region file is a mapping of keys, e.g. name: vienna")
    area = data.get("area")
    if isinstance(area, dict) and isinstance(area.get("geometry"), str):
        data["area"] = area | {"geometry": path.parent / area["geometry"]}
    for key in ("catalog", "store"):
        if isinstance(data.get(key), str) and "://" not in data[key]:
            data[key] = str((path.parent / data[key]).resolve())
    try:
        region = Region.model_validate(data)
        _check_extent(region)
        return region
    except ValidationError as error:
        raise RegionInvalid("\n".join(_sentence(path, e) for e in error.errors())) from error
    except RegionInvalid as error:
        raise RegionInvalid(f"{path}: {error}") from error


def _check_extent(region: Region) -> None:
    """Refuse what is no grid, or one that a slip of units makes absurd."""
    try:
        grid = region.grid()
        region.window()
    except (ValueError, OverflowError) as error:
        key = "'crs'" if region.zone is None else "'grid' (its zone or hemisphere)"
        raise RegionInvalid(f"key 'area' or {key}: {error}") from error
    if max(grid.shape) > MOST_PIXELS or max(grid.shape) < 2:
        raise RegionInvalid(
            f"key 'resolution': {region.resolution:g} makes a grid of {grid.width} × {grid.height} "
            f"pixels; it is counted in units of {grid.crs}"
        )


def _sentence(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "region"
    if error["type"] == "extra_forbidden":
        *parents, last = error["loc"]
        known = PARTS.get(str(parents[0]) if parents else "", Region)
        fields = tuple(field.alias or name for name, field in known.model_fields.items())
        hint = did_you_mean(str(last), fields)
        return f"{path}: unknown key {key!r}{hint}; known keys: {', '.join(fields)}"
    if error["type"] == "missing":
        return f"{path}: key {key!r} is missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: key {key!r}: {message} (found {error['input']!r:.80})"
