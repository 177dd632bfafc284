"""How fast a block is composed, side by side with the published demo's algorithm and the floor.

    python bench/composite.py [--quick] [--rounds 3] [--data FOLDER]

1200 × 1200 px in EPSG:4326 at 10 m, 25 scenes, three bands and SCL; local files, then the same
over HTTP with 30 ms of latency. Each variant runs in its own fresh process, warmed up, variants
interleaved; medians over rounds. Variants: see ``variants.py``. Ends with one line of JSON, in
which ratios to the demo say how many times better we are.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import bench_scenes

HERE = Path(__file__).parent
LOCAL = ("demo", "odc", "neve", "gdal", "deflate")
REMOTE = ("demo", "odc", "neve", "fetch")
Took = dict[str, float]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(name: str, root: str, scenes: int, size: int) -> Took:
    """CPU and wall seconds and bytes of one run of a variant in a fresh process."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HERE / "variants.py"), name, root, str(scenes), str(size)],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    took: Took = json.loads(done.stdout.splitlines()[-1])
    say(
        f"  {name:8s} {scenes:3d} scenes {size:5d} px  CPU {took['cpu']:6.2f} s  "
        f"wall {took['wall']:6.2f} s  memory {took['memory'] / 1e6:6.0f} MB"
    )
    return took


def interleaved(
    names: tuple[str, ...], root: str, scenes: int, size: int, rounds: int
) -> dict[str, Took]:
    """Medians of several rounds over all variants."""
    runs: dict[str, list[Took]] = {name: [] for name in names}
    for number in range(rounds):
        say(f" round {number + 1} of {rounds}")
        for name in names:
            runs[name].append(measure(name, root, scenes, size))
    return {
        name: {key: statistics.median(run[key] for run in took) for key in took[0]}
        for name, took in runs.items()
    }


def table(title: str, medians: dict[str, Took]) -> None:
    """As Markdown."""
    say(f"\n| {title} | CPU s | wall s | memory rise MB |\n|---|---|---|---|")
    for name, took in medians.items():
        say(f"| {name} | {took['cpu']:.2f} | {took['wall']:.2f} | {took['memory'] / 1e6:.0f} |")


def slope(points: list[tuple[float, float]]) -> float:
    """Exponent of a power law through points, by least squares on logarithms: 1 is linear."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mx, my = statistics.mean(xs), statistics.mean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mx) ** 2 for x in xs
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP from another process, each answer ``LATENCY`` late."""
    code = f"import bench_scenes, pathlib; bench_scenes.serve(pathlib.Path({str(folder)!r}))"
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as server:  # fmt: skip
        assert server.stdout is not None
        yield f"http://127.0.0.1:{json.loads(server.stdout.readline())}"
        server.communicate("")


@dataclass(frozen=True)
class Extent:
    """How much is measured: scenes, pixels a side, rounds, what growth is looked at over."""

    scenes: int
    size: int
    rounds: int
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    block: int


QUICK = Extent(8, 600, 1, (5, 10), (300, 600), 600)
FULL = Extent(25, 1200, 3, (5, 15, 30, 60), (600, 1200, 1800, 2400), 2048)


def figures(folder: Path, extent: Extent) -> dict[str, float]:
    """Measure everything and print the tables; the figures by name."""
    root, scenes, size = str(folder), extent.scenes, extent.size
    say(f"local files: {scenes} scenes, {size} × {size} px")
    local = interleaved(LOCAL, root, scenes, size, extent.rounds)
    say(f"HTTP, {bench_scenes.LATENCY * 1000:.0f} ms of latency")
    with served(folder) as url:
        remote = interleaved(REMOTE, url, scenes, size, extent.rounds)
    say("growth with scenes, then with pixels (neve, local)")
    by_scenes = [(float(n), measure("neve", root, n, size)["cpu"]) for n in extent.counts]
    by_pixels = [(float(n * n), measure("neve", root, scenes, n)["cpu"]) for n in extent.sizes]
    say(f"one of neve's blocks, {extent.block} × {extent.block} px")
    block = interleaved(("demo", "neve"), root, scenes, extent.block, 1)
    table(f"{scenes} scenes, {size} px, local", local)
    table("over HTTP", remote)
    table(f"{extent.block} px, local", block)
    growth = {"scenes_slope": slope(by_scenes), "pixels_slope": slope(by_pixels)}
    return ratios(local, remote, block) | growth


def ratios(
    local: dict[str, Took], remote: dict[str, Took], block: dict[str, Took]
) -> dict[str, float]:
    """Each names what it compares; those to the demo say how many times better we are."""
    demo, neve = local["demo"], local["neve"]
    far, fetch = remote["neve"], remote["fetch"]
    return {
        "demo_cpu": demo["cpu"] / neve["cpu"],
        "demo_wall": demo["wall"] / neve["wall"],
        "demo_memory": neve["memory"] / demo["memory"],
        "decode_floor_cpu": neve["cpu"] / local["gdal"]["cpu"],
        "deflate_floor_cpu": neve["cpu"] / local["deflate"]["cpu"],
        "odc_cpu": local["odc"]["cpu"] / neve["cpu"],
        "odc_wall": local["odc"]["wall"] / neve["wall"],
        "http_demo_wall": remote["demo"]["wall"] / far["wall"],
        "http_odc_wall": remote["odc"]["wall"] / far["wall"],
        "http_fetch_wall": far["wall"] / fetch["wall"],
        "block_demo_cpu": block["demo"]["cpu"] / block["neve"]["cpu"],
        "block_demo_wall": block["demo"]["wall"] / block["neve"]["wall"],
        # No engine on these cores is faster than the CPU that it and the server need.
        "http_cpu_bound": (far["cpu"] + far["server"]) / (os.cpu_count() or 1) / fetch["wall"],
        "http_local_wall": far["wall"] / neve["wall"],
        "neve_cpu_s": neve["cpu"],
        "neve_memory_mb": neve["memory"] / 1e6,
        "http_neve_memory_mb": far["memory"] / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 scenes, 600 px, one round")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "neve-bench")
    given = parser.parse_args()
    extent = QUICK if given.quick else replace(FULL, rounds=given.rounds)
    bench_scenes.make(given.data, max(extent.scenes, *extent.counts))
    found = figures(given.data, extent)
    say(
        f"against the demo: {found['demo_cpu']:.1f} × less CPU (≥ 15 wanted), "
        f"{found['demo_wall']:.1f} × less wall (≥ 8), {found['demo_memory']:.2f} of its memory "
        f"(≤ 0.1)\nagainst GDAL's decoding alone: {found['decode_floor_cpu']:.2f} × the CPU "
        f"(≤ 1.25); over HTTP {found['http_fetch_wall']:.2f} × the time of fetching alone "
        f"(≤ 1.3; {found['http_cpu_bound']:.2f} is what both sides' CPU takes on these cores)"
    )
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


if __name__ == "__main__":
    main()
