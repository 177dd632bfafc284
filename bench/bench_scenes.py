"""Synthetic scenes as COGs, STAC items for odc-stac and Scene values for neve, and a range server.

Noise is tuned so that deflate behaves as on Sentinel-2 (about 1.3 bytes a pixel at 10 m).
"""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter, zoom

from neve.grid import Grid
from neve.scenes.values import Asset, Scene

BANDS = ("red", "green", "blue")
SIDE, CRS, LEFT, TOP = 3072, "EPSG:32633", 540_000.0, 5_200_020.0
# The target's upper left corner, in 10 m pixels: it spans 2 × 2 tiles of 1024², as chunks do.
CORNER = 620, 560
EDGE = 1300
LATENCY = 0.03


def target(size: int) -> Grid:
    """``size``² pixels in EPSG:4326 at 10 m."""
    lon, lat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(
        LEFT + CORNER[0] * 10, TOP - CORNER[1] * 10
    )
    step = 1 / 11132
    return Grid("EPSG:4326", step, round(lon / step) * step, round(lat / step) * step, size, size)


def make(folder: Path, scenes: int) -> None:
    """Write what is missing; the files of further scenes are links to the first 25."""
    jobs = [k for k in range(min(scenes, 25)) if not (folder / f"s{k:03}" / "done").exists()]
    if jobs:
        print(f"making {len(jobs)} scenes in {folder} …", file=sys.stderr)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda k: _scene(folder / f"s{k:03}", k), jobs))
    for k in range(25, scenes):
        copy = folder / f"s{k:03}"
        copy.mkdir(exist_ok=True)
        for name in (*BANDS, "scl"):
            if not (copy / f"{name}.tif").exists():
                os.link(folder / f"s{k % 25:03}" / f"{name}.tif", copy / f"{name}.tif")


def _smooth(rng: np.random.Generator, cell: int, side: int) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal((side // cell + 4,) * 2), 1)
    return zoom(field / field.std(), cell, order=1)[:side, :side]


def _scene(folder: Path, k: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(k)
    side = SIDE // 2
    clouds = _smooth(rng, 96, side) + 0.5 * _smooth(rng, 12, side)
    # From clear to overcast, 55 % clouded on average, as over mid-latitudes.
    cover = (0.05, 0.3, 0.5, 0.75, 0.98)[k % 5] + 0.03
    cloud = clouds > np.quantile(clouds, 1 - min(cover, 1))
    shadow = np.roll(cloud, (12, -12), (0, 1)) & ~cloud
    scl = np.where(_smooth(rng, 24, side) > 0.3, 5, 4).astype("u1")
    scl[shadow] = 3
    scl[cloud] = rng.choice([8, 9, 9, 10], cloud.sum()) if k % 3 else 9
    # Every fifth scene ends within the target: the edge of the swath, ragged between bands.
    edge = np.add.outer(0.25 * np.arange(SIDE), np.arange(SIDE)) if k % 5 == 2 else None
    if edge is not None:
        scl[edge[::2, ::2] > EDGE] = 0
    _write(folder / "scl.tif", scl, 20)
    bright = np.repeat(np.repeat(cloud, 2, 0), 2, 1)
    land = np.random.default_rng(1000)
    fields = np.rint(8 * _smooth(land, 24, SIDE)) * 60 + 120 * _smooth(land, 4, SIDE)
    for number, name in enumerate(BANDS):
        pixels = 1200 + 300 * number + fields + rng.normal(0, 90, (SIDE, SIDE))
        pixels[bright] += 4000
        pixels = np.clip(pixels, 1, 20000).astype("u2")
        if edge is not None:
            pixels[edge > EDGE + 5 * (number - 1)] = 0
        _write(folder / f"{name}.tif", pixels, 10)
    (folder / "done").touch()


def _write(path: Path, pixels: np.ndarray, size: int) -> None:
    profile = {
        "driver": "COG", "dtype": pixels.dtype, "count": 1, "crs": CRS, "nodata": 0,
        "height": pixels.shape[0], "width": pixels.shape[1], "compress": "deflate",
        "predictor": 2, "blocksize": 1024, "transform": from_origin(LEFT, TOP, size, size),
        "overview_resampling": "average" if size == 10 else "nearest",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as image:
        image.write(pixels, 1)


def _when(k: int) -> datetime:
    return datetime(2023, 8, 1, 10, tzinfo=UTC) + timedelta(days=k)


def _asset(root: str, k: int, name: str) -> Asset:
    return Asset(f"{root}/s{k:03}/{name}.tif", hosts=("127.0.0.1",))


def scenes(root: str, count: int) -> list[Scene]:
    """For neve; ``root``: a folder or a URL."""
    return [
        Scene(
            f"s{k:03}", _when(k), str(_when(k).date()), CRS,
            {name: _asset(root, k, name) for name in (*BANDS, "scl")}, "",
        )
        for k in range(count)
    ]  # fmt: skip


def items(root: str, count: int) -> list[dict]:
    """STAC items (dicts) for odc-stac."""
    left, bottom, right, top = 15.5, 46.6, 15.95, 47.0
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]

    def asset(k: int, name: str) -> dict:
        size, side = (20, SIDE // 2) if name == "scl" else (10, SIDE)
        dtype = "uint8" if name == "scl" else "uint16"
        return {
            "href": f"{root}/s{k:03}/{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:shape": [side, side],
            "proj:transform": [size, 0, LEFT, 0, -size, TOP, 0, 0, 1],
            "raster:bands": [{"nodata": 0, "data_type": dtype}],
            "eo:bands": [{"name": name, "common_name": name}],
        }

    return [
        {
            "type": "Feature", "stac_version": "1.0.0", "id": f"s{k:03}", "links": [],
            "stac_extensions": [
                "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
                "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
                "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            ],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [left, bottom, right, top],
            "properties": {"datetime": _when(k).isoformat(), "proj:epsg": 32633},
            "assets": {name: asset(k, name) for name in (*BANDS, "scl")},
        }
        for k in range(count)
    ]  # fmt: skip


async def _answer(folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """GET and HEAD with one byte range, ``LATENCY`` seconds after the request, body by sendfile.

    ``/cpu``: the CPU seconds that the server has taken so far.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            await asyncio.sleep(LATENCY)
            method, name, _ = head.split(" ", 2)
            if name == "/cpu":
                taken = str(time.process_time())
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Length: {len(taken)}\r\n\r\n{taken}".encode()
                )
                continue
            path = folder / name.lstrip("/")
            if not path.is_file():
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            size, wanted = path.stat().st_size, re.search(r"(?i)range: bytes=(\d+)-(\d*)", head)
            start = int(wanted[1]) if wanted else 0
            stop = min(int(wanted[2]) + 1, size) if wanted and wanted[2] else size
            place = f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n" if wanted else ""
            writer.write(
                f"HTTP/1.1 {'206 Partial Content' if wanted else '200 OK'}\r\n{place}"
                f"Accept-Ranges: bytes\r\nContent-Length: {stop - start}\r\n\r\n".encode()
            )
            if method == "GET":
                with path.open("rb") as file:
                    await loop.sendfile(writer.transport, file, start, stop - start)
    writer.close()


async def _serve(folder: Path) -> None:
    server = await asyncio.start_server(partial(_answer, folder), "127.0.0.1", 0)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def serve(folder: Path) -> None:
    """Serve until stdin closes; prints the port. One thread: it shares the machine with others."""
    asyncio.run(_serve(folder))
