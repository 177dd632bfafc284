"""A cube's history, told by its commits alone: log, blame, differences, tags."""

import pytest
from conftest import BY
from test_store import commit

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.history import (
    changes,
    commits,
    last_changes,
    month_after,
    resolve,
    tag,
)
from neve.cube.places import open_repository
from neve.errors import AskPerson, CubeMismatch


@pytest.fixture
def repository(tiny):
    cube = tiny.cube()
    build_month(tiny.plan("2024-06"), cube, Inline(), BY)
    commit(cube.begin("2024-08"), 8)
    return open_repository(tiny.store)


def test_the_log_runs_from_the_newest_commit_to_the_empty_cube(repository, tiny):
    log = list(commits(repository))
    assert [c.month for c in log] == ["2024-08", "2024-06", None, None]
    june = log[1]
    assert (june.region, june.run_id, june.code_version) == ("tiny", "test", "0")
    assert june.scenes == tuple(tiny.plan("2024-06").promised)
    assert june.parent == log[2].snapshot
    assert june.valid_fraction == pytest.approx(sum(june.counts[1:]) / sum(june.counts))
    assert [c.snapshot for c in commits(repository, june.snapshot)] == [c.snapshot for c in log[1:]]


def test_each_month_is_blamed_on_the_last_commit_that_made_it(repository, tiny):
    first = last_changes(repository)
    commit(tiny.cube().begin("2024-06"), 6)
    then = last_changes(open_repository(tiny.store))
    assert [commit.month for commit in then] == ["2024-06", "2024-08"]
    assert then[1] == first[1]
    assert then[0].snapshot != first[0].snapshot


def test_a_difference_names_months_levels_variables_and_chunks(repository, tiny):
    before = resolve(repository, "main")
    commit(tiny.cube().begin("2024-07"), 7)
    found = changes(open_repository(tiny.store), before, "main")
    assert found.months == ("2024-07",)
    whole = tuple(("2024-07", i, j) for i in range(5) for j in range(6))
    assert found.chunks == {"1x": {"red": whole}}
    with pytest.raises(AskPerson, match="older snapshot first"):
        changes(open_repository(tiny.store), "main", before)


def test_a_tag_is_made_once_and_read_by_name(repository):
    made = tag(repository, "v1")
    assert resolve(repository, "v1") == made == resolve(repository, made)
    for name in ("v1", "a/b", "main", ""):
        with pytest.raises(AskPerson, match="another name"):
            tag(repository, name)


@pytest.mark.parametrize("ref", ["nope", "", "../main", "0" * 20, "é"])
def test_an_unknown_reference_is_answered_with_those_there_are(repository, ref):
    with pytest.raises(AskPerson, match="main"):
        resolve(repository, ref)


def test_no_cube_is_said_plainly(tmp_path):
    with pytest.raises(CubeMismatch, match="neve build"):
        open_repository(str(tmp_path / "none"))


def test_months_are_counted_over_the_turn_of_a_year():
    assert [month_after("2023-11", n) for n in (0, 1, 2, 14)] == [
        "2023-11", "2023-12", "2024-01", "2025-01",
    ]  # fmt: skip
