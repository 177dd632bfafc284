"""One scene, told in four ways, ends in equal reflectance: the offset is taken from the item."""

import json

import numpy as np
import pytest

from neve.compositing.composite import Recipe, compose
from neve.demo.scenes import DayPlan, ScenePlan, TilePlan, write_scenes
from neve.grid import Grid
from neve.scenes.choosing import choose
from neve.scenes.hrefs import Reach
from neve.scenes.values import FILL

TILE = TilePlan("33TTL", 268020, 5047800)
GRID = Grid("EPSG:32633", 60, 268020, 5047800, 96, 96)
BANDS = ("blue", "green", "red", "nir")
# name → baseline, what the pixels need, and what the item says of it
KINDS = {
    "02.14": ("02.14", 0, {}),
    "04.00 applied": ("04.00", 0, {"earthsearch:boa_offset_applied": True}),
    "04.00 not applied": ("04.00", -1000, {"earthsearch:boa_offset_applied": False}),
    "C1": ("05.10", -1000, {"earthsearch:boa_offset_applied": None}),
}


def composite(folder, kind):
    baseline, shift, said = KINDS[kind]
    day = DayPlan("2024-06-03", baseline=baseline, shift=shift, clouds=0.3)
    (item,) = write_scenes(folder, ScenePlan(tiles=(TILE,), days=(day,), size=96))
    for name, value in said.items():
        if value is None:
            item["properties"].pop(name)
        else:
            assert item["properties"][name] is value
    offsets = {a["raster:bands"][0].get("offset") for a in item["assets"].values()}
    assert (-0.1 in offsets) == (kind != "02.14")  # also where the offset is applied already
    found = choose([item], BANDS, "2024-06", Reach(str(folder / item["id"])))
    assert not found.rejected, json.dumps(found.rejected)
    return compose(GRID, found.scenes, Recipe(BANDS))


@pytest.mark.parametrize("kind", list(KINDS)[1:])
def test_the_same_scene_gives_the_same_reflectance(tmp_path, kind):
    old, new = composite(tmp_path / "old", "02.14"), composite(tmp_path / "new", kind)
    assert (old.count > 0).mean() > 0.3
    np.testing.assert_array_equal(old.count, new.count)
    for band in BANDS:
        np.testing.assert_array_equal(old.bands[band], new.bands[band])
        valid = old.bands[band] != FILL
        assert 0 < np.median(old.bands[band][valid]) < 5000
