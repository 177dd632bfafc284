"""Previews: against percentiles and eigenvectors of whole arrays, and as readers see them."""

import shutil

import numpy as np
import patches
import pytest
import xarray as xr
from conftest import BY, REGION, Tiny

from neve.build.engine import Inline, Processes
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.errors import CubeMismatch, RegionInvalid
from neve.opened import open as open_tree
from neve.parts import Visual
from neve.previews import drawing
from neve.region import load
from neve.scenes.values import SceneList

PCA = ["blue", "green", "red", "nir", "NDVI"]
KEYS = f"visual: true\npca: [{', '.join(PCA)}]\n"
LEVELS = ("1x", "2x", "4x", "16x")


def stretched(values, low, high):
    """One band, pixel by pixel."""
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 254).astype(int) + 1


def with_previews(tiny, keys=KEYS):
    tiny.file.write_text(tiny.file.read_text("utf-8") + keys, "utf-8")
    return tiny


def raw(store, name, level="1x"):
    tree = open_tree(store)
    return tree[f"{level}/{name}"][0].values


def build(tiny, engine=None):
    build_month(tiny.plan(), tiny.cube(), engine or Inline(), BY)
    return tiny.cube().history()[0].metadata["previews"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory, scenes):
    """A built cube with both previews, to be read only."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copytree(scenes, folder / "scenes")
    (folder / "tiny.yaml").write_text(REGION, "utf-8")
    tiny = with_previews(Tiny(folder))
    build(tiny)
    return tiny


def told_of(cube):
    return cube.history()[0].metadata["previews"]


def planes_of(store, names, level="1x"):
    return np.stack([raw(store, name, level) for name in names]).astype(np.float32)


def test_visual_is_stretched_from_the_percentiles_of_the_whole_region(shown):
    tiny, told = shown, told_of(shown.cube())["visual"]
    assert told["variables"] == ["red", "green", "blue"]
    native = planes_of(tiny.store, told["variables"])
    valid = np.isfinite(native).all(axis=0)
    expected = [np.percentile(plane[valid].astype(float), (2, 98)) for plane in native]
    assert np.allclose(told["stretch"], expected, rtol=0, atol=1e-9)
    for level in LEVELS:
        planes = planes_of(tiny.store, told["variables"], level)
        found = raw(tiny.store, "visual", level)
        assert found.shape == (*planes.shape[1:], 3)
        some = np.isfinite(planes).all(axis=0)
        assert np.isnan(found[~some]).all()
        for band, (low, high) in enumerate(expected):
            assert np.array_equal(found[some][:, band], stretched(planes[band][some], low, high))


def test_pca_is_that_of_the_covariance_of_all_pixels(shown):
    tiny, told = shown, told_of(shown.cube())["pca"]
    planes = planes_of(tiny.store, PCA)
    valid = np.isfinite(planes).all(axis=0)
    values = planes[:, valid].astype(np.float64)
    variances, vectors = np.linalg.eigh(np.cov(values))
    for k in range(3):
        axis = np.array(told["components"][k])
        assert abs(axis @ vectors[:, -1 - k]) == pytest.approx(1, abs=1e-9)
        assert axis[np.abs(axis).argmax()] > 0
        assert told["explained"][k] == pytest.approx(variances[-1 - k] / variances.sum())
        colour = raw(tiny.store, "pca")[valid][:, k]
        score = axis @ (values - values.mean(axis=1, keepdims=True))
        rank = score.argsort().argsort() / (len(score) - 1)
        # Equalised: a colour is the pixel's rank, up to the knots' distance
        assert np.abs((colour - 1) / 254 - rank).max() < 1 / 32
    for level in LEVELS:
        some = np.isfinite(planes_of(tiny.store, PCA, level)).all(axis=0)
        assert np.array_equal(np.isfinite(raw(tiny.store, "pca", level)).all(axis=-1), some)


def test_workers_and_repetitions_give_the_same_bytes(shown, tiny):
    build(with_previews(tiny), Processes(2))
    assert told_of(tiny.cube()) == told_of(shown.cube())
    for name in ("visual", "pca"):
        assert np.array_equal(raw(tiny.store, name), raw(shown.store, name), equal_nan=True)


def test_large_regions_are_sampled_from_a_coarser_level(tiny, monkeypatch):
    monkeypatch.setattr(drawing, "SAMPLE", 3 * 42 * 38)
    coarse = build(with_previews(tiny))["visual"]["stretch"]
    planes = planes_of(tiny.store, ["red", "green", "blue"], "2x")
    valid = np.isfinite(planes).all(axis=0)
    assert np.allclose(coarse, [np.percentile(p[valid].astype(float), (2, 98)) for p in planes])
    monkeypatch.setattr(drawing, "SAMPLE", 3 * 10)
    build_month(tiny.plan(), tiny.cube_at("other"), Inline(), BY)
    told = tiny.cube_at("other").history()[0].metadata["previews"]["visual"]["stretch"]
    planes = planes_of(tiny.store, ["red", "green", "blue"], "16x")[:, ::2, ::2]
    valid = np.isfinite(planes).all(axis=0)
    assert np.allclose(told, [np.percentile(p[valid].astype(float), (2, 98)) for p in planes])


def test_a_fixed_stretch_and_other_bands(tiny):
    keys = "visual: {bands: [nir, red, NDVI], stretch: [0, 0.5]}\n"
    told = build(with_previews(tiny, keys))
    assert set(told) == {"visual"}
    assert told["visual"]["stretch"] == [[0, 0.5]] * 3
    planes = planes_of(tiny.store, ["nir", "red", "NDVI"])
    some = np.isfinite(planes).all(axis=0)
    for band in range(3):
        shown = raw(tiny.store, "visual")[some][:, band]
        assert np.array_equal(shown, stretched(planes[band][some], 0, 0.5))


def test_a_block_left_out_later_has_no_picture(tiny):
    with_previews(tiny)
    build(tiny)
    assert np.isfinite(raw(tiny.store, "visual")[:32, :32]).any()
    plan = tiny.plan()
    scenes = SceneList(plan.works[0].scenes, (), plan.fingerprint)
    less = plan_month(plan.region, plan.month, scenes, [w.block for w in plan.works[1:]])
    build_month(less, tiny.cube(), Inline(), BY)
    for name in ("visual", "pca"):
        assert np.isnan(raw(tiny.store, name)[:32, :32]).all()
        assert np.isnan(raw(tiny.store, name, "16x")[:2, :2]).all()
        assert np.isfinite(raw(tiny.store, name)[:32, 32:64]).any()


@pytest.mark.parametrize(("stretch", "chunks"), [((0.0, 0.5), 4), (None, 16)])
def test_an_updated_month_has_the_pictures_of_one_built_at_once(tmp_path, stretch, chunks):
    picture = Visual(bands=("red", "red", "red"), stretch=stretch)
    region = patches.REGION.model_copy(update={"visual": picture})
    everywhere = patches.make(tmp_path, "whole", (slice(None), slice(None)), 1, 1)
    corner = patches.make(tmp_path, "corner", (slice(0, 32), slice(0, 32)), 2, 2)
    cube = patches.cube_at(tmp_path / "updated", region)
    first = build_month(patches.plan_of([everywhere], region), cube, Inline(), BY)
    then = build_month(patches.plan_of([everywhere, corner], region), cube, Inline(), BY)
    assert then.recomputed == 1
    other = patches.cube_at(tmp_path / "at once", region)
    build_month(patches.plan_of([everywhere, corner], region), other, Inline(), BY)
    assert patches.contents(cube) == patches.contents(other)
    diff = cube.repository.diff(from_snapshot_id=first.snapshot, to_snapshot_id=then.snapshot)
    assert len(diff.updated_chunks["/1x/visual"]) == chunks


def test_plain_xarray_reads_three_bands_of_bytes(shown):
    store = shown.cube().repository.readonly_session("main").store
    level = xr.open_zarr(store, group="4x", consolidated=False, mask_and_scale=False)
    assert level["visual"].dims == ("time", "y", "x", "rgb")
    assert level["visual"].dtype == np.uint8
    assert level["visual"].attrs["grid_mapping"] == "spatial_ref"
    assert level["visual"].attrs["_FillValue"] == 0


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("visual: {bands: [red, green, swir16]}", "swir16"),
        ("visual: {bands: [red, green, blue], strech: [0, 1]}", "did you mean 'stretch'"),
        ("visual: {stretch: [1, 0]}", "rising"),
        ("pca: [red, green]", "three or more"),
        ("pca: [red, green, green]", "each once"),
        ("pca: [red, green, NDIV]", "did you mean 'NDVI'"),
    ],
)
def test_a_mistake_names_the_key_and_the_fix(tiny, keys, named):
    with_previews(tiny, keys)
    with pytest.raises(RegionInvalid, match=named):
        load(tiny.file)


def test_previews_belong_to_the_cube(tiny):
    tiny.cube()
    with_previews(tiny)
    with pytest.raises(CubeMismatch, match=r"previews.*another store"):
        open_cube(tiny.store, layout_of(tiny.region))
