"""What the overview levels add to a build: one block of one month, with and without them.

Synthetic scenes → median → indices → levels → commit, in turn, each in a store of its own; the
first round (imports, JIT) does not count; of the others the medians, and the median of the rounds'
ratios. Told apart: the block (what
grows with the region), and the rest of the month (axes, shared chunks, commit). Tables go to
stderr, one JSON line to stdout.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import bench_scenes
import icechunk

from neve.build.engine import Inline
from neve.build.month import Provenance, build_month
from neve.build.plan import MonthPlan, Work
from neve.cube.layout import Layout, layout_of
from neve.cube.opening import open_cube
from neve.grid import Grid
from neve.region import Region

FACTORS = (4, 16, 64)
INDICES = ("GLI", "NGRDI", "VARI")
icechunk.set_logs_filter("error")


class Timed(Inline):
    """Runs tasks in this process and counts their CPU seconds."""

    def __init__(self) -> None:
        self.spent = 0.0

    def threads(self, tasks: int) -> int:
        """See ``neve.build.engine``: all that there are."""
        return os.cpu_count() or 1

    def map[T, R](self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See ``neve.build.engine``."""
        for task in tasks:
            began = time.process_time()
            result = function(task)
            self.spent += time.process_time() - began
            yield result


def region(factors: tuple[int, ...], indices: tuple[str, ...]) -> Region:
    """A region of the scenes' three bands; the benchmark gives it its grid."""
    return Region.model_validate(
        {
            "name": "bench", "area": {"bbox": [15.6, 46.7, 15.7, 46.8]}, "crs": "EPSG:4326",
            "resolution": 1 / 11132, "start": "2023-08", "bands": bench_scenes.BANDS,
            "indices": indices, "overviews": factors, "land": False,
        }
    )  # fmt: skip


def build(case: Region, grid: Grid, folder: Path, scenes: int) -> tuple[float, float]:
    """CPU seconds of the block, and of all else in its month."""
    layout: Layout = replace(layout_of(case), grid=grid, window=grid)
    work = Work(grid.block(0, 0, layout.block), tuple(bench_scenes.scenes(str(folder), scenes)), 1)
    plan = MonthPlan(case, layout, "2023-08", "bench", (work,), ())
    with tempfile.TemporaryDirectory() as store:
        cube = open_cube(f"{store}/cube", layout)
        engine, began = Timed(), time.process_time()
        build_month(plan, cube, engine, Provenance("bench", "bench"))
        return engine.spent, time.process_time() - began - engine.spent


def main() -> None:
    """Measure, explain, and end stdout with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--indices", nargs="*", default=INDICES)
    parser.add_argument("--data", type=Path, help="folder for the scenes, kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or Path(folder)
        bench_scenes.make(data, args.scenes)
        took: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for number in range(args.rounds + 1):
            for levels in (True, False) if number % 2 else (False, True):
                case = region(FACTORS if levels else (), tuple(args.indices))
                size = args.size if number else 512
                took[levels].append(build(case, bench_scenes.target(size), data, args.scenes))
    flat, with_levels = ([*zip(*runs[1:], strict=True)] for runs in took.values())
    pairs = zip(with_levels[0], flat[0], strict=True)
    share = median(more / less for more, less in pairs) - 1
    middle = [median(part) for part in (*flat, *with_levels)]
    say = f"{args.scenes} scenes, {args.size}², {len(args.indices)} indices, CPU s without and with"
    print(
        f"{say} {FACTORS}:\n  block {middle[0]:.2f} → {middle[2]:.2f}, {100 * share:+.1f} % "
        f"(target ≤ 8 %); rest of the month {middle[1]:.2f} → {middle[3]:.2f}",
        file=sys.stderr,
    )
    keys = ("flat_block_cpu", "flat_month_cpu", "levels_block_cpu", "levels_month_cpu")
    print(json.dumps({**dict(zip(keys, middle, strict=True)), "share": share}))


if __name__ == "__main__":
    main()
