"""Scenes from items, hand-written and real: their fields, zone, baseline and observation."""

import json
import pickle
from pathlib import Path

import pytest
import shapely
from item_kinds import STORED, item_of

from neve.errors import SceneRejected
from neve.scenes.bands import BANDS
from neve.scenes.hrefs import Reach
from neve.scenes.items import copy_of, scene_from_item

SHARED = Path(__file__).parents[2] / "shared"
REAL = sorted((SHARED / "stac-items").glob("*_*/*.json")) + sorted(
    (SHARED / "stac-items" / "cdse").glob("*.json")
)
ALL_BANDS = [band for band in BANDS if band != "scl"]


def test_fields_of_the_scene():
    scene = scene_from_item(item_of("c1"), ["red"])
    assert (scene.id, scene.crs, scene.baseline) == ("c1-item", "EPSG:32633", "04.00")
    assert scene.updated == "2022-03-16T00:00:00Z"
    assert scene.datetime.isoformat() == "2022-03-15T09:58:11.662000+00:00"
    assert scene.day == "2022-03-15"
    assert shapely.from_wkt(scene.footprint).bounds == (16.3, 44.2, 17.6, 45.1)
    assert pickle.loads(pickle.dumps(scene)) == scene


def test_all_images_of_a_scene_share_one_zone():
    item = item_of("c1")
    del item["assets"]["nir"]["proj:transform"]  # so that its place cannot tell
    assert scene_from_item(item, ["red", "nir"]).assets["nir"].transform is None
    item["assets"]["nir"]["proj:epsg"] = 32634
    with pytest.raises(SceneRejected, match="EPSG:32634'; others are in EPSG:32633"):
        scene_from_item(item, ["red", "nir"])


@pytest.mark.parametrize("kind", STORED)
def test_the_baseline_is_found_in_every_catalogue(kind):
    expected = {"v0_old": "02.14", "v1_0214": "02.14", "pc_old": "02.12"}.get(kind, "04.00")
    assert scene_from_item(item_of(kind), ["red"]).baseline == expected


OFFSETS = {"cdse": -1000, "earthsearch_c1": -1000, "earthsearch_v0": 0, "earthsearch_v1": 0}


@pytest.mark.skipif(not REAL, reason="shared/stac-items is not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_items_of_every_catalogue(path):
    item = json.loads(path.read_text())
    scene = scene_from_item(item, ALL_BANDS, Reach("https://data.example.com/"))
    silent = -1000 if scene.baseline >= "04.00" else 0  # Planetary Computer
    expected = OFFSETS.get(path.parent.name, silent)
    assert {scene.assets[band].shift for band in ALL_BANDS} == {expected}
    for band, (esa, pixel) in BANDS.items():
        asset = scene.assets[band]
        assert esa.upper() in [*Path(asset.href).stem.split("_"), Path(asset.href).stem]
        assert asset.transform is not None and asset.transform[0] == pixel
    assert copy_of(item).observation is not None


@pytest.mark.skipif(not REAL, reason="shared/stac-items is not here")
def test_one_real_granule_in_three_catalogues_is_one_observation():
    names = {
        "earthsearch_v0/S2B_20EPT_20250731_0_L2A.json": 0,
        "earthsearch_v1/S2B_20EPT_20250731_0_L2A.json": 0,
        "earthsearch_c1/S2B_T20EPT_20250731T131905_L2A.json": -1000,
    }
    items = {name: json.loads((SHARED / "stac-items" / name).read_text()) for name in names}
    scenes = {name: scene_from_item(item, ["red"]) for name, item in items.items()}
    assert {name: scene.assets["red"].shift for name, scene in scenes.items()} == names
    assert {(scene.day, scene.crs) for scene in scenes.values()} == {("2025-07-31", "EPSG:32720")}
    v0, v1, c1 = (copy_of(item).observation for item in items.values())
    assert v1 == c1 == ("S2B", "20250731T131909", "20EPT", "20250731T131905")
    assert v0 is not None and v0[:3] == v1[:3]  # v0 tells no datastrip
