"""Stored chunks: which there are of an array, and their values.

Belongs here: the fast way to read windows of arrays with plain chunks. Does not belong here:
which windows (callers), codecs (``codec``), writing (``chunks``).

Absent chunks are never asked for; the others are decoded in the calling thread. What lies in
files is read as files: Icechunk streams a local file in pieces of 8 KiB, each handed from thread
to thread, which takes two to four times the CPU of decoding it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import batched, islice
from math import ceil
from pathlib import Path
from typing import Any, cast

import numpy as np
from icechunk import ChunkType, IcechunkStore
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from neve.cube.codec import Array, ChunkCodec, absent, codec_of, key_of
from neve.cuts import Cut, overlap, places

Span = tuple[str, int, int]  # a file, the first byte, how many (-1: all)
# Of how many windows ``read_each`` holds the stored bytes: bounds memory.
AT_ONCE = 16
NATIVE = int(cast(int, ChunkType.native))  # an Enum in its stub only


class StoredChunks:
    """The storage objects (shards, or chunks without sharding) that an array has when listed.

    ``coordinates``: (n, dimensions), in C order. ``folder``: of the array's Icechunk repository,
    if it is on this machine. ``local``: chunks lie in files. Reading is safe from many threads.
    """

    def __init__(self, array: Array, folder: Path | None = None) -> None:
        """List them; nothing is read yet."""
        self._array, self._codec = array, codec_of(array)
        grid = [ceil(n / u) for n, u in zip(array.shape, array.shards or array.chunks, strict=True)]
        if isinstance(array.store, IcechunkStore):
            listed, spans = _in_icechunk(array, array.store, folder)
        else:
            listed, spans = _in_zarr(array)
        inside = (listed < grid).all(axis=1)
        flat = np.ravel_multi_index(tuple(listed[inside].T), grid)
        order = np.argsort(flat)
        self._grid, self._flat = grid, flat[order]
        rows = np.flatnonzero(inside)[order]
        self.coordinates = listed[rows]
        self.local = folder is not None or isinstance(array.store, LocalStore)
        self._span: Callable[[int], Span | None] = lambda row: spans(int(rows[row]))

    def stamps(self) -> list[tuple[int, int]]:
        """Size and time of the last change of each, where a local store has them in files."""
        if not isinstance(self._array.store, LocalStore):
            return []
        spans = (self._span(row) for row in range(len(self.coordinates)))
        found = (Path(span[0]).stat() for span in spans if span)
        return [(file.st_size, file.st_mtime_ns) for file in found]

    def read(self, cut: Cut) -> NDArray[Any]:
        """The values of a window within the array; they may be read-only."""
        if self._codec is None:
            return np.asarray(self._array[cut])
        found = self._found(cut)
        shape = tuple(s.stop - s.start for s in cut)
        values = None
        for row, data in zip(found, self._bytes(found), strict=True):
            chunk = self._decoded(self._codec, row, data)
            corner = self.coordinates[row] * self._array.chunks
            if values is None and shape == chunk.shape and all(corner == [s.start for s in cut]):
                return chunk.astype(self._array.dtype, copy=False)
            if values is None:
                values = _empty(self._array, cut)
            _paste(chunk, corner.tolist(), values, cut)
        return _empty(self._array, cut) if values is None else values

    def _found(self, cut: Cut) -> list[int]:
        """Rows of ``coordinates`` of the stored chunks that a window touches."""
        wanted = [0]
        for s, size, n in zip(cut, self._array.chunks, self._grid, strict=True):
            places = range(s.start // size, ceil(s.stop / size))
            wanted = [first * n + place for first in wanted for place in places]
        rows = np.searchsorted(self._flat, wanted)
        there = self._flat.take(rows, mode="clip") == wanted if self._flat.size else []
        return rows[there].tolist()

    def _bytes(self, rows: Sequence[int]) -> list[bytes]:
        spans = [self._span(row) for row in rows]
        asked = [row for row, span in zip(rows, spans, strict=True) if span is None]
        fetched = iter(self._fetched(asked) if asked else ())
        return [next(fetched) if span is None else _file(*span) for span in spans]

    def _fetched(self, rows: Sequence[int]) -> list[bytes]:
        keys = [key_of(self._array, tuple(self.coordinates[row].tolist())) for row in rows]
        found = sync(_got(self._array.store, keys))
        gone = [key for key, data in zip(keys, found, strict=True) if data is None]
        if gone:
            raise FileNotFoundError(
                f"{gone[0]}: deleted from {self._array.store} since it was listed"
            )
        return [data for data in found if data is not None]

    def _decoded(self, codec: ChunkCodec, row: int, data: bytes) -> NDArray[Any]:
        try:
            return codec.decode(data)
        except Exception as error:  # each codec has its own
            at = self.coordinates[row].tolist()
            error.add_note(f"chunk {at} of {self._array.path} in {self._array.store} is damaged")
            raise


def read(array: Array, cut: Cut) -> NDArray[Any]:
    """The values of one window, as ``read_each`` has them."""
    return next(read_each([(array, cut)]))


def read_each(windows: Iterable[tuple[Array, Cut]]) -> Iterator[NDArray[Any]]:
    """The values of windows, whose chunks are asked of the store whether they are there or not.

    For few windows of arrays that may have millions of chunks, which nobody wants listed. The
    arrays share one store.
    """
    for some in batched(windows, AT_ONCE):
        touched = [[*places(cut, array.chunks)] for array, cut in some]
        plain = [codec_of(array) for array, _ in some]
        keys = [
            key_of(array, place)
            for (array, _), codec, each in zip(some, plain, touched, strict=True)
            for place in each
            if codec
        ]
        found = iter(sync(_got(some[0][0].store, keys)) if keys else ())
        for (array, cut), codec, each in zip(some, plain, touched, strict=True):
            if codec is None:
                yield np.asarray(array[cut])
                continue
            values = _empty(array, cut)
            for place, data in zip(each, islice(found, len(each)), strict=True):
                if data is not None:
                    corner = [k * n for k, n in zip(place, array.chunks, strict=True)]
                    _paste(codec.decode(data), corner, values, cut)
            yield values


async def _got(store: Any, keys: Sequence[str]) -> list[bytes | None]:
    make = default_buffer_prototype()
    buffers = await asyncio.gather(*(store.get(key, make) for key in keys))
    return [None if buffer is None else buffer.to_bytes() for buffer in buffers]


def _empty(array: Array, cut: Cut) -> NDArray[Any]:
    return absent(array, [s.stop - s.start for s in cut])


def _in_icechunk(
    array: Array, store: IcechunkStore, folder: Path | None
) -> tuple[NDArray[np.int64], Callable[[int], Span | None]]:
    """Coordinates, and where in the folder each chunk lies (None: in a manifest, or elsewhere)."""
    batches = sync(_collected(store.array_chunk_iterator(f"/{array.path}")))
    columns = [list(column) for column in zip(*batches, strict=True)] or [[]] * 6
    coordinates = np.concatenate([np.zeros((0, array.ndim), np.int64), *columns[0]])
    kinds, offsets, lengths = (np.concatenate([[], *columns[k]]).astype(int) for k in (1, 3, 4))
    ids = np.array([name for names in columns[2] for name in names], "S")

    def span(row: int) -> Span | None:
        if folder is None or kinds[row] != NATIVE:
            return None
        return f"{folder}/chunks/{ids[row].decode()}", int(offsets[row]), int(lengths[row])

    return coordinates.astype(np.int64), span


def _in_zarr(array: Array) -> tuple[NDArray[np.int64], Callable[[int], Span | None]]:
    store, prefix = array.store, f"{array.path}/".lstrip("/")
    keys = sync(_collected(store.list_prefix(prefix)))
    found = [at for key in keys if (at := _coordinates(key[len(prefix) :]))]

    def span(row: int) -> Span | None:
        if not isinstance(store, LocalStore):
            return None
        return f"{store.root}/{key_of(array, found[row])}", 0, -1

    return np.array(found, np.int64).reshape(-1, array.ndim), span


def _coordinates(key: str) -> tuple[int, ...] | None:
    """``c/0/1/2``, ``c.0.1.2``, ``0.1.2`` or ``0/1/2``; None for metadata."""
    parts = key.replace(".", "/").removeprefix("c/").split("/")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None


def _file(path: str, offset: int, length: int) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.pread(file, os.fstat(file).st_size if length < 0 else length, offset)
    finally:
        os.close(file)


def _paste(chunk: NDArray[Any], corner: Sequence[int], values: NDArray[Any], cut: Cut) -> None:
    """Copy what of a chunk lies in the window."""
    whole = [slice(first, first + size) for first, size in zip(corner, chunk.shape, strict=True)]
    put, take = overlap(cut, whole)
    values[put] = chunk[take]


async def _collected[T](items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]
