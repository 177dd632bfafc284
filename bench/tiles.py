"""Map tiles over HTTP: a cube with overviews beside the same cube without, interleaved.

One month of two int16 bands on a square UTM grid of 10 m, chunks of 512; every zoom from the one
at which all of it lies in one tile to twice as fine as the pixels. A stored band, a derived index
and a picture of three; warm: each tile has been drawn before. Tables go to stderr, one JSON line
to stdout.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import morecantile
import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from map_server import map_server

from neve.cube import chunks
from neve.cube.layout import Layout, layout_of
from neve.cube.opening import open_cube
from neve.grid import Grid
from neve.overviews import pooling
from neve.region import Region
from neve.scenes.values import FILL

MONTH, BANDS = "2024-06", ("green", "red", "nir")
SHOWN = {"band": "red", "derived index": "NDVI", "three bands": "nir,red,green"}
CENTRE = (15.0, 46.0)
LOW = 8  # zooms at which a tile shows the whole square or half of it


def say(*words: object) -> None:
    """Explain on stderr."""
    print(*words, file=sys.stderr, flush=True)


def region_of(side: int, factors: tuple[int, ...]) -> Region:
    """A square of ``side`` pixels of 10 m around the centre."""
    half = side * 5 / 111_320 * 0.98
    west, south = CENTRE[0] - half * 1.43, CENTRE[1] - half
    bbox = [west, south, 2 * CENTRE[0] - west, 2 * CENTRE[1] - south]
    return Region.model_validate(
        {
            "name": "square",
            "area": {"bbox": bbox},
            "crs": "EPSG:32633",
            "resolution": 10,
            "start": MONTH,
            "bands": BANDS,
            "indices": ["NDWI"],
            "overviews": factors,
        }
    )


def pieces(grid: Grid, size: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Smooth fields with grain, a fifth of them nodata in large patches: (row, col, values)."""
    rng = np.random.default_rng(0)
    for row in range(0, grid.height, size):
        for col in range(0, grid.width, size):
            shape = min(size, grid.height - row), min(size, grid.width - col)
            y, x = np.ogrid[row : row + shape[0], col : col + shape[1]]
            field = 2000 + 900 * np.sin(x / 700) * np.cos(y / 900) + 200 * np.sin((x + y) / 37)
            values = (field + rng.integers(-60, 60, shape)).astype("int16")
            values[np.sin(x / 1500 + 1) + np.cos(y / 1100) > 0.9] = FILL
            yield row, col, values


def fill(store: str, layout: Layout) -> None:
    """The month's bands at every level, in one commit; other variables stay empty."""
    cube = open_cube(store, layout)
    transaction = cube.begin(MONTH)
    root = zarr.open_group(transaction.fork.store, mode="r+")
    for k, band in enumerate(BANDS):
        native = np.full(layout.grid.shape, FILL, "int16")
        for row, col, values in pieces(layout.grid, layout.block):
            part = np.where(values == FILL, FILL, values + 300 * k)
            native[row : row + part.shape[0], col : col + part.shape[1]] = part
        for factor in layout.levels:
            level = native
            if factor > 1:
                level = pooling.mean(pooling.pool(native, factor, FILL), "int16", FILL)
            array: Any = root[f"{factor}x/{band}"]
            chunks.write([(array, (0, 0, 0), level[None])])
    transaction.commit([transaction.fork], "bench", {"month": MONTH, "region": "square"})


def tiles_at(zoom: int, layout: Layout, wanted: int) -> list[tuple[int, int]]:
    """(row, column) of up to ``wanted`` tiles that lie in the square, spread over it."""
    west, south, east, north = layout.grid.lonlat_bounds()
    found = list(morecantile.tms.get("WebMercatorQuad").tiles(west, south, east, north, zoom))
    inner = found[len(found) // 2 :: max(1, len(found) // wanted)]
    return [(tile.y, tile.x) for tile in inner[:wanted]]


def ask(client: httpx.Client, path: str) -> dict[str, Any]:
    """One tile: what the server and this process needed, its level and chunks."""
    cpu = time.process_time()
    answer = client.get(path, timeout=600)
    cpu = time.process_time() - cpu
    if answer.status_code != 200:
        return {"error": answer.text}
    timing = answer.headers["server-timing"]
    return {
        "ms": float(timing.rpartition("=")[2]),
        "cpu_ms": cpu * 1000,
        "level": answer.headers["x-multiscale-level"],
        "chunks": int(answer.headers["x-chunks-read"]),
    }


def measure(clients: dict[str, httpx.Client], layout: Layout, args: argparse.Namespace) -> Any:
    """kind → zoom → "with", "without" → medians over tiles and rounds."""
    found: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in SHOWN}
    for kind, variable in SHOWN.items():
        for zoom in range(args.first, args.last + 1):
            places = tiles_at(zoom, layout, args.tiles)
            paths = [f"/tiles/main/{variable}/{zoom}/{row}/{col}.png" for row, col in places]
            got: dict[str, list[dict[str, Any]]] = {name: [] for name in clients}
            for round_ in range(args.rounds + 1):
                for path in paths:
                    for name, client in clients.items():
                        if any("error" in answer for answer in got[name]):
                            continue  # what was refused goes on reading for a while
                        answer = ask(client, path)
                        if round_ or "error" in answer:
                            got[name].append(answer)
            found[kind][zoom] = {name: summary(answers) for name, answers in got.items()}
            say(f"  {kind} z{zoom}: {found[kind][zoom]}")
    return found


def summary(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, and the most chunks."""
    if refused := [answer for answer in answers if "error" in answer]:
        return {"error": refused[0]["error"]}
    return {
        "cpu_ms": statistics.median(answer["cpu_ms"] for answer in answers),
        "ms": statistics.median(answer["ms"] for answer in answers),
        "chunks": max(answer["chunks"] for answer in answers),
        "level": answers[0]["level"],
    }


def report(found: Any) -> dict[str, float]:
    """The tables; what the targets are about."""
    ratios, most = [], 0
    for kind, zooms in found.items():
        say(f"\n{kind}: CPU ms (wall ms), warm, median; most chunks read by a tile")
        say(f"zoom level {'with':>16} {'chunks':>7} {'without':>18} {'chunks':>7} ratio")
        for zoom, pair in zooms.items():
            ours, theirs = pair["with"], pair["without"]
            most = max(most, ours["chunks"])
            left = f"{zoom:>4} {ours['level']:>5} {ours['cpu_ms']:8.1f} ({ours['ms']:5.0f})"
            left += f" {ours['chunks']:>7}"
            if "error" in theirs:
                say(left, " refused: too much to read")
                continue
            ratio = theirs["cpu_ms"] / ours["cpu_ms"]
            ratios += [ratio] * (zoom <= LOW)
            say(
                f"{left} {theirs['cpu_ms']:10.1f} ({theirs['ms']:5.0f}) {theirs['chunks']:>7}"
                f" {ratio:5.1f}"
            )
    low = min(ratios, default=float("inf"))
    say(f"\nwithout ÷ with at zooms ≤ {LOW}: at least {low:.1f}, target ≥ 5")
    say(f"most chunks of one variable's tile with overviews: {most}, target ≤ 16")
    return {"low_zoom_ratio": low, "most_chunks": most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--tiles", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first", type=int, default=6)
    parser.add_argument("--last", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clients, layout = {}, None
        for name, factors in (("with", (4, 16, 64)), ("without", ())):
            layout = layout_of(region_of(args.side, factors))
            fill(f"{folder}/{name}", layout)
            clients[name] = stack.enter_context(map_server(f"{folder}/{name}"))
        assert layout is not None
        say(f"{layout.grid.height} × {layout.grid.width} px of 10 m, chunks of {layout.chunk}")
        summary_ = report(measure(clients, layout, args))
    print(json.dumps(summary_))


if __name__ == "__main__":
    main()
