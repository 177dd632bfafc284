"""A real Dask cluster for tests and benchmarks: a scheduler and workers, each a process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def dask_cluster(
    folder: Path, workers: int, one_core: bool = False
) -> Iterator[tuple[str, Sequence[subprocess.Popen]]]:
    """(scheduler's address, worker processes); all end afterwards. ``one_core``: a core each."""
    where = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    log = (folder / "dask.log").open("wb")

    def start(*arguments: str, bound: Sequence[str] = ()) -> subprocess.Popen:
        dask = [sys.executable, "-m", "dask", *arguments]
        command = [*bound, *dask, "--scheduler-file", str(where)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
    started = [
        start("worker", *options, bound=("taskset", "-c", str(k)) if one_core else ())
        for k in range(workers)
    ]
    try:
        yield _address(where, workers, folder), started
    finally:
        for process in (*started, scheduler):
            process.kill()
            process.wait()
        log.close()


def _address(where: Path, workers: int, folder: Path) -> str:
    from distributed import Client

    deadline = time.monotonic() + 180
    while not where.exists():
        assert time.monotonic() < deadline, (folder / "dask.log").read_text()[-3000:]
        time.sleep(0.2)
    with Client(scheduler_file=str(where)) as client:
        client.wait_for_workers(workers, timeout=180)
        return str(client.scheduler.address)
