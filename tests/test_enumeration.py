"""The blocks of a grid that hold land, against points within them."""

import numpy as np
import pytest
import shapely
from coasts import SMALL_LAND, land, natural_earth, world_atlas
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from neve.grid import Grid, project_bounds, snap
from neve.land import Land, enumerate_blocks

__all__ = ["land", "natural_earth", "world_atlas"]
GRIDS = {
    "Dalmatia in UTM": snap("EPSG:32633", 120, (60, 0), (4.4e5, 4.75e6, 7.1e5, 5.02e6)),
    "Fiji over 180° in UTM": snap("EPSG:32760", 100, (0, 0), (6e5, 7.9e6, 1.1e6, 8.3e6)),
    "Fiji over 180° in degrees": snap(
        "EPSG:4326", 0.01, (0, 0), project_bounds("EPSG:4326", (177.3, -20, -178.2, -15))
    ),
    "Antarctic with its pole": snap("EPSG:3031", 5000, (0, 0), (-4e6, -4e6, 4e6, 4e6)),
    "Arctic with its pole": snap("EPSG:3413", 5000, (0, 0), (-3.1e6, -3.3e6, 2.9e6, 3e6)),
    "the world": snap("EPSG:4326", 0.25, (0, 0), (-180, -90, 180, 90)),
    "wider than the world": snap("EPSG:6933", 25000, (0, 0), (-2e7, -7.5e6, 2e7, 7.5e6)),
}


def samples(grid: Grid, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """lon, lat of n × n points over a block, its edges included."""
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(np.linspace(left, right, n), np.linspace(top, bottom, n))
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    with np.errstate(invalid="ignore"):  # inf outside the projection
        return (lon + 180) % 360 - 180, lat


@pytest.fixture(scope="module")
def union(land: Land) -> shapely.Geometry:
    """The land as one prepared geometry, for asking point by point."""
    whole = shapely.union_all(land.polygons)
    shapely.prepare(whole)
    return whole


@pytest.mark.parametrize("name", GRIDS)
def test_no_block_with_land_is_lost_and_the_open_sea_is_left_out(
    land: Land, union: shapely.Geometry, name: str
) -> None:
    grid = GRIDS[name]
    size = grid.width // 23
    every = list(grid.blocks(size))
    kept = [every.index(block) for block in enumerate_blocks(grid, size, land)]
    assert kept == sorted(kept)
    hits = [shapely.contains_xy(union, *samples(block.grid)).any() for block in every]
    assert {n for n, hit in enumerate(hits) if hit} <= set(kept)
    left_out = len(every) - len(kept)
    assert left_out >= 0.3 * (len(every) - sum(hits)) > 0


def test_without_land_and_area_all_blocks_in_order() -> None:
    grid = GRIDS["Fiji over 180° in UTM"].piece(7, 11, 1003, 777)
    assert enumerate_blocks(grid, 100, None) == list(grid.blocks(100))
    assert enumerate_blocks(grid, 5000, None) == list(grid.blocks(5000))


def test_land_and_area_both_count() -> None:
    grid = snap("EPSG:4326", 0.1, (0, 0), (170, -25, 190, -5))
    area = shapely.box(178.55, -18.05, 182.45, -16.05)
    blocks = enumerate_blocks(grid, 10, SMALL_LAND, area)
    assert {(block.grid.bounds[0], block.grid.bounds[3]) for block in blocks} == {
        (x, y) for x in (178, 179, 180, 181, 182) for y in (-16, -17, -18)
    }
    halves = shapely.union(
        shapely.box(178.55, -18.05, 180, -16.05), shapely.box(-180, -18.05, -177.55, -16.05)
    )
    assert enumerate_blocks(grid, 10, SMALL_LAND, halves) == blocks
    elsewhere = shapely.box(171.05, -10.95, 171.15, -10.05)
    assert enumerate_blocks(grid, 10, SMALL_LAND, elsewhere) == []
    assert len(enumerate_blocks(grid, 10, None, elsewhere)) == 1


def test_blocks_partly_outside_the_projection_are_kept() -> None:
    grid = snap("ESRI:54009", 100_000, (0, 0), (-1.8e7, -9e6, 1.8e7, 9e6))
    kept = enumerate_blocks(grid, 20, Land(np.array([shapely.Point(1, 1)]), "one islet"))
    outside = [b for b in grid.blocks(20) if not np.isfinite(samples(b.grid, 2)).all()]
    inside = {b.key for b in kept} - {b.key for b in outside}
    assert {b.key for b in outside} <= {b.key for b in kept}
    assert len(outside) > 20 and len(inside) == 1


@pytest.mark.parametrize("name", ["Fiji over 180° in UTM", "Fiji over 180° in degrees", "Arctic"])
def test_a_block_over_the_antimeridian_does_not_reach_round_the_earth(name: str) -> None:
    arctic = Grid("EPSG:3413", 1000, -1.8e6, 1.8e6, 500, 500)  # north of Bering Strait
    grid = GRIDS.get(name, arctic)
    lons, _ = samples(grid)
    assert lons.min() < -170 and lons.max() > 170
    far = shapely.LineString([(0, -90), (0, 90)])
    assert enumerate_blocks(grid, 50, None, far) == []
    assert len(enumerate_blocks(grid, 50, None, shapely.LineString([(180, -90), (180, 90)]))) > 0


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
@pytest.mark.parametrize("left", [-8e5, -5e5, -1e5, 0])
def test_the_block_round_a_pole_reaches_it(crs: str, pole: int, left: float) -> None:
    grid = Grid(crs, 1e4, left - 1e6, 1.7e6, 300, 300)  # blocks of 1000 km
    kept = enumerate_blocks(grid, 100, None, shapely.Point(77, pole))
    assert "1-1" in {block.key for block in kept}
    assert len(kept) < 9


CORNERS = [
    ("EPSG:32633", (1e5, 0), (9e5, 9.3e6)),
    ("EPSG:32701", (1e5, 1e6), (9e5, 1e7)),
    ("EPSG:3031", (-4e6, -4e6), (4e6, 4e6)),
    ("EPSG:3413", (-4e6, -4e6), (4e6, 4e6)),
    ("EPSG:3035", (1e6, 1e6), (7e6, 6e6)),
    ("EPSG:4326", (100, -90), (250, 80)),
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_block_is_kept_for_any_point_in_it(data: st.DataObject) -> None:
    """However large the blocks, and over a pole and 180°; an area is tested with no buffer."""
    crs, low, high = data.draw(st.sampled_from(CORNERS))
    share = st.floats(0, 1)
    left = low[0] + data.draw(share) * (high[0] - low[0])
    top = low[1] + data.draw(share) * (high[1] - low[1])
    size = data.draw(st.floats(1e-4, 0.12)) * (high[0] - low[0])
    if crs in {"EPSG:3031", "EPSG:3413"} and data.draw(st.booleans()):
        left, top = -size * data.draw(share), size * data.draw(share)  # a block with the pole
    grid = Grid(crs, size / 16, left, top, 40, 40)
    block = data.draw(st.sampled_from([next(grid.blocks(16)), *grid.blocks(16)]))
    inside = np.linspace(1e-6, 1 - 1e-6, 65)
    west, south, east, north = block.grid.bounds
    x, y = np.meshgrid(west + inside * (east - west), south + inside * (north - south))
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    farthest = [lat.argmin(), lat.argmax(), lon.argmin(), lon.argmax()]
    n = data.draw(st.one_of(st.integers(0, lon.size - 1), st.sampled_from(farthest)))
    point = shapely.Point(lon.flat[n], lat.flat[n])
    assert block in enumerate_blocks(grid, 16, None, point)
