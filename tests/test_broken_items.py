"""Broken and hostile items: a rejection that says what was found, never anything else."""

import copy
import math

import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from item_kinds import STORED, item_of

from neve.errors import SceneRejected
from neve.scenes.items import copy_of, scene_from_item
from neve.scenes.values import Scene


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


def test_what_no_band_of_the_region_needs_may_be_broken():
    item = item_of("c1")
    _red("proj:transform", [0] * 6)(item)
    assert scene_from_item(item, ["nir"]).assets["nir"].shift == -1000


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
