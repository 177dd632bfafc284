"""The transaction: one commit, other writers kept, true conflicts refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import icechunk
import pytest
import zarr
from conftest import BY

from neve.build.engine import Inline
from neve.build.month import Wishes, build_month
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import s3_options
from neve.errors import CubeMismatch, MonthConflict, RegionInvalid
from neve.opened import open as open_tree


def write(fork, index, value):
    zarr.open_group(fork.store, path="1x", mode="r+")["red"][index] = value


def commit(transaction, value):
    index = transaction.cube.layout.month_index(transaction.month)
    write(transaction.fork, index, value)
    told = {"month": transaction.month, "region": transaction.cube.layout.name}
    return transaction.commit([transaction.fork], "test", told)


def months(cube):
    red = zarr.open_array(cube.repository.readonly_session("main").store, path="1x/red", mode="r")
    return red[:, 0, 0].tolist()


def test_months_committed_meanwhile_are_kept_whichever_way_the_axis_grew(tiny):
    cube = tiny.cube()
    june, august, july = cube.begin("2024-06"), cube.begin("2024-08"), cube.begin("2024-07")
    commit(august, 8)
    commit(june, 6)
    commit(july, 7)
    assert months(cube) == [6, 7, 8]


def test_a_longer_axis_is_dated_by_the_commit_alone(tiny):
    cube = tiny.cube()
    manifests = Path(tiny.store, "manifests")
    before = sorted(manifests.iterdir())
    transaction = cube.begin("2024-08")
    assert sorted(manifests.iterdir()) == before
    commit(transaction, 8)
    assert dated(tiny.store, "main") == ["2024-06-01", "2024-07-01", "2024-08-01"]


def test_what_is_staged_is_dated_for_those_who_look_on(tiny):
    tiny.cube().stage("staging.tiny.2024-07", "2024-07", lambda session: None)
    assert dated(tiny.store, "staging.tiny.2024-07") == ["2024-06-01", "2024-07-01"]


def dated(place, at):
    return [str(day)[:10] for day in open_tree(place, at)["1x"]["time"].values]


def test_writers_look_for_no_coordinates_and_leave_readers_theirs(tiny):
    cube = tiny.cube()
    mine = cube.repository.config.manifest
    assert str(mine.preload.preload_if).endswith("false()")
    stored = icechunk.Repository.fetch_config(icechunk.local_filesystem_storage(tiny.store))
    assert "|time|" in str(stored.manifest.preload.preload_if)
    assert str(stored.manifest.splitting) == str(mine.splitting)


def test_the_same_month_twice_refuses_the_loser(tiny):
    cube = tiny.cube()
    first, second = cube.begin("2024-06"), cube.begin("2024-06")
    commit(first, 1)
    with pytest.raises(MonthConflict, match="1x/red"):
        commit(second, 2)
    assert months(cube) == [1]


def test_the_loser_of_a_conflict_recomputes(tiny):
    cube, plan = tiny.cube(), tiny.plan()

    class Meddler(Inline):
        turn = 0

        def map(self, function, tasks):
            yield from map(function, tasks)
            self.turn += 1
            if self.turn == 1:
                commit(cube.begin("2024-06"), 1)

    build_month(plan, cube, Meddler(), BY)
    alone = open_tree(tiny.store)["1x/red"].load()
    build_month(plan, cube, Inline(), BY, wishes=Wishes(rebuild=True))
    assert open_tree(tiny.store)["1x/red"].identical(alone)


def test_an_abandoned_transaction_leaves_nothing(tiny):
    cube = tiny.cube()
    before = cube.tip()
    write(cube.begin("2024-06").fork, 0, 1)
    assert cube.tip() == before
    assert months(cube) == []


def test_values_that_vanish_are_deleted_by_the_next_commit(tiny):
    cube = tiny.cube()
    commit(cube.begin("2024-06"), 5)
    commit(cube.begin("2024-06"), -32768)
    assert months(cube) == [-32768]


def test_a_changed_region_is_refused_by_name(tiny):
    tiny.cube()
    tiny.file.write_text(tiny.file.read_text("utf-8").replace("resolution: 60", "resolution: 30"))
    with pytest.raises(CubeMismatch, match=r"grid.*another store"):
        tiny.cube()


def test_months_of_different_recipes_never_mix(tiny):
    tiny.cube()
    tiny.file.write_text(tiny.file.read_text("utf-8") + "method: medoid\n")
    with pytest.raises(CubeMismatch, match=r"recipe.*medoid"):
        tiny.cube()


def test_a_month_before_the_start_has_no_place(tiny):
    with pytest.raises(RegionInvalid, match="before the region's start"):
        tiny.cube().begin("2024-05")


def test_two_names_of_one_folder_share_one_lock(tiny):
    tiny.cube()
    (tiny.folder / "name").symlink_to(tiny.store)
    assert tiny.cube_at("name").lock == tiny.cube().lock


@pytest.mark.parametrize("place", ["s3", "disk"])
def test_writers_who_create_a_cube_at_once_all_get_the_same(tiny, bucket, s3_url, place):
    location = bucket if place == "s3" else str(tiny.folder)
    layout, writers = layout_of(tiny.region), 6
    for trial in range(3):

        def opened(_, where=f"{location}/new-{trial}"):
            return open_cube(where, layout, s3_options(s3_url))

        with ThreadPoolExecutor(writers) as pool:
            cubes = list(pool.map(opened, range(writers)))
        assert len({cube.tip() for cube in cubes}) == 1
        assert len(list(cubes[0].repository.ancestry(branch="main"))) == 2


def test_a_store_of_something_else_is_refused(tiny):
    import icechunk

    place = icechunk.local_filesystem_storage(tiny.store)
    session = icechunk.Repository.create(place).writable_session("main")
    zarr.create_group(session.store)
    session.commit("not a cube")
    with pytest.raises(CubeMismatch, match="no neve cube"):
        tiny.cube()


def test_a_folder_with_other_things_is_left_alone(tiny):
    folder = Path(tiny.store)
    folder.mkdir()
    tiny.cube()  # an empty folder is as good as none
    assert len(tiny.cube().history()) == 2
    other = tiny.folder / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(CubeMismatch, match="not empty"):
        open_cube(str(other), layout_of(tiny.region))
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]
