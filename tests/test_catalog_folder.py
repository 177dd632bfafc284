"""A folder or a file of items as a catalogue: what it gives, what it may not do."""

import json
import os
from pathlib import Path

import pytest
from catalogs import AREA, COLLECTION, _folder, _ids, _item

from neve.catalog import folder
from neve.catalog.opening import open_catalog
from neve.errors import AskPerson, CatalogUnavailable
from neve.scenes.choosing import choose

SHARED = Path(__file__).parents[2] / "shared" / "sentinel2-33TWL-33TWM-2023-08"


def test_a_folder_gives_collection_place_and_month_asked_for(tmp_path):
    items = [
        _item("in"),
        _item("first", "2022-03-01T00:00:00Z"),
        _item("last", "2022-03-31T23:59:59.9Z"),
        _item("before", "2022-02-28T23:59:59.9Z"),
        _item("after", "2022-04-01T00:00:00Z"),
        _item("east", west=30.0),
        _item("other") | {"collection": "landsat"},
    ]
    catalog = _folder(tmp_path, items)
    found = catalog.search(COLLECTION, AREA, "2022-03")
    assert _ids(found) == ["first", "in", "last"]
    chosen = choose(found, ["red"], "2022-03", catalog.reach)
    assert len(chosen.scenes) + len(chosen.rejected) == 3
    assert chosen.scenes[0].assets["red"].href == str(tmp_path / chosen.scenes[0].id / "B04.tif")


def test_items_of_a_folder_cannot_leave_it(tmp_path):
    inside = tmp_path / "catalogue"
    inside.mkdir()
    (tmp_path / "secret.tif").touch()
    items = [_item("up"), _item("absolute"), _item("link")]
    _folder(inside, items)
    (inside / "link" / "B04.tif").symlink_to(tmp_path / "secret.tif")
    for item, href in zip(items, ["../../secret.tif", str(tmp_path / "secret.tif")], strict=False):
        item["assets"]["red"]["href"] = href
        (inside / item["id"] / "item.json").write_text(json.dumps(item))
    catalog = open_catalog(str(inside))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [name for name, _ in found.rejected] == ["absolute", "link", "up"]
    assert all("lies outside" in reason for _, reason in found.rejected)


def test_unreadable_files_are_recorded_not_missed(tmp_path):
    catalog = _folder(tmp_path, [_item("good")])
    (tmp_path / "half.json").write_text('{"type": "Feature", "id"')
    (tmp_path / "latin.json").write_bytes(b'{"id": "\xe9"}')
    (tmp_path / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    (tmp_path / "note.json").write_text('"hello"')
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "id": "c", "links": []}')
    (tmp_path / "collection.json").write_text('{"type": "Collection", "id": "c"}')
    (tmp_path / "dead.json").symlink_to(tmp_path / "nowhere")
    broken = _item("null-time", None)
    (tmp_path / "null.json").write_text(json.dumps(broken))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert {name for name, _ in found.rejected} == {
        "half.json", "latin.json", "deep.json", "note.json", "dead.json", "null-time",
    }  # fmt: skip


def test_a_file_of_a_folder_is_not_taken_in_whatever_it_is(tmp_path, monkeypatch):
    catalog = _folder(tmp_path, [_item("good")])
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [scene.id for scene in found.scenes] == ["good"]
    assert [name for name, _ in found.rejected] == ["endless.json", "pipe.json"]
    monkeypatch.setattr(folder, "_LARGEST", 100_000)
    (tmp_path / "large.json").write_text(json.dumps({"type": "Feature", "id": "x" * 100_000}))
    with pytest.raises(CatalogUnavailable, match=r"large\.json.* larger than 100000 bytes"):
        catalog.search(COLLECTION, AREA, "2022-03")


def test_an_item_collection_file_is_a_catalogue_too(tmp_path):
    items = [_item("a"), _item("b")]
    items[0]["assets"]["red"]["href"] = "B04.tif"
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [*items, 5]}))
    catalog = open_catalog(str(path))
    found = choose(catalog.search(COLLECTION, AREA, "2022-03"), ["red"], "2022-03", catalog.reach)
    assert [name for name, _ in found.rejected] == ["a", "items.json"]  # b: the same granule
    assert catalog.reach.base == str(tmp_path)


@pytest.mark.parametrize("damage", ["half", "latin", "deep", "no features", "missing"])
def test_a_collection_file_that_cannot_be_read_holds_the_month_back(damage, tmp_path):
    _folder(tmp_path, [_item("good")])
    whole = json.dumps({"type": "FeatureCollection", "features": [_item("a"), _item("b")]})
    file = tmp_path / "items.json"
    file.write_bytes(
        {
            "half": whole.encode()[:-9],
            "latin": whole.replace('"a"', '"\xe9"').encode("latin-1"),
            "deep": whole.replace('"a"', "[" * 100_000).encode(),
            "no features": b'{"type": "FeatureCollection", "features": null}',
            "missing": b'{"type": "FeatureCollection"}',
        }[damage]
    )
    for place in (tmp_path, file):
        with pytest.raises(CatalogUnavailable, match=r"items\.json: an item collection"):
            open_catalog(str(place)).search(COLLECTION, AREA, "2022-03")


def test_a_folder_without_the_collection_asks_a_person(tmp_path):
    with pytest.raises(AskPerson, match="found: no items"):
        open_catalog(str(tmp_path)).search(COLLECTION, AREA, "2022-03")
    catalog = _folder(tmp_path, [_item("a")])
    with pytest.raises(AskPerson, match=f"found: {COLLECTION}"):
        catalog.search("sentinel-2-c1-l2a", AREA, "2022-03")
    assert catalog.search(COLLECTION, AREA, "2019-01") == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared scenes are not here")
def test_the_real_scenes_of_a_month():
    catalog = open_catalog(str(SHARED))
    south = catalog.search(COLLECTION, (15.2, 45.3, 16.2, 45.9), "2023-08")
    assert {item["id"][4:9] for item in south} == {"33TWL"}
    items = catalog.search(COLLECTION, (15.2, 45.3, 16.2, 46.2), "2023-08")
    found = choose(items, ["blue", "green", "red", "nir"], "2023-08", catalog.reach)
    assert len(found.scenes) == 10 and found.rejected == ()
    assert sorted({scene.day[-2:] for scene in found.scenes}) == ["10", "13", "15", "18", "20"]
    for scene in found.scenes:
        assert {asset.shift for asset in scene.assets.values()} == {0}
        assert all(Path(a.href).stat().st_size == a.size for a in scene.assets.values())
