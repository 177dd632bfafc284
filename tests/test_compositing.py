"""Composites against rasterio and numpy, and what counts as an observation."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from composites import BANDS, NATIVE, READS, SMALL, flat, random_scene, same, scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from images import UTM33, north_up, scene
from pyproj import Transformer
from test_median import slow_median

from neve.compositing.composite import Recipe, compose
from neve.grid import Grid, snap
from neve.scenes.values import FILL, Asset, Scene

__all__ = ["scenes"]
DROP = (0, 1, 3, 8, 9, 10)


def slow_composite(
    grid: Grid, scenes: Sequence[Scene], bands: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Median of a grid whose pixels are the scenes' own, by rasterio and numpy."""
    days: dict[str, dict[str, np.ndarray]] = {}
    for one in sorted(scenes, key=lambda one: one.id):
        planes = {}
        for band in (*bands, "scl"):
            with rasterio.open(one.assets[band].href) as image:
                whole = np.zeros(grid.shape, int)
                step = grid.resolution / image.res[0]
                rows = ((image.transform.f - grid.ys()) / image.res[1]).astype(int)
                cols = ((grid.xs() - image.transform.c) / image.res[0]).astype(int)
                assert step <= 1
                inside_r = (grid.ys() < image.bounds.top) & (rows < image.height)
                inside_c = (grid.xs() > image.bounds.left) & (cols < image.width)
                part = image.read(1)[np.ix_(rows[inside_r], cols[inside_c])]
                whole[np.ix_(inside_r, inside_c)] = part
            planes[band] = whole
        good = ~np.isin(planes["scl"], DROP)
        for band in bands:
            good &= planes[band] > (1 if one.assets[band].shift else 0)
        day = days.setdefault(one.day, {b: np.full(grid.shape, FILL, np.int16) for b in bands})
        good &= day[bands[0]] == FILL
        for band in bands:
            values = np.clip(planes[band] + one.assets[band].shift, -32767, 32767)
            day[band][good] = values[good]
    stacks = {b: np.stack([day[b] for day in days.values()]) for b in bands}
    count = (stacks[bands[0]] != FILL).sum(0)
    return {b: slow_median(stack) for b, stack in stacks.items()}, count


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_against_rasterio_and_numpy(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int
) -> None:
    """Overlapping scenes of few days, offsets and none, nodata that differs between bands."""
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("s")
    scenes = [
        random_scene(
            folder, f"s{k}", rng,
            day=f"2023-08-0{rng.integers(1, 5)}", shift=int(rng.choice([0, -1000])),
        )
        for k in range(size)
    ]  # fmt: skip
    found = compose(NATIVE, scenes, Recipe(BANDS), READS)
    bands, count = slow_composite(NATIVE, scenes, BANDS)
    np.testing.assert_array_equal(found.count, count)
    for band in BANDS:
        np.testing.assert_array_equal(found.bands[band], bands[band])


@pytest.mark.parametrize("method", ["median", "geomedian", "medoid"])
def test_the_order_of_scenes_does_not_matter(scenes: list[Scene], method: str) -> None:
    recipe = Recipe(BANDS, method=method)  # type: ignore[arg-type]
    first = compose(NATIVE, scenes, recipe)
    assert (first.count > 1).any()
    for seed in range(20):
        mixed = random.Random(seed).sample(scenes, len(scenes))
        found = compose(NATIVE, mixed, recipe)
        same(found, first)
        assert found.used == first.used


@pytest.mark.parametrize("method", ["geomedian", "medoid"])
def test_other_methods_take_the_same_observations(scenes: list[Scene], method: str) -> None:
    plain = compose(NATIVE, scenes, Recipe(BANDS))
    found = compose(NATIVE, scenes, Recipe(BANDS, method=method))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.count, plain.count)
    once = plain.count == 1
    for band in BANDS:
        np.testing.assert_array_equal(found.bands[band][once], plain.bands[band][once])
        np.testing.assert_array_equal(found.bands[band] == FILL, plain.count == 0)


@pytest.mark.parametrize("resolution", [10.0, 9.1, 23.0, 60.0])
@pytest.mark.parametrize("crs", ["EPSG:4326", UTM33, "EPSG:32634", "EPSG:3857"])
def test_pieces_equal_the_whole(scenes: list[Scene], crs: str, resolution: float) -> None:
    """Bit for bit, with the mask's cleanup, at sizes that fit neither tiles nor the map's step."""
    center = Transformer.from_crs(UTM33, crs, always_xy=True).transform(500_500, 4_999_500)
    size = resolution / 111_320 if crs == "EPSG:4326" else resolution
    n = int(1800 / resolution)
    box = (*(c - size * n / 2 for c in center), *(c + size * n / 2 for c in center))
    grid = snap(crs, size, (0.0, 0.0), box)
    recipe = Recipe(BANDS, opening=40, dilation=60)
    whole = compose(grid, scenes, recipe)
    assert whole.count.max() > 1
    for block in grid.blocks(n // 2 + 3):
        part = compose(block.grid, scenes, recipe)
        rows = slice(block.grid.row, block.grid.row + block.grid.height)
        cols = slice(block.grid.col, block.grid.col + block.grid.width)
        np.testing.assert_array_equal(part.count, whole.count[rows, cols])
        for band in BANDS:
            np.testing.assert_array_equal(part.bands[band], whole.bands[band][rows, cols])


def test_a_cloudy_first_scene_does_not_hide_a_clear_second_one(tmp_path: Path) -> None:
    """And two clear copies of one day count once: the first by id."""
    cloudy, clear = np.full((40, 40), 9, "u1"), np.full((40, 40), 4, "u1")
    cloudy[:, 20:] = 4
    pair = [flat(tmp_path, "a", 100, cloudy), flat(tmp_path, "b", 900, clear)]
    found = compose(SMALL, pair, Recipe(BANDS))
    assert (found.count == 1).all()
    assert (found.bands["red"][:, :40] == 900).all()
    assert (found.bands["red"][:, 40:] == 100).all()
    assert found.used == ("a", "b")
    other_day = compose(SMALL, [pair[0], replace(pair[1], day="2023-08-02")], Recipe(BANDS))
    assert (other_day.count[:, 40:] == 2).all()
    assert (other_day.bands["red"][:, 40:] == 500).all()


def test_min_obs_and_pixels_without_observations_are_fill(tmp_path: Path) -> None:
    classes = np.full((40, 40), 4, "u1")
    classes[:20] = 9
    days = [
        flat(tmp_path, "a", 100, classes),
        flat(tmp_path, "b", 200, np.full((40, 40), 4, "u1"), day="2023-08-02"),
    ]
    found = compose(SMALL, days, Recipe(BANDS, min_obs=2))
    assert (found.bands["nir"][:40] == FILL).all()
    assert (found.bands["nir"][40:] == 150).all()
    assert np.unique(found.count).tolist() == [1, 2]
    for none in ([], [flat(tmp_path, "c", 9, np.zeros((40, 40), "u1"))]):
        empty = compose(SMALL, none, Recipe(BANDS))
        assert (empty.bands["red"] == FILL).all()
        assert not empty.count.any()
        assert empty.used == ()
    away = compose(replace(SMALL, left=600_000), days, Recipe(BANDS))
    assert not away.count.any()


def test_the_mask_is_dilated_in_metres_at_its_own_resolution(tmp_path: Path) -> None:
    classes = np.full((40, 40), 4, "u1")
    classes[20, 20] = 8
    one = [flat(tmp_path, "a", 100, classes)]
    assert (compose(SMALL, one, Recipe(BANDS)).count == 0).sum() == 4
    assert (compose(SMALL, one, Recipe(BANDS, opening=60)).count == 0).sum() == 4
    # Radius 2 px of 20 m: 13 pixels of the SCL, 52 of the bands.
    assert (compose(SMALL, one, Recipe(BANDS, dilation=40)).count == 0).sum() == 52
    assert compose(SMALL, one, Recipe(BANDS, drop=(0, 9))).count.all()


def test_cloud_stays_out_of_an_average_whose_centre_is_clear(tmp_path: Path) -> None:
    """At 40 m each pixel holds 2 × 2 of the SCL, and 4 × 4 of the band."""
    classes = np.full((40, 40), 9, "u1")
    classes[1::2, 1::2] = 4
    one = flat(tmp_path, "a", 9000, classes)
    pixels = np.full((80, 80), 9000, "u2")
    pixels.reshape(20, 4, 20, 4)[:, 2:, :, 2:] = 300
    planes = {b: (pixels, north_up(500_000, 5_000_000, 10)) for b in BANDS}
    planes["scl"] = (classes, north_up(500_000, 5_000_000, 20))
    one = scene(tmp_path, "b", planes)
    found = compose(Grid(UTM33, 40, 500_000, 5_000_000, 20, 20), [one], Recipe(BANDS))
    assert found.count.all()
    assert (found.bands["red"] == 300).all()


REAL = Path(__file__).parents[2] / "shared" / "sentinel2-33TWL-33TWM-2023-08"


def real_scenes(tile: str) -> list[Scene]:
    made = []
    for path in sorted(REAL.glob(f"*_{tile}_*/*.json")):
        item = json.loads(path.read_text())
        when = datetime.fromisoformat(item["properties"]["datetime"])
        assets = {
            name: Asset(str(path.parent / a["href"]), 0, a["file:size"])
            for name, a in item["assets"].items() if name in ("red", "green", "nir", "scl")
        }  # fmt: skip
        made.append(Scene(item["id"], when, str(when.date()), UTM33, assets, ""))
    return made


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared")
@pytest.mark.parametrize(("tile", "top"), [("33TWM", 5_200_020), ("33TWL", 5_100_000)])
def test_real_scenes_are_exact_on_their_own_grid(tile: str, top: int) -> None:
    bands = ("red", "green", "nir")
    grid = Grid(UTM33, 120, 499_980 - 1200, top + 600, 950, 940)
    found = compose(grid, real_scenes(tile), Recipe(bands))
    expected, count = slow_composite(grid, real_scenes(tile), bands)
    assert found.count.max() >= 4
    np.testing.assert_array_equal(found.count, count)
    for band in bands:
        np.testing.assert_array_equal(found.bands[band], expected[band])
