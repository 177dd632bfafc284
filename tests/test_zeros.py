"""Zeros in compressed files: those of a server or a hole are told from those of pixels."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from flaky_server import flaky
from images import UTM33, write_image
from noise_images import JP2, PLACE, READS, native, noise

from neve.errors import ReadFailed
from neve.reading import rangefile
from neve.reading.image import read_window
from neve.reading.rasters import Raster


@pytest.mark.parametrize("profile", [{"compress": "lzw"}, {"compress": "zstd"}, JP2])
def test_zeros_in_place_of_compressed_bytes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: dict
) -> None:
    """The last bytes, left over by whole pieces, are those that no decoder would miss."""
    pixels = noise((300, 300))
    path = write_image(tmp_path / "a.jp2", pixels, PLACE, **profile)  # others get no place
    monkeypatch.setattr(rangefile, "PIECE", path.stat().st_size // 3 - 20)
    for spared in range(1, 7):
        with flaky(tmp_path, "garbled", failures=1) as server:
            server.spared = spared
            np.testing.assert_array_equal(native(f"{server.url}/a.jp2", pixels.shape), pixels)
            assert server.faults or spared > 4


def test_a_hole_of_zeros_in_a_compressed_file_fails(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((700, 700)), PLACE, compress="lzw")
    data = bytearray(path.read_bytes())
    data[300_000:400_000] = bytes(100_000)
    path.write_bytes(data)
    with pytest.raises(ReadFailed, match="zeros in a row"):
        native(path, (700, 700))


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_tile_that_was_never_written_fails(tmp_path: Path, compress: str) -> None:
    pixels = noise((256, 256))
    pixels[64:128, 64:128] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress=compress, SPARSE_OK=True)
    with pytest.raises(ReadFailed, match="missing"):
        native(path, (256, 256))


@pytest.mark.parametrize("value", [0, 7, 256])
@pytest.mark.parametrize(
    "profile",
    [{"compress": kind} for kind in ("deflate", "lzw", "zstd", "lzma", "packbits", "lerc", None)]
    + [JP2, JP2 | {"PRECINCTS": "{64,64},{64,64}"}],
    ids=str,
)
def test_equal_pixels_are_no_zeros_of_a_broken_server(
    tmp_path: Path, profile: dict, value: int
) -> None:
    pixels = np.full((2048, 2048), value, "u2")
    path = write_image(
        tmp_path / "a.jp2", pixels, PLACE,
        **{"predictor": 1, "blockxsize": 2048, "blockysize": 2048} | profile,
    )  # fmt: skip
    image = Raster(str(path), READS)
    np.testing.assert_array_equal(read_window(image, (0, 0), pixels.shape), pixels)


def test_an_index_of_tiles_that_were_never_written_is_no_broken_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {
        "driver": "GTiff", "count": 1, "dtype": "uint16", "crs": UTM33, "transform": PLACE,
        "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "lzw", "SPARSE_OK": True,
    }  # fmt: skip
    with rasterio.open(path, "w", height=10_980, width=10_980, **profile) as image:
        image.write(noise((128, 128)), 1, window=((0, 128), (0, 128)))
    np.testing.assert_array_equal(native(path, (128, 128)), noise((128, 128)))
