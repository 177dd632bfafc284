"""The plan of windows: every stored object in one, order keeps few objects open."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neve.pyramids.dataset import Raster
from neve.pyramids.plan import plan_raster


def raster(shape, chunks, unit=None, axes=None, dtype="int16", **more):
    axes = axes or (len(shape) - 2, len(shape) - 1)
    values = {"nodata": 0, "background": 0} | more
    return Raster("red", shape, axes, unit or chunks, chunks, np.dtype(dtype), **values)


@st.composite
def rasters(draw):
    chunks = draw(st.sampled_from([(1, 8, 8), (2, 12, 8), (3, 5, 7), (1, 16, 4)]))
    shards = draw(st.sampled_from([None, (1, 2, 2), (2, 1, 3)]))
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 150), st.integers(1, 150)))
    unit = tuple(map(int.__mul__, chunks, shards)) if shards else chunks
    return raster(shape, chunks, unit)


@settings(max_examples=100, deadline=None)
@given(source=rasters(), data=st.data())
def test_windows_cover_what_is_stored_once_and_are_whole_cells(source, data):
    factors = data.draw(st.sampled_from([(2,), (4, 16), (3, 6)]))
    plan = plan_raster(source, factors, budget=data.draw(st.sampled_from([500, 5000, 10**6])))
    grid = [-(-s // u) for s, u in zip(source.shape, source.unit, strict=True)]
    there = np.random.default_rng(data.draw(st.integers(0, 99))).random(grid) < 0.4
    stored = np.argwhere(there)
    windows = plan.windows(stored)
    covered = np.zeros(source.shape, int)
    for window in windows:
        cut = plan.cut(window)
        covered[cut] += 1
        assert all(cut[axis].start % factors[-1] == 0 for axis in source.axes)
        inside = tuple(
            slice(s.start // u, (s.stop - 1) // u + 1)
            for s, u in zip(cut, source.unit, strict=True)
        )
        assert there[inside].any()
    assert covered.max(initial=0) <= 1
    for at in stored:
        corner = tuple(
            slice(k * u, min((k + 1) * u, size))
            for k, u, size in zip(at, source.unit, source.shape, strict=True)
        )
        assert (covered[corner] == 1).all()
    if not plan.rereads:
        for window in windows:
            for s, c, size in zip(plan.cut(window), source.chunks, source.shape, strict=True):
                assert s.start % c == 0
                assert s.stop % c == 0 or s.stop == size


@pytest.mark.parametrize("side", [4096, 16384])
def test_open_objects_do_not_grow_with_the_raster(side):
    plan = plan_raster(raster((2, side, side), (1, 256, 256)), (4, 16, 64), budget=8 * 1024**2)
    windows = plan.windows(np.argwhere(np.ones((2, side // 256, side // 256))))
    assert plan.window == (1, 1024, 1024)
    for level in plan.levels:
        left = {}
        for window in windows:
            key = tuple(
                s.start // u
                for s, u in zip(plan.place(plan.cut(window), level.factor), level.unit, strict=True)
            )
            left[key] = left.get(key, 0) + 1
        begun = {}
        for window in windows:
            key = tuple(
                s.start // u
                for s, u in zip(plan.place(plan.cut(window), level.factor), level.unit, strict=True)
            )
            begun[key] = begun.get(key, left[key]) - 1
            assert len([key for key, n in begun.items() if n]) <= 1


def test_shards_are_read_whole_where_they_fit_the_budget():
    source = raster((1, 9000, 9000), (1, 256, 256), (1, 1024, 1024))
    assert plan_raster(source, (4, 16), budget=2**21).window == (1, 1024, 1024)
    assert plan_raster(source, (4, 16), budget=2**20).window == (1, 256, 256)
    assert plan_raster(source, (4, 16), budget=2**24).window == (1, 1024, 1024)
    assert plan_raster(source, (4, 16), budget=2**25).window == (1, 2048, 2048)
    levels = plan_raster(source, (4, 64), budget=2**21).levels
    assert [(level.shape, level.unit) for level in levels] == [
        ((1, 2250, 2250), (1, 1024, 1024)),
        ((1, 141, 141), (1, 141, 141)),
    ]


def test_chunks_that_share_no_factor_with_the_levels_are_said_to_be_read_again():
    plan = plan_raster(raster((5000, 5000), (1003, 1003)), (4, 16, 64), budget=2**20)
    assert plan.rereads
    assert prod(plan.window) * 2 <= 2**20
    assert not plan_raster(raster((5000, 5000), (1000, 1000)), (4, 8), budget=2**21).rereads
    assert not plan_raster(raster((900, 900), (1003, 1003)), (4, 16, 64)).rereads


@pytest.mark.parametrize(
    ("shape", "chunks", "dtype", "window"),
    [
        ((10980, 10980), (2048, 2048), "uint16", (2048, 2048)),
        ((20480, 20480), (4096, 4096), "uint16", (4096, 4096)),
        ((20480, 20480), (8192, 8192), "float32", (8192, 8192)),
        ((50, 9000, 9000), (50, 1024, 1024), "int16", (50, 1024, 1024)),
        ((5490, 5490), (915, 915), "uint16", (58560, 58560)),
        ((8000, 8000), (1000, 1000), "uint8", (8000, 8000)),
    ],
)
def test_large_chunks_are_windows_of_their_own(shape, chunks, dtype, window):
    plan = plan_raster(raster(shape, chunks, dtype=dtype), (4, 16, 64))
    assert plan.window == window
    grid = [-(-s // c) for s, c in zip(shape, chunks, strict=True)]
    uses = plan.uses(plan.windows(np.argwhere(np.ones(grid))))
    assert uses == dict.fromkeys(np.ndindex(*grid), 1)


def test_uses_are_counted_for_each_chunk():
    plan = plan_raster(raster((10980, 10980), (1830, 1830), dtype="uint16"), (4, 16, 64))
    uses = plan.uses(plan.windows(np.argwhere(np.ones((6, 6)))))
    slow = dict.fromkeys(np.ndindex(6, 6), 0)
    for window in plan.windows(np.argwhere(np.ones((6, 6)))):
        rows, cols = plan.cut(window)
        for i, j in slow:
            slow[i, j] += (
                rows.start < 1830 * (i + 1)
                and rows.stop > 1830 * i
                and cols.start < 1830 * (j + 1)
                and cols.stop > 1830 * j
            )
    assert plan.rereads
    assert uses == slow


def test_absent_chunks_count_only_where_they_are_not_nodata():
    nothing = np.zeros((0, 2), int)
    valid = raster((64, 64), (16, 16), nodata=-1, background=7)
    assert len(plan_raster(valid, (4,), "sum", 512).windows(nothing)) == 16
    assert plan_raster(valid, (4,), "mean", 512).windows(nothing) == []
    nodata = raster((64, 64), (16, 16), nodata=-1, background=-1)
    assert plan_raster(nodata, (4,), "sum", 512).windows(nothing) == []


def test_a_fingerprint_changes_with_what_is_stored():
    plan = plan_raster(raster((64, 64), (16, 16)), (4,), budget=512)
    first = plan.windows(np.array([[0, 0]]))
    assert plan.fingerprint(first) != plan.fingerprint(plan.windows(np.array([[0, 1]])))
    assert plan.fingerprint(first) == plan.fingerprint(plan.windows(np.array([[0, 0]])))
