"""Codecs: what the chunks of an array are as bytes, where that is plain enough to do at once.

Belongs here: one chunk to bytes and back, in the calling thread. Does not belong here: which
chunks there are, storage (``chunks``, ``stored_chunks``).

zarr-python's pipeline spends 1–3 ms a chunk beside the codec itself, most of it in its event
loop. What is not plain (shards, filters, several compressors) is left to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numcodecs import blosc, gzip, zstd  # type: ignore[import-untyped]
from numcodecs.abc import Codec  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ZstdCodec

Array = zarr.Array[Any]
ZARR_3 = 3
SHUFFLES = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}


@dataclass(frozen=True)
class ChunkCodec:
    """The one compressor (None: none) of whole, C-ordered chunks."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # in stored byte order
    compressor: Codec | None

    def encode(self, values: NDArray[Any]) -> bytes:
        """The stored bytes of a chunk's values: those that zarr itself would store."""
        plain = np.ascontiguousarray(values, self.dtype)
        return plain.tobytes() if self.compressor is None else bytes(self.compressor.encode(plain))

    def decode(self, data: bytes) -> NDArray[Any]:
        """Read-only values; raises what the compressor raises, ValueError for another size."""
        plain = data if self.compressor is None else self.compressor.decode(data)
        return np.frombuffer(plain, self.dtype).reshape(self.shape)


def codec_of(array: Array) -> ChunkCodec | None:
    """How an array's chunks are stored; None where only zarr itself knows."""
    if array.shards or array.filters or array.order != "C" or len(array.compressors) > 1:
        return None
    dtype = array.dtype
    if array.metadata.zarr_format == ZARR_3:
        if not isinstance(array.serializer, BytesCodec):
            return None
        dtype = dtype.newbyteorder(array.serializer.endian or "=")
    match array.compressors:
        case ():
            compressor = None
        case (Codec() as compressor,):
            pass  # Zarr 2 has them as they are
        case (BloscCodec() as told,):
            shuffle = SHUFFLES[str(told.shuffle)]
            compressor = blosc.Blosc(
                str(told.cname), told.clevel, shuffle, told.blocksize, told.typesize
            )
        case (ZstdCodec(level=level, checksum=checksum),):
            compressor = zstd.Zstd(level, checksum)
        case (GzipCodec(level=level),):
            compressor = gzip.GZip(level)
        case _:
            return None
    return ChunkCodec(array.chunks, dtype, compressor)


def absent(array: Array, shape: Sequence[int]) -> NDArray[Any]:
    """What chunks that are not stored hold: fill, or 0 where an array of Zarr 2 has none."""
    return np.full(shape, 0 if array.fill_value is None else array.fill_value, array.dtype)


def key_of(array: Array, position: tuple[int, ...]) -> str:
    """The key of a chunk (or shard) in its store."""
    return f"{array.path}/{array.metadata.encode_chunk_key(position)}".lstrip("/")
