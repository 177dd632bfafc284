"""Which items of a month count: the same for any order."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from item_kinds import item_of

from neve.errors import AskPerson
from neve.scenes.choosing import choose, rechecked
from neve.scenes.hrefs import Reach
from neve.scenes.items import UNREADABLE

MONTH = "2022-03"


def _item(name, **properties):
    item = item_of("v1_applied")
    item["id"] = name
    item["properties"] |= properties
    return item


def _take(day, tile="33TXL", strip="095630", baseline="04.00", made="20220401T000000"):
    """Properties of a granule: reprocessing changes baseline and time made in every id."""
    start = f"202203{day:02d}T095031"
    digits = baseline.replace(".", "")
    return {
        "datetime": f"2022-03-{day:02d}T09:58:11Z",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"S2A_MSIL2A_{start}_N{digits}_R079_T{tile}_{made}.SAFE",
        "s2:generation_time": f"{made[:4]}-{made[4:6]}-{made[6:8]}T{made[9:11]}:00:00Z",
        "s2:datatake_id": f"GS2A_{start}_035147_N{baseline}",
        "s2:datastrip_id": f"S2A_OPER_MSI_L2A_DS_2APS_{made}_S202203{day:02d}T{strip}_N{baseline}",
    }


def _ids(items, month=MONTH):
    return [scene.id for scene in choose(items, ["red"], month).scenes]


def test_the_newest_baseline_of_one_observation_counts():
    old = _item("a", **_take(15, baseline="02.14", made="20220901T000000"))
    new = _item("b", **_take(15, baseline="05.00", made="20220801T000000"))
    found = choose([new, old], ["red"], MONTH)
    assert [scene.id for scene in found.scenes] == ["b"]
    ((rejected, reason),) = found.rejected
    assert rejected == "a"
    assert "superseded by b" in reason and "02.14" in reason and "05.00" in reason


def test_a_list_that_was_kept_is_held_against_its_reach_again():
    reach = Reach(home="api.example.com", hosts=("data.example.com",))
    item = _item("a", **_take(15))
    for asset in item["assets"].values():
        asset["href"] = "https://data.example.com/a.tif"
    found = choose([item], ["red"], MONTH, reach)
    assert rechecked(found, reach) == found
    (kept,) = found.scenes
    for change in ({"hosts": ("169.254.169.254",)}, {"href": "http://169.254.169.254/a.tif"}):
        changed = replace(kept.assets["red"], **change)
        tampered = replace(found, scenes=(replace(kept, assets={"red": changed}),))
        if "href" in change:
            with pytest.raises(AskPerson, match="materialise scenes again"):
                rechecked(tampered, reach)
        else:
            assert rechecked(tampered, reach).scenes[0].assets["red"] == kept.assets["red"]


def test_then_the_newest_generation_then_the_update_then_the_id():
    early = _item("z", **_take(15, made="20220401T000000"))
    late = _item("a", **_take(15, made="20220402T000000"))
    assert _ids([early, late]) == _ids([late, early]) == ["a"]
    updated = _item("b", **_take(15), updated="2022-04-02T00:00:00+01:00")
    before = _item("c", **_take(15), updated="2022-04-01T23:30:00Z")  # half an hour later
    assert _ids([updated, before]) == ["c"]
    twins = [_item(name, **_take(15)) for name in "dfe"]
    assert _ids(twins) == ["f"]


def test_generation_is_read_from_the_product_where_no_field_tells():
    early, late = _take(15, made="20220401T000000"), _take(15, made="20220402T000000")
    items = [_item("z", **early), _item("a", **late)]
    for item in items:
        del item["properties"]["s2:generation_time"]
    assert _ids(items) == ["a"]


def test_the_halves_of_a_tile_both_count():
    halves = [_item("a", **_take(15, strip="095630")), _item("b", **_take(15, strip="095812"))]
    found = choose(halves, ["red"], MONTH)
    assert [scene.id for scene in found.scenes] == ["a", "b"]
    assert {scene.day for scene in found.scenes} == {"2022-03-15"}
    assert found.rejected == ()


def test_other_tiles_days_and_satellites_are_other_observations():
    items = [_item("a", **_take(15)), _item("b", **_take(15, tile="33TXM"))]
    items += [_item("c", **_take(18))]
    other = _take(15)
    for field in ("s2:product_uri", "s2:datatake_id"):
        other[field] = other[field].replace("S2A", "S2B")
    items += [_item("d", **other)]
    assert _ids(items) == ["a", "b", "d", "c"]


def test_without_a_datastrip_the_time_of_the_granule_tells_the_halves_apart():
    items = [_item("a", **_take(15)), _item("b", **_take(15)), _item("c", **_take(15))]
    for item in items:
        del item["properties"]["s2:datastrip_id"]
    items[0]["properties"]["datetime"] = "2022-03-15T09:58:30Z"
    assert _ids(items) == ["a", "c"]


def test_items_that_do_not_tell_their_observation_all_count():
    items = [_item("a", **_take(15)), _item("b", **_take(15))]
    for item in items:
        for field in ("s2:product_uri", "s2:datatake_id", "s2:datastrip_id"):
            del item["properties"][field]
    assert _ids(items) == ["a", "b"]


def test_a_broken_copy_never_supersedes_a_sound_one():
    old = _item("old", **_take(15, baseline="04.00"))
    new = _item("new", **_take(15, baseline="05.09"))
    new["assets"]["red"]["proj:transform"] = [0] * 6
    found = choose([new, old], ["red"], MONTH)
    assert [scene.id for scene in found.scenes] == ["old"]
    assert [name for name, _ in found.rejected] == ["new"]
    assert "proj:transform" in found.rejected[0][1]


def test_one_id_counts_once_and_the_same_item_twice_is_no_news():
    item = _item("a", **_take(15))
    assert choose([item, dict(item)], ["red"], MONTH).rejected == ()
    other = _item("a", **_take(18), updated="2022-04-03T00:00:00Z")
    found = choose([item, other], ["red"], MONTH)
    assert [scene.day for scene in found.scenes] == ["2022-03-18"]
    assert [name for name, _ in found.rejected] == ["a"]


@pytest.mark.parametrize(
    ("when", "month"),
    [
        ("2022-02-28T23:59:59.9Z", "2022-02"),
        ("2022-03-01T00:00:00Z", "2022-03"),
        ("2022-03-31T23:59:59.999999Z", "2022-03"),
        ("2022-04-01T00:00:00Z", "2022-04"),
        ("2022-04-01T00:30:00+01:00", "2022-03"),
        ("2022-03-31T23:30:00-01:00", "2022-04"),
    ],
)
def test_every_instant_lies_in_exactly_one_month(when, month):
    item = _item("a", datetime=when)
    found = [m for m in ("2022-02", "2022-03", "2022-04") if _ids([item], m)]
    assert found == [month]
    assert all(not choose([item], ["red"], m).rejected for m in ("2022-02", "2022-03"))


def test_what_is_broken_is_recorded_and_the_rest_goes_on():
    late = _item("late", datetime=None)
    unread = {"id": "x/y.json", UNREADABLE: "x/y.json: Expecting value"}
    items = [late, unread, None, 3, [], {"id": 5}, _item("good", **_take(15))]
    found = choose(items, ["red"], MONTH)
    assert [scene.id for scene in found.scenes] == ["good"]
    reasons = dict(found.rejected)
    assert "properties.datetime is None" in reasons["late"]
    assert "unreadable: x/y.json: Expecting value" in reasons["x/y.json"]
    assert len([name for name, _ in found.rejected if name == "(no id)"]) == 4


def test_items_nested_too_deeply_are_recorded():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    found = choose([{"id": "deep", "properties": deep}], ["red"], MONTH)
    ((name, reason),) = found.rejected
    assert name == "deep" and "recursion" in reason


def _many():
    items = [
        _item(f"{tile}-{day}-{baseline}-{strip}", **_take(day, tile, strip, baseline))
        for tile in ("33TXL", "33TXM")
        for day in (2, 5, 9)
        for baseline in ("02.14", "04.00")
        for strip in ("095630", "095812")
    ]
    broken = _item("broken", datetime=None)
    return [*items, *items[:3], broken, {"id": "empty"}]


def test_a_hundred_shuffles_give_one_list():
    items = _many()
    expected = choose(items, ["red"], MONTH)
    assert len(expected.scenes) == 12 and len(expected.rejected) == 14
    assert [(s.day, s.id) for s in expected.scenes] == sorted(
        (s.day, s.id) for s in expected.scenes
    )
    for seed in range(100):
        random.Random(seed).shuffle(items)
        assert choose(items, ["red"], MONTH) == expected


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_list_keeps_the_newest_of_each_observation(data):
    """Against the obvious: of each (day, tile, strip) the maximum of (baseline, made, id)."""
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from([2, 5]),
                st.sampled_from(["33TXL", "33TXM"]),
                st.sampled_from(["095630", "095812"]),
                st.sampled_from(["02.14", "04.00", "05.09"]),
                st.sampled_from(["20220401T000000", "20220601T000000"]),
            ),
            max_size=8,
        )
    )
    items = [_item(f"i{k}", **_take(*row)) for k, row in enumerate(rows)]
    best = {}
    for k, (day, tile, strip, baseline, made) in enumerate(rows):
        age = (baseline, made, f"i{k}")
        best[day, tile, strip] = max(best.get((day, tile, strip), age), age)
    expected = sorted((f"2022-03-{key[0]:02d}", age[2]) for key, age in best.items())
    found = choose(items, ["red"], MONTH)
    assert [(scene.day, scene.id) for scene in found.scenes] == expected
    assert len(found.scenes) + len(found.rejected) == len(items)
