"""Chunks: encodes whole chunks in the calling thread and hands their bytes over together.

Belongs here: the fast way to write windows that cover whole chunks of arrays without shards.
Does not belong here: which arrays there are (``layout``), one chunk's bytes (``codec``), sessions
and commits (``store``).

zarr-python's own assignment spends about 2 ms a chunk in its event loop; a block with all
indices has a thousand chunks. The stored bytes are those that zarr itself would store.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from neve.cube import stored_chunks
from neve.cube.codec import Array, ChunkCodec, absent, codec_of, key_of
from neve.cuts import around, overlap

# How many chunks are encoded before their bytes are handed over: bounds memory.
BATCH = 64


def write(windows: Sequence[tuple[Array, Sequence[int], NDArray[Any]]]) -> None:
    """Writes windows (array, first index along each axis, values); empty chunks are left out.

    A window starts at chunk edges and ends at chunk edges or the array's. Arrays share one
    store. Arrays with codecs that ``codec`` leaves to zarr are assigned by it. Raises
    ValueError for a window that cuts a chunk.
    """
    pending: list[tuple[str, bytes | None]] = []
    for array, start, values in windows:
        _check(array, start, values)
        codec = codec_of(array)
        if codec is None:
            array[_window(start, values.shape)] = values
            continue
        for position, chunk in _chunks(array, start, values):
            pending.append((key_of(array, position), _encoded(codec, array.fill_value, chunk)))
            if len(pending) == BATCH:
                sync(_put(array.store, pending))
                pending = []
    if pending:
        sync(_put(array.store, pending))


def amend(windows: Sequence[tuple[Array, Sequence[int], NDArray[Any]]]) -> None:
    """As ``write``, and a window may cut chunks: what else these hold is read, and stays.

    No two windows may touch one chunk.
    """
    arrays = [array for array, *_ in windows]
    cuts = [_window(start, values.shape) for _, start, values in windows]
    wide = [around(cut, a.chunks, a.shape) for a, cut in zip(arrays, cuts, strict=True)]
    whole = list(stored_chunks.read_each(zip(arrays, wide, strict=True)))
    for present, place, cut, (*_, values) in zip(whole, wide, cuts, windows, strict=True):
        present[overlap(place, cut)[0]] = values
    starts = [[s.start for s in place] for place in wide]
    write(list(zip(arrays, starts, whole, strict=True)))


async def _put(store: Any, chunks: Sequence[tuple[str, bytes | None]]) -> None:
    make = default_buffer_prototype().buffer.from_bytes
    await asyncio.gather(
        *(store.delete(key) if data is None else store.set(key, make(data)) for key, data in chunks)
    )


def _check(array: Array, start: Sequence[int], values: NDArray[Any]) -> None:
    axes = zip(start, values.shape, array.chunks, array.shape, strict=True)
    for first, size, chunk, length in axes:
        last = first + size
        if first % chunk or last > length or (last % chunk and last != length):
            raise ValueError(
                f"{array.path}: the window {tuple(start)} + {values.shape} cuts chunks of "
                f"{array.chunks} of {array.shape}; write whole chunks"
            )


def _chunks(
    array: Array, start: Sequence[int], values: NDArray[Any]
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """(chunk position, values) of every chunk; what passes the array's edge is fill."""
    counts = [range(0, size, chunk) for size, chunk in zip(values.shape, array.chunks, strict=True)]
    for offsets in product(*counts):
        part = values[_window(offsets, array.chunks)]
        if part.shape != array.chunks:
            whole = absent(array, array.chunks)
            whole[_window((0,) * part.ndim, part.shape)] = part
            part = whole
        corner = zip(start, offsets, array.chunks, strict=True)
        position = tuple((first + offset) // chunk for first, offset, chunk in corner)
        yield position, part


def _encoded(codec: ChunkCodec, fill: Any, chunk: NDArray[Any]) -> bytes | None:
    """The bytes of a chunk, None where it holds only fill (Zarr 2 may have none)."""
    if fill is None:
        return codec.encode(chunk)
    empty = np.isnan(chunk) if np.isnan(fill) else chunk == fill
    return None if empty.all() else codec.encode(chunk)


def _window(start: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))
