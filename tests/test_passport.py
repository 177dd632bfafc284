"""Where the passport of a pixel says that its values come from."""

import gc

import pytest
import zarr
from conftest import BY
from patches import MONTH, REGION, cube_at, make, plan_of
from pyproj import Transformer

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube import tidying
from neve.cube.history import Commit
from neve.cube.store import Cube
from neve.region import Region
from neve.serving import counting
from neve.serving import passport as origins
from neve.serving.passport import Question, passport
from neve.serving.views import View, Views

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


def at(cube: Cube, row: int, col: int, view: View | None = None) -> dict[str, object]:
    view, grid = view or Views(cube.repository, "patches").at("main"), cube.layout.grid
    to_lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5)))
    return passport(view, Question(lon, lat, "red", "1x", MONTH))


def far_chunk(cube: Cube, month: str, region: str = "patches") -> None:
    """Publish a month of which there is but the last chunk."""
    later = cube.begin(month)
    red = zarr.open_group(later.fork.store, path="1x", mode="r+")["red"]
    red[cube.layout.month_index(month), -1, -1] = len(region)
    later.commit([later.fork], "a chunk", {"month": month, "region": region})


def tidy_now(cube: Cube) -> None:
    """As if the newest commit were exactly as old as is kept."""
    soon = cube.history()[0].written_at + tidying.LEAST
    tidying.tidy(cube.repository, tidying.LEAST, soon, cube.lock)


def test_a_pixel_comes_from_the_last_commit_that_wrote_its_chunk(cube):
    newest, before = cube.history()[:2]
    assert newest.metadata["month"] == before.metadata["month"] == MONTH
    far, near = at(cube, 40, 40), at(cube, 5, 5)
    assert (far["snapshot"], far["scenes"]) == (newest.id, ["corner", "whole"])
    assert (near["snapshot"], near["scenes"]) == (before.id, ["whole"])
    assert far["upto"] is near["upto"] is None


def test_what_was_tidied_away_is_unknown_unless_there_is_but_one_that_it_can_be(tmp_path):
    whole = make(tmp_path, "whole", (ALL, ALL), 1, 1)
    corner = make(tmp_path, "corner", (FAR, FAR), 4, 4)
    made = cube_at(tmp_path / "cube")
    build_month(plan_of([whole]), made, Inline(), BY)
    far_chunk(made, "2023-09")
    tidy_now(made)
    september = made.tip()
    near = at(made, 5, 5)  # there was but one
    assert (near["snapshot"], near["scenes"], near["upto"]) == (september, ["whole"], september)
    build_month(plan_of([whole, corner]), made, Inline(), BY)
    again = made.tip()
    far, near = at(made, 40, 40), at(made, 5, 5)
    assert (far["snapshot"], far["scenes"]) == (again, ["corner", "whole"])
    assert (near["snapshot"], near["scenes"]) == (september, ["whole"])
    view = Views(made.repository, "patches").at("main")
    tidy_now(made)
    for origin in (at(made, 5, 5), at(made, 5, 5, view), at(made, 40, 40, view)):  # either of two
        assert (origin["snapshot"], origin["run_id"], origin["scenes"]) == (None, None, [])
        assert origin["upto"] == again
    far_chunk(made, "2023-10")
    tidy_now(made)  # now the last one speaks for both
    near = at(made, 5, 5)
    assert (near["snapshot"], near["scenes"]) == (made.tip(), ["corner", "whole"])
    assert near["upto"] == made.tip()


def test_in_a_zone_s_cube_no_region_is_told_as_another_s(tmp_path):
    told = REGION.model_dump(by_alias=True, exclude_unset=True, exclude={"crs"})
    zone = Region.model_validate(told | {"grid": {"utm-zone": 33}})
    made = cube_at(tmp_path / "cube", zone)
    for name in ("near", "further"):
        far_chunk(made, MONTH, name)
    far_chunk(made, "2023-09")
    tidy_now(made)
    told = at(made, 5, 5)
    assert (told["snapshot"], told["run_id"], told["upto"]) == (None, None, made.tip())


def test_a_series_that_is_cut_holds_the_month_that_was_asked_for(cube, monkeypatch):
    far_chunk(cube, "2023-10")
    monkeypatch.setattr(counting, "MOST_MONTHS", 2)
    assert [entry["month"] for entry in at(cube, 5, 5)["series"]] == [MONTH, "2023-09"]


def test_a_month_that_was_rebuilt_often_is_looked_through_so_far_and_no_further(
    tmp_path, monkeypatch
):
    made = cube_at(tmp_path / "cube")
    whole = make(tmp_path, "whole", (ALL, ALL), 1, 1)
    built = build_month(plan_of([whole]), made, Inline(), BY).snapshot
    for name in ("first", "second", "third"):
        far_chunk(made, MONTH, name)
    _, second, first = [commit.id for commit in made.history()[:3]]
    asked, real = [], origins.changes
    monkeypatch.setattr(origins, "changes", lambda *args: asked.append(args) or real(*args))
    for most, found in ((0, (None, made.tip())), (1, (None, second)), (2, (None, first))):
        monkeypatch.setattr(origins, "MOST_REBUILDS", most)
        origins._touched.cache_clear()
        asked.clear()
        told = at(made, 5, 5)
        assert (told["snapshot"], told["upto"]) == found
        assert len(asked) == most
    for most in (3, 4):  # beyond three there is but one that it can be
        monkeypatch.setattr(origins, "MOST_REBUILDS", most)
        told = at(made, 5, 5)
        assert (told["snapshot"], told["scenes"], told["upto"]) == (built, ["whole"], None)


def test_an_opened_version_keeps_no_commits(cube):
    def kept() -> list[Commit]:
        gc.collect()
        return [found for found in gc.get_objects() if type(found) is Commit]

    before = kept()  # other tests' caches hold some, and may let go of them meanwhile
    view = Views(cube.repository, "patches").at("main")
    assert view.variables["count"].range == (0.0, 2.0)
    assert {id(commit) for commit in kept()} <= {id(commit) for commit in before}
