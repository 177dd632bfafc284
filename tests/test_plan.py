"""The plan of a month: every block gets the scenes that reach into it, and only its own grid's."""

from dataclasses import replace

import pytest

from neve.build.plan import plan_month
from neve.cube.layout import layout_of
from neve.errors import RegionInvalid
from neve.region import load
from neve.scenes import SceneList

FIJI = """\
name: fiji
area: {bbox: [179.5, -17.5, -178.5, -17]}
crs: EPSG:4326
resolution: 0.01
start: 2024-06
bands: [red]
indices: []
overviews: [2]
block: 32
chunk: 16
"""


def test_scenes_reach_blocks_on_both_sides_of_the_antimeridian(tiny, tmp_path):
    (tmp_path / "fiji.yaml").write_text(FIJI, "utf-8")
    region = load(tmp_path / "fiji.yaml")
    layout = layout_of(region)
    blocks = list(layout.grid.blocks(layout.block))
    scene = tiny.plan().works[0].scenes[0]
    image = scene.assets["scl"]

    def at(crs, left, top):
        moved = replace(image, transform=(20, 0, left, 0, -20, top), shape=(5490, 5490))
        return replace(scene, id=crs, crs=crs, assets={"red": moved, "scl": moved})

    # 60 K (centre 177° E): 180° lies near x = 818 km; 1 K (177° W): near x = 182 km.
    west, east = at("EPSG:32760", 740_000, 8_120_000), at("EPSG:32701", 199_980, 8_120_000)
    plan = plan_month(region, "2024-06", SceneList((west, east), (), "f"), blocks)
    seen = {work.block.j: {s.id for s in work.scenes} for work in plan.works if work.block.i == 0}
    assert seen[0] == {"EPSG:32760"}  # 179.50 … 179.82
    assert "EPSG:32701" in seen[2]  # 180.14 … 180.46
    assert seen[3] == {"EPSG:32701"}  # 180.46 … 180.78


def test_what_was_listed_for_another_region_file_is_refused(tiny):
    plan = tiny.plan()
    scenes = SceneList(plan.works[0].scenes, (), "f")
    moved = plan.region.model_copy(update={"anchor": (30.0, 30.0)})
    with pytest.raises(RegionInvalid, match="materialise blocks again"):
        plan_month(moved, "2024-06", scenes, [work.block for work in plan.works])
    more = plan.region.model_copy(update={"bands": (*plan.region.bands, "swir16")})
    with pytest.raises(RegionInvalid, match="swir16"):
        plan_month(more, "2024-06", scenes, [work.block for work in plan.works])
