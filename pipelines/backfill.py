"""The program behind ``neve backfill``: many months of regions, one run each, in this process.

The runs are those of the job ``month`` in the UI: same partitions, same assets, same instance.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from assets.cube import wishes_config
from neve.build.watching import months_between
from neve.errors import AskPerson, NeveError
from neve.region import Region
from pipelines.definitions import definitions
from pipelines.partitions import partition_key
from pipelines.settings import resources


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run the partitions one by one, report each; 1 where any failed."""
    parser = argparse.ArgumentParser(prog="pipelines.backfill", description=__doc__)
    parser.add_argument("regions", nargs="+", metavar="region")
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="last", required=True)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--allow-shrink", action="store_true")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        job = definitions().resolve_job_def("month")
        keys = list(_keys(options))
        with dg.DagsterInstance.get() as instance:
            for key in keys:
                result = job.execute_in_process(
                    partition_key=key,
                    instance=instance,
                    run_config=wishes_config(options.rebuild, options.allow_shrink),
                    raise_on_error=False,
                    tags={"neve/backfill": str(os.getpid())},
                )
                failed += not result.success
                print(f"{key} {'done' if result.success else 'FAILED'} run {result.run_id}")
    except NeveError as error:
        print(f"neve: {error}", file=sys.stderr)
        return 3
    return 1 if failed else 0


def _keys(options: argparse.Namespace) -> Iterator[dg.MultiPartitionKey]:
    known: dict[str, Region] = resources()["regions"].regions()
    if unknown := sorted(set(options.regions) - set(known)):
        raise AskPerson(f"no region {unknown}; there are {sorted(known)}")
    last = min(options.last, f"{datetime.now(UTC):%Y-%m}")
    for name in options.regions:
        for month in months_between(known[name], options.first, last):
            yield partition_key(name, month)


if __name__ == "__main__":
    sys.exit(main())
