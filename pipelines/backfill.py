"""The program behind ``neve backfill``: many months of regions, one run each, without a daemon.

The runs are those of the job ``month`` in the UI: same partitions, same assets, same instance.
They run in this process, or several at a time in processes of their own.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import dagster as dg

from assets.cube import wishes_config
from neve.build.engine import end_with_parent
from neve.build.watching import months_between
from neve.cli.app import exit_code
from neve.errors import AskPerson, NeveError, Stop
from neve.scenes.values import month_bounds
from pipelines.dead_runs import HERE
from pipelines.definitions import definitions
from pipelines.partitions import partition_key
from pipelines.settings import dagster_instance, resources
from resources.regions import RegionFolder

# A partition, its run's id, and whether it was published.
Done = tuple[dg.MultiPartitionKey, str, bool]
Run = Callable[[dg.MultiPartitionKey], Done]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run the partitions, report each; 1 where any failed, or the code of an error."""
    parser = argparse.ArgumentParser(prog="pipelines backfill", description=__doc__)
    parser.add_argument("regions", nargs="+", metavar="region")
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="last", required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--allow-shrink", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        keys = list(_keys(options))
        if options.dry_run:
            for key in keys:
                _tell(options.json, {"partition": str(key)})
            return 0
        with dagster_instance():
            pass  # its tables are made here: two processes that make them at once meet each other's
        run = partial(_run, wishes_config(options.rebuild, options.allow_shrink), os.getpid())
        for key, run_id, success in _done(run, keys, options.jobs):
            failed += not success
            status = "done" if success else "FAILED"
            _tell(options.json, {"partition": str(key), "status": status, "run_id": run_id})
    except NeveError as error:
        print(f"neve: {error}", file=sys.stderr)
        return exit_code(error)
    return 1 if failed else 0


def _done(run: Run, keys: Sequence[dg.MultiPartitionKey], jobs: int) -> Iterator[Done]:
    """All runs as they end, ``jobs`` at a time; raises ``Stop`` where one's process dies."""
    if jobs == 1:
        yield from map(run, keys)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), end_with_parent)
    try:
        for future in as_completed([pool.submit(run, key) for key in keys]):
            yield future.result()
    except BrokenProcessPool as error:
        raise Stop(
            f"a process of the backfill died ({error}); is there enough memory for {jobs} months "
            "at a time? lower --jobs and run again: what is published is passed over"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _run(config: dict[str, Any], backfill: int, key: dg.MultiPartitionKey) -> Done:
    with dagster_instance() as instance:
        result = _job().execute_in_process(
            partition_key=key,
            instance=instance,
            run_config=config,
            raise_on_error=False,
            tags=HERE | {"neve/backfill": str(backfill)},
        )
    return key, result.run_id, result.success


@cache
def _job() -> dg.JobDefinition:
    """Loaded once in a process."""
    return definitions().resolve_job_def("month")


def _tell(as_json: bool, told: dict[str, str]) -> None:
    print(json.dumps(told) if as_json else "\t".join(map(str, told.values())), flush=True)


def _keys(options: argparse.Namespace) -> Iterator[dg.MultiPartitionKey]:
    try:
        month_bounds(options.last)
    except ValueError as error:
        raise AskPerson(f"--to: {error}") from error
    last = min(options.last, f"{datetime.now(UTC):%Y-%m}")
    folder: RegionFolder = resources()["regions"]
    for region in [folder.region(name) for name in options.regions]:
        for month in months_between(region, options.first, last):
            yield partition_key(region.name, month)
