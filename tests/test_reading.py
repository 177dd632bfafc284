"""Every pixel and the place of every kind of file that is no worse than it should be."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from images import UTM33, write_image
from noise_images import PLACE, READS, native, noise
from rasterio.shutil import copy as copy_image

from neve.reading.cog import Cog
from neve.reading.image import read_window
from neve.reading.rasters import Raster


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"predictor": 1},
        {"BIGTIFF": "YES"},
        {"driver": "COG", "blocksize": 128, "tiled": None, "blockxsize": None, "blockysize": None},
        {"compress": "lzw"},
        {"compress": "zstd"},
        {"tiled": False, "blockxsize": None, "blockysize": 16},
        {"ENDIANNESS": "BIG"},
    ],
)
def test_every_pixel_of_every_kind_of_file(tmp_path: Path, dtype: str, profile: dict) -> None:
    pixels = noise((301, 197), dtype)
    profile = {key: value for key, value in profile.items() if value is not None}
    if profile.get("driver") == "COG":
        plain = write_image(tmp_path / "plain.tif", pixels, PLACE)
        path = tmp_path / "cog.tif"
        copy_image(plain, path, driver="COG", compress="deflate", predictor=2, blocksize=128)
    else:
        path = write_image(tmp_path / "a.tif", pixels, PLACE, **profile)
    np.testing.assert_array_equal(native(path, (301, 197)), pixels)


def test_jpeg_2000(tmp_path: Path) -> None:
    pixels = noise((150, 130))
    with rasterio.open(
        tmp_path / "a.jp2", "w", driver="JP2OpenJPEG", count=1, height=150, width=130,
        dtype="uint16", crs=UTM33, transform=PLACE, QUALITY=100, REVERSIBLE="YES",
    ) as image:  # fmt: skip
        image.write(pixels, 1)
    np.testing.assert_array_equal(native(tmp_path / "a.jp2", (150, 130)), pixels)


def test_a_window_past_the_edges_is_zero_there(tmp_path: Path) -> None:
    pixels = noise((100, 90))
    image = Cog(str(write_image(tmp_path / "a.tif", pixels, PLACE)), READS)
    window = read_window(image, (-7, 60), (120, 50))
    expected = np.zeros((120, 50), "u2")
    expected[7:107, :30] = pixels[:, 60:]
    np.testing.assert_array_equal(window, expected)


def test_georeference_is_gdals(tmp_path: Path) -> None:
    for point in ("Area", "Point"):
        path = write_image(tmp_path / f"{point}.tif", noise((64, 64)), PLACE)
        with rasterio.open(path, "r+") as image:
            image.update_tags(AREA_OR_POINT=point)
        with rasterio.open(path) as image:
            found = Cog(str(path), READS)
            assert found.levels[0].transform.almost_equals(image.transform)
            assert found.epsg == 32633


def test_raster_and_cog_agree_on_overview_free_reading(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((200, 130)), PLACE)
    one = read_window(Cog(str(path), READS), (30, 40), (150, 80))
    raster = Raster(str(path), READS)
    np.testing.assert_array_equal(one, read_window(raster, (30, 40), (150, 80)))
    raster.close()


def test_threads_that_open_images_for_gdal_do_not_crash(tmp_path: Path) -> None:
    """Each image had a handler in GDAL once: a campaign of many threads ended by signal 11."""
    pixels = noise((64, 64))
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress="lzw")
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: native(path, (64, 64)), range(200)):
            assert np.array_equal(found, pixels)
