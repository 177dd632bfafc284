"""What ``overviews.py`` measures, one variant a process: ``overview_variants.py NAME SOURCE OUT``.

``SOURCE`` is an Icechunk repository whose group ``0`` has ``u16``, ``i16`` and ``f32`` (time, y,
x). All variants read it; all write to Icechunk, except terrazarr and eopf-geozarr, which cannot
and write Zarr. A first run on a small source takes imports and JIT out. The last line on stdout
is JSON: CPU and wall seconds, bytes read from files, peak resident memory of the process.
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from overview_source import CHUNK, FACTORS, FILLS, reading, repository, writing

IN_PLACE = ("neve", "topozarr_levels")  # they add levels to a copy of the source


def neve(source: Path, out: Path) -> None:
    from neve.pyramids.adding import add_to_icechunk
    from neve.pyramids.asked import Wanted

    add_to_icechunk(repository(out), Wanted(FACTORS), folder=out)


def floor(source: Path, out: Path) -> None:
    """Read and decode what is stored once, and write levels that exist already (``LEVELS``).

    With neve's own reader and writer: the least that any program could take here.
    """
    from neve.cube import chunks
    from neve.cube.stored_chunks import StoredChunks

    for array, cuts in _windows(source):
        stored = StoredChunks(array, source)
        for cut in cuts:
            stored.read(cut)
    with writing(out) as store:
        for array, values in _targets(store):
            chunks.write([(array, (0, 0, 0), values)])


def zarr_floor(source: Path, out: Path) -> None:
    """The same with zarr-python's reading and writing, which the peers use."""
    for array, cuts in _windows(source):
        for cut in cuts:
            array[cut]
    with writing(out) as store:
        for array, values in _targets(store):
            for t in range(len(values)):
                array[t] = values[t]


def _windows(source: Path) -> Iterator[tuple[zarr.Array, list[tuple[slice, ...]]]]:
    from neve.cube.stored_chunks import StoredChunks
    from neve.pyramids.dataset import describe
    from neve.pyramids.plan import plan_raster

    root = zarr.open_group(reading(source), mode="r")
    for raster in describe(root).rasters:
        array = root[f"0/{raster.name}"]
        plan = plan_raster(raster, FACTORS)
        yield array, [plan.cut(w) for w in plan.windows(StoredChunks(array).coordinates)]


def _targets(store: Any) -> Iterator[tuple[zarr.Array, np.ndarray]]:
    group = zarr.open_group(store, mode="w")
    for path, (template, values) in LEVELS.items():
        array = group.create_array(
            path,
            shape=template.shape,
            chunks=template.chunks,
            dtype=template.dtype,
            fill_value=template.fill_value,
            compressors=template.compressors,
        )
        yield array, values


LEVELS: dict[str, tuple[zarr.Array, np.ndarray]] = {}


def _load_levels(built: Path) -> None:
    group = zarr.open_group(reading(built), mode="r")
    for factor in FACTORS:
        for name in FILLS:
            array = group[f"{factor}x/{name}"]
            LEVELS[array.path] = array, array[...]


def topozarr_levels(source: Path, out: Path) -> None:
    _topozarr(source, out, [1, 2, 3])


def topozarr(source: Path, out: Path) -> None:
    _topozarr(source, out, None)


def _topozarr(source: Path, out: Path, levels: list[int] | None) -> None:
    import xarray as xr
    import xproj  # noqa: F401
    from topozarr import create_pyramid

    data = xr.open_zarr(
        reading(source), group="0", chunks=None, consolidated=False, mask_and_scale=False
    )
    data = data.drop_vars("spatial_ref", errors="ignore").proj.assign_crs(spatial_ref="EPSG:32633")
    pyramid = create_pyramid(data, factors=[1, *FACTORS], chunks_per_shard=None)
    for level, encoding in pyramid.encoding.items():
        side = pyramid.level_templates[int(level.strip("/"))].sizes["y"]
        for name in FILLS:
            if name in encoding:
                encoding[name]["chunks"] = (1, min(CHUNK, side), min(CHUNK, side))
    with writing(out) as store:
        pyramid.write(store, mode="w" if levels is None else "a", levels=levels)


def ndpyramid(source: Path, out: Path) -> None:
    import xarray as xr
    from ndpyramid import pyramid_coarsen

    data = xr.open_zarr(
        reading(source), group="0", consolidated=False, chunks={"time": 1, "y": 2048, "x": 2048}
    )
    tree = pyramid_coarsen(
        data.drop_vars("spatial_ref", errors="ignore"),
        factors=list(FACTORS),
        dims=["y", "x"],
        boundary="trim",
    )
    for node in tree.subtree:
        for variable in node.variables.values():
            variable.encoding.clear()
    tree = tree.map_over_datasets(lambda level: level.chunk(y=CHUNK, x=CHUNK) if level else level)
    with writing(out) as store:
        tree.to_zarr(store, consolidated=False, mode="w")


def xarray(source: Path, out: Path) -> None:
    """Eager ``coarsen`` of every level from native, one time step at a time."""
    import xarray as xr

    data = xr.open_zarr(reading(source), group="0", consolidated=False, chunks=None)
    with writing(out) as store:
        _coarsen(data, zarr.open_group(store, mode="w"))


def _coarsen(data: Any, group: zarr.Group) -> None:
    for name in FILLS:
        steps, side, _ = data[name].shape
        arrays = [
            group.create_array(
                f"{f}x/{name}",
                shape=(steps, side // f, side // f),
                chunks=(1, min(CHUNK, side // f), min(CHUNK, side // f)),
                dtype="float32",
                fill_value=np.nan,
            )
            for f in FACTORS
        ]
        for t in range(steps):
            plane = data[name].isel(time=t).load()
            for f, array in zip(FACTORS, arrays, strict=True):
                array[t] = plane.coarsen(y=f, x=f, boundary="trim").mean().values


def terrazarr(source: Path, out: Path) -> None:
    """Copies native, levels of 2, 4, … 64."""
    import xarray as xr
    from terrazarr import to_geozarr

    data = xr.open_zarr(
        reading(source), group="0", consolidated=False, chunks={"y": 4096, "x": 4096}
    )
    data = data.rio.write_crs("EPSG:32633")
    for name in FILLS:
        data[name].encoding.clear()
    side = data.sizes["y"]
    to_geozarr(data, str(out), chunk_size=CHUNK, sharding=False, min_dimension=side // 64)


def eopf_geozarr(source: Path, out: Path) -> None:
    """Copies native, levels of 2, 4, … 64."""
    import rioxarray  # noqa: F401
    import xarray as xr
    from eopf_geozarr import create_geozarr_dataset

    data = xr.open_zarr(
        reading(source), group="0", consolidated=False, chunks={"y": 4096, "x": 4096}
    )
    data = data.rio.write_crs("EPSG:32633")
    for name in FILLS:
        data[name].encoding.clear()
    tree = xr.DataTree.from_dict({"/measurements/r10m": data})
    create_geozarr_dataset(
        tree,
        groups=["/measurements/r10m"],
        output_path=str(out),
        spatial_chunk=CHUNK,
        min_dimension=data.sizes["y"] // 64,
    )


def _read_bytes() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def _peak() -> int:
    """Peak resident bytes of this process (``ru_maxrss`` would count the parent's at the fork)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _cpu() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> None:
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    run = globals()[name]
    warm = out.with_name(f"{out.name}-warm")
    small = source.with_name("small")
    for place, copied in ((warm, small), (out, source)):
        shutil.rmtree(place, ignore_errors=True)
        if name in IN_PLACE:
            shutil.copytree(copied, place)
    if name.endswith("floor"):
        _load_levels(Path(sys.argv[4]))
    run(small, warm)
    before = time.perf_counter(), _cpu(), _read_bytes()
    run(source, out)
    after = time.perf_counter(), _cpu(), _read_bytes()
    wall, cpu, read = (b - a for a, b in zip(before, after, strict=True))
    print(json.dumps({"cpu": cpu, "wall": wall, "bytes_read": read, "peak": _peak()}))


if __name__ == "__main__":
    main()
