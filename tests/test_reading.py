import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from flaky_server import flaky
from hypothesis import given, settings
from hypothesis import strategies as st
from images import UTM33, north_up, write_image
from rasterio.shutil import copy as copy_image

from neve.errors import ReadFailed
from neve.grid import Grid
from neve.reading import rangefile
from neve.reading.cog import Cog
from neve.reading.image import How, Target, observe, open_image, read_window
from neve.reading.ranges import Reads
from neve.reading.rasters import Raster
from neve.reading.warping import Planes, lattice
from neve.scenes.values import FILL, Asset

READS = Reads(attempts=3, pause=0.01, timeout=2, hosts=("127.0.0.1",))
PLACE = north_up(500_000, 5_000_000, 10)


def noise(shape: tuple[int, int], dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(5).integers(1, 250 if dtype == "u1" else 9000, shape).astype(dtype)


def native(path: Path | str, shape: tuple[int, int], reads: Reads = READS) -> np.ndarray:
    image = open_image(Asset(str(path)), UTM33, reads)
    pixels = read_window(image, (0, 0), shape)
    image.close()
    return pixels


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


# --- Failures: never nodata ---


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


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_tile_that_was_never_written_fails(tmp_path: Path, compress: str) -> None:
    pixels = noise((256, 256))
    pixels[64:128, 64:128] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress=compress, SPARSE_OK=True)
    with pytest.raises(ReadFailed, match="missing"):
        native(path, (256, 256))


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


# --- The network ---


JP2 = {
    "driver": "JP2OpenJPEG", "compress": None, "predictor": None, "nodata": None,
    "QUALITY": 100, "REVERSIBLE": "YES",
}  # fmt: skip


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


def test_threads_that_open_images_for_gdal_do_not_crash(tmp_path: Path) -> None:
    """Each image had a handler in GDAL once: a campaign of many threads ended by signal 11."""
    pixels = noise((64, 64))
    path = write_image(tmp_path / "a.tif", pixels, PLACE, compress="lzw")
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: native(path, (64, 64)), range(200)):
            assert np.array_equal(found, pixels)


# --- Values on a grid ---


def onto(
    grid: Grid, path: Path, shift: int = 0, overviews: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(values, valid) of one image on a grid, all pixels needed."""
    image = open_image(Asset(str(path)), UTM33, READS)
    out = np.full(grid.shape, FILL, np.int16)
    need = np.packbits(np.ones(grid.shape, bool), axis=1)
    valid = need.copy()
    target = Target(grid, UTM33, lattice(grid, UTM33))
    observe(image, target, Planes(need, valid, out), How(shift, overviews, None))
    image.close()
    return out, np.unpackbits(valid, axis=1, count=grid.width).astype(bool)


def slow_bilinear(pixels: np.ndarray, u: float, v: float, low: int) -> float | None:
    """Value at pixel coordinates (corner = 0) from the neighbours that have data."""
    if not (0 <= u < pixels.shape[1] and 0 <= v < pixels.shape[0]) or pixels[int(v), int(u)] <= low:
        return None
    total = weights = 0.0
    for r in range(pixels.shape[0]):
        for c in range(pixels.shape[1]):
            weight = max(0, 1 - abs(c + 0.5 - u)) * max(0, 1 - abs(r + 0.5 - v))
            if weight > 0 and pixels[r, c] > low:
                total, weights = total + weight * pixels[r, c], weights + weight
    return total / weights


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99), st.sampled_from([10.0, 7.3, 12.9]), st.floats(-40, 60), st.floats(-60, 40),
    st.sampled_from([0, -1000]),
)  # fmt: skip
def test_bilinear_against_a_slow_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int, size: float, left: float, top: float, shift: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 4, (16, 16)) * rng.integers(1, 9000, (16, 16))
    pixels[rng.random((16, 16)) < 0.1] = 1
    path = tmp_path_factory.mktemp("b") / "a.tif"
    write_image(path, pixels.astype("u2"), PLACE, blockxsize=16, blockysize=16)
    grid = Grid(UTM33, size, 500_000 + left, 5_000_000 + top, 21, 18)
    values, valid = onto(grid, path, shift)
    for r, y in enumerate(grid.ys()):
        for c, x in enumerate(grid.xs()):
            at = (x - 500_000) / 10 + 1e-6, (5_000_000 - y) / 10 + 1e-6
            expected = slow_bilinear(pixels, *at, low=1 if shift else 0)
            assert valid[r, c] == (expected is not None)
            if expected is not None:
                assert abs(values[r, c] - np.clip(expected + shift, -32767, 32767)) <= 0.51


def test_on_the_same_grid_pixels_are_copied_exactly(tmp_path: Path) -> None:
    pixels = noise((150, 170))
    pixels[::7, ::5] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10, 500_000 - 300, 5_000_000 + 200, 230, 220)
    values, valid = onto(grid, path)
    inner = slice(20, 170), slice(30, 200)
    np.testing.assert_array_equal(values[inner][pixels > 0], pixels[pixels > 0])
    expected = np.zeros(grid.shape, bool)
    expected[inner] = pixels > 0
    np.testing.assert_array_equal(valid, expected)


def test_shift_saturates_and_leaves_negative_reflectance(tmp_path: Path) -> None:
    pixels = np.full((64, 64), 600, "u2")
    pixels[0, :4] = 0, 1, 2, 65535
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10, 500_000, 5_000_000, 64, 64)
    values, valid = onto(grid, path, shift=-1000)
    assert valid[0, :5].tolist() == [False, False, True, True, True]
    assert values[0, 2:5].tolist() == [-998, 32767, -400]
    values, valid = onto(grid, path, shift=0)
    assert valid[0, :5].tolist() == [False, True, True, True, True]
    assert values[0, 1:5].tolist() == [1, 2, 32767, 600]


@pytest.mark.parametrize("times", [2, 3, 5])
def test_an_integer_multiple_is_the_mean_of_pixels_with_data(tmp_path: Path, times: int) -> None:
    pixels = noise((120, 180))
    pixels[np.random.default_rng(1).random(pixels.shape) < 0.4] = 0
    pixels[:15, :15] = 0
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 10 * times, 500_000, 5_000_000, 180 // times, 120 // times)
    values, valid = onto(grid, path)
    cells = pixels.reshape(120 // times, times, 180 // times, times).swapaxes(1, 2)
    total, count = cells.sum((2, 3), dtype=int), (cells > 0).sum((2, 3))
    np.testing.assert_array_equal(valid, count > 0)
    mean = np.floor(total[valid] / count[valid] + 0.5)
    np.testing.assert_array_equal(values[valid], mean)


def test_a_broken_multiple_is_weighted_by_area(tmp_path: Path) -> None:
    pixels = noise((64, 64))
    path = write_image(tmp_path / "a.tif", pixels, PLACE)
    grid = Grid(UTM33, 25, 500_000 + 5, 5_000_000 - 5, 20, 20)
    values, _ = onto(grid, path)
    fine = pixels.repeat(2, 0).repeat(2, 1).astype(float)[1:101, 1:101]
    mean = fine.reshape(20, 5, 20, 5).mean((1, 3))
    assert np.abs(values - mean).max() <= 0.5


def test_overviews_are_read_only_on_request(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((256, 256)), PLACE)
    with rasterio.open(path, "r+") as image:
        image.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    with rasterio.open(path) as image:
        overview = image.read(1, out_shape=(64, 64))
    grid = Grid(UTM33, 40, 500_000, 5_000_000, 64, 64)
    np.testing.assert_array_equal(onto(grid, path, overviews=True)[0], overview)
    mean = noise((256, 256)).reshape(64, 4, 64, 4).mean((1, 3))
    assert np.abs(onto(grid, path)[0] - mean).max() <= 0.5


def test_raster_and_cog_agree_on_overview_free_reading(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise((200, 130)), PLACE)
    one = read_window(Cog(str(path), READS), (30, 40), (150, 80))
    raster = Raster(str(path), READS)
    np.testing.assert_array_equal(one, read_window(raster, (30, 40), (150, 80)))
    raster.close()
