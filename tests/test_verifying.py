"""neve verify: silent on a sound cube, and each broken promise is found where it is broken."""

import json

import numpy as np
import pytest
import zarr
from conftest import BY

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.places import open_repository
from neve.cube.verifying import verify
from neve.errors import AskPerson


@pytest.fixture
def repository(tiny):
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    return open_repository(tiny.store)


def findings(repository):
    return [finding for finding in verify(repository, "main") if finding is not None]


def test_a_sound_cube_has_no_findings(repository, tiny, neve):
    seen = list(verify(repository, "main"))
    assert seen == [None] * 9
    assert neve("verify", tiny.store)[0] == 0


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("1x/red", -32768, ("1x", "red")),
        ("1x/red", 123, ("2x", "red")),
        ("1x/NDVI", 1, ("1x", "NDVI")),
        ("4x/NDVI", 1, ("4x", "NDVI")),
        ("4x/nir", 77, ("4x", "nir")),
        ("16x/valid_fraction", 0.25, ("16x", "valid_fraction")),
        ("1x/valid_fraction", 0.5, ("1x", "valid_fraction")),
        ("1x/count", 0, ("1x", "count")),
        ("4x/count", 0.5, ("4x", "count")),
    ],
)
def test_one_wrong_value_is_found(repository, path, value, where):
    session = repository.writable_session("main")
    array = zarr.open_group(session.store, mode="r+")[path]
    # A pixel with data, so that each of these values is a change.
    _, row, col = np.argwhere(
        zarr.open_array(session.store, path=f"{path.split('/')[0]}/count")[:]
    )[0]
    array[0, row, col] = value
    session.commit("by hand")
    found = findings(repository)
    assert where in {(finding.level, finding.variable) for finding in found}
    assert {finding.month for finding in found} == {"2024-06"}


@pytest.mark.parametrize("level", ["1x", "4x"])
def test_a_wrong_value_of_an_index_that_is_pooled_is_found(tiny, level):
    text = tiny.file.read_text("utf-8") + "overview_methods: {NDVI: mean}\n"
    tiny.file.write_text(text)
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    repository = open_repository(tiny.store)
    assert not findings(repository)
    session = repository.writable_session("main")
    zarr.open_group(session.store, mode="r+")[f"{level}/NDVI"][:] = 1
    session.commit("by hand")
    assert (level, "NDVI") in {(found.level, found.variable) for found in findings(repository)}


@pytest.mark.parametrize(("path", "value"), [("1x/visual", 0), ("4x/visual", 7), ("4x/pca", 7)])
def test_a_wrong_preview_is_found(tiny, path, value):
    tiny.file.write_text(
        tiny.file.read_text("utf-8") + "visual: true\npca: [red, nir, NDVI, EVI]\n"
    )
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    repository = open_repository(tiny.store)
    assert not findings(repository)
    session = repository.writable_session("main")
    zarr.open_group(session.store, mode="r+")[path][:] = value
    session.commit("by hand")
    level, name = path.split("/")
    assert {(found.level, found.variable) for found in findings(repository)} == {(level, name)}


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("status", 3, "valid_fraction"),
        ("valid_pixels", 1, "valid_fraction"),
        ("observations", 9, "count"),
    ],
)
def test_a_wrong_record_is_found(repository, name, value, where):
    session = repository.writable_session("main")
    zarr.open_group(session.store, path="blocks", mode="r+")[name][0, 1, 1] = value
    session.commit("by hand")
    assert where in {finding.variable for finding in findings(repository)}


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_damaged_chunk_is_found(tiny, neve, lost):
    # Smaller chunks would lie within their manifests.
    text = tiny.file.read_text("utf-8").replace("block: 32", "block: 64")
    tiny.file.write_text(text.replace("chunk: 16", "chunk: 64"), "utf-8")
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    chunk = max((tiny.folder / "cube" / "chunks").iterdir(), key=lambda p: p.stat().st_size)
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    chunk.unlink() if lost else chunk.write_bytes(damaged)
    code, told = neve("verify", tiny.store, "--json")
    found = json.loads(told)["findings"]
    assert code == 1
    assert found
    if lost:
        assert "cannot be read" in found[0]["what"]


def test_a_tag_is_made_and_an_unknown_one_asked_about(repository, tiny, neve):
    code, told = neve("tag", tiny.store, "v1", "--json")
    assert code == 0
    assert json.loads(told)["tags"][0]["snapshot"] == repository.lookup_branch("main")
    assert neve("verify", tiny.store, "--at", "v1")[0] == 0
    assert neve("tag", tiny.store, "v1")[0] == 3
    with pytest.raises(AskPerson):
        list(verify(repository, "v2"))
