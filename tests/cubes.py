"""Cubes of any bands and indices, from random reflectance instead of scenes."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np
from conftest import BY

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.compositing.composite import Composite
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.indices import BANDS
from neve.region import Region, load
from neve.scenes.values import FILL, Scene, SceneList

ELEVEN = tuple(band for band in BANDS.values() if band != "nir09")
# 82 × 69 pixels, in blocks that own 1x and 2x but share the chunks of 4x and 16x.
REGION = """\
name: small
area: {{bbox: [12.04, 45.51, 12.10, 45.545]}}
crs: EPSG:32633
resolution: 60
start: 2024-06
bands: [{bands}]
indices: {indices}
overviews: [2, 4, 16]
block: 64
chunk: 32
catalogue: "0.9"
constants: {{PAR: 1.0}}
land: false
{more}
"""


def region(folder: Path, name: str, indices: str, more: str = "", bands=ELEVEN) -> Region:
    """A small region; ``more``: further keys of its file."""
    file = folder / f"{name}.yaml"
    text = REGION.format(bands=", ".join(bands), indices=indices, more=more)
    file.write_text(text, "utf-8")
    return load(file)


def pixels(shape: tuple[int, int], bands=ELEVEN) -> dict[str, np.ndarray]:
    """int16 reflectance by band, with gaps and, in the right third, impossible values."""
    rng = np.random.default_rng(4)
    gap = rng.random(shape) < 0.3
    gap[:20, :33] = True
    found = {}
    for band in bands:
        values = rng.integers(1, 9000, shape).astype(np.int16)
        values[:, 50:] = rng.choice([0, -300, 100, 32767], values[:, 50:].shape)
        found[band] = np.where(gap, np.int16(FILL), values)
    return found


def make(folder: Path, name: str, indices: str, more: str = "", bands=ELEVEN) -> str:
    """Build a cube of one month of ``pixels``; returns its place."""
    wanted = region(folder, name, indices, more, bands)
    layout = layout_of(wanted)
    values = pixels(layout.grid.shape, bands)

    def composed(grid, *_):
        window = slice(grid.row, grid.row + grid.height), slice(grid.col, grid.col + grid.width)
        piece = {band: v[window].copy() for band, v in values.items()}
        return Composite(piece, (piece[bands[0]] != FILL).astype(np.uint16) * 3, (), ())

    blocks = list(layout.grid.blocks(layout.block))
    plan = plan_month(wanted, "2024-06", SceneList((), (), "none"), blocks)
    # As many days as the composite says that it saw.
    when = [datetime(2024, 6, day, tzinfo=UTC) for day in (1, 2, 3)]
    scenes = tuple(Scene(str(t), t, t.date().isoformat(), "EPSG:32633", {}, "") for t in when)
    plan = replace(plan, works=tuple(replace(work, scenes=scenes) for work in plan.works))
    store = str(folder / name)
    with patch("neve.build.block.compose_in_budget", composed):
        build_month(plan, open_cube(store, layout), Inline(), BY)
    return store
