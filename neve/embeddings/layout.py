"""The layout of an embedding cube: its groups and arrays, as values and in a store.

Belongs here: names, dtypes, chunks and attributes. Does not belong here: pixels, commits.

Every level group holds ``embeddings`` (time, y, x, band), ``scales`` (time, y, x), the previews
``visual`` and ``pca``, and coordinates; the time axis has the one year. A block is one chunk of
every level, so that blocks are written apart from each other.
"""

from dataclasses import asdict, dataclass
from datetime import date
from math import nan
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec

from neve.cube import creation, geozarr
from neve.cube.layout import Preview
from neve.embeddings.tiles import Tile
from neve.errors import AskPerson, CubeMismatch
from neve.grid import Grid, zone_grid

BLOCK = 1024
PREVIEW_CHUNK = 256
# Published scales are below 0.2.
SCALES: dict[str, Any] = {"units": "1", "display_range": [0.0, 0.2], "colormap": "viridis"}


@dataclass(frozen=True)
class EmbeddingLayout:
    """All that decides which bytes belong where; ``window``: whole blocks around the tiles."""

    grid: Grid
    window: Grid
    year: int
    bands: int
    factors: tuple[int, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """All factors, native first."""
        return (1, *self.factors)

    @property
    def previews(self) -> tuple[Preview, ...]:
        """The first three bands as they are, and the principal components of all."""
        names = tuple(str(band) for band in range(self.bands))
        return Preview("visual", names[:3]), Preview("pca", names)

    @property
    def step(self) -> str:
        """The year as the one step of the time axis: its first month."""
        return f"{self.year}-01"

    def identity(self) -> dict[str, Any]:
        """What must be the same in a cube that is made anew, as JSON values."""
        return {
            "period": "year",
            "start": self.step,
            "grid": asdict(self.grid),
            "bands": self.bands,
            "overviews": list(self.factors),
        }


def layout_of(tiles: list[Tile], year: int, factors: tuple[int, ...]) -> EmbeddingLayout:
    """The layout for tiles of one zone; raises ``AskPerson`` for what cannot be."""
    first = tiles[0]
    if factors and BLOCK % factors[-1]:
        raise AskPerson(f"overviews {list(factors)}: the last must divide {BLOCK}")
    if first.bands < 3:
        raise AskPerson(f"{first.values}: {first.bands} bands; a preview needs three")
    resolution, code = first.grid.resolution, int(first.grid.crs.removeprefix("EPSG:"))
    anchor = first.grid.left % resolution, first.grid.top % resolution
    grid = zone_grid(code % 100, code < 32700, resolution, anchor)
    edges = [tile.grid.bounds for tile in tiles]
    left, bottom, right, top = zip(*edges, strict=True)
    window = grid.covering((min(left), min(bottom), max(right), max(top)), BLOCK)
    return EmbeddingLayout(grid, window, year, first.bands, factors)


def create(store: Store, layout: EmbeddingLayout) -> None:
    """Write all groups and arrays anew, empty; raises ``CubeMismatch`` over another cube."""
    present: Any = zarr.open_group(store, mode="a", zarr_format=3).attrs.asdict()
    identity = layout.identity()
    if present and not identity.items() <= present.get("neve", {}).items():
        raise CubeMismatch(
            f"the store holds something else than the embeddings of {layout.year} in "
            f"{layout.grid.crs} with {layout.bands} bands; name another store"
        )
    root = zarr.create_group(
        store,
        overwrite=True,
        zarr_format=3,
        attributes={
            "Conventions": "CF-1.11",
            "title": f"Embeddings of {layout.year} in {layout.grid.crs}",
            **geozarr.root_attributes(layout.grid, layout.factors),
            "neve": identity | {"window": asdict(layout.window)},
        },
    )
    starts = [(date(year, 1, 1) - creation.EPOCH).days for year in (layout.year, layout.year + 1)]
    groups = [creation.create_level(root, layout.grid, factor) for factor in layout.levels]
    for factor, group in zip(layout.levels, groups, strict=True):
        _create_arrays(group, layout, factor)
    previews = (preview.name for preview in layout.previews)
    names = ("embeddings", "scales", *previews, *creation.TIME_AXIS)
    creation.set_periods(store, [f"{g.path}/{name}" for g in groups for name in names], starts)


def _create_arrays(group: zarr.Group, layout: EmbeddingLayout, factor: int) -> None:
    grid, side = layout.grid.level(factor), BLOCK // factor
    shared: dict[str, Any] = {"grid_mapping": "spatial_ref"}
    group.create_array(
        "embeddings",
        shape=(0, *grid.shape, layout.bands),
        chunks=(1, side, side, layout.bands),
        dtype="int8",
        fill_value=0,
        dimension_names=("time", "y", "x", "band"),
        compressors=None,
        attributes={"long_name": "embedding vectors ÷ scales", "units": "1", **shared},
    )
    group.create_array(
        "scales",
        shape=(0, *grid.shape),
        chunks=(1, side, side),
        dtype="float32",
        fill_value=nan,
        dimension_names=("time", "y", "x"),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
        attributes={"long_name": "scale of the embedding vector", **SCALES, **shared},
    )
    chunk = min(PREVIEW_CHUNK, *grid.shape)
    for preview in layout.previews:
        creation.create_preview(group, preview, grid, (1, chunk, chunk))
