"""Values: against spyndex in float64, kernel against plain numpy, nodata and counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from indices_oracle import by_spyndex, by_tree

from neve.indices import Buffers, Index, aliases, compute, evaluate, kernel, plain, select
from neve.indices.catalogue import BANDS
from neve.scenes.values import FILL

L2A = tuple(BANDS.values())
ALL = select("all", L2A, constants={"PAR": 1.0})
BIT_ROUNDING = 2.0**-13
SHARED = Path(__file__).parents[2] / "shared" / "sentinel2-33TWL-33TWM-2023-08"


def _random(rng: np.random.Generator, shape: tuple[int, ...], low: int = 1) -> dict:
    return {band: rng.integers(low, 9000, shape).astype(np.int16) for band in L2A}


def _bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _decoded(index: Index, values: np.ndarray) -> np.ndarray:
    """Stored values as float64 with NaN."""
    if values.dtype == np.int16:
        return np.where(values == FILL, np.nan, values * 1e-4)
    return values.astype(np.float64)


def _check(index: Index, values: np.ndarray, reflectance: dict[str, np.ndarray]) -> float:
    """Values agree with spyndex wherever float32 can tell; the share of pixels where it can."""
    expected = by_spyndex(index, reflectance).copy()
    expected[np.isinf(expected)] = np.nan
    _, error = by_tree(index.tree, reflectance)
    error = np.broadcast_to(error, expected.shape).copy()
    got = _decoded(index, values)
    assert values.dtype == index.dtype
    step = 0.5e-4 * (1 + 1e-6) if index.dtype == "int16" else BIT_ROUNDING * np.abs(expected)
    fits = np.abs(expected) < 3.2767 if index.dtype == "int16" else np.isfinite(expected)
    sure = np.isfinite(error) & fits
    allowed = error * (1 + BIT_ROUNDING) + 1e-9 * np.abs(expected) + step
    off = np.abs(got - expected)[sure] - allowed[sure]
    assert np.all(off <= 0), (index.name, float(np.nanmax(off)), int(np.isnan(off).sum()))
    impossible = np.isnan(expected) & (error != np.inf)
    assert np.isnan(got[impossible]).all(), index.name
    return float((sure | impossible).mean())


@pytest.fixture(scope="module")
def random() -> tuple[dict, dict]:
    stored = _random(np.random.default_rng(11), (61, 67))
    return stored, compute(ALL, stored)


@pytest.mark.parametrize("index", ALL, ids=lambda index: index.name)
def test_every_index_agrees_with_spyndex_in_float64(index: Index, random) -> None:
    stored, values = random
    reflectance = {name: band / 10000.0 for name, band in stored.items()}
    assert _check(index, values[index.name], reflectance) > 0.99


@pytest.mark.skipif(not SHARED.exists(), reason="no real scenes here")
def test_every_index_of_four_bands_agrees_on_a_real_scene() -> None:
    stored = {}
    for name, file in {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}.items():
        (path,) = (SHARED / "S2A_33TWM_20230818_0_L2A").glob(f"{file}.tif")
        with rasterio.open(path) as source:
            raw = source.read(1).astype(np.int32)
        stored[name] = np.where(raw == 0, FILL, raw).astype(np.int16)
    indices = select("all", list(stored), constants={"PAR": 1.0})
    assert len(indices) > 60
    result = evaluate(indices, stored)
    there = np.logical_and.reduce([band != FILL for band in stored.values()])
    reflectance = {name: band[there] / 10000.0 for name, band in stored.items()}
    for index in indices:
        values = result.values[index.name]
        missing = np.logical_or.reduce([stored[band] == FILL for band in index.bands])
        assert np.isnan(_decoded(index, values)[missing]).all()
        assert result.invalid[index.name] == np.isnan(_decoded(index, values)[~missing]).sum()
        assert _check(index, values[there], reflectance) > 0.95, index.name


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 1300), st.floats(0, 1))
def test_kernel_and_plain_numpy_give_equal_bits(seed: int, pixels: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    stored = {b: rng.integers(-300, 16000, pixels).astype(np.int16) for b in L2A}
    for band in stored.values():
        band[rng.random(pixels) < gaps * 0.3] = FILL
        band[rng.random(pixels) < 0.05] = 0
        band[rng.random(pixels) < 0.05] = rng.choice([-32767, 32767, 1])
    fast, slow = (evaluate(ALL, stored, engine=engine) for engine in (kernel, plain))
    for index in ALL:
        assert _bits(fast.values[index.name]) == _bits(slow.values[index.name]), index.name
    assert fast.invalid == slow.invalid


def test_a_value_does_not_depend_on_the_other_indices() -> None:
    stored = _random(np.random.default_rng(3), (40, 50), low=-100)
    together = compute(ALL, stored)
    for index in ALL:
        needed = {band: stored[band] for band in index.bands}
        assert _bits(compute([index], needed)[index.name]) == _bits(together[index.name])


def test_nodata_is_where_a_needed_band_is_missing_and_nowhere_else() -> None:
    stored = {b: np.full((2, 3), 1000 + 137 * k, np.int16) for k, b in enumerate(L2A)}
    stored["swir16"][0, 1] = FILL
    indices = select(["NDVI", "NDMI", "EVI", "SR", "DSI"], L2A)
    result = evaluate(indices, stored)
    for index in indices:
        nodata = np.isnan(_decoded(index, result.values[index.name]))
        assert nodata.sum() == ("swir16" in index.bands)
        assert nodata[0, 1] == ("swir16" in index.bands)
    assert set(result.invalid.values()) == {0}


OWN = [
    ("DIVIDED", "N / R", {"nir": 10, "red": 0}),
    ("HIDDEN", "1 / (N / R)", {"nir": 10, "red": 0}),
    ("DEEPER", "N / (1 + N / R)", {"nir": 10, "red": 0}),
    ("NOUGHT", "(N - R) / (N + R)", {"nir": 10, "red": -10}),
    ("ROOT", "(N - R) ** 0.5", {"nir": 10, "red": 20}),
    ("CUBE", "(N - R) ** (1/3)", {"nir": 10, "red": 20}),
    ("HUGE", "(1e10 * N) ** 16", {"nir": 32767, "red": 1}),
    ("GONE", "1 / (1e10 * N) ** 16", {"nir": 32767, "red": 1}),
    ("WIDE", "(N - R) / (N + R)", {"nir": 500, "red": -400}),
]


@pytest.mark.parametrize(("name", "formula", "pixel"), OWN, ids=[case[0] for case in OWN])
@pytest.mark.parametrize("engine", [kernel, plain], ids=["kernel", "plain"])
def test_what_has_no_value_is_nodata_and_counted(name, formula, pixel, engine) -> None:
    """Also where an infinity would hide in a later division, or int16 cannot hold the value."""
    stored = {band: np.array([value, 4000, FILL], np.int16) for band, value in pixel.items()}
    stored["red"][1] = 1000
    index = select([{name: formula}], ["nir", "red"])[0]
    result = evaluate([index], stored, engine=engine)
    got = _decoded(index, result.values[name])
    assert np.isnan(got[[0, 2]]).all()
    if name not in ("HUGE", "GONE"):
        assert np.isfinite(got[1])
    assert result.invalid[name] == np.isnan(got[:2]).sum()


def test_the_kernel_index_is_tanh_of_ndvi_squared() -> None:
    nir, red = np.meshgrid(np.arange(1, 10000, 97), np.arange(1, 10000, 83))
    index = replace(select(["kNDVI"], ["nir", "red"])[0], dtype="float32")
    values = compute([index], {"nir": nir.astype(np.int16), "red": red.astype(np.int16)})
    expected = np.tanh(((nir - red) / (nir + red)) ** 2)
    assert np.abs(values["kNDVI"] - expected).max() < 1e-6 + BIT_ROUNDING


@pytest.mark.parametrize("exponent", [1 / 3, 0.1, 1.16, 2.5, 15.5, 1 / 2.71828])
def test_powers_are_those_of_float64_rounded(exponent: float) -> None:
    x = np.arange(0, 32768).astype(np.float32) / np.float32(10000)
    expected = x.astype(np.float64) ** float(np.float32(exponent))
    got = plain.MEANING["POWER"](x, x, x, x, np.float32(exponent))
    assert np.all(np.abs(got - expected) <= np.spacing(np.abs(got)) * 0.51)


def test_float32_is_rounded_to_twelve_bits_and_int16_to_whole_units() -> None:
    stored = _random(np.random.default_rng(8), (100, 100))
    sr, ndvi = select(["SR", "NDVI"], L2A)
    exact = stored["nir"] / stored["red"].astype(np.float64)
    values = compute([sr, ndvi], stored)
    assert not np.any(values["SR"].view(np.int32) & 0x7FF)
    assert np.abs(values["SR"] / exact - 1).max() < BIT_ROUNDING * 1.01
    assert np.abs(values["SR"] / exact - 1).mean() < BIT_ROUNDING / 2
    nir, red = stored["nir"].astype(float), stored["red"].astype(float)
    whole = 10000 * (nir - red) / (nir + red)
    assert np.abs(values["NDVI"] - whole).max() < 0.51


def test_aliases_share_memory_and_results_have_the_shape_of_the_bands() -> None:
    stored = _random(np.random.default_rng(5), (3, 7, 11))
    values = compute(ALL, stored)
    repeats = aliases(ALL)
    assert len(repeats) >= 29
    for name, first in repeats.items():
        assert np.shares_memory(values[name], values[first])
    assert {array.shape for array in values.values()} == {(3, 7, 11)}


def test_buffers_are_reused_and_bands_need_not_be_contiguous() -> None:
    rng = np.random.default_rng(6)
    buffers = Buffers()
    for shape in ((50, 40), (300, 301), (10, 9)):
        stored = {b: v[::2, ::3] for b, v in _random(rng, (shape[0] * 2, shape[1] * 3)).items()}
        kept = evaluate(ALL, stored, buffers).values
        fresh = compute(ALL, stored)
        assert all(_bits(kept[name]) == _bits(fresh[name]) for name in fresh)
    first = evaluate(ALL, stored, buffers).values["NDVI"]
    assert np.shares_memory(first, evaluate(ALL, stored, buffers).values["NDVI"])


def test_wrong_bands_are_refused() -> None:
    ndvi = select(["NDVI"], ["nir", "red"])
    good = np.ones((2, 2), np.int16)
    with pytest.raises(KeyError, match="nir"):
        compute(ndvi, {"red": good})
    with pytest.raises(ValueError, match="red"):
        compute(ndvi, {"nir": good, "red": good[:1]})
    with pytest.raises(ValueError, match="uint16"):
        compute(ndvi, {"nir": good.astype(np.uint16), "red": good})
    assert compute([], {}) == {}
    assert compute(ndvi, {"nir": good[:0], "red": good[:0]})["NDVI"].shape == (0, 2)
