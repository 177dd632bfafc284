"""What an engine costs per block, what a Dagster run costs per month, and how Dask scales.

    python bench/engines.py [--blocks 200] [--rounds 3] [--scaling 24]

CPU seconds are those of the parent and of its ended children (the workers), above what the same
blocks cost in this process. The scaling is that of a compute-bound block (a composite of
synthetic scenes, read from memory) on real ``dask worker`` processes, by the blocks' own CPU
seconds and by the clock: on a loaded machine only the first can be trusted. One line of JSON.
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
from pathlib import Path

import numpy as np

from neve.build.clusters import Dask, Lithops
from neve.build.engine import Engine, Processes

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests"))
from dask_cluster import dask_cluster  # noqa: E402


def nothing(task: tuple[int, bytes]) -> tuple[int, bytes]:
    """A block that does nothing; the task and its result are of a block's size when pickled."""
    return task


def compute(seed: int) -> tuple[float, float, float]:
    """A compute-bound block: medians of 25 observations; its CPU seconds, its start and end."""
    began, cpu = time.time(), time.process_time()
    rng = np.random.default_rng(seed)
    for _ in range(12):
        np.median(rng.integers(0, 10_000, (25, 300, 300)), axis=0)
    return time.process_time() - cpu, began, time.time()


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


def scaling(folder: Path, blocks: int) -> dict[str, float]:
    """2 workers against 1: by the clock, and by how evenly the CPU seconds were shared out."""
    found: dict[str, float] = {}
    walls, shares = {}, {}
    for workers in (1, 2):
        place = folder / str(workers)
        place.mkdir()
        with dask_cluster(place, workers) as (address, _):
            engine = Dask(workers, address)
            list(engine.map(compute, range(workers)))  # warms up
            began = time.monotonic()
            times = list(engine.map(compute, range(blocks)))
            walls[workers] = time.monotonic() - began
            spent = sum(took for took, _, _ in times)
            # Blocks in work at once, over the time from the first's start to the last's end.
            busy = sum(end - start for _, start, end in times)
            span = max(end for _, _, end in times) - min(start for _, start, _ in times)
            shares[workers] = busy / span
            found[f"dask {workers} workers: wall s"] = walls[workers]
            found[f"dask {workers} workers: CPU s of blocks"] = spent
    found["2 workers ÷ 1 worker, clock"] = walls[1] / walls[2]
    found["2 workers ÷ 1 worker, blocks in work at once"] = shares[2] / shares[1]
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
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scaling", type=int, default=24)
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
        found |= scaling(Path(folder), options.scaling)
        found["Dagster run of a month: CPU s"] = dagster_run(Path(folder))
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
