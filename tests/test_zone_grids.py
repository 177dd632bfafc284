"""The grid of a UTM zone: what a region file says of it, and regions that align by themselves."""

import time

import icechunk
import numpy as np
import pytest
import xarray as xr
from conftest import REGION
from zone_regions import WHOLE, ZONE, full

from neve.cube import creation
from neve.cube.layout import layout_of
from neve.errors import RegionInvalid
from neve.grid import zone_grid
from neve.land import enumerate_blocks
from neve.region import load


@pytest.mark.parametrize(
    ("new", "named"),
    [
        ("grid: {utm-zone: 61}", "'grid.utm-zone'"),
        ("grid: {utm-zone: 33, hemisfere: south}", "did you mean 'hemisphere'"),
        ("grid: {utm-zone: 33, hemisphere: west}", "'north' or 'south'"),
        ("grid: {utm-zone: 33}\ncrs: utm", "either crs"),
        ("", "give either crs: EPSG:<code>"),
        ("grid: {utm-zone: 40}", "reaches beyond the grid"),
        ("grdi: {utm-zone: 33}", "did you mean 'grid'"),
    ],
)
def test_a_mistake_names_the_key_and_the_fix(tmp_path, new, named):
    file = tmp_path / "zone.yaml"
    file.write_text(REGION.replace("crs: EPSG:32633", new), "utf-8")
    with pytest.raises(RegionInvalid, match=named):
        load(file)


def test_an_area_of_the_other_hemisphere_is_refused(tmp_path):
    file = tmp_path / "zone.yaml"
    south = ZONE.replace(WHOLE, "[14, -23, 15, -22]")
    file.write_text(south, "utf-8")
    with pytest.raises(RegionInvalid, match="hemisphere"):
        load(file)
    file.write_text(south.replace("{utm-zone: 33}", "{utm-zone: 33, hemisphere: south}"), "utf-8")
    assert load(file).grid().crs == "EPSG:32733"


def test_an_area_on_the_equator_fits_in_either_hemisphere(tmp_path):
    file = tmp_path / "zone.yaml"
    for hemisphere in ("north", "south"):
        grid = f"{{utm-zone: 33, hemisphere: {hemisphere}}}"
        text = ZONE.replace("{utm-zone: 33}", grid).replace(WHOLE, "[14, -1, 15, 1]")
        file.write_text(text, "utf-8")
        window = load(file).window()
        west, south, east, north = window.lonlat_bounds()
        assert (west < 14) & (south < -1) & (east > 15) & (north > 1)


def test_two_regions_at_10_m_align_pixel_by_pixel_and_share_one_cube(tmp_path):
    graz = full(tmp_path, "graz", [15.3, 46.9, 15.6, 47.2])
    vienna = full(tmp_path, "vienna", [16.1, 48.1, 16.6, 48.4])
    assert graz.cube == vienna.cube == "utm33n-10m"
    one, other = layout_of(graz), layout_of(vienna)
    assert one.identity() == other.identity()
    assert one.grid == other.grid
    assert one.grid.shape == (1_100_000, 100_000)
    for layout, region in ((one, graz), (other, vienna)):
        began = time.process_time()
        blocks = enumerate_blocks(layout.window, layout.block, None, region.area.shape())
        assert time.process_time() - began < 1
        assert 0 < len(blocks) < 30
        for block in blocks:
            assert block == layout.grid.block(block.i, block.j, layout.block)
            assert block.grid.left == 0
            assert block.grid.xs()[0] % 10 == 5


def test_a_zone_at_10_m_is_made_and_opened_cheaply(tmp_path):
    layout = layout_of(full(tmp_path, "graz", [15.3, 46.9, 15.6, 47.2]))
    storage = icechunk.local_filesystem_storage(str(tmp_path / "cube"))
    repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    creation.create(session.store, layout)
    creation.extend_time(session.store, layout, "2024-07")
    session.commit("empty")
    size = sum(f.stat().st_size for f in (tmp_path / "cube").rglob("*") if f.is_file())
    assert size < 8e6
    began = time.process_time()
    tree = xr.open_datatree(
        repository.readonly_session("main").store, engine="zarr", consolidated=False
    )
    assert time.process_time() - began < 5
    assert tree["1x/red"].shape == (2, 1_100_000, 100_000)
    assert np.array_equal(tree["4x"].y.values, layout.grid.level(4).ys())
    assert tree["blocks/status"].shape == (2, 538, 49)


@pytest.mark.parametrize("area", [(15.3, 46.9, 15.6, 47.2), (11.5, 10, 18.5, 11), (14, -2, 16, 2)])
def test_blocks_of_a_window_are_those_of_the_whole_zone(area):
    import shapely

    from neve.grid import project_bounds

    grid, shape = zone_grid(33, True, 1000, (0, 0)), shapely.box(*area)
    window = grid.covering(project_bounds(grid.crs, shape.bounds), 16)
    found = enumerate_blocks(window, 16, None, shape)
    assert found == enumerate_blocks(grid, 16, None, shape)
    assert window.row % 16 == window.col % 16 == 0
