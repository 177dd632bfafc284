"""Which indices a cube stores, what it counts of them, and how their overviews are made."""

import numpy as np
import pytest
import zarr
from cubes import ELEVEN, make, region

import neve
from neve.cube.layout import layout_of
from neve.cube.places import open_repository
from neve.cube.reader import variables
from neve.errors import RegionInvalid
from neve.indices import DEFAULT_DOZEN, aliases, compute
from neve.scenes.values import FILL


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> str:
    return make(
        tmp_path_factory.mktemp("cubes"), "all", "[all, {MINE: '(nir) / red'}, {MORE: 'N + 2 * R'}]"
    )


def test_equal_indices_are_stored_once_and_read_under_every_name(everything):
    session = open_repository(everything).readonly_session("main")
    root = zarr.open_group(session.store, mode="r")
    told = root.attrs["neve"]
    arrays = set(root["1x"].array_keys())
    assert len(told["indices"]) == 231 and len(told["aliases"]) >= 29
    assert told["aliases"]["TSAVI"] == "NDVI" and told["aliases"]["MINE"] == "SAVI2"
    assert not arrays & set(told["aliases"])
    assert set(told["aliases"].values()) < arrays
    tree = neve.open(everything)
    found = {v.name: v for v in variables(tree)}
    assert set(told["indices"]) < set(found)
    assert {v.name for v in found.values() if v.kind == "alias"} == set(told["aliases"])
    for name, first in told["aliases"].items():
        assert found[name].attributes["alias_of"] == first
        assert found[name].attributes["formula"] == told["indices"][name][0]
        assert tree["4x"][name].variable.equals(tree["4x"][first].variable)


def test_aliases_are_equal_on_any_reflectance_and_others_are_not(tmp_path):
    """Decided by the tree, proven by evaluating every index on its own."""
    indices = region(tmp_path, "all", "all").index_values()
    rng = np.random.default_rng(9)
    stored = {b: rng.integers(-400, 12000, 5000).astype(np.int16) for b in ELEVEN}
    for band in stored.values():
        band[rng.random(5000) < 0.05] = FILL
        band[rng.random(5000) < 0.02] = 0
    values = {i.name: compute([i], stored)[i.name].tobytes() for i in indices}
    repeats = aliases(indices)
    assert all(values[name] == values[first] for name, first in repeats.items())
    distinct = [values[i.name] for i in indices if i.name not in repeats]
    assert len(set(distinct)) == len(distinct)


def test_pixels_without_a_value_are_counted_where_their_bands_are_there(everything):
    tree = neve.open(everything, derived=False)
    invalid = tree["blocks/invalid"].sel(time="2024-06-01")
    native = tree["1x"].to_dataset().isel(time=0).load()
    assert invalid.sum() > 10_000
    for name in invalid["index"].values:
        index = native[str(name)]
        there = native["red"].notnull()  # all bands of these pixels have the same gaps
        none = (there & index.isnull()).values
        for i, j in np.ndindex(invalid.shape[:2]):
            block = none[i * 64 : i * 64 + 64, j * 64 : j * 64 + 64]
            assert invalid.sel(index=name).values[i, j] == block.sum(), name


def test_a_region_stores_a_dozen_unless_it_says_otherwise(tmp_path):
    names = [i.name for i in layout_of(region(tmp_path, "dozen", "default")).stored]
    assert sorted(names) == sorted(DEFAULT_DOZEN)


def test_a_stored_index_is_read_under_its_other_names_too(tmp_path):
    store = make(tmp_path, "few", "[NDVI, {MINE: '2 * N - R'}]", bands=("red", "nir"))
    tree = neve.open(store)
    kinds = {v.name: v for v in variables(tree)}
    assert kinds["NDVI"].kind == kinds["MINE"].kind == "stored"
    assert kinds["TSAVI"].kind == "alias" and kinds["TSAVI"].attributes["alias_of"] == "NDVI"
    assert kinds["TSAVI"].attributes["long_name"] != kinds["NDVI"].attributes["long_name"]
    assert kinds["DVI"].kind == "derived" and "EVI" not in kinds
    np.testing.assert_array_equal(tree["2x"]["TSAVI"], tree["2x"]["NDVI"])
    alone = make(tmp_path, "alone", "[]", bands=("coastal",))
    assert [v.name for v in variables(neve.open(alone))] == ["coastal", "count", "valid_fraction"]


def cells(native: np.ndarray, factor: int, reduce) -> np.ndarray:
    """The slow, obvious way: each cell's valid pixels through ``reduce``, else NaN."""
    height, width = (-(-size // factor) for size in native.shape)
    found = np.full((height, width), np.nan)
    for i, j in np.ndindex(found.shape):
        cell = native[i * factor : i * factor + factor, j * factor : j * factor + factor]
        if np.isfinite(cell).any():
            found[i, j] = reduce(cell[np.isfinite(cell)])
    return found


METHODS = "overview_methods: {NDVI: mean, SR: mean, red: max, nir: median, count: sum}"


def test_overviews_of_a_variable_are_made_as_the_region_says(tmp_path):
    choice = "[NDVI, TSAVI, SR, SAVI, EVI]"
    store = make(tmp_path, "means", choice, METHODS, bands=("blue", "red", "nir"))
    tree = neve.open(store)
    native = {n: v.values[0] for n, v in tree["1x"].items() if v.ndim == 3}
    ways = {"NDVI": np.mean, "SR": np.mean, "red": np.max, "nir": np.median, "count": np.sum}
    for factor in (2, 4, 16):
        level = tree[f"{factor}x"]
        for name, reduce in ways.items():
            expected = cells(native[name].astype(np.float64), factor, reduce)
            off = 1e-6 * np.nanmax(np.abs(expected)) if name == "SR" else 0.500001e-4
            np.testing.assert_allclose(level[name].values[0], expected, atol=off)
            assert level[name].attrs["overview_method"] == reduce.__name__.replace("amax", "max")
        bands = {b: level[b].values[0] for b in ("red", "nir")}
        savi = 2 * (bands["nir"] - bands["red"]) / (bands["nir"] + bands["red"] + 1)
        there = np.isfinite(level["SAVI"].values[0])
        np.testing.assert_allclose(level["SAVI"].values[0][there], savi[there], atol=1e-4)
    kinds = {v.name: v.kind for v in variables(tree)}
    assert kinds["TSAVI"] == "stored"  # NDVI's mean at coarser levels is another thing
    assert not tree["2x"]["TSAVI"].variable.equals(tree["2x"]["NDVI"].variable)


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ("{NDVI: max}", "NDVI cannot be max"),
        ("{red: sum}", "a sum of red"),
        ("{EVI: mean}", "'EVI' is no band, stored index or count"),
        ("{red: average}", "overview_methods.red"),
    ],
)
def test_a_method_that_means_nothing_is_refused(tmp_path, methods, said):
    with pytest.raises(RegionInvalid, match=said):
        region(tmp_path, "wrong", "[NDVI]", f"overview_methods: {methods}", ("red", "nir"))
