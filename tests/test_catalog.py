"""What a search of a catalogue finds, and which hrefs it hands out: a real STAC API over HTTP."""

import json

import pytest
from catalogs import AREA, COLLECTION, _days, _faulty, _ids, _item
from starlette.responses import Response

from neve.catalog.opening import open_catalog
from neve.demo.stac_api import serve
from neve.errors import AskPerson
from neve.scenes.choosing import choose


def test_all_pages_of_a_search_arrive():
    items = _days(120)
    with serve(items) as url:
        found = open_catalog(url).search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == _ids(items)


def test_only_collection_place_and_month_asked_for():
    items = [
        _item("in"),
        _item("first", "2022-03-01T00:00:00Z"),
        _item("last", "2022-03-31T23:59:59.9Z"),
        _item("before", "2022-02-28T23:59:59.9Z"),
        _item("after", "2022-04-01T00:00:01Z"),
        _item("east", west=30.0),
        _item("south", south=-44.0),
        _item("other") | {"collection": "landsat"},
    ]
    with serve(items) as url:
        found = open_catalog(url).search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == ["first", "in", "last"]


def test_bounds_over_180_find_both_sides_and_nothing_between(tmp_path):
    items = [_item("west", west=178.5), _item("east", west=-179.5), _item("far", west=0.0)]
    items += [_item("over", west=179.5), _item("fiji-like", west=-178.0)]
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": items})
    )
    bounds = (179.0, 44.0, -179.0, 45.5)
    assert _ids(open_catalog(str(tmp_path)).search(COLLECTION, bounds, "2022-03")) == [
        "east", "over", "west",
    ]  # fmt: skip
    east_alone = open_catalog(str(tmp_path)).search(
        COLLECTION, (-179.9, 44.0, -179.6, 45.5), "2022-03"
    )
    assert _ids(east_alone) == ["over"]
    with serve([item for item in items if item["id"] != "over"]) as url:
        found = open_catalog(url).search(COLLECTION, bounds, "2022-03")
    assert _ids(found) == ["east", "west"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("file:size", "9" * 5000), ("href", "[" * 100_000 + "]" * 100_000),
     ("href", '{"]": ["\\\\", "\\"]", 5, ' * 50_000 + "0" + "]}" * 50_000)],
    ids=["endless", "deep", "deep with strings"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["api", "folder", "file"])
def test_one_item_that_python_cannot_parse_costs_that_item_alone(place, field, value, tmp_path):
    def text(items):
        page = {"type": "FeatureCollection", "features": items}
        return json.dumps(page).replace('"HUGE"', value)

    items = [_item("good"), _item("bad")]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = "https://data.example.com/a.tif"
    items[1]["assets"]["red"][field] = "HUGE"
    if place == "api":
        with _faulty(items, lambda n, page: Response(text(items))) as (catalog, _):
            found = catalog.search(COLLECTION, AREA, "2022-03")
    else:
        (tmp_path / "items.json").write_text(text(items))
        catalog = open_catalog(str(tmp_path if place == "folder" else tmp_path / "items.json"))
        found = catalog.search(COLLECTION, AREA, "2022-03")
    chosen = choose(found, ["red"], "2022-03", catalog.reach)
    assert [scene.id for scene in chosen.scenes] == ["good"]
    assert [name for name, _ in chosen.rejected] == ["bad"]


def test_a_month_without_scenes_is_an_answer_but_a_missing_collection_is_not():
    with serve(_days(3)) as url:
        catalog = open_catalog(url)
        assert catalog.search(COLLECTION, AREA, "2019-01") == []
        with pytest.raises(AskPerson, match="no collection 'sentinel-2-l3a'"):
            catalog.search("sentinel-2-l3a", AREA, "2022-03")


def test_an_api_may_not_hand_out_local_files(tmp_path):
    (tmp_path / "B04.tif").touch()
    items = [_item(name) for name in ("good", "absolute", "file", "virtual")]
    for item, href in zip(
        items[1:], [f"{tmp_path}/B04.tif", f"file://{tmp_path}/B04.tif", "/vsicurl/http://x/a.tif"],
        strict=True,
    ):  # fmt: skip
        item["assets"]["red"]["href"] = href
    with serve(items) as url:
        catalog = open_catalog(url)
        found = choose(
            catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach
        )
    assert [name for name, _ in found.rejected] == ["absolute", "file", "virtual"]
    assert all("may not name local files" in reason for _, reason in found.rejected)


def test_relative_hrefs_of_an_api_are_resolved_against_the_item():
    items = [_item("a")]
    items[0]["assets"]["red"]["href"] = "./B04.tif"

    def answer(n, page):
        for item in page["features"]:
            own = {"rel": "self", "href": "https://api.example.com/items/a"}
            item["links"] = [own]
        return page

    with _faulty(items, answer) as (catalog, _):
        found = choose(
            catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach
        )
    assert found.scenes[0].assets["red"].href == "https://api.example.com/items/B04.tif"


@pytest.mark.parametrize("location", ["nowhere", "s3://bucket/items", "ftp://host/x"])
def test_a_location_that_cannot_be_a_catalogue_is_refused(location, tmp_path):
    with pytest.raises(AskPerson, match="catalogue"):
        open_catalog(location if "://" in location else str(tmp_path / location))
