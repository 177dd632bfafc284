"""What ``composite.py`` measures, one variant per process: ``variants.py NAME ROOT SCENES SIZE``.

Warms up (imports, JIT, thread pools) on a small target, then runs once. The last line on stdout
is JSON: CPU and wall seconds, CPU seconds of the server, bytes of memory above the level before.
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import bench_scenes
import numpy as np
from bench_scenes import BANDS

from neve.grid import Grid


def demo(root: str, count: int, grid: Grid) -> object:
    """The published demo (earth-mover/serverless-datacube-demo, ``ChunkProcessingJob.process``).

    Its semantics: everything bilinear, SCL too; 600 px dask chunks, one task per scene; cloud =
    neither class 4 nor 5, closed and opened by 5 px chunk by chunk; float median; 16 threads.
    """
    import dask
    import xarray as xr

    data = _load(root, count, grid, "bilinear", {"time": 1, "x": 600, "y": 600})
    cloud = xr.apply_ufunc(
        _cleanup, ~data.scl.isin([4, 5]), dask="parallelized", output_dtypes=[bool]
    )
    kept = data[list(BANDS)].where(~cloud, 0)
    median = kept.where(kept > 0).to_dataarray(dim="band").median(dim="time")
    with dask.config.set(pool=ThreadPoolExecutor(16), scheduler="threads"):
        return median.fillna(0).astype("uint16").transpose(..., "band").values


def _cleanup(cloud: np.ndarray) -> np.ndarray:
    """Closing, then opening by a disk of 5 px, by distance transforms as odc.algo does."""
    from scipy.ndimage import distance_transform_edt as edt

    planes = []
    for plane in cloud.reshape(-1, *cloud.shape[-2:]):
        closed = edt(edt(~plane) <= 5) > 5 if plane.any() and not plane.all() else plane
        opened = edt(~(edt(closed) > 5)) <= 5 if closed.any() and not closed.all() else closed
        planes.append(opened)
    return np.stack(planes).reshape(cloud.shape)


def odc(root: str, count: int, grid: Grid) -> object:
    """odc-stac without dask, bilinear (SCL nearest), masked, integer sort per pixel block."""
    data = _load(root, count, grid, {"scl": "nearest", "*": "bilinear"}, None)
    clear = ~np.isin(data.scl.values, (0, 1, 3, 8, 9, 10))
    out = []
    for band in BANDS:
        values = np.where(clear, data[band].values, 0).astype("float32")
        values[values == 0] = np.nan
        rows = [_nanmedian(values[:, r : r + 50]) for r in range(0, values.shape[1], 50)]
        out.append(np.concatenate(rows))
    return np.stack(out)


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """``np.nanmedian`` over the first axis by one sort; 70 times faster."""
    values = np.sort(values, axis=0)
    count = (~np.isnan(values)).sum(0)
    low = np.take_along_axis(values, np.maximum(count - 1, 0)[None] // 2, 0)[0]
    high = np.take_along_axis(values, np.minimum(count // 2, len(values) - 1)[None], 0)[0]
    return (low + high) / 2


def _load(root: str, count: int, grid: Grid, resampling: object, chunks: object):
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    odc.stac.configure_rio(cloud_defaults=True)
    geobox = GeoBox(grid.shape, grid.transform, grid.crs)
    items = [pystac.Item.from_dict(item) for item in bench_scenes.items(root, count)]
    return odc.stac.load(
        items, bands=["scl", *BANDS], chunks=chunks, geobox=geobox,
        resampling=resampling, groupby="solar_day",
    )  # fmt: skip


def neve(root: str, count: int, grid: Grid) -> object:
    from neve.compositing.composite import Recipe, compose

    return compose(grid, bench_scenes.scenes(root, count), Recipe(BANDS))


def gdal(root: str, count: int, grid: Grid) -> object:
    """GDAL decodes each block of each file that the target touches, and nothing else is done."""
    import rasterio
    from rasterio.warp import transform_bounds
    from rasterio.windows import Window

    for scene in bench_scenes.scenes(root, count):
        for asset in scene.assets.values():
            with rasterio.open(asset.href) as image:
                window = image.window(*transform_bounds(grid.crs, image.crs, *grid.bounds))
                (height, width), tile = image.shape, image.block_shapes[0]
                for i in range(int(window.row_off) // tile[0], -(-height // tile[0])):
                    for j in range(int(window.col_off) // tile[1], -(-width // tile[1])):
                        row, col = i * tile[0], j * tile[1]
                        if row < window.row_off + window.height and (
                            col < window.col_off + window.width
                        ):
                            image.read(1, window=Window(col, row, tile[1], tile[0]))
    return None


def deflate(root: str, count: int, grid: Grid) -> object:
    """libdeflate and the predictor alone, on the same blocks as ``gdal``."""
    from neve.reading.cog import Cog
    from neve.reading.ranges import Reads
    from neve.reading.warping import Window, footprint, lattice

    at = lattice(grid, bench_scenes.CRS)
    for scene in bench_scenes.scenes(root, count):
        for asset in scene.assets.values():
            image = Cog(asset.href, Reads(hosts=asset.hosts))
            level = image.levels[0]
            row, col, height, width = footprint(
                at.into(level.transform), 0, (level.height, level.width)
            )
            for i in range(row // level.tile[0], -(-(row + height) // level.tile[0])):
                for j in range(col // level.tile[1], -(-(col + width) // level.tile[1])):
                    window = Window(
                        i * level.tile[0], j * level.tile[1], np.empty(level.tile, image.dtype)
                    )
                    list(image.paste(0, [(i, j)], window))
    return None


def fetch(root: str, count: int, grid: Grid) -> object:
    """Only the requests of ``neve``, with as many threads; recorded during the warm-up."""
    from neve.reading import ranges

    with ThreadPoolExecutor(ranges.Reads().concurrency) as pool:
        list(pool.map(lambda job: ranges.fetch(*job[:2], False, job[2]), _recorded))
    return None


_recorded: list[tuple] = []


def _record(root: str, count: int, grid: Grid) -> None:
    from neve.reading import cog, ranges

    def logged(href: str, spans: list, fresh: bool, reads: ranges.Reads) -> object:
        _recorded.append((href, list(spans), reads))
        return ranges.fetch(href, spans, fresh, reads)

    cog.fetch = logged
    neve(root, count, grid)
    cog.fetch = ranges.fetch


VARIANTS = {f.__name__: f for f in (demo, odc, neve, gdal, deflate, fetch)}


def _status(key: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024


def _server(root: str) -> float:
    """CPU seconds that the server of ``root``, if any, has taken so far."""
    return float(urlopen(f"{root}/cpu").read()) if root.startswith("http") else 0.0


def main() -> None:
    name, root, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    run, grid = VARIANTS[name], bench_scenes.target(size)
    run(root, 2, grid.piece(0, 0, 64, 64))
    if name == "fetch":
        _record(root, count, grid)
    # Writing 5 resets the peak (VmHWM) to what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    served = _server(root)
    wall, cpu = time.perf_counter(), time.process_time()
    result = run(root, count, grid)
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    took["server"] = _server(root) - served
    took["memory"] = _status("VmHWM") - before
    del result
    print(json.dumps(took), flush=True)
    # Threads of dask and GDAL need not be waited for.
    threading.Timer(5, os._exit, (0,)).start() if name == "demo" else None


if __name__ == "__main__":
    main()
