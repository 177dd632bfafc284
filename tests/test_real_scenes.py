"""Real Sentinel-2 scenes against plain rasterio and numpy, through the Dagster assets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.windows
import xarray as xr
from conftest import PROJECT
from pyproj import Transformer
from test_region import TWL

from neve.opened import open as open_tree

SCENES = PROJECT.parent / "shared" / "sentinel2-33TWL-33TWM-2023-08"
FILES = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
DROP = [0, 1, 3, 8, 9, 10]
pytestmark = pytest.mark.skipif(not SCENES.is_dir(), reason="real scenes are in ../shared")


def build(folder: Path, region: str) -> xr.DataTree:
    (folder / "twl.yaml").write_text(region, "utf-8")
    command = [str(Path(sys.executable).with_name("neve")), "build", str(folder / "twl.yaml")]
    command += ["--month", "2023-08", "--catalog", str(SCENES), "--store", str(folder / "cube")]
    environment = os.environ | {"DAGSTER_HOME": str(folder), "NEVE_WORK": str(folder / ".neve")}
    (folder / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"))
    subprocess.run(command, env=environment, check=True, timeout=300)
    return open_tree(str(folder / "cube"))


def observed(bounds: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(day, band, y, x) DN of 33TWL cut to ``bounds``, and the pixels where the day is valid."""
    days, valid = [], []
    for folder in sorted(SCENES.glob("*33TWL*")):
        bands = []
        for name in [*FILES.values(), "SCL"]:
            with rasterio.open(folder / f"{name}.tif") as image:
                window = rasterio.windows.from_bounds(*bounds, image.transform)
                assert window.col_off == round(window.col_off)
                bands.append(image.read(1, window=window))
        *reflectance, scl = bands
        days.append(np.stack(reflectance))
        valid.append(~np.isin(scl, DROP) & (np.stack(reflectance) > 0).all(axis=0))
    return np.stack(days).astype(float), np.stack(valid)


def test_native_utm_is_the_oracles_median_and_count_exactly(tmp_path):
    level = build(tmp_path, TWL)["1x"].isel(time=0)
    x, y = level.x.values, level.y.values
    days, valid = observed((x[0] - 60, y[-1] - 60, x[-1] + 60, y[0] + 60))
    count = valid.sum(axis=0)
    np.testing.assert_array_equal(level["count"].values, count)
    masked = np.where(valid[:, None], days, np.nan)
    seen = count > 0
    for k, band in enumerate(FILES):
        median = np.nanmedian(masked[:, k][:, seen], axis=0)
        stored = level[band].values
        np.testing.assert_allclose(stored[seen] * 10_000, np.rint(median), atol=1e-6)
        assert np.isnan(stored[~seen]).all()
    assert seen.mean() > 0.99


def bilinear(image: np.ndarray, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """DN at fractional pixel centres; neighbours without data lose their weight, 0 if none has."""
    total, weight = np.zeros(row.shape), np.zeros(row.shape)
    top, left = np.floor(row).astype(int), np.floor(col).astype(int)
    for i in (0, 1):
        for j in (0, 1):
            y, x = top + i, left + j
            inside = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
            values = np.where(inside, image[np.where(inside, y, 0), np.where(inside, x, 0)], 0)
            share = (1 - abs(row - y)) * (1 - abs(col - x)) * (values > 0)
            total, weight = total + share * values, weight + share
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 0)


def test_a_geographic_grid_is_within_one_dn_of_bilinear_sampling(tmp_path):
    region = TWL.replace("EPSG:32633", "EPSG:4326").replace("resolution: 120", "resolution: 0.0012")
    level = build(tmp_path, region.replace("anchor: [60, 0]", "anchor: [0, 0]"))["1x"].isel(time=0)
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    x, y = to_utm.transform(*np.meshgrid(level.longitude.values, level.latitude.values))
    sampled, valid = [], []
    for folder in sorted(SCENES.glob("*33TWL*")):
        images = {}
        for name in [*FILES.values(), "SCL"]:
            with rasterio.open(folder / f"{name}.tif") as image:
                images[name] = image.read(1)
                col, row = ~image.transform @ (x, y)
        scl = images.pop("SCL")
        inside = (row >= 0) & (col >= 0) & (row < scl.shape[0]) & (col < scl.shape[1])
        here = scl[np.where(inside, row, 0).astype(int), np.where(inside, col, 0).astype(int)]
        bands = [np.rint(bilinear(image, row - 0.5, col - 0.5)) for image in images.values()]
        sampled.append(np.stack(bands))
        valid.append(inside & ~np.isin(here, DROP) & (np.stack(bands) > 0).all(axis=0))
    count = np.sum(valid, axis=0)
    assert (count == level["count"].values).mean() > 0.9999
    same = (count == level["count"].values) & (count > 0)
    stack = np.where(np.stack(valid)[:, None], np.stack(sampled), np.nan)
    for k, band in enumerate(FILES):
        median = np.rint(np.nanmedian(stack[:, k][:, same], axis=0))
        off = np.abs(level[band].values[same] * 10_000 - median)
        assert (off > 1.5).mean() < 0.006
        assert (off > 2.5).mean() < 1e-5
