"""Where the passport of a pixel says that its values come from."""

import pytest
from conftest import BY
from patches import MONTH, cube_at, make, plan_of
from pyproj import Transformer

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.store import Cube
from neve.serving import passport as room
from neve.serving.passport import Question, passport
from neve.serving.views import Views

ALL, FAR = slice(None), slice(32, None)


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Cube:
    """The month built twice: the second time a scene had come that touches the last block."""
    folder = tmp_path_factory.mktemp("origin")
    whole = make(folder, "whole", (ALL, ALL), 1, 1)
    corner = make(folder, "corner", (FAR, FAR), 4, 4)
    made = cube_at(folder / "cube")
    for scenes in ([whole], [whole, corner]):
        build_month(plan_of(scenes), made, Inline(), BY)
    return made


def asked(cube: Cube, row: int, col: int) -> dict[str, object]:
    view, grid = Views(cube.repository, "patches").at("main"), cube.layout.grid
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5)))
    return passport(view, cube.repository, Question(lon, lat, "red", "1x", MONTH))


def test_a_pixel_comes_from_the_last_commit_that_wrote_its_chunk(cube):
    newest, before = cube.history()[:2]
    assert newest.metadata["month"] == before.metadata["month"] == MONTH
    far, near = asked(cube, 40, 40), asked(cube, 5, 5)
    assert (far["snapshot"], far["scenes"]) == (newest.id, ["corner", "whole"])
    assert (near["snapshot"], near["scenes"]) == (before.id, ["whole"])


def test_a_series_that_is_cut_holds_the_month_that_was_asked_for(cube, monkeypatch):
    later = cube.begin("2023-10")
    told = {"month": "2023-10", "region": "patches"}
    later.commit([later.fork], "an empty month", told)
    monkeypatch.setattr(room, "MOST_MONTHS", 2)
    assert [entry["month"] for entry in asked(cube, 5, 5)["series"]] == [MONTH, "2023-09"]
