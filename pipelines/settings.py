"""Settings from the environment → resources and an instance; the one place that reads it."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from neve.errors import AskPerson, Retry
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.engines import Engines
from resources.handover import Handover
from resources.lands import Lands
from resources.regions import RegionFolder

# The first that is set counts; the others are those of AWS's own tools.
S3_ENDPOINT = ("NEVE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

# The rest is for asking the instance and submitting; Dagster's own default is 60 s.
TICK_SHARE = 0.75


def resources(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """All resources by the names that assets ask for; ``AskPerson`` for a wrong setting."""
    get = environment.get
    work = get("NEVE_WORK", ".neve")
    s3_endpoint = next((environment[name] for name in S3_ENDPOINT if environment.get(name)), None)
    return {
        "regions": RegionFolder(
            path=get("NEVE_REGIONS", "regions"),
            # ``dagster definitions validate`` sets it.
            strict=get("DAGSTER_IS_DEFS_VALIDATION_CLI") == "1",
        ),
        "catalogs": Catalogs(override=get("NEVE_CATALOG")),
        "cubes": Cubes(
            root=get("NEVE_CUBES", f"{work}/cubes"),
            override=get("NEVE_STORE"),
            viewer=get("NEVE_VIEWER", "http://127.0.0.1:8765"),
            s3_endpoint=s3_endpoint,
        ),
        "engines": Engines(
            name=get("NEVE_ENGINE", "processes"), workers=_workers(get("NEVE_WORKERS", "0"))
        ),
        "lands": Lands(
            fallback=get("NEVE_LAND", "node_modules/world-atlas"),
            download=get("NEVE_LAND_DOWNLOAD", "") == "1",
        ),
        "io_manager": Handover(
            path=get("NEVE_HANDOVER", f"{work}/handover"), s3_endpoint=s3_endpoint
        ),
    }


def tick_seconds(kind: str, environment: Mapping[str, str] = os.environ) -> float:
    """How long a tick of a ``SCHEDULE`` or ``SENSOR`` may search before Dagster gives it up."""
    names = (f"DAGSTER_{kind}_GRPC_TIMEOUT_SECONDS", "DAGSTER_GRPC_TIMEOUT_SECONDS")
    given = next((environment[name] for name in names if environment.get(name)), "60")
    return int(given) * TICK_SHARE


def dagster_instance() -> dg.DagsterInstance:
    """Dagster's instance, as DAGSTER_HOME says; ``Retry`` where its database does not answer."""
    # On the root logger Dagster tells of each of its six attempts, at length.
    told = logging.getLogger()
    told.disabled = True
    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        # An error of dagster_postgres, from SQLAlchemy's, which holds the driver's.
        reason = getattr(error.__cause__, "orig", None)
        if reason is None:
            raise
        raise Retry(
            f"Dagster's database: {str(reason).partition('\n')[0]}; run again when it answers, or "
            f"correct {os.environ['DAGSTER_HOME']}/dagster.yaml and what it reads"
        ) from error
    finally:
        told.disabled = False


def _workers(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise AskPerson(
            f"NEVE_WORKERS {text!r}: give a whole number, 0 for one per core"
        ) from error
