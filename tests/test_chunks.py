"""Chunks written directly are the objects that zarr itself would have stored."""

from pathlib import Path

import icechunk
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from neve.cube import chunks

BLOSC = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")


def _array(store, name, dtype, fill, **options) -> zarr.Array:
    options = {"compressors": BLOSC} | options
    return zarr.open_group(store, mode="a").create_array(
        name, shape=(3, 50, 70), chunks=(1, 16, 32), dtype=dtype, fill_value=fill, **options
    )


@pytest.mark.parametrize(
    ("dtype", "fill"), [("int16", -32768), ("float32", np.nan), ("uint16", 0), ("float32", 0.0)]
)
@pytest.mark.parametrize("start", [(1, 0, 0), (1, 32, 32), (0, 16, 64)])
def test_the_same_objects_as_zarrs_own(tmp_path: Path, dtype: str, fill: float, start) -> None:
    rng = np.random.default_rng(1)
    shape = (1, 50 - start[1], 70 - start[2])
    values = rng.integers(0, 3000, shape).astype(dtype)
    values[:, :16, :32] = fill
    window = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    _array(str(tmp_path / "zarr"), "g/a", dtype, fill)[window] = values
    direct = _array(str(tmp_path / "direct"), "g/a", dtype, fill)
    direct[window] = 7  # what was there before is replaced, also by nothing
    chunks.write([(direct, start, values)])
    objects = [
        {p.relative_to(tmp_path / side): p.read_bytes() for p in (tmp_path / side).rglob("c/*/*/*")}
        for side in ("zarr", "direct")
    ]
    assert objects[0] == objects[1]
    np.testing.assert_array_equal(direct[window], values)


def test_many_windows_into_icechunk_and_other_codecs(tmp_path: Path) -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    values = np.arange(3500, dtype="int16").reshape(1, 50, 70)
    arrays = [_array(session.store, f"a{k}", "int16", -32768) for k in range(20)]
    arrays.append(_array(session.store, "other", "int16", -32768, compressors=ZstdCodec(level=1)))
    chunks.write([(array, (2, 0, 0), values + k) for k, array in enumerate(arrays)])
    session.commit("all")
    group = zarr.open_group(repository.readonly_session("main").store, mode="r")
    for k, array in enumerate(arrays):
        np.testing.assert_array_equal(group[array.path][2], values[0] + k)


@pytest.mark.parametrize(
    ("start", "shape"),
    [((0, 8, 0), (1, 16, 32)), ((0, 0, 0), (1, 20, 32)), ((0, 48, 0), (1, 9, 32))],
)
def test_a_window_that_cuts_a_chunk_is_refused(tmp_path: Path, start, shape) -> None:
    array = _array(str(tmp_path / "store"), "a", "int16", 0)
    with pytest.raises(ValueError, match="cuts chunks"):
        chunks.write([(array, start, np.ones(shape, "int16"))])


@pytest.mark.parametrize("compressor", [BLOSC, None])
def test_windows_that_cut_chunks_leave_the_rest_as_it_was(compressor) -> None:
    rng = np.random.default_rng(2)
    store = zarr.storage.MemoryStore()
    options = {"shards": (1, 32, 64)} if compressor is None else {}
    arrays = [_array(store, f"a{k}", "int16", -1, **options) for k in range(2)]
    wanted = np.full((2, 3, 50, 70), -1, "int16")
    for number in range(30):
        windows = []
        for array, plain in zip(arrays, wanted, strict=True):
            cut = tuple(slice(*sorted(rng.choice(n + 1, 2, replace=False))) for n in plain.shape)
            values = np.full(plain[cut].shape, number, "int16")
            windows.append((array, [s.start for s in cut], values))
            plain[cut] = values
        chunks.amend(windows)
        np.testing.assert_array_equal([array[...] for array in arrays], wanted)
