"""Images over a network that fails, lies or brings another file in the middle of a read."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from flaky_server import flaky
from images import UTM33, write_image
from noise_images import JP2, PLACE, READS, native, noise
from web_server import web

from neve.errors import ReadFailed
from neve.reading.cog import HEAD
from neve.reading.image import open_image, read_window
from neve.scenes.values import Asset


def kinds(folder: Path) -> dict[str, np.ndarray]:
    """Files that take several requests to read their headers, or that GDAL reads."""
    pixels = noise((600, 400))
    write_image(folder / "lzw.tif", pixels, PLACE, compress="lzw")
    write_image(folder / "zstd.tif", pixels, PLACE, compress="zstd")
    write_image(folder / "a.jp2", pixels, PLACE, **JP2)
    many = np.full((1200, 1200), 7, "u2")
    write_image(folder / "many.tif", many, PLACE, blockxsize=16, blockysize=16)
    return {"lzw.tif": pixels, "zstd.tif": pixels, "a.jp2": pixels, "many.tif": many}


@pytest.mark.parametrize("mode", ["html", "shrunk"])
def test_another_file_in_mid_read_is_noticed(tmp_path: Path, mode: str) -> None:
    for name, pixels in kinds(tmp_path).items():
        for failures in (2, 999):
            with flaky(tmp_path, mode, failures=failures, only=name) as server:
                server.spared = 1 if name == "many.tif" else 2  # what GDAL reads is opened twice
                if failures == 2:
                    found = native(f"{server.url}/{name}", pixels.shape)
                    np.testing.assert_array_equal(found, pixels)
                else:
                    with pytest.raises(ReadFailed, match="bytes now, and had"):
                        native(f"{server.url}/{name}", pixels.shape)
                assert server.faults >= 2, name


def test_uncompressed_images_from_afar_need_their_checksum(tmp_path: Path) -> None:
    pixels = noise((64, 64))
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress=None, predictor=1)
    np.testing.assert_array_equal(native(path, (64, 64)), pixels)
    checksum = "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    with flaky(tmp_path) as server:
        asset = Asset(f"{server.url}/a.tif", checksum=checksum)
        careful = replace(READS, verify="all")
        for doubtful, reads in ((asset, READS), (replace(asset, checksum=None), careful)):
            with pytest.raises(ReadFailed, match=r"not compressed.*verify: all"):
                open_image(doubtful, UTM33, reads)
        image = open_image(asset, UTM33, careful)
        np.testing.assert_array_equal(read_window(image, (0, 0), (64, 64)), pixels)


def test_what_was_verified_is_what_is_read(tmp_path: Path) -> None:
    """Of an uncompressed image, whose zeros are nodata: they come after its checksum was right."""
    pixels = noise((600, 600))
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress=None, predictor=1)
    checksum = "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    with flaky(tmp_path, "garbled") as server:
        asset = Asset(f"{server.url}/a.tif", checksum=checksum)
        image = open_image(asset, UTM33, replace(READS, verify="all"))
        server.requests.clear()
        server.failures = 2
        np.testing.assert_array_equal(read_window(image, (0, 0), pixels.shape), pixels)
        assert server.faults == 2


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_header_is_that_of_the_file_that_was_verified(tmp_path: Path, compress: str) -> None:
    """The first answer was an image that lies elsewhere."""
    pixels, astray = noise((64, 64)), Affine.translation(600, 0) @ PLACE
    wrong, right = (
        write_image(tmp_path / f"{n}.tif", pixels, place, compress=compress).read_bytes()
        for n, place in enumerate((astray, PLACE))
    )
    assert len(wrong) == len(right)

    class Body(bytes):
        def __getitem__(self, part: Any) -> Any:
            return (wrong if part.stop <= HEAD else right)[part]

    checksum = "1220" + hashlib.sha256(right).hexdigest()
    with web(Body(right)) as server:
        asset = Asset(server.at("127.0.0.1"), checksum=checksum)
        assert open_image(asset, UTM33, READS).levels[0].transform == astray
        server.asked.clear()
        image = open_image(asset, UTM33, replace(READS, verify="all"))
        assert image.levels[0].transform == PLACE
        assert len(server.asked) == {"deflate": 3, "lzw": 5}[compress]


def test_a_file_of_a_petabyte_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", noise((64, 64)), PLACE)
    with (
        flaky(tmp_path, "vast", failures=999) as server,
        pytest.raises(ReadFailed, match="more than an image can have"),
    ):
        native(f"{server.url}/a.tif", (64, 64))


@pytest.mark.parametrize("mode", ["500", "503", "429", "reset", "html", "short", "garbled"])
@pytest.mark.parametrize("name", ["a.tif", "lzw.tif"])
def test_passing_trouble_is_retried(tmp_path: Path, mode: str, name: str) -> None:
    pixels = noise((300, 200))
    write_image(tmp_path / name, pixels, PLACE, compress="lzw" if "lzw" in name else "deflate")
    with flaky(tmp_path, mode, failures=2) as server:
        found = native(f"{server.url}/{name}", (300, 200))
        np.testing.assert_array_equal(found, pixels)
        assert sum(server.requests.values()) > 2


@pytest.mark.parametrize("mode", ["500", "reset", "html", "short", "garbled"])
def test_lasting_trouble_fails_and_names_the_url_without_its_signature(
    tmp_path: Path, mode: str
) -> None:
    write_image(tmp_path / "a.tif", noise((300, 200)), PLACE)
    with flaky(tmp_path, mode, failures=999) as server:
        with pytest.raises(ReadFailed) as caught:
            native(f"{server.url}/a.tif?sig=SECRET", (300, 200))
        assert f"{server.url}/a.tif" in str(caught.value)
        assert "SECRET" not in str(caught.value)


def test_a_missing_file_is_asked_for_once(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", noise((64, 64)), PLACE)
    with flaky(tmp_path, "404", failures=999) as server:
        with pytest.raises(ReadFailed, match="HTTP 404"):
            native(f"{server.url}/a.tif", (64, 64))
        assert server.requests == {"/a.tif": 1}
