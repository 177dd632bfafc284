"""Footprints of items: one place however it is written, and the solar day that it has there."""

import math
import time

import pytest
import shapely
from item_kinds import item_of

from neve.errors import SceneRejected
from neve.scenes.items import scene_from_item


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
