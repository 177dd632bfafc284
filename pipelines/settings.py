"""Settings from the environment, turned into resources; the one place that reads it."""

import os
from collections.abc import Mapping
from typing import Any

from resources.catalogs import Catalogs
from resources.cubes import Cubes
from resources.engines import Engines
from resources.handover import Handover
from resources.lands import Lands
from resources.regions import RegionFolder


def resources(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """All resources by the names that assets ask for."""
    get = environment.get
    work = get("NEVE_WORK", ".neve")
    return {
        "regions": RegionFolder(path=get("NEVE_REGIONS", "regions")),
        "catalogs": Catalogs(override=get("NEVE_CATALOG")),
        "cubes": Cubes(
            root=get("NEVE_CUBES", f"{work}/cubes"),
            override=get("NEVE_STORE"),
            s3_endpoint=get("NEVE_S3_ENDPOINT"),
        ),
        "engines": Engines(workers=int(get("NEVE_WORKERS", "0"))),
        "lands": Lands(
            fallback=get("NEVE_LAND", "node_modules/world-atlas"),
            download=get("NEVE_LAND_DOWNLOAD", "") == "1",
        ),
        "io_manager": Handover(path=get("NEVE_HANDOVER", f"{work}/handover")),
    }
