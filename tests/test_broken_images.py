"""Images that are broken, or not those that their items tell of, fail: never are they nodata."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from images import UTM33, write_image
from noise_images import PLACE, READS, native, noise
from rasterio.shutil import copy as copy_image

from neve.errors import ReadFailed
from neve.reading.image import open_image
from neve.scenes.values import Asset


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.999])
def test_a_truncated_file_fails(tmp_path: Path, share: float, compress: str) -> None:
    source = write_image(tmp_path / "a.tif", noise((256, 256)), PLACE, compress=compress)
    path = tmp_path / "cog.tif"
    copy_image(source, path, driver="COG", compress=compress, blocksize=128)
    with pytest.raises(ReadFailed, match=r"cog\.tif"):
        native(cut(path, share), (256, 256))


def test_a_flipped_bit_fails(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((256, 256)), PLACE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(ReadFailed, match="inflate"):
        native(path, (256, 256))


@pytest.mark.parametrize("text", [b"", b"<html>busy</html>", b"II*\0" + bytes(60)])
def test_what_is_no_image_fails(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(text)
    with pytest.raises(ReadFailed, match=r"a\.tif"):
        native(tmp_path / "a.tif", (8, 8))
    with pytest.raises(ReadFailed, match=r"none\.tif"):
        native(tmp_path / "none.tif", (8, 8))


def test_floats_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((64, 64)).astype("f4"), PLACE, predictor=1)
    with pytest.raises(ReadFailed, match="float32"):
        native(path, (64, 64))


def test_size_checksum_and_crs_are_held_against_the_item(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((64, 64)), PLACE)
    data = path.read_bytes()
    good = Asset(str(path), size=len(data), checksum="1220" + hashlib.sha256(data).hexdigest())
    open_image(good, UTM33, READS)
    for checksum, message in (("1220" + "0" * 64, "checksum"), ("ff00", "unknown kind")):
        with pytest.raises(ReadFailed, match=message):
            open_image(replace(good, checksum=checksum), UTM33, READS)
    with pytest.raises(ReadFailed, match=f"{len(data)} bytes, its item says {len(data) + 1}"):
        open_image(replace(good, size=len(data) + 1), UTM33, READS)
    with pytest.raises(ReadFailed, match="EPSG:32633, its item says EPSG:32634"):
        open_image(good, "EPSG:32634", READS)


def test_an_image_without_a_place_or_in_another_than_its_item_says_is_refused(
    tmp_path: Path,
) -> None:
    pixels = noise((100, 80))
    moved = PLACE @ Affine.translation(1, 0)
    for name, place in (("here.tif", PLACE), ("there.tif", moved)):
        write_image(tmp_path / name, pixels, place)
    told = Asset("", 0, shape=(50, 40), transform=tuple(PLACE @ Affine.scale(2))[:6])
    open_image(replace(told, href=str(tmp_path / "here.tif")), UTM33, READS)
    with pytest.raises(ReadFailed, match=r"its item says .*500000"):
        open_image(replace(told, href=str(tmp_path / "there.tif")), UTM33, READS)
    tie_points, other = (tag.to_bytes(2, "little") for tag in (33922, 33923))
    data = (tmp_path / "here.tif").read_bytes()
    (tmp_path / "here.tif").write_bytes(data.replace(tie_points, other, 1))
    with pytest.raises(ReadFailed, match=r"here\.tif"):
        open_image(Asset(str(tmp_path / "here.tif"), 0), UTM33, READS)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
@pytest.mark.parametrize(
    ("old", "new"),
    [((10, 10, 0), (np.nan, np.nan, 0)), ((10, 10, 0), (10, np.inf, 0)), ((10, 10, 0), (0, 10, 0)),
     ((10, 10, 0), (1e-200, 1e-200, 0)), ((500_000, 5_000_000), (500_000, np.nan)),
     ((500_000, 5_000_000), (np.nan, 5_000_000))],
)  # fmt: skip
def test_a_place_that_is_no_number_fails_and_is_no_nodata(
    tmp_path: Path, compress: str, old: tuple[float, ...], new: tuple[float, ...]
) -> None:
    path = write_image(tmp_path / "a.tif", noise((64, 64)), PLACE, compress=compress)
    data = path.read_bytes()
    before, after = (np.array(numbers, "f8").tobytes() for numbers in (old, new))
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))
    told = Asset(str(path), shape=(64, 64), transform=tuple(PLACE)[:6])
    for asset in (told, replace(told, shape=None)):
        with pytest.raises(ReadFailed, match=r"a\.tif"):
            open_image(asset, UTM33, READS)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
@pytest.mark.parametrize(
    ("sides", "tile"),
    [((20_000, 64), 64), ((16, 17_000), 16), ((8192, 8192), 8192), ((8192, 8704), 16)],
)
def test_sizes_that_no_granule_has_are_refused_before_memory_is_taken(
    tmp_path: Path, compress: str, sides: tuple[int, int], tile: int
) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=sides[0], width=sides[1], dtype="uint16",
        crs=UTM33, transform=PLACE, tiled=True, blockxsize=tile, blockysize=tile,
        compress=compress, SPARSE_OK=True,
    ):  # fmt: skip
        pass
    with pytest.raises(ReadFailed, match="no image of a granule"):
        open_image(Asset(str(path)), UTM33, READS)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_tile_of_more_bytes_than_it_can_take_is_not_fetched(
    tmp_path: Path, compress: str
) -> None:
    path = write_image(tmp_path / "a.tif", noise((64, 64)), PLACE, compress=compress)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags[325].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 4] = (1_000_000).to_bytes(4, "little")
    path.write_bytes(data + bytes(1_000_000))
    with pytest.raises(ReadFailed, match="cannot take 1000000 bytes"):
        native(path, (64, 64))
