"""Embedding tiles: found in a folder, checked against each other, read.

Belongs here: the files' names and meaning. Does not belong here: where their pixels go.

A mirror of geotessera's holds, at any depth, ``<year>/grid_<lon>_<lat>/grid_<lon>_<lat>.npy``
(int8; y, x, band), ``…_scales.npy`` beside it (float32; y, x), and for all years
``grid_<lon>_<lat>.tiff``, the land mask (0 is water), whose CRS and transform are the tile's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from neve.errors import AskPerson
from neve.grid import Grid

SCALES = "_scales"
# Published scales are below 0.2, but for some enormous ones where there are no data.
SCALE_LIMIT = 1.0
# Left to choose, GDAL knows formats that open further files.
DRIVER = "GTiff"
EVEN = 1e-3  # share of a pixel by which a tile may lie off the grid


@dataclass(frozen=True)
class Tile:
    """One tile's files; ``grid`` is its own."""

    name: str
    values: Path
    scales: Path
    landmask: Path
    grid: Grid
    bands: int

    def read(self, rows: slice, cols: slice) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Vectors (h, w, band) and scales (h, w) of a part; NaN on water and where no data are."""
        window = Window.from_slices(rows, cols)
        with rasterio.open(self.landmask, driver=DRIVER) as image:
            land = image.read(1, window=window) != 0
        scales = _array(self.scales)[rows, cols].astype(np.float32)
        with np.errstate(invalid="ignore"):
            valid = land & (scales > 0) & (scales < SCALE_LIMIT)
        return np.array(_array(self.values)[rows, cols]), np.where(valid, scales, np.float32("nan"))


def find_tiles(folder: Path, year: int, crs: str) -> list[Tile]:
    """The tiles of a year in one CRS, by name; raises ``AskPerson`` where one cannot be used.

    All have one resolution, one number of bands, and pixels on one lattice.
    """
    masks = _by_name(folder.rglob("grid_*.tif*"))
    found = _by_name(
        path for path in folder.rglob(f"{year}/grid_*/grid_*.npy") if SCALES not in path.stem
    )
    tiles = [_tile(path, masks.get(name)) for name, path in sorted(found.items())]
    tiles = [tile for tile in tiles if tile.grid.crs == crs]
    if not tiles:
        raise AskPerson(
            f"{folder}: of {len(found)} tiles of {year} none is in {crs}; name the folder that "
            f"holds {year}/grid_<lon>_<lat>/, another year, or another zone"
        )
    for tile in tiles[1:]:
        _check_alike(tile, tiles[0])
    return tiles


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths):
        if path.stem in found:
            raise AskPerson(
                f"{path}: {found[path.stem]} is the same tile; name the folder of one version"
            )
        found[path.stem] = path
    return found


def _tile(values: Path, landmask: Path | None) -> Tile:
    scales = values.with_name(f"{values.stem}{SCALES}.npy")
    if landmask is None or not scales.is_file():
        missing = f"land mask {values.stem}.tiff" if landmask is None else scales.name
        raise AskPerson(f"{values}: its {missing} is not there; fetch it, or remove the tile")
    try:
        with rasterio.open(landmask, driver=DRIVER) as image:
            transform, shape, epsg = image.transform, image.shape, image.crs.to_epsg()
    except (RasterioError, AttributeError) as error:
        raise AskPerson(f"{landmask}: no land mask with a CRS ({error}); fetch it again") from error
    vectors, factors = _array(values), _array(scales)
    if vectors.dtype != np.int8 or vectors.ndim != 3 or factors.dtype != np.float32:
        raise AskPerson(
            f"{values}: {vectors.dtype} {vectors.shape} with {factors.dtype} scales; embeddings "
            "are int8 (y, x, band) with float32 scales"
        )
    if not vectors.shape[:2] == factors.shape == shape:
        raise AskPerson(
            f"{values}: {vectors.shape[:2]} pixels, scales {factors.shape}, land mask {shape}; "
            "they are not of one version: fetch them again"
        )
    if transform.b or transform.d or transform.a != -transform.e:
        raise AskPerson(f"{landmask}: not north-up with square pixels; fetch it again")
    grid = Grid(f"EPSG:{epsg}", transform.a, transform.c, transform.f, shape[1], shape[0])
    return Tile(values.stem, values, scales, landmask, grid, vectors.shape[2])


def _check_alike(tile: Tile, first: Tile) -> None:
    apart = np.array([tile.grid.left - first.grid.left, tile.grid.top - first.grid.top])
    pixels = apart / first.grid.resolution
    alike = (tile.bands, tile.grid.resolution) == (first.bands, first.grid.resolution)
    if not alike or np.abs(pixels - np.rint(pixels)).max() > EVEN:
        raise AskPerson(
            f"{tile.values}: {tile.bands} bands of {tile.grid.resolution:g} m at {tile.grid.left}, "
            f"{tile.grid.top} do not fit {first.name}, {first.bands} bands of "
            f"{first.grid.resolution:g} m at {first.grid.left}, {first.grid.top}; name the folder "
            "of one version"
        )


def _array(path: Path) -> NDArray[np.generic]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AskPerson(f"{path}: no whole array ({error}); fetch it again") from error
