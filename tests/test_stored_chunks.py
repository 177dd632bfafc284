"""Windows read directly are what zarr itself reads, for whatever codecs and stores."""

from itertools import product
from pathlib import Path

import icechunk
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

from neve.cube import chunks
from neve.cube.codec import codec_of
from neve.cube.stored_chunks import StoredChunks, read

SHAPE, CHUNKS = (3, 50, 70), (1, 16, 32)
KINDS = {
    "zstd": {"compressors": ZstdCodec(level=1, checksum=True)},
    "blosc": {"compressors": BloscCodec(cname="lz4", shuffle="shuffle")},
    "gzip": {"compressors": GzipCodec(level=1)},
    "plain": {"compressors": None},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "zarr-2": {"zarr_format": 2, "compressors": numcodecs.Blosc(cname="zstd")},
    "zarr-2-no-fill": {"zarr_format": 2, "fill_value": None},
    "zarr-2-big-endian": {"zarr_format": 2, "dtype": ">i2", "compressors": numcodecs.Zstd()},
    # zarr's own
    "shards": {"shards": (1, 32, 64)},
    "two": {"compressors": [ZstdCodec(), GzipCodec()]},
    "fortran": {"zarr_format": 2, "order": "F"},
    "delta": {"zarr_format": 2, "filters": [numcodecs.Delta("i2")]},
}
LEFT_TO_ZARR = ("shards", "two", "fortran", "delta")


def make(store, kind="zstd", path="g/a"):
    """An array with absent, constant (tiny when stored) and noisy chunks."""
    options = {"dtype": "int16", "fill_value": -1} | KINDS[kind]
    array = zarr.create_array(store, name=path, shape=SHAPE, chunks=CHUNKS, **options)
    rng = np.random.default_rng(3)
    values = np.full((3, 64, 96), -1)
    for t, i, j in product(range(3), range(4), range(3)):
        chunk = 7 if (i + j) % 2 else rng.integers(0, 9000, CHUNKS)
        if (t + i + j) % 3:
            values[t, i * 16 : i * 16 + 16, j * 32 : j * 32 + 32] = chunk
    array[...] = values[:, :50, :70]
    return array


def cuts():
    rng = np.random.default_rng(4)
    yield tuple(slice(0, n) for n in SHAPE)
    yield slice(0, 1), slice(0, 16), slice(32, 64)
    yield slice(0, 1), slice(0, 16), slice(0, 32)
    for _ in range(30):
        ends = [sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in SHAPE]
        yield tuple(slice(*end) for end in ends)


def check(array, stored):
    for cut in cuts():
        for values in (stored.read(cut), read(array, cut)):
            assert values.dtype == array.dtype
            np.testing.assert_array_equal(values, array[cut])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("local", [True, False])
def test_windows_are_what_zarr_reads(tmp_path: Path, kind: str, local: bool) -> None:
    array = make(LocalStore(tmp_path) if local else MemoryStore(), kind)
    assert (codec_of(array) is None) == (kind in LEFT_TO_ZARR)
    stored = StoredChunks(array)
    check(array, stored)
    if kind in ("zstd", "zarr-2"):
        there = [at for at in product(range(3), range(4), range(3)) if sum(at) % 3]
        assert stored.coordinates.tolist() == [list(at) for at in there]


@pytest.mark.parametrize("kind", ["blosc", "shards"])
def test_windows_of_icechunk_with_and_without_its_folder(tmp_path: Path, kind: str) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path)))
    session = repository.writable_session("main")
    array = make(session.store, kind)
    check(array, StoredChunks(array, tmp_path))
    session.commit("all")
    array = zarr.open_array(repository.readonly_session("main").store, path="g/a", mode="r")
    if kind == "blosc":  # constant chunks lie in the manifest, noisy ones in files
        tiny, large = (array.store.session.chunk_type("/g/a", at) for at in [(0, 0, 1), (0, 1, 1)])
        assert (tiny, large) == (icechunk.ChunkType.inline, icechunk.ChunkType.native)
    for folder in (None, tmp_path):
        check(array, StoredChunks(array, folder))


def test_an_array_without_chunks_reads_as_fill(tmp_path: Path) -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    for store in (repository.writable_session("main").store, MemoryStore()):
        array = zarr.create_array(store, name="a", shape=SHAPE, chunks=CHUNKS, dtype="float32",
                                  fill_value=np.nan)  # fmt: skip
        stored = StoredChunks(array)
        assert stored.coordinates.shape == (0, 3)
        check(array, stored)


@pytest.mark.parametrize("kind", ["zstd", "blosc", "gzip", "plain", "zarr-2"])
def test_damaged_chunks_are_named(tmp_path: Path, kind: str) -> None:
    array = make(LocalStore(tmp_path), kind)
    file = tmp_path / "g/a" / ("0.0.2" if kind == "zarr-2" else "c/0/0/2")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises((ValueError, RuntimeError, EOFError)) as caught:
        StoredChunks(array).read((slice(0, 1), slice(0, 16), slice(64, 70)))
    assert "chunk [0, 0, 2] of g/a" in caught.value.__notes__[0]


def test_a_chunk_of_another_size_is_refused(tmp_path: Path) -> None:
    array = make(LocalStore(tmp_path), "zstd")
    (tmp_path / "g/a/c/0/0/2").write_bytes(numcodecs.Zstd().encode(np.ones(16 * 16, "<i2")))
    with pytest.raises(ValueError, match="reshape"):
        StoredChunks(array).read((slice(0, 1), slice(0, 16), slice(64, 70)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_directly_is_read_by_zarr(tmp_path: Path, kind: str) -> None:
    array = make(MemoryStore(), kind)
    values = np.random.default_rng(1).integers(0, 5000, (2, 18, 70)).astype(array.dtype)
    values[0, :16, :32] = array.fill_value or 0
    chunks.write([(array, (1, 32, 0), values)])
    np.testing.assert_array_equal(array[1:, 32:], values)
