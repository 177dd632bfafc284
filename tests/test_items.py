"""Preflight of items: a Scene or a reason, never anything else."""

import copy
import json
import math
import pickle
import time
from pathlib import Path

import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from item_kinds import STORED, item_of

from neve.errors import SceneRejected
from neve.scenes.bands import BANDS
from neve.scenes.hrefs import Reach
from neve.scenes.items import copy_of, scene_from_item
from neve.scenes.values import Scene

SHARED = Path(__file__).parents[2] / "shared"
REAL = sorted((SHARED / "stac-items").glob("*_*/*.json")) + sorted(
    (SHARED / "stac-items" / "cdse").glob("*.json")
)
ALL_BANDS = [band for band in BANDS if band != "scl"]


def _set(path, value):
    def change(item):
        *parents, last = path
        for key in parents:
            item = item[key]
        item[last] = value

    return change


def _red(field, value):
    return _set(["assets", "red", field], value)


AFFINE = [10, 0, 600000, 0, -10, 5000040]
BROKEN = [
    (_set(["id"], None), "id is None"),
    (_set(["id"], "a\nb"), "id is 'a\\nb'"),
    (_set(["properties"], []), "properties is []"),
    (_set(["assets"], None), "assets is None"),
    (lambda item: item["assets"].pop("red"), "no COG or JP2 of 'red'"),
    (lambda item: item["assets"].pop("scl"), "no COG or JP2 of 'scl'"),
    (_set(["properties", "datetime"], None), "properties.datetime is None"),
    (_set(["properties", "datetime"], "2022-03-15T09:58:11"), "properties.datetime is '2022"),
    (_set(["properties", "datetime"], "0001-01-01T00:00:00Z"), "properties.datetime is '0001"),
    (_set(["properties", "datetime"], "9999-12-31T23:59:59-23:00"), "properties.datetime is"),
    (_set(["properties", "datetime"], 20220315), "properties.datetime is 20220315"),
    (_set(["properties", "updated"], 7), "properties.updated is 7"),
    (_set(["properties", "proj:epsg"], 4326), "proj:code is [None, 4326]"),
    (_set(["properties", "proj:epsg"], 32661), "32661"),
    (_set(["properties", "proj:epsg"], 32600), "32600"),
    (_set(["properties", "proj:epsg"], "32633"), "'32633'"),
    (_set(["properties", "proj:epsg"], None), "proj:code is None"),
    (_set(["properties", "proj:code"], "EPSG:32634"), "'EPSG:32634', 32633"),
    (_set(["properties", "proj:epsg"], 32634), "misses its footprint"),
    (_set(["properties", "proj:epsg"], 32733), "misses its footprint"),
    (_red("proj:epsg", 32634), "EPSG:32634"),
    (_red("proj:transform", [0, 0, 600000, 0, 0, 5000040]), "proj:transform is [0, "),
    (_red("proj:transform", [math.nan, *AFFINE[1:]]), "proj:transform is nan"),
    (_red("proj:transform", [math.inf, *AFFINE[1:]]), "proj:transform is inf"),
    (_red("proj:transform", [10, 1, 600000, 1, -10, 5000040]), "proj:transform is [10, 1"),
    (_red("proj:transform", [10, 0, 600000, 0, 10, 5000040]), "proj:transform is [10, 0"),
    (_red("proj:transform", [-10, 0, 600000, 0, -10, 5000040]), "proj:transform is [-10"),
    (_red("proj:transform", [10, 0, 600000, 0, -20, 5000040]), "proj:transform is [10"),
    (_red("proj:transform", AFFINE[:5]), "proj:transform is [10"),
    (_red("proj:transform", [*AFFINE, 0, 0, 2]), "proj:transform is [10"),
    (_red("proj:transform", "10,0,600000"), "proj:transform is '10,0"),
    (_red("proj:transform", [10, 0, 900000, 0, -10, 5000040]), "misses its footprint"),
    (_red("proj:transform", [10, 0, 600000, 0, -10, 6000040]), "misses its footprint"),
    (_red("proj:shape", [0, 10]), "proj:shape is [0, 10]"),
    (_red("proj:shape", [10980.0, 10980]), "proj:shape is [10980.0"),
    (_red("proj:shape", [True, True]), "proj:shape is [True"),
    (_red("proj:shape", [2**15, 10]), "proj:shape is [32768, 10]; expected [height, width] up to"),
    (_red("file:size", -1), "file:size is -1"),
    (_red("file:size", "12"), "file:size is '12'"),
    (_red("file:checksum", "xyz"), "file:checksum is 'xyz'"),
    (_red("href", None), "href is None"),
    (_red("href", "/vsicurl/http://x/y.tif"), "may not name local files"),
    (_set(["geometry"], None), "geometry is None"),
    (_set(["geometry"], {"type": "Point", "coordinates": [1, 2]}), "geometry is {"),
    (_set(["geometry", "coordinates"], []), "geometry is {"),
    (_set(["geometry", "coordinates"], [[[16, 44], [17, 45], [16, 44], [16, 44]]]), "geometry is"),
    (_set(["geometry", "coordinates"], [[[0, 0], [60, 0], [60, 2], [0, 0]]]), "110 km across"),
    (_set(["geometry", "coordinates"], [[[0, 0], [2, 0], [2, 99], [0, 0]]]), "99.0"),
    (
        _set(
            ["geometry", "coordinates"], [[[16, 44], *[[17, 44 + k / 1e6] for k in range(30_000)]]]
        ),
        "geometry is {",
    ),
]


@pytest.mark.parametrize(("change", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_item_is_rejected_naming_item_field_and_what_was_found(change, words):
    item = item_of("c1")
    change(item)
    with pytest.raises(SceneRejected) as caught:
        scene_from_item(item, ["red", "nir"])
    assert words in str(caught.value)
    if words not in ("id is None", "id is 'a\\nb'"):
        assert str(caught.value).startswith("item c1-item: ")
    assert len(str(caught.value)) < 500


def _star(points):
    """A ring whose every side crosses nearly all others."""
    turns = [math.pi * k * (points - 1) / points for k in range(points)]
    ring = [[16.95 + 0.4 * math.cos(turn), 44.65 + 0.4 * math.sin(turn)] for turn in turns]
    return [*ring, ring[0]]


@pytest.mark.parametrize("points", [99, 501, 19_999])
def test_a_footprint_that_crosses_itself_costs_little(points):
    item = item_of("c1")
    item["geometry"]["coordinates"] = [_star(points)]
    began = time.process_time()
    if points < 100:
        area = shapely.from_wkt(scene_from_item(item, ["red"]).footprint)
        assert area.is_valid and area.contains(shapely.Point(16.95, 44.65))
    else:
        with pytest.raises(SceneRejected, match="whose rings do not cross"):
            scene_from_item(item, ["red"])
    assert time.process_time() - began < 1


def test_all_images_of_a_scene_share_one_zone():
    item = item_of("c1")
    del item["assets"]["nir"]["proj:transform"]  # so that its place cannot tell
    assert scene_from_item(item, ["red", "nir"]).assets["nir"].transform is None
    item["assets"]["nir"]["proj:epsg"] = 32634
    with pytest.raises(SceneRejected, match="EPSG:32634'; others are in EPSG:32633"):
        scene_from_item(item, ["red", "nir"])


def test_what_no_band_of_the_region_needs_may_be_broken():
    item = item_of("c1")
    _red("proj:transform", [0] * 6)(item)
    assert scene_from_item(item, ["nir"]).assets["nir"].shift == -1000


def test_fields_of_the_scene():
    scene = scene_from_item(item_of("c1"), ["red"])
    assert (scene.id, scene.crs, scene.baseline) == ("c1-item", "EPSG:32633", "04.00")
    assert scene.updated == "2022-03-16T00:00:00Z"
    assert scene.datetime.isoformat() == "2022-03-15T09:58:11.662000+00:00"
    assert scene.day == "2022-03-15"
    assert shapely.from_wkt(scene.footprint).bounds == (16.3, 44.2, 17.6, 45.1)
    assert pickle.loads(pickle.dumps(scene)) == scene


@pytest.mark.parametrize("kind", STORED)
def test_the_baseline_is_found_in_every_catalogue(kind):
    expected = {"v0_old": "02.14", "v1_0214": "02.14", "pc_old": "02.12"}.get(kind, "04.00")
    assert scene_from_item(item_of(kind), ["red"]).baseline == expected


def _at(when, epsg, west):
    """An item at 60° N between ``west`` and ``west`` + 1 (its centre is half a degree on)."""
    item = item_of("c1")
    item["properties"] |= {"datetime": when, "proj:epsg": epsg}
    item["geometry"]["coordinates"] = [
        [[west, 59.9], [west + 1, 59.9], [west + 1, 60.1], [west, 60.1], [west, 59.9]]
    ]
    for asset in item["assets"].values():
        for field in ("proj:shape", "proj:transform"):
            del asset[field]
    return item


@pytest.mark.parametrize(
    ("epsg", "west", "when", "day"),
    [
        (32631, 0.0, "2023-08-31T23:59:59.9Z", "2023-09-01"),  # +2 minutes
        (32630, -1.0, "2023-09-01T00:00:00Z", "2023-08-31"),
        (32660, 178.0, "2023-08-31T23:59:59.9Z", "2023-09-01"),  # +11.9 h
        (32660, 178.0, "2023-09-01T00:00:00Z", "2023-09-01"),
        (32660, 178.0, "2023-08-31T12:05:00Z", "2023-08-31"),
        (32660, 178.0, "2023-08-31T12:07:00Z", "2023-09-01"),
        (32601, -179.0, "2023-08-31T23:59:59.9Z", "2023-08-31"),  # −11.9 h
        (32601, -179.0, "2023-09-01T11:50:00Z", "2023-08-31"),
        (32601, -179.0, "2023-09-01T11:55:00Z", "2023-09-01"),
        (32660, 179.4, "2023-08-31T12:01:00Z", "2023-09-01"),  # centre 179.9
        (32601, 179.6, "2023-08-31T11:00:00Z", "2023-08-30"),  # centre 180.1 = −179.9
    ],
)
def test_the_day_is_the_solar_day_of_the_centre(epsg, west, when, day):
    assert scene_from_item(_at(when, epsg, west), ["red"]).day == day


RING = [[179.5, 59.9], [-179.3, 59.9], [-179.3, 60.1], [179.5, 60.1], [179.5, 59.9]]
CUT = [
    [[[179.5, 59.9], [180, 59.9], [180, 60.1], [179.5, 60.1], [179.5, 59.9]]],
    [[[-180, 59.9], [-179.3, 59.9], [-179.3, 60.1], [-180, 60.1], [-180, 59.9]]],
]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [RING]},
        {"type": "Polygon", "coordinates": [RING[::-1]]},
        {"type": "MultiPolygon", "coordinates": CUT},
        {"type": "Polygon", "coordinates": [[[lon % 360, lat] for lon, lat in RING]]},
        {"type": "Polygon", "coordinates": [[[lon % 360 - 360, lat] for lon, lat in RING]]},
    ],
    ids=["uncut", "clockwise", "cut", "beyond 180", "beyond -180"],
)
def test_a_footprint_over_180_is_one_place_however_it_is_written(geometry):
    item = _at("2023-08-31T11:00:00Z", 32601, 0)
    item["geometry"] = geometry
    scene = scene_from_item(item, ["red"])
    assert scene.day == "2023-08-30"  # the centre, 180.1, is at −179.9
    area = shapely.from_wkt(scene.footprint)
    expected = shapely.union_all([shapely.Polygon(part[0]) for part in CUT])
    assert shapely.symmetric_difference(area, expected).area < 1e-6
    assert area.bounds == (-180, 59.9, 180, 60.1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
@example({"id": "x", "properties": {}, "assets": {}})
def test_any_json_is_a_scene_or_a_rejection(item):
    with pytest.raises(SceneRejected):
        scene_from_item(item, ["red"])


def _paths(value, at=()):
    yield at
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries if isinstance(value, dict | list) else ():
        if isinstance(inner, dict | list):
            yield from _paths(inner, (*at, key))
        else:
            yield (*at, key)


NASTY = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**5000,
        1e308,
        math.nan,
        math.inf,
        "",
        "\0",
        "a" * 5000,
        [],
        [[]],
        {},
        [None],
        [{}],
        [[[[]]]],
        "EPSG:32633",
        "05.09",
        "S2A_",
        {"type": "Polygon"},
        "http://[",
        "//x",
    ]
)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_an_item_with_anything_anywhere_is_a_scene_or_a_rejection(data):
    item = item_of(data.draw(st.sampled_from(sorted(STORED))))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in _paths(item) if path]))
        # A copy: later draws may write into what this one placed.
        _set(path, copy.deepcopy(data.draw(NASTY | JSON)))(item)
    try:
        scene = scene_from_item(item, ["red", "nir", "rededge1"])
    except SceneRejected as error:
        assert str(error).startswith("item ")
        return
    assert isinstance(scene, Scene)
    assert copy_of(item).age
    assert {asset.shift for asset in scene.assets.values()} <= {0, -1000}
    assert shapely.from_wkt(scene.footprint).area > 0


@pytest.mark.parametrize("kind", ["v0_applied", "v1_applied", "c1", "cdse"])
def test_neither_depth_nor_huge_numbers_hurt_wherever_they_stand(kind):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    places = [path for path in _paths(item_of(kind)) if path]
    rejected = 0
    for path in places:
        for hostile in (deep, {"type": "Polygon", "coordinates": deep}, 10**5000, [10**5000] * 6):
            item = item_of(kind)
            _set(path, hostile)(item)
            try:
                scene_from_item(item, ["red"])
                copy_of(item)
            except SceneRejected:
                rejected += 1
    assert rejected > 30  # fields that "red" depends on


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
