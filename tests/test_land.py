"""Land and many boxes at once, against loops over single boxes."""

import json

import numpy as np
import pytest
import shapely
from coasts import SMALL_LAND, WORLD_ATLAS, land, natural_earth, near, world_atlas
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neve.land import Land, touching

__all__ = ["land", "natural_earth", "world_atlas"]
LAND_AT = {
    "Malta": (14.4, 35.9),
    "Azores": (-25.5, 37.78),
    "Malé": (73.509, 4.175),
    "Funafuti": (179.195, -8.52),
    "Bermuda": (-64.78, 32.3),
    "Helgoland": (7.885, 54.182),
    "Venice": (12.335, 45.437),
    "Johnston Atoll": (-169.53, 16.73),
    "Wrangel Island at 180°": (180, 71.2),
    "Taveuni at 180°": (-180, -16.85),
    "Chukotka, east of 180°": (-179, 67),
    "Chukotka, west of 180°": (179, 68),
    "South Pole": (5, -89.9),
    "inland, far from any coast": (85, 48),
}
SEA_AT = {
    "Atlantic": (-40, 30),
    "Caspian": (51, 42),
    "Arctic": (0, 89.9),
    "Pacific at 180°": (180, 10),
    "beside Eurasia's cut": (-179.5, 60),
    "Southern Ocean": (100, -55),
}


@pytest.mark.parametrize("place", LAND_AT)
def test_small_islands_and_cut_land_are_there(land: Land, place: str) -> None:
    assert near(land, *LAND_AT[place])


@pytest.mark.parametrize("place", SEA_AT)
def test_the_sea_is_not_land(land: Land, place: str) -> None:
    assert not near(land, *SEA_AT[place])


def test_land_is_valid_and_within_the_antimeridian(land: Land) -> None:
    assert shapely.is_valid(land.polygons).all()
    assert np.abs(shapely.bounds(land.polygons)[:, [0, 2]]).max() < 180 + 1e-9
    kinds, counts = np.unique(shapely.get_type_id(land.polygons), return_counts=True)
    assert set(kinds) <= {shapely.GeometryType.POINT, shapely.GeometryType.LINESTRING,
                          shapely.GeometryType.POLYGON}  # fmt: skip
    assert counts[-1] > 4000


def test_every_island_of_the_fallback_survives(world_atlas: Land) -> None:
    """Each face's every vertex, summed up step by step in plain Python, lies on the land."""
    topology = json.loads((WORLD_ATLAS / "land-10m.json").read_text())
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    faces = topology["objects"]["land"]["geometries"][0]["arcs"]
    vertices = []
    for arc in (arc for face in faces for ring in face for arc in ring):
        i = j = 0
        for step_i, step_j in topology["arcs"][arc if arc >= 0 else ~arc]:
            i, j = i + step_i, j + step_j
            vertices.append((dx + kx * i, dy + ky * j))
    assert len(faces) == 4061 and len(vertices) > 400_000
    at = np.array(vertices)
    tiny = np.concatenate([at - 1e-6, at + 1e-6], axis=1)
    assert touching(world_atlas, tiny, buffer=0).all()


def test_the_fallback_has_the_coastline_of_natural_earth(
    world_atlas: Land, natural_earth: Land
) -> None:
    lon, lat = np.meshgrid(np.arange(-180, 180, 0.75), np.arange(-90, 84, 0.75))
    boxes = np.stack([lon, lat, lon + 0.75, lat + 0.75], axis=-1).reshape(-1, 4)
    exact = touching(natural_earth, boxes, buffer=0)
    assert 30_000 < exact.sum() < 60_000
    assert (exact & ~touching(world_atlas, boxes)).sum() == 0
    assert (touching(natural_earth, boxes) != touching(world_atlas, boxes)).sum() < 10


def one_by_one(land: Land, boxes: np.ndarray, buffer: float) -> list[bool]:
    """Each box as it stands, a turn to the left and a turn to the right, against each polygon."""
    answers = []
    for west, south, east, north in boxes.tolist():
        end = east + 360 if east < west else east
        copies = [
            shapely.box(west + k - buffer, south - buffer, end + k + buffer, north + buffer)
            for k in (-720, -360, 0, 360, 720)
        ]
        answers.append(any(polygon.intersects(c) for polygon in land.polygons for c in copies))
    return answers


# Quarters of a degree: sums are exact, so boxes that only just touch are compared too.
quarter = st.integers(0, 4).map(lambda n: n / 4)
box = st.tuples(
    st.one_of(st.integers(-800, 800).map(lambda n: n / 4), st.sampled_from([-180.0, 178, 180])),
    st.integers(-360, 340).map(lambda n: n / 4),
    st.one_of(st.integers(1, 40), st.integers(1, 1600)).map(lambda n: n / 4),
    st.integers(1, 40).map(lambda n: n / 4),
    st.booleans(),
)


@settings(deadline=None)
@given(st.lists(box, min_size=1, max_size=20), quarter)
@example([(170.0, 30.0, 10.0, 1.0, False), (180.0, -40.0, 1.0, 1.0, False)], 0.0)
@example([(-190.0, 30.0, 10.0, 1.0, False), (-180.0, -40.0, 1.0, 1.0, False)], 0.0)
def test_touching_is_each_box_against_each_polygon(
    made: list[tuple[float, float, float, float, bool]], buffer: float
) -> None:
    boxes = []
    for west, south, width, height, wrapped in made:
        east = west + width
        if wrapped and east > 180 and west <= 180 and width < 360:
            east -= 360  # the other way to write a box over the antimeridian
        boxes.append([west, south, east, south + height])
    answers = touching(SMALL_LAND, np.array(boxes), buffer)
    assert answers.dtype == np.bool_
    assert answers.tolist() == one_by_one(SMALL_LAND, np.array(boxes), buffer)


def test_touching_on_the_real_coast(land: Land) -> None:
    rng = np.random.default_rng(7)
    west, south = rng.uniform(-181, 181, 200), rng.uniform(-80, 83, 200)
    size = rng.uniform(0.05, 2, 200)
    boxes = np.stack([west, south, west + size, south + size], axis=1)
    boxes[:40, [0, 2]] += 180 - boxes[:40, [0]] - rng.uniform(0, size[:40, None])
    shapely.prepare(land.polygons)
    answers = touching(land, boxes, 0.02)
    assert answers.tolist() == one_by_one(land, boxes, 0.02)
    assert 50 < answers.sum() < 150


def test_no_boxes_and_no_land() -> None:
    assert touching(SMALL_LAND, np.empty((0, 4))).shape == (0,)
    nothing = Land(np.array([], dtype=object), "none")
    assert touching(nothing, np.array([[0.0, 0, 1, 1]])).tolist() == [False]
