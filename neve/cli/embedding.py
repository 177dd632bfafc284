"""Consolidating embedding tiles from the command line."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neve.build.engine import Inline, Processes
from neve.cli.bars import counted
from neve.embeddings.consolidation import consolidate
from neve.embeddings.layout import EmbeddingLayout, layout_of
from neve.embeddings.tiles import Tile, find_tiles
from neve.errors import AskPerson
from neve.overviews.pooling import check_factors


@dataclass(frozen=True)
class Asked:
    """The command's options; ``workers``: 0 is one process per core, −1 none."""

    folder: Path
    year: int
    zone: str
    factors: str
    workers: int


def planned(asked: Asked) -> dict[str, object]:
    """What ``embed_tiles`` would put together; nothing is written."""
    tiles, layout = _found(asked)
    return {
        "tiles": len(tiles),
        "bands": layout.bands,
        "pixels": f"{layout.window.height} × {layout.window.width} of {layout.grid.resolution:g}",
        "crs": layout.grid.crs,
        "levels": [f"{factor}x" for factor in layout.levels],
    }


def embed_tiles(asked: Asked, store: str, s3_options: Mapping[str, Any]) -> dict[str, object]:
    """Consolidate; says what was published. Raises ``AskPerson`` for wrong options."""
    tiles, layout = _found(asked)
    workers = asked.workers or os.cpu_count() or 1
    engine = Inline() if workers < 0 else Processes(workers)
    with counted("block") as progress:
        report = consolidate(tiles, layout, store, engine, progress, s3_options)
    return {"store": store} | asdict(report)


def _found(asked: Asked) -> tuple[list[Tile], EmbeddingLayout]:
    zone = re.fullmatch(r"(\d{1,2})([NS])", asked.zone.upper())
    if zone is None or not 1 <= int(zone[1]) <= 60:
        raise AskPerson(f"--zone {asked.zone}: give a UTM zone and hemisphere, e.g. 33N")
    try:
        factors = check_factors([int(factor) for factor in asked.factors.split(",")])
    except ValueError as error:
        raise AskPerson(f"--factors {asked.factors}: {error}; give e.g. 4,16,64") from error
    code = (32600 if zone[2] == "N" else 32700) + int(zone[1])
    tiles = find_tiles(asked.folder, asked.year, f"EPSG:{code}")
    return tiles, layout_of(tiles, asked.year, factors)
