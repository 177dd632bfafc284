"""Grids: snapping, pieces and levels against arithmetic done the long way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neve.grid import Grid, project_bounds, snap, utm_of


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(1, 5e4),
    st.floats(1, 5e4),
    st.sampled_from([10.0, 60.0, 120.0]),
)
def test_a_snapped_grid_covers_its_bounds_and_wastes_less_than_a_pixel(x, y, dx, dy, res):
    left, bottom, right, top = snap("EPSG:32633", res, (60, 0), (x, y, x + dx, y + dy)).bounds
    slack = res * 1e-5
    assert x - res < left <= x + slack
    assert x + dx - slack <= right < x + dx + res + slack
    assert y - res < bottom <= y + slack
    assert y + dy - slack <= top < y + dy + res + slack
    assert (left - 60) % res == 0


def test_bounds_on_an_edge_claim_no_further_pixel():
    grid = snap("EPSG:4326", 0.0012, (0, 0), (0.0012 * 7, 0, 0.0012 * 10, 0.0012 * 4))
    assert grid.shape == (4, 3)


def test_pieces_have_the_very_coordinates_of_the_whole():
    whole = Grid("EPSG:4326", 0.0012, 15.2004, 45.9, 700, 500)
    for block in whole.blocks(64):
        piece = block.grid
        assert np.array_equal(piece.xs(), whole.xs()[piece.col : piece.col + piece.width])
        assert np.array_equal(piece.ys(), whole.ys()[piece.row : piece.row + piece.height])
    assert sum(b.grid.width * b.grid.height for b in whole.blocks(64)) == 700 * 500


@pytest.mark.parametrize("factor", [2, 4, 16, 64])
def test_levels_keep_the_corner_and_the_last_partial_cells(factor):
    whole = Grid("EPSG:32633", 10, 500000, 5100000, 1003, 77)
    level = whole.level(factor)
    assert level.transform.c == whole.transform.c
    assert level.transform.f == whole.transform.f
    assert level.shape == (-(-77 // factor), -(-1003 // factor))
    piece = whole.piece(64, 128, 64, 64).level(factor)
    assert piece.xs()[0] == level.xs()[128 // factor]


def test_utm_zones():
    assert utm_of(15.7, 45.6) == "EPSG:32633"
    assert utm_of(179.9, -17) == "EPSG:32760"
    assert utm_of(-179.9, -17) == "EPSG:32701"


def test_a_box_over_the_antimeridian_stays_one_piece():
    assert project_bounds("EPSG:4326", (179, -1, -179, 1)) == (179, -1, 181, 1)
    left, _, right, _ = project_bounds("EPSG:32660", (179, -1, -179, 1))
    assert 200_000 < right - left < 230_000
