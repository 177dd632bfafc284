"""Native chunks under levels: read and decoded once, kept while windows need them."""

import asyncio
import os
from collections import Counter

import numpy as np
import pytest
import zarr
from raster_datasets import check, interrupted, native, numbers
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore, WrapperStore

from neve.cube.codec import ChunkCodec
from neve.cube.stored_chunks import StoredChunks
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted, planned
from neve.pyramids.building import TOGETHER
from neve.pyramids.keeping import KeptChunks

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")


class Watched(WrapperStore):
    """Counts the keys that are read, and takes its time for chunks."""

    def __init__(self, store, seconds=0.0):
        super().__init__(store)
        self.read, self.seconds = Counter(), seconds

    async def get(self, key, prototype, byte_range=None):
        self.read[key] += 1
        await asyncio.sleep(self.seconds if "/c/" in key else 0)
        return await self._store.get(key, prototype, byte_range)


# The first budget makes windows of cells that cut chunks, the second such that hold whole chunks.
@pytest.mark.parametrize("budget", [2_000, 10_000])
@pytest.mark.parametrize("chunks", [(50, 50), (96, 60), (410, 330)])
@pytest.mark.parametrize("local", [True, False])
def test_chunks_that_do_not_fit_the_cells_are_read_and_decoded_once(
    tmp_path, monkeypatch, budget, chunks, local
):
    values = numbers()
    native(tmp_path, values, chunks=chunks)
    decoded = Counter()
    decode = ChunkCodec.decode

    def counted(codec, data):
        decoded[codec.shape] += 1
        return decode(codec, data)

    monkeypatch.setattr(ChunkCodec, "decode", counted)
    store = LocalStore(tmp_path) if local else Watched(LocalStore(tmp_path))
    wanted = Wanted((2, 8), budget=budget)
    root = zarr.open_group(store, mode="r+")
    add_to_zarr(root, wanted)
    stored = -(-410 // chunks[0]) * -(-330 // chunks[1])
    assert decoded[chunks] == stored
    if not local:
        read = {key: n for key, n in store.read.items() if key.startswith("1x/red/c/")}
        assert (len(read), max(read.values())) == (stored, 1)
    check(root, values)


def test_chunks_are_forgotten_when_the_last_window_has_them_and_when_there_are_too_many(tmp_path):
    values = numbers()
    root = native(tmp_path, values)
    _, (plan,) = planned(root, Wanted((2, 8), budget=2_000))
    assert plan.rereads
    windows = plan.windows(np.argwhere(np.ones((9, 7))))
    stored = StoredChunks(root["1x/red"])
    for kept in (5_000, 20_000, 2**20):
        source, most = KeptChunks(stored, plan, windows, kept), 0
        for window in windows:
            cut = plan.cut(window)
            np.testing.assert_array_equal(source.read(cut), values[cut])
            most = max(most, len(source._kept))
        assert source._kept == {}
        assert 0 < most <= kept // 5_000


def test_damage_reaches_everyone_who_waits_for_the_chunk(tmp_path):
    root = native(tmp_path, numbers(), compressors=ZstdCodec(checksum=True))
    file = tmp_path / "1x/red/c/3/3"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises((ValueError, RuntimeError)):
        add_to_zarr(root, Wanted((2, 8), budget=2_000))


def test_a_build_that_stops_reads_no_further_ahead(tmp_path):
    native(tmp_path, numbers((800, 800)))
    store = Watched(LocalStore(tmp_path), seconds=0.05)
    interrupted(zarr.open_group(store, mode="r+"), Wanted((2,), budget=5_000))
    read = [key for key in store.read if key.startswith("1x/red/c/")]
    assert TOGETHER <= len(read) < TOGETHER * ((os.cpu_count() or 1) + 1)
