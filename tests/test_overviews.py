"""Overview kernels against slow, obvious loops over native pixels."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overviews_oracle import DTYPES, expected, native_cells, rasters

from neve.overviews import pooling as overviews
from neve.overviews.pooling import Pooled, cells, mean, pool, pool_more, pools, reduce


@pytest.mark.parametrize("method", overviews.METHODS)
@settings(max_examples=40, deadline=None)
@given(raster=rasters())
def test_every_level_equals_the_loops(method, raster):
    values, factors, fill = raster
    before = values.copy()
    levels = reduce(values, factors, method, fill)
    assert len(levels) == len(factors)
    for factor, level in zip(factors, levels, strict=True):
        wanted = expected(values, factor, method, fill)
        assert level.dtype == wanted.dtype
        if values.dtype.kind == "f" and method in ("mean", "sum", "median"):
            tiny = 1e-6 if values.dtype == np.float32 else 1e-12
            scale = np.nanmax(np.abs(values), initial=0) * (factor**2 if method == "sum" else 1)
            np.testing.assert_allclose(level, wanted, rtol=tiny, atol=tiny * scale)
        else:
            np.testing.assert_array_equal(level, wanted)
    np.testing.assert_array_equal(values, before)


@settings(max_examples=40, deadline=None)
@given(raster=rasters([d for d in DTYPES if "int" in d]))
def test_an_integer_mean_is_off_by_half_at_most_at_every_level(raster):
    values, factors, fill = raster
    for factor, level in zip(factors, reduce(values, factors, "mean", fill), strict=True):
        for i, j, valid, _ in native_cells(values, factor, fill):
            if not valid:
                assert level[i, j] == fill
                continue
            exact = sum(Fraction(int(v)) for v in valid) / len(valid)
            moved = fill is not None and round(exact) == fill
            assert abs(int(level[i, j]) - exact) <= (1 if moved else Fraction(1, 2))
            assert fill is None or level[i, j] != fill


@settings(max_examples=40, deadline=None)
@given(raster=rasters())
def test_pools_hold_the_sums_and_counts_of_native_pixels(raster):
    values, factors, fill = raster
    for factor, pooled in zip(factors, pools(values, factors, fill), strict=True):
        size = cells(values.shape, factor)
        assert pooled.total.dtype == (np.float64 if values.dtype.kind == "f" else np.int64)
        assert pooled.valid.dtype == size.dtype == np.uint32
        for i, j, valid, whole in native_cells(values, factor, fill):
            assert pooled.valid[i, j] == len(valid)
            assert size[i, j] == len(whole)
            if values.dtype.kind == "f":
                near = abs(values[np.isfinite(values)]).sum(dtype=float) * 1e-12
                assert pooled.total[i, j] == pytest.approx(sum(map(float, valid)), abs=near)
            else:
                assert pooled.total[i, j] == sum(int(v) for v in valid)


@settings(max_examples=30, deadline=None)
@given(raster=rasters(), rows=st.integers(1, 3), cols=st.integers(1, 3))
def test_blocks_give_the_cells_of_the_whole(raster, rows, cols):
    """What is cut into blocks of whole cells and pooled block by block is the same."""
    values, factors, fill = raster
    height, width = rows * factors[-1], cols * factors[-1]
    whole = pools(values, factors, fill)
    for r in range(0, values.shape[0], height):
        for c in range(0, values.shape[1], width):
            parts = pools(values[r : r + height, c : c + width], factors, fill)
            for factor, part, level in zip(factors, parts, whole, strict=True):
                place = np.s_[
                    r // factor : r // factor + part.valid.shape[0],
                    c // factor : c // factor + part.valid.shape[1],
                ]
                np.testing.assert_array_equal(part.valid, level.valid[place])
                np.testing.assert_allclose(part.total, level.total[place], rtol=1e-12, atol=1e-6)


def test_rows_wider_than_a_strip():
    rng = np.random.default_rng(5)
    values = rng.integers(-3000, 9000, (9, 5003), dtype="int16")
    values[rng.random(values.shape) < 0.4] = -32768
    for factor in (4, 7):
        pooled = pool(values, factor, -32768)
        ok = values != -32768
        edges = np.arange(0, 5003, factor)
        for part, wanted in ((pooled.total, np.where(ok, values, 0)), (pooled.valid, ok)):
            columns = np.add.reduceat(wanted.astype("int64"), edges, axis=1)
            rows = np.add.reduceat(columns, np.arange(0, 9, factor), axis=0)
            np.testing.assert_array_equal(part, rows)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32"])
def test_sums_of_extreme_values_do_not_overflow(dtype):
    limits = np.iinfo(dtype)
    for value in (int(limits.min), int(limits.max)):
        values = np.full((512, 256), value, dtype)
        for factor, pooled in zip((64, 256), pools(values, (64, 256), None), strict=True):
            assert (pooled.total == value * factor**2).all()
            assert (mean(pooled, dtype, None) == value).all()


def test_a_mean_of_means_would_be_wrong_here():
    values = np.full((4, 4), -32768, "int16")
    values[:2, :2] = 100
    values[2, 2] = 1000
    assert reduce(values, [2, 4], "mean", -32768)[1] == 280  # (4 · 100 + 1000) / 5, not 550


def test_rounding_is_not_repeated():
    values = np.zeros((4, 4), "uint8")
    values[0, 0] = values[0, 2] = values[2, 0] = values[2, 2] = 2
    values[0, 1] = 1
    # 9/16 → 1, although the four quarters are 3/4, 1/2, 1/2, 1/2 → 1, 0, 0, 0
    assert reduce(values, [2, 4], "mean", None)[1] == 1


def test_ties_go_to_even_and_valid_data_never_becomes_nodata():
    assert mean(Pooled(np.array([[1, 3, -1]]), np.full((1, 3), 2, "u4")), "int16", -1).tolist() == [
        [0, 2, 0]
    ]
    values = np.array([[11, 13]], "uint8")
    assert reduce(values, [2], "mean", 12)[0] == 13
    assert reduce(values, [2], "median", 12)[0] == 13
    exact = Pooled(np.array([[-19998.0]]), np.array([[2]], "u4"))
    assert mean(exact, "float32", -9999.0)[0, 0] == np.nextafter(np.float32(-9999), np.float32(1))


def test_infinities_are_data_and_nan_is_not():
    values = np.array([[np.inf, 1, np.nan, np.nan]], "float32")
    assert reduce(values, [2], "mean", None)[0].tolist()[0][0] == np.inf
    assert np.isnan(reduce(values, [2], "mean", None)[0][0, 1])
    assert reduce(values, [4], "max", None)[0] == np.inf
    assert reduce(-values, [4], "max", None)[0] == -1
    assert reduce(np.full((2, 2), -np.inf, "f4"), [2], "max", None)[0] == -np.inf


@pytest.mark.parametrize("method", ["mean", "min", "max", "mode", "median", "nearest"])
def test_masks_views_and_byte_orders(method):
    rng = np.random.default_rng(2)
    mask = rng.random((13, 11)) < 0.6
    for factor, level in zip((2, 4), reduce(mask, (2, 4), method, None), strict=True):
        assert level.dtype == bool
        wanted = expected(mask.astype("uint8"), factor, method, None).astype(bool)
        np.testing.assert_array_equal(level, wanted)
    values = rng.integers(0, 9, (20, 24)).astype("int16")
    (wanted,) = reduce(np.ascontiguousarray(values[::2, 1::3]), [3], method, 0)
    np.testing.assert_array_equal(reduce(values[::2, 1::3], [3], method, 0)[0], wanted)
    swapped = values[::2, 1::3].astype(">i2")
    np.testing.assert_array_equal(reduce(swapped, [3], method, 0)[0], wanted)


def test_what_cannot_be_right_is_refused():
    values = np.zeros((4, 4), "int16")
    for factors in ([], [1], [4, 6], [4, 4], [16, 4], [2, 65536]):
        with pytest.raises(ValueError, match=r"must be above 1 and divide|65535 at most"):
            reduce(values, factors, "mean", None)
    with pytest.raises(ValueError, match="choose one of mean"):
        reduce(values, [2], "cubic", None)
    with pytest.raises(ValueError, match="fill 70000 cannot occur in int16"):
        reduce(values, [2], "mean", 70000)
    with pytest.raises(ValueError, match="fill nan cannot occur"):
        reduce(values, [2], "min", np.nan)
    for kind in ("int64", "float16", "datetime64[D]"):
        with pytest.raises(TypeError, match="overviews of"):
            pool(values.astype(kind), 2, None)
    with pytest.raises(ValueError, match="give a fill value"):
        mean(Pooled(np.zeros((1, 1), "i8"), np.zeros((1, 1), "u4")), "int16", None)


def test_cells_turn_a_valid_fraction_back_into_counts():
    values = np.where(np.arange(35 * 18).reshape(35, 18) % 3, 5, -1).astype("int16")
    pooled = pool_more(pool(values, 4, -1), 4)
    size = cells(values.shape, 16)
    assert size.tolist() == [[256, 32], [256, 32], [48, 6]]
    np.testing.assert_array_equal(np.rint(pooled.valid / size * size), pooled.valid)
