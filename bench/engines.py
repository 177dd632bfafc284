"""What an engine costs per block, what a Dagster run costs per month, and how Dask scales.

    python bench/engines.py [--blocks 100] [--rounds 2] [--side 2048]

Costs are CPU seconds of the parent and of its ended children (the workers), above what a few
blocks cost, so that starts cancel. Scaling is that of whole months (plan, blocks, levels, checks,
the merge, the commit) of a compute-bound region on real ``dask worker`` processes: by the clock,
and by where the CPU seconds went. Only free cores make the clock true; on others look at the CPU
seconds: ``ideal`` is what the clock would give if they were all that counts. One line of JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import bench_scenes
import psutil

from neve.build.clusters import Dask, Lithops
from neve.build.engine import Engine, Processes
from neve.build.month import Provenance, build_month
from neve.build.plan import MonthPlan, Work
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.region import Region

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests"))
from dask_cluster import dask_cluster  # noqa: E402

SCENES = 30


def nothing(task: tuple[int, bytes]) -> tuple[int, bytes]:
    """A block that does nothing; the task and its result are of a block's size when pickled."""
    return task


def cpu() -> float:
    own, ended = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def cost(engine: Engine, tasks: Iterable[object]) -> float:
    began = cpu()
    for _ in engine.map(nothing, tasks):  # type: ignore[arg-type]
        pass
    return cpu() - began


def per_block(engine: Engine, blocks: int, rounds: int) -> float:
    """CPU ms per block: the difference between many blocks and few, so that starts cancel."""
    few, many = ([(k, bytes(4096)) for k in range(n)] for n in (4, 4 + blocks))
    return min(cost(engine, many) - cost(engine, few) for _ in range(rounds)) / blocks * 1e3


def month_of(folder: Path, side: int) -> MonthPlan:
    """A month of thirty local scenes, in blocks of 1024²: compute-bound."""
    region = Region.model_validate(
        {
            "name": "bench", "area": {"bbox": [15.6, 46.7, 15.7, 46.8]}, "crs": "EPSG:4326",
            "resolution": 1 / 11132, "start": "2023-08", "bands": bench_scenes.BANDS,
            "indices": ["GLI", "NGRDI", "VARI"], "overviews": [4, 16, 64], "land": False,
            "block": 1024, "chunk": 512,
        }
    )  # fmt: skip
    bench_scenes.make(folder, SCENES)
    scenes = tuple(bench_scenes.scenes(str(folder), SCENES))
    grid = bench_scenes.target(side)
    layout = replace(layout_of(region), grid=grid, window=grid)
    works = tuple(Work(block, scenes, 1) for block in grid.blocks(layout.block))
    return MonthPlan(region, layout, "2023-08", "bench", works, ())


def spent_by(processes: Iterable[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def scaling(folder: Path, plan: MonthPlan, rounds: int) -> dict[str, float]:
    """Months built by 1 and by 2 workers in turn: the least clock time, and its CPU seconds."""
    best: dict[int, dict[str, float]] = {}
    with ExitStack() as stack:
        clusters = {}
        for workers in (1, 2):
            place = folder / str(workers)
            place.mkdir()
            clusters[workers] = stack.enter_context(dask_cluster(place, workers, one_core=True))
        for number in range(rounds + 1):  # the first warms up
            for workers, (address, started) in clusters.items():
                cube = open_cube(str(folder / str(workers) / f"cube{number}"), plan.layout)
                at_work = [psutil.Process(process.pid) for process in started]
                cpu_began, own, began = spent_by(at_work), time.process_time(), time.perf_counter()
                build_month(plan, cube, Dask(workers, address), Provenance("bench", "bench"))
                told = {
                    "wall s": time.perf_counter() - began,
                    "CPU s of workers": spent_by(at_work) - cpu_began,
                    "CPU s of the parent": time.process_time() - own,
                }
                least = best.get(workers, told)
                if number:
                    best[workers] = min(told, least, key=lambda one: one["wall s"])
    found = {f"dask {n}: {name}": value for n, one in best.items() for name, value in one.items()}
    one, two = best[1], best[2]
    found["2 workers ÷ 1, clock"] = one["wall s"] / two["wall s"]
    found["2 workers ÷ 1, ideal"] = (one["CPU s of workers"] + one["CPU s of the parent"]) / (
        two["CPU s of workers"] / 2 + two["CPU s of the parent"]
    )
    return found


def dagster_run(folder: Path) -> float:
    """CPU s of one run of four empty assets in a started process, Dagster's storage on SQLite."""
    code = """
import resource, dagster as dg
@dg.asset
def a(): ...
@dg.asset(deps=[a])
def b(): ...
@dg.multi_asset(specs=[dg.AssetSpec(k, deps=["b"]) for k in ("c", "d", "e")])
def cube():
    for k in ("c", "d", "e"):
        yield dg.MaterializeResult(k)
instance = dg.DagsterInstance.get()
def run(n):
    t = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(n):
        dg.materialize([a, b, cube], instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}})
    u = resource.getrusage(resource.RUSAGE_SELF)
    return (u.ru_utime + u.ru_stime - t.ru_utime - t.ru_stime) / n
run(1)
print(run(5))
"""
    (folder / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"DAGSTER_HOME": str(folder)},
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048, help="pixels a side of the scaled region")
    options = parser.parse_args()
    found: dict[str, float] = {}
    for name, engine in {
        "processes": Processes(2),
        "dask (own processes)": Dask(2),
        "lithops (localhost)": Lithops(),
    }.items():
        found[f"{name}: CPU ms per block"] = per_block(engine, options.blocks, options.rounds)
        sys.stderr.write(f"{json.dumps(found)}\n")
    with tempfile.TemporaryDirectory() as folder:
        plan = month_of(Path(folder) / "scenes", options.side)
        found |= scaling(Path(folder), plan, options.rounds)
        found["Dagster run of a month: CPU s"] = dagster_run(Path(folder))
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
