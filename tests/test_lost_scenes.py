"""Reads that fail: passing trouble leaves no trace, a lost scene is told of or fails the block."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from composites import BANDS, NATIVE, READS, same, scenes
from flaky_server import flaky, served

from neve.compositing.composite import Recipe, compose
from neve.errors import BlockFailed
from neve.scenes.values import Asset, Scene

__all__ = ["scenes"]


def folder_of(scenes: Sequence[Scene]) -> Path:
    return Path(scenes[0].assets["scl"].href).parent.parent


@pytest.mark.parametrize("mode", ["500", "reset", "short", "garbled", "html"])
def test_passing_trouble_leaves_no_trace(scenes: list[Scene], mode: str) -> None:
    with flaky(folder_of(scenes), mode, failures=1) as server:
        found = compose(NATIVE, served(scenes, folder_of(scenes), server.url), Recipe(BANDS), READS)
    same(found, compose(NATIVE, scenes, Recipe(BANDS)))
    assert found.lost == ()


@pytest.mark.parametrize("name", ["scl", "red", "nir"])
def test_a_failed_read_fails_the_block_and_names_scene_and_url(
    scenes: list[Scene], name: str
) -> None:
    with flaky(folder_of(scenes), "500", failures=999, only=f"s3/{name}") as server:
        items = served(scenes, folder_of(scenes), server.url)
        with pytest.raises(BlockFailed, match=rf"s3.*{server.url}/s3/{name}\.tif.*HTTP 500"):
            compose(NATIVE, items, Recipe(BANDS), READS)


@pytest.mark.parametrize("method", ["median", "medoid"])
@pytest.mark.parametrize(
    ("name", "gone"), list(itertools.product(["scl", "red", "nir"], ["s2", "s3"]))
)
def test_a_lost_scene_is_as_if_it_had_not_been_there(
    scenes: list[Scene], name: str, gone: str, method: str
) -> None:
    """Also when its last band fails, after others went into medians: no trace but in ``lost``."""
    recipe = Recipe(BANDS, max_lost=1, method=method)  # type: ignore[arg-type]
    with flaky(folder_of(scenes), "500", failures=999, only=f"{gone}/{name}") as server:
        items = served(scenes, folder_of(scenes), server.url)
        found = compose(NATIVE, items, recipe, READS)
        url = f"{server.url}/{gone}/{name}.tif"
    ((lost, where, reason),) = found.lost
    assert (lost, where) == (gone, url)
    assert "HTTP 500" in reason
    assert gone not in found.used
    same(found, compose(NATIVE, [one for one in scenes if one.id != gone], recipe))


def test_more_losses_than_allowed_fail_the_block(scenes: list[Scene]) -> None:
    broken = [
        replace(one, assets={**one.assets, "nir": Asset("/nowhere/nir.tif")})
        if one.id in ("s1", "s4") else one
        for one in scenes
    ]  # fmt: skip
    with pytest.raises(BlockFailed, match=r"/nowhere/nir\.tif"):
        compose(NATIVE, broken, Recipe(BANDS, max_lost=1))
    found = compose(NATIVE, broken, Recipe(BANDS, max_lost=2))
    assert [lost[0] for lost in found.lost] == ["s1", "s4"]


def test_a_truncated_file_is_no_nodata(tmp_path: Path, scenes: list[Scene]) -> None:
    data = Path(scenes[0].assets["nir"].href).read_bytes()
    (tmp_path / "nir.tif").write_bytes(data[: len(data) * 2 // 3])
    assets = {**scenes[0].assets, "nir": Asset(str(tmp_path / "nir.tif"))}
    with pytest.raises(BlockFailed, match="truncated"):
        compose(NATIVE, [replace(scenes[0], assets=assets), *scenes[1:]], Recipe(BANDS))
