"""What ``indices.py`` measures, a variant a process: ``index_variants.py NAME BLOCK OUT REPEATS``.

``BLOCK`` is a .npy of int16 (11 bands, height, width). The first run takes imports, JIT and
first touches out. The last line on stdout is JSON: CPU and wall seconds of every further run,
and the peak resident memory of the process less what it had before the first run.
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from neve.cube import chunks
from neve.indices import BANDS, Buffers, aliases, evaluate, select

NAMES = tuple(name for name in BANDS.values() if name != "nir09")
INDICES = select("all", NAMES, "0.9", {"PAR": 1.0})
# Chunks of the pipelines' arrays, and pixels that spyndex does best with at a time (of 4k–256k).
CHUNK, PIECE = 600, 65536


def fill_floor(block: np.ndarray, out: Path) -> Callable[[], None]:
    """As many float32 outputs, filled in numba, memory reused."""
    import numba

    @numba.njit
    def fill(rows: Any, value: Any) -> None:
        for k in range(rows.shape[0]):
            for i in range(rows.shape[1]):
                rows[k, i] = value

    rows = np.zeros((len(INDICES), block[0].size), np.float32)
    return lambda: fill(rows, np.float32(1.5))


def neve(block: np.ndarray, out: Path) -> Callable[[], None]:
    """The evaluator with reused buffers: nodata, counts and storage encoding included."""
    buffers = Buffers()
    bands = dict(zip(NAMES, block, strict=True))
    return lambda: evaluate(INDICES, bands, buffers) and None


def neve_windows(block: np.ndarray, out: Path) -> Callable[[], None]:
    """The evaluator as a build runs it: a chunk of all indices at a time, in the same memory."""
    buffers = Buffers()

    def run() -> None:
        for window in _windows(block):
            bands = {n: band[window] for n, band in zip(NAMES, block, strict=True)}
            evaluate(INDICES, bands, buffers)

    return run


def neve_float32(block: np.ndarray, out: Path) -> Callable[[], None]:
    """The evaluator with every index as float32."""
    from dataclasses import replace

    indices = [replace(index, dtype="float32") for index in INDICES]
    buffers = Buffers()
    bands = dict(zip(NAMES, block, strict=True))
    return lambda: evaluate(indices, bands, buffers) and None


def _parameters(bands: dict[str, Any]) -> dict[str, Any]:
    """What spyndex needs: bands by letter, constants, kernels."""
    import spyndex

    letters = {letter: bands[name] for letter, name in BANDS.items() if name in bands}
    for index in INDICES:
        letters |= {n: v for n, v in index.constants if n not in ("epsilon",)}
    letters["epsilon"] = 1.0
    for kernel in ("kNN", "kNR", "kNB", "kNL", "kGG", "kGR", "kGB"):
        a, b = letters[kernel[1]], letters[kernel[2]]
        letters[kernel] = spyndex.computeKernel("RBF", {"a": a, "b": b, "sigma": 0.5 * (a + b)})
    return letters


def spyndex(block: np.ndarray, out: Path) -> Callable[[], None]:
    """``computeIndex`` with a list of names, as documented, on float32 reflectance."""
    import spyndex as library

    names = [index.name for index in INDICES]

    def run() -> None:
        bands = {
            n: b.astype(np.float32) / np.float32(1e4) for n, b in zip(NAMES, block, strict=True)
        }
        with np.errstate(all="ignore"):
            library.computeIndex(names, _parameters(bands))

    return run


def spyndex_tuned(block: np.ndarray, out: Path) -> Callable[[], None]:
    """``computeIndex`` on pieces that fit the cache, into memory that is reused."""
    import spyndex as library

    names = [index.name for index in INDICES]
    flat = block.reshape(len(block), -1)
    rows = np.zeros((len(names), flat.shape[1]), np.float32)

    def run() -> None:
        for start in range(0, flat.shape[1], PIECE):
            columns = slice(start, start + PIECE)
            piece = flat[:, columns].astype(np.float32) / np.float32(1e4)
            with np.errstate(all="ignore"):
                letters = _parameters(dict(zip(NAMES, piece, strict=True)))
                rows[:, columns] = library.computeIndex(names, letters)

    return run


def pipeline(block: np.ndarray, out: Path) -> Callable[[], None]:
    """Compute, encode and commit all indices to a local Icechunk repository; aliases once.

    The compressor and the chunk writer are those of a build.
    """
    from neve.cube.creation import COMPRESSOR

    return _pipeline(block, out, COMPRESSOR, direct=True)


def pipeline_zarr(block: np.ndarray, out: Path) -> Callable[[], None]:
    """The same with zarr's own assignment and zstd at level 3."""
    from zarr.codecs import BloscCodec

    zstd3 = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    return _pipeline(block, out, zstd3, direct=False)


def _windows(block: np.ndarray) -> list[tuple[slice, slice]]:
    corners = product(range(0, block.shape[1], CHUNK), range(0, block.shape[2], CHUNK))
    return [(slice(y, y + CHUNK), slice(x, x + CHUNK)) for y, x in corners]


def _pipeline(block: np.ndarray, out: Path, compressor: Any, direct: bool) -> Callable[[], None]:
    import icechunk
    import zarr

    icechunk.set_logs_filter("error")
    buffers = Buffers()
    repeats = aliases(INDICES)
    stored = [index for index in INDICES if index.name not in repeats]

    def run() -> None:
        shutil.rmtree(out, ignore_errors=True)
        repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(out)))
        session = repository.writable_session("main")
        group = zarr.open_group(session.store, mode="w")
        arrays = {
            index.name: group.create_array(
                index.name,
                shape=(1, *block.shape[1:]),
                chunks=(1, CHUNK, CHUNK),
                dtype=index.dtype,
                fill_value=-32768 if index.dtype == "int16" else np.nan,
                compressors=compressor,
            )
            for index in stored
        }
        for window in _windows(block):
            bands = {n: band[window] for n, band in zip(NAMES, block, strict=True)}
            values = evaluate(stored, bands, buffers).values
            start = (0, window[0].start, window[1].start)
            if direct:
                chunks.write([(arrays[n], start, v[None]) for n, v in values.items()])
                continue
            for name, array in arrays.items():
                array[0, *window] = values[name]
        session.commit("indices")

    return run


def spyndex_to_zarr(block: np.ndarray, out: Path) -> Callable[[], None]:
    """``computeIndex`` in xarray, then ``to_zarr`` as it comes."""
    import spyndex as library
    import xarray as xr

    names = [index.name for index in INDICES]

    def run() -> None:
        shutil.rmtree(out, ignore_errors=True)
        bands = {
            n: xr.DataArray(b.astype(np.float32) / np.float32(1e4), dims=("y", "x"))
            for n, b in zip(NAMES, block, strict=True)
        }
        with np.errstate(all="ignore"):
            values = library.computeIndex(names, _parameters(bands))
        values.to_dataset("index").to_zarr(out, consolidated=False)

    return run


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _cpu() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def main() -> None:
    name, block, out, repeats = sys.argv[1], np.load(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    run = globals()[name](block, out)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far may be the parent's
    before = _memory("VmRSS")
    run()
    cpus, walls = [], []
    for _ in range(int(repeats)):
        cpu, wall = _cpu(), time.perf_counter()
        run()
        cpus.append(_cpu() - cpu)
        walls.append(time.perf_counter() - wall)
    print(json.dumps({"cpu": cpus, "wall": walls, "peak": _memory("VmHWM") - before}))


if __name__ == "__main__":
    main()
