"""Embedding cubes against numpy, pixel by pixel."""

import json
import shutil
from datetime import timedelta

import numpy as np
import pytest
import xarray as xr
from conftest import PROJECT
from embedding_tiles import (
    BANDS,
    TILES,
    TOP,
    YEAR,
    consolidated,
    folder,
    opened,
    small,
    write_tile,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from neve.build.engine import Processes
from neve.cube import store
from neve.embeddings import vectors
from neve.errors import CubeMismatch, MonthConflict

__all__ = ["folder", "small"]


SCHEMAS = PROJECT.parent / "shared" / "geozarr"


def mosaic(folder):
    """(values, scales) of everything, pixel by pixel the first tile that has it; and its corner."""
    first_col = min(c for c, *_ in TILES.values())
    first_row = min(r for _, r, *_ in TILES.values())
    width = max(c + w for c, _, w, _ in TILES.values()) - first_col
    height = max(r + h for _, r, _, h in TILES.values()) - first_row
    values = np.zeros((height, width, BANDS), np.int8)
    scales = np.full((height, width), np.nan, np.float32)
    for name in sorted(TILES):
        col, row, *_ = TILES[name]
        tile_values, tile_scales = write_tile(folder, name)
        for i, j in np.argwhere(np.isfinite(tile_scales)):
            place = row - first_row + i, col - first_col + j
            if np.isnan(scales[place]):
                values[place], scales[place] = tile_values[i, j], tile_scales[i, j]
    return values, scales, (first_row, first_col)


def window_of(found, factor):
    level = found.window.level(factor)
    return slice(level.row, level.row + level.height), slice(level.col, level.col + level.width)


def native(found, root, name):
    return root["1x"][name][0, *window_of(found, 1)]


def test_every_pixel_is_that_of_the_first_tile_that_has_it(folder, small, tmp_path):
    found, report = consolidated(folder, tmp_path / "cube")
    values, scales, _ = mosaic(folder)
    _, root = opened(tmp_path / "cube")
    left, _, _, top = found.window.bounds
    col = round((50_395 * 10 + 7 - left) / 10)
    row = round((top - (TOP - 480_000 * 10)) / 10)
    part = slice(row, row + len(values)), slice(col, col + values.shape[1])
    assert np.array_equal(native(found, root, "scales")[part], scales, equal_nan=True)
    assert np.array_equal(native(found, root, "embeddings")[part], values)
    assert report.valid_pixels == np.isfinite(scales).sum() > 10_000
    assert np.isfinite(native(found, root, "scales")).sum() == report.valid_pixels


def test_levels_are_means_of_native_vectors_within_half_a_scale(folder, small, tmp_path):
    found, _ = consolidated(folder, tmp_path / "cube")
    _, root = opened(tmp_path / "cube")
    values, scales = (native(found, root, name) for name in ("embeddings", "scales"))
    vector = values.astype(np.float64) * scales[..., None]
    for factor in found.factors:
        group = root[f"{factor}x"]
        there = group["scales"][0, *window_of(found, factor)]
        shown = group["embeddings"][0, *window_of(found, factor)].astype(float) * there[..., None]
        cells = vector.reshape(len(shown), factor, shown.shape[1], factor, BANDS)
        some = np.isfinite(cells[..., 0]).any(axis=(1, 3))
        assert np.array_equal(np.isfinite(there), some)
        for i, j in np.argwhere(some):
            mean = np.nanmean(cells[i, :, j].reshape(-1, BANDS), axis=0)
            assert np.abs(shown[i, j] - mean).max() <= there[i, j] * 0.5001


def test_arrays_are_as_promised_and_xarray_opens_them(folder, tmp_path):
    found, _ = consolidated(folder, tmp_path / "cube")
    repository, root = opened(tmp_path / "cube")
    embeddings = root["1x/embeddings"]
    assert embeddings.dtype == np.int8
    assert embeddings.chunks == (1, 1024, 1024, BANDS)
    assert embeddings.compressors == ()
    assert root["1x/scales"].dtype == np.float32
    assert np.isnan(root["1x/scales"].fill_value)
    store = repository.readonly_session("main").store
    tree = xr.open_datatree(store, engine="zarr", consolidated=False)
    level = tree["4x"]
    assert level["embeddings"].dims == ("time", "y", "x", "band")
    assert level["visual"].dims == level["pca"].dims == ("time", "y", "x", "rgb")
    assert str(level.time.values[0])[:10] == "2024-01-01"
    assert level.time.attrs["bounds"] == "time_bnds"
    assert np.allclose(np.diff(level.x.values), 40)
    assert found.grid.shape[0] > 1_000_000
    history = list(repository.ancestry(branch="main"))
    assert len(history) == 2  # Icechunk's own, and one with everything
    assert history[0].metadata["tiles"] == sorted(TILES)


def test_previews_are_those_of_the_dequantised_vectors(folder, small, tmp_path):
    found, _ = consolidated(folder, tmp_path / "cube")
    repository, root = opened(tmp_path / "cube")
    told = next(iter(repository.ancestry(branch="main"))).metadata["previews"]
    values, scales = (native(found, root, name) for name in ("embeddings", "scales"))
    planes = np.moveaxis(values.astype(np.float32) * scales[..., None], -1, 0)
    valid = np.isfinite(scales)
    expected = [np.percentile(plane[valid].astype(float), (2, 98)) for plane in planes[:3]]
    assert np.allclose(told["visual"]["stretch"], expected)
    _, axes = np.linalg.eigh(np.cov(planes[:, valid].astype(float)))
    for k in range(3):
        assert abs(axes[:, -1 - k] @ told["pca"]["components"][k]) == pytest.approx(1, abs=1e-6)
    shown = native(found, root, "visual")
    low, high = expected[0]
    share = np.clip((planes[0][valid].astype(float) - low) / (high - low), 0, 1)
    assert np.array_equal(shown[valid][:, 0], np.rint(share * 254) + 1)
    for level in ("1x", "4x", "16x", "64x"):
        factor = int(level[:-1])
        some = np.isfinite(root[level]["scales"][0, *window_of(found, factor)])
        for name in ("visual", "pca"):
            picture = root[level][name][0, *window_of(found, factor)]
            assert ((picture > 0).all(axis=-1) == some).all()
            assert ((picture == 0).all(axis=-1) == ~some).all()


def test_made_anew_it_is_the_same_and_another_cube_is_left_alone(folder, tmp_path):
    consolidated(folder, tmp_path / "cube", (4,))
    _, before = opened(tmp_path / "cube")
    shutil.rmtree(folder / "global_0.1_degree_representation" / str(YEAR) / "grid_15.35_46.95")
    found, _ = consolidated(folder, tmp_path / "cube", (4,), Processes(2))
    repository, after = opened(tmp_path / "cube")
    tip = repository.lookup_branch("main")
    rows, cols = window_of(found, 1)
    old = before["1x/scales"][0, rows, slice(cols.start, 50_655)]
    new = after["1x/scales"][0, rows, slice(cols.start, 50_655)]
    assert np.array_equal(old, new, equal_nan=True)
    assert np.isnan(after["1x/scales"][0, rows, 50_661:50_700]).all()
    with pytest.raises(CubeMismatch, match="another store"):
        consolidated(folder, tmp_path / "cube", (4, 16))
    assert repository.lookup_branch("main") == tip


def test_an_attempt_that_took_too_long_is_refused(folder, small, tmp_path, monkeypatch):
    consolidated(folder, tmp_path / "cube")
    repository, _ = opened(tmp_path / "cube")
    tip = repository.lookup_branch("main")
    monkeypatch.setattr(store, "LONGEST", timedelta(microseconds=1))
    with pytest.raises(MonthConflict, match="longer than 0 days"):
        consolidated(folder, tmp_path / "cube")
    assert repository.lookup_branch("main") == tip


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the GeoZarr schemas are in ../shared")
def test_metadata_validates_against_the_published_schemas(folder, tmp_path):
    import jsonschema

    consolidated(folder, tmp_path / "cube", (4,))
    _, root = opened(tmp_path / "cube")
    for name in ("proj", "spatial", "multiscales"):
        text = (SCHEMAS / f"{name}-v0.1.json").read_text("utf-8")
        schema = json.loads(text)
        for online in {w for w in text.split('"') if w.endswith("projjson.schema.json")}:
            schema = json.loads(json.dumps(schema).replace(f'{{"$ref": "{online}"}}', "{}"))
        for node in [root, *(g for _, g in root.groups())] if name != "multiscales" else [root]:
            attributes = node.attrs.asdict()
            document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            jsonschema.validate(document, schema)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(2,), (4, 8), (2, 4, 8), ()]))
def test_coarser_vectors_are_exact_means_of_what_is_valid(seed, factors):
    generator = np.random.default_rng(seed)
    values = generator.integers(-128, 128, (16, 8, 4)).astype(np.int8)
    scales = generator.uniform(1e-3, 0.5, (16, 8)).astype(np.float32)
    scales[generator.random((16, 8)) < generator.random()] = np.nan
    levels = vectors.coarser(values, scales, factors)
    assert len(levels) == len(factors)
    for factor, (found, found_scales) in zip(factors, levels, strict=True):
        for i in range(16 // factor):
            for j in range(8 // factor):
                part = np.s_[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
                known = np.isfinite(scales[part])
                if not known.any():
                    assert np.isnan(found_scales[i, j])
                    assert not found[i, j].any()
                    continue
                mean = (values[part][known] * scales[part][known][:, None].astype(float)).mean(0)
                off = np.abs(found[i, j] * float(found_scales[i, j]) - mean)
                assert off.max() <= 0.5001 * found_scales[i, j]


def test_vectors_of_zeros_stay_data():
    values, scales = vectors.quantised(np.zeros((1, 2, 3)), np.array([[True, False]]))
    assert not values.any()
    assert np.isfinite(scales).tolist() == [[True, False]]
