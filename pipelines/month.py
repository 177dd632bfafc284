"""The program that builds one month of one region file: what ``neve build`` starts.

It materialises the same assets as the Dagster UI, in this process, recorded in the same
instance.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets import month_assets
from assets.cube import wishes_config
from assets.partition import MAX_RETRIES
from neve.cli.app import exit_code
from neve.errors import AskPerson, NeveError
from neve.region import load
from pipelines.dead_runs import HERE
from pipelines.partitions import month_partitions, partition_key
from pipelines.settings import dagster_instance, resources

QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, build, print the published snapshot as JSON on stdout; returns the exit code."""
    parser = argparse.ArgumentParser(prog="pipelines month", description=__doc__)
    parser.add_argument("region", type=Path)
    parser.add_argument("--month", required=True)
    parser.add_argument("--catalog")
    parser.add_argument("--store")
    parser.add_argument("--workers")
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--allow-shrink", action="store_true")
    options = parser.parse_args(arguments)
    try:
        region = load(options.region)
        partitions = month_partitions([region])
        key = partition_key(region.name, options.month)
        if not partitions.has_partition_key(key):
            raise AskPerson(
                f"{options.region}: no month {options.month!r}; months run from {region.start} "
                "to the present one and are written YYYY-MM"
            )
        # Other builds may use the same region name for another file: nothing is handed to them.
        with tempfile.TemporaryDirectory() as handover:
            result = dg.materialize(
                month_assets(partitions),
                partition_key=key,
                instance=dagster_instance(),
                tags=HERE | {MAX_RETRIES: "0"},
                resources=resources(_environment(options) | {"NEVE_HANDOVER": handover}),
                run_config=QUIET | wishes_config(options.rebuild, options.allow_shrink),
            )
    except NeveError as error:
        print(f"neve: {error}", file=sys.stderr)
        return exit_code(error)
    published = result.asset_materializations_for_node("cube")[0].metadata
    told = ("snapshot", "store", "blocks", "blocks recomputed")
    print(json.dumps({name: published[name].value for name in told}))
    return 0


def _environment(options: argparse.Namespace) -> dict[str, str]:
    """The environment's settings with the options on top."""
    given = {
        "NEVE_REGIONS": str(options.region),
        "NEVE_CATALOG": options.catalog,
        "NEVE_STORE": options.store,
        "NEVE_WORKERS": options.workers,
    }
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}
