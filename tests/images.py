"""Small real COGs and the scenes that point to them, for the tests of reading and compositing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from neve.scenes.values import Asset, Scene

UTM33 = "EPSG:32633"


def write_image(
    path: Path, pixels: np.ndarray, transform: Affine, crs: str = UTM33, **profile: object
) -> Path:
    """A tiled deflate GeoTIFF with predictor, unless ``profile`` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64,
        "compress": "deflate", "predictor": 2, "nodata": 0,
    } | profile  # fmt: skip
    with rasterio.open(
        path, "w", count=1, height=pixels.shape[0], width=pixels.shape[1],
        dtype=pixels.dtype, crs=crs, transform=transform, **options,
    ) as image:  # fmt: skip
        image.write(pixels, 1)
    return path


def north_up(left: float, top: float, size: float) -> Affine:
    return Affine(size, 0, left, 0, -size, top)


def images(folder: Path) -> dict[str, Path]:
    """A COG that is read raw, and two that GDAL reads (LZW, JPEG 2000)."""
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + 1
    at = north_up(500_000, 5_000_000, 10)
    jp2 = {"driver": "JP2OpenJPEG", "compress": None, "predictor": None, "nodata": None}
    return {
        "raw": write_image(folder / "raw.tif", pixels, at),
        "lzw": write_image(folder / "lzw.tif", pixels, at, compress="lzw"),
        "jp2": write_image(folder / "jp2.jp2", pixels, at, **jp2),
    }


def scene(
    folder: Path,
    name: str,
    planes: Mapping[str, tuple[np.ndarray, Affine]],
    crs: str = UTM33,
    **more: object,
) -> Scene:
    """Write the planes (``scl`` among them) and make the scene; ``more``: day, shift."""
    shift = more.get("shift", 0)
    assets = {
        band: Asset(
            str(write_image(folder / name / f"{band}.tif", pixels, transform, crs)),
            0 if band == "scl" else int(str(shift)),
        )
        for band, (pixels, transform) in planes.items()
    }
    day = str(more.get("day", "2023-08-01"))
    return Scene(name, datetime(2023, 8, 1, tzinfo=UTC), day, crs, assets, "")
