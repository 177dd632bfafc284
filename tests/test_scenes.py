"""Values of a month: its bounds and its fingerprint."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from item_kinds import item_of

from neve.scenes.items import scene_from_item
from neve.scenes.values import fingerprint, month_bounds


def test_a_month_is_half_open_in_utc():
    start, end = month_bounds("2023-08")
    assert start == datetime(2023, 8, 1, tzinfo=UTC)
    assert end == datetime(2023, 9, 1, tzinfo=UTC)
    assert month_bounds("2023-12")[1] == datetime(2024, 1, 1, tzinfo=UTC)
    start, end = month_bounds("2024-02")
    assert end - start == timedelta(days=29)


@pytest.mark.parametrize("month", ["2023-8", "2023-13", "2023-00", "2023", "2023-08-01", ""])
def test_what_is_no_month_is_refused(month):
    with pytest.raises(ValueError, match="expected year and month"):
        month_bounds(month)


def test_the_fingerprint_tells_what_may_change_pixels_and_nothing_else():
    one = scene_from_item(item_of("pc"), ["red"])
    other = replace(one, id="other")
    base = fingerprint([one, other])
    moved = replace(one.assets["red"], href="https://data.example.com/other.tif")
    assert len(base) == 64
    for changed in (
        [other, one],
        [one],
        [replace(one, updated="2030-01-01T00:00:00Z"), other],
        [replace(one, baseline="05.00"), other],
        [replace(one, assets={**one.assets, "red": moved}), other],
    ):
        assert fingerprint(changed) != base
    signed = replace(one.assets["red"], href=one.assets["red"].href.replace("abc", "def"))
    assert signed != one.assets["red"]
    assert fingerprint([replace(one, assets={**one.assets, "red": signed}), other]) == base
