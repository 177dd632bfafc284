"""Cubes of UTM zones: regions that share one never touch each other, and align by themselves."""

import shutil
import time
from dataclasses import dataclass

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import BY, REGION, Tiny

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.build.plan import plan_month
from neve.cube import creation
from neve.cube.history import last_changes
from neve.cube.layout import CLEAR, NEVER, layout_of
from neve.cube.places import open_repository
from neve.errors import CubeMismatch, RegionInvalid
from neve.grid import zone_grid
from neve.land import enumerate_blocks
from neve.opened import open as open_tree
from neve.region import load
from neve.scenes.values import SceneList

ZONE = REGION.replace("crs: EPSG:32633", "grid: {utm-zone: 33}") + "visual: {stretch: [0, 0.3]}\n"
WEST, EAST = "[12.04, 45.51, 12.068, 45.545]", "[12.068, 45.51, 12.10, 45.545]"
WHOLE = "[12.04, 45.51, 12.10, 45.545]"


@dataclass(frozen=True)
class Part(Tiny):
    """A region of its own file beside the others."""

    name: str

    @property
    def file(self):
        return self.folder / f"{self.name}.yaml"


@pytest.fixture
def parts(tmp_path, scenes):
    shutil.copytree(scenes, tmp_path / "scenes")

    def part(name, bbox, store="cube"):
        region = Part(tmp_path, name)
        text = ZONE.replace("name: tiny", f"name: {name}").replace(WHOLE, bbox)
        region.file.write_text(text.replace("store: cube", f"store: {store}"), "utf-8")
        return region

    return part


def read(store, window):
    """Month 0 of every level and variable in a window, as numpy."""
    session = icechunk.Repository.open(icechunk.local_filesystem_storage(store))
    root = zarr.open_group(session.readonly_session("main").store, mode="r")
    values = {}
    for name, group in root.groups():
        if name != "blocks":
            level = window.level(int(name[:-1]))
            rows = slice(level.row, level.row + level.height)
            cols = slice(level.col, level.col + level.width)
            for key in ("visual", "blue", "red", "NDVI", "EVI", "count", "valid_fraction"):
                values[name, key] = group[key][0, rows, cols]
    return values


def same(a, b):
    return all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)


def test_regions_built_one_by_one_are_those_built_as_one(parts, tmp_path):
    west, east, whole = parts("west", WEST), parts("east", EAST), parts("whole", WHOLE, "other")
    build_month(west.plan(), west.cube(), Inline(), BY)
    alone = read(west.store, layout_of(west.region).window)
    build_month(east.plan(), east.cube(), Inline(), BY)
    build_month(whole.plan(), whole.cube_at("other"), Inline(), BY)
    window = layout_of(whole.region).window
    both, one = read(west.store, window), read(str(tmp_path / "other"), window)
    assert same(both, one)
    after = read(west.store, layout_of(west.region).window)
    assert all(same({k: v}, alone) for k, v in after.items() if k[0] in ("1x", "2x"))
    assert (both["1x", "count"] > 0).mean() > 0.5
    # the coarsest chunk is one for both regions: neither build emptied the other's cells
    assert (one["16x", "valid_fraction"] > 0).sum() > (alone["16x", "valid_fraction"] > 0).sum()


def test_each_region_has_its_own_months(parts):
    west, east = parts("west", WEST), parts("east", EAST)
    for region in (west, east):
        build_month(region.plan(), region.cube(), Inline(), BY)
    build_month(west.plan("2024-07"), west.cube(), Inline(), BY)
    found = last_changes(open_repository(west.store))
    built = [("2024-06", "east"), ("2024-06", "west"), ("2024-07", "west")]
    assert [(commit.month, commit.region) for commit in found] == built
    assert all(0.3 < commit.valid_fraction <= 1 for commit in found)


def test_a_build_marks_and_clears_nothing_of_another_region(parts):
    west, east = parts("west", WEST), parts("east", EAST)
    for region in (west, east):
        build_month(region.plan(), region.cube(), Inline(), BY)
    layout, plan = layout_of(west.region), west.plan()
    window = layout_of(parts("whole", WHOLE).region).blocks_window()
    around = tuple(slice(part.start - 3, part.stop + 3) for part in window)
    status = open_tree(west.store)["blocks/status"][0, *around].values
    before = read(west.store, layout.window)
    assert (status == CLEAR).sum() == len({w.block for p in (plan, east.plan()) for w in p.works})
    assert set(np.unique(status)) == {NEVER, CLEAR}
    less = plan_month(
        plan.region,
        plan.month,
        SceneList(plan.works[0].scenes, (), plan.fingerprint),
        [plan.works[0].block],
    )
    build_month(less, west.cube(), Inline(), BY)
    assert np.array_equal(open_tree(west.store)["blocks/status"][0, *around].values, status)
    assert same(read(west.store, layout.window), before)


class During(Inline):
    """Builds another region while this one's blocks have just been done, the first time."""

    def __init__(self, other):
        self.other, self.attempts = other, 0

    def map(self, function, tasks):
        yield from map(function, tasks)
        self.attempts += 1
        if self.attempts == 1:
            build_month(self.other.plan(), self.other.cube(), Inline(), BY)


def test_a_month_of_two_regions_at_once(parts):
    west, east, whole = parts("west", WEST), parts("east", EAST), parts("whole", WHOLE, "other")
    engine = During(east)
    build_month(west.plan(), west.cube(), engine, BY)
    assert engine.attempts == 2  # they share a chunk of the coarsest level
    build_month(whole.plan(), whole.cube_at("other"), Inline(), BY)
    window = layout_of(whole.region).window
    assert same(read(west.store, window), read(whole.store.replace("cube", "other"), window))


def test_far_regions_of_a_zone_do_not_hinder_each_other(parts):
    near, far = parts("near", WEST), parts("far", "[12.04, 43.51, 12.10, 43.545]")
    scenes = parts("near", WEST).plan()
    engine = During(far)
    build_month(scenes, near.cube(), engine, BY)
    assert engine.attempts == 1
    assert {c.region for c in last_changes(open_repository(near.store))} == {"near", "far"}


def test_regions_of_other_cubes_are_refused_by_name(parts):
    west = parts("west", WEST)
    west.cube()
    text = west.file.read_text("utf-8")
    west.file.write_text(text.replace("start: 2024-06", "start: 2024-05"))
    with pytest.raises(CubeMismatch, match=r"utm33n-60m.*start"):
        west.cube()
    west.file.write_text(text + "collection: sentinel-2-c1-l2a\n")
    with pytest.raises(CubeMismatch, match=r"utm33n-60m.*collection"):
        west.cube()


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


FULL = """\
name: {name}
area: {{bbox: {bbox}}}
grid: {{utm-zone: 33}}
resolution: 10
start: 2024-06
bands: [red, nir]
indices: []
"""


def full(tmp_path, name, bbox):
    file = tmp_path / f"{name}.yaml"
    file.write_text(FULL.format(name=name, bbox=bbox), "utf-8")
    return load(file)


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
