"""Settings from the environment, turned into resources; the one place that reads it."""

import os
from collections.abc import Mapping
from typing import Any

from neve.errors import AskPerson
from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.engines import Engines
from resources.handover import Handover
from resources.lands import Lands
from resources.regions import RegionFolder

# The first that is set counts; the others are those of AWS's own tools.
S3_ENDPOINT = ("NEVE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def resources(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """All resources by the names that assets ask for; ``AskPerson`` for a wrong setting."""
    get = environment.get
    work = get("NEVE_WORK", ".neve")
    s3_endpoint = next((environment[name] for name in S3_ENDPOINT if environment.get(name)), None)
    return {
        "regions": RegionFolder(path=get("NEVE_REGIONS", "regions")),
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


def _workers(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise AskPerson(
            f"NEVE_WORKERS {text!r}: give a whole number, 0 for one per core"
        ) from error
