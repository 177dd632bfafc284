"""Tiles of embeddings in one zone, with a gap, overlapping edges and water."""

import icechunk
import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine
from pyproj import Transformer

from neve.build.engine import Inline
from neve.embeddings import consolidation, layout
from neve.embeddings.consolidation import consolidate
from neve.embeddings.layout import layout_of
from neve.embeddings.tiles import find_tiles

BANDS, YEAR, CRS = 5, 2024, "EPSG:32633"
# Name → column and row of the top left pixel on the lattice, width, height. The second overlaps
# the first; between the second and the third one is missing.
TILES = {
    "grid_15.05_46.95": (50_395, 480_000, 90, 110),
    "grid_15.15_46.95": (50_480, 480_003, 85, 108),
    "grid_15.35_46.95": (50_660, 480_001, 40, 50),
}
TOP = 10_000_003.0  # pixel edges are where the tiles have them, not at multiples of 10


def write_tile(folder, name, crs=CRS, **broken):
    col, row, width, height = TILES[name]
    generator = np.random.default_rng(col)
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.arange(1, BANDS + 1)
    values = (ramp % 200 - 100 + generator.integers(-9, 9, (height, width, BANDS))).astype(np.int8)
    scales = generator.uniform(0.01, 0.1, (height, width)).astype(np.float32)
    scales[:3, :3] = np.nan
    scales[3:5, :3] = np.inf
    scales[5:7, :3] = 3e38  # published so where there are no data
    scales[7:9, :3] = 0
    land = np.ones((height, width), np.uint8)
    land[height // 2 :, : width // 3] = 0
    place = folder / "global_0.1_degree_representation" / str(YEAR) / name
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / f"{name}.npy", broken.get("values", values))
    np.save(place / f"{name}_scales.npy", broken.get("scales", scales))
    masks = folder / "global_0.1_degree_tiff_all"
    masks.mkdir(exist_ok=True)
    left, top = broken.get("shift", 0) + col * 10 + 7, TOP - row * 10
    with rasterio.open(
        masks / f"{name}.tiff", "w", driver="GTiff", width=width, height=height, count=1,
        dtype="uint8", crs=crs, transform=Affine(10, 0, left, 0, -10, top),
    ) as image:  # fmt: skip
        image.write(land, 1)
    with np.errstate(invalid="ignore"):
        valid = (land == 1) & (scales > 0) & (scales < 1)
    return values, np.where(valid, scales, np.nan).astype(np.float32)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(layout, "BLOCK", 64)
    for room in (layout, consolidation):
        monkeypatch.setattr(room, "PREVIEW_CHUNK", 32)
    monkeypatch.setattr(consolidation, "BLOCK", 64)


@pytest.fixture
def folder(tmp_path):
    for name in TILES:
        write_tile(tmp_path / "mirror", name)
    return tmp_path / "mirror"


def consolidated(folder, store, factors=(4, 16, 64), engine=None):
    tiles = find_tiles(folder, YEAR, CRS)
    found = layout_of(tiles, YEAR, factors)
    return found, consolidate(tiles, found, str(store), engine or Inline())


def opened(store):
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(store)))
    return repository, zarr.open_group(repository.readonly_session("main").store, mode="r")


def lonlat(col, row):
    """Centre of a pixel of the tiles' lattice."""
    to_lonlat = Transformer.from_crs(CRS, 4326, always_xy=True)
    return to_lonlat.transform(col * 10 + 12, TOP - row * 10 - 5)
