"""The demo's scenes: files, items and pixels agree with each other and with the ground's truth."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from shapely.geometry import shape

from neve.demo.footprints import footprint
from neve.demo.landscape import BANDS, clouds
from neve.demo.plan import DEMO, DayPlan, ScenePlan, Swath, TilePlan
from neve.demo.scenes import truth, write_scenes

EAST, WEST = TilePlan("33TTL", 268020, 5047800), TilePlan("32TQR", 739200, 5047800)
CLEAR = (4, 5, 6)
DAYS = (
    DayPlan("2024-06-03", clouds=0.4),
    DayPlan("2024-06-13", baseline="02.14", clouds=0.3, swath=Swath(0, 0.6)),
    DayPlan("2024-07-08", "sentinel-2b", shift=-1000, clouds=0.3),
)
PLAN = ScenePlan((EAST, WEST), DAYS, resolution=240, size=48, bands=("red", "nir", "swir16"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def items(folder):
    return write_scenes(folder, PLAN)


def open_band(folder, item, band):
    return rasterio.open(folder / item["id"] / item["assets"][band]["href"])


def read(folder, item, band):
    with open_band(folder, item, band) as source:
        return source.read(1), source


def lonlat(source):
    """Longitude and latitude of every pixel centre, from the file alone."""
    cols, rows = np.meshgrid(np.arange(source.width) + 0.5, np.arange(source.height) + 0.5)
    x, y = source.transform @ (cols, rows)
    return Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True).transform(x, y)


def plan_of(item):
    return next(day for day in DAYS if item["properties"]["datetime"].startswith(day.date))


def test_every_tile_has_a_scene_on_every_day(folder, items):
    assert [item["id"] for item in items] == [
        f"{craft}_{tile}_{date}_0_L2A"
        for craft, date in (("S2A", "20240603"), ("S2A", "20240613"), ("S2B", "20240708"))
        for tile in ("33TTL", "32TQR")
    ]
    for item in items:
        assert json.loads((folder / item["id"] / f"{item['id']}.json").read_text()) == json.loads(
            json.dumps(item)
        )


def test_files_are_what_the_items_say(folder, items):
    for item in items:
        for band, asset in item["assets"].items():
            content = (folder / item["id"] / asset["href"]).read_bytes()
            assert asset["file:size"] == len(content)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
            with open_band(folder, item, band) as source:
                assert asset["proj:shape"] == list(source.shape)
                assert asset["proj:transform"] == list(source.transform)[:6]
                assert source.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert source.nodata == asset["raster:bands"][0]["nodata"] == 0
                assert source.dtypes[0] == asset["raster:bands"][0]["data_type"]
                layout = source.tags(ns="IMAGE_STRUCTURE")
                assert (layout["LAYOUT"], layout["PREDICTOR"]) == ("COG", "2")
                assert layout["COMPRESSION"] == "DEFLATE"
                assert source.overviews(1) == [2, 4]


def test_offset_is_told_as_earth_search_tells_it(items):
    said = [
        (
            item["properties"]["s2:processing_baseline"],
            item["properties"]["earthsearch:boa_offset_applied"],
            item["assets"]["red"]["raster:bands"][0]["offset"],
        )
        for item in items[::2]
    ]
    assert said == [("05.10", True, -0.1), ("02.14", False, 0), ("05.10", False, -0.1)]


@pytest.mark.parametrize("band", ["red", "nir"])
def test_clear_pixels_hold_the_truth(folder, items, band):
    for item in items:
        day = plan_of(item)
        values, source = read(folder, item, band)
        scl, _ = read(folder, item, "scl")
        clear = np.isin(scl, CLEAR).repeat(2, 0).repeat(2, 1)
        expected = truth(*lonlat(source), int(day.date[5:7]), (band,))[0] * 10_000
        assert 0.1 < clear.mean() < 0.99
        difference = values.astype(float) + day.shift - expected
        assert np.abs(difference[clear]).max() <= 0.51
        clouded = np.isin(scl, (8, 9)).repeat(2, 0).repeat(2, 1)
        assert np.median(np.abs(difference[clouded])) > 500


def test_a_band_of_20_m_is_the_mean_of_what_lies_below(folder, items):
    values, _ = read(folder, items[0], "swir16")
    scl, _ = read(folder, items[0], "scl")
    _, fine = read(folder, items[0], "red")
    expected = truth(*lonlat(fine), 6, ("swir16",))[0] * 10_000
    expected = expected.reshape(24, 2, 24, 2).mean(axis=(1, 3))
    clear = np.isin(scl, CLEAR)
    assert np.abs(values[clear] - expected[clear]).max() <= 0.51


def test_nodata_is_what_the_orbit_does_not_see(folder, items):
    partial = 0
    for item in items:
        values, source = read(folder, item, "red")
        outline = shape(item["geometry"])
        lon, lat = lonlat(source)
        inside = shapely.contains_xy(outline, lon, lat)
        assert np.mean((values != 0) == inside) > 0.999
        scl, _ = read(folder, item, "scl")
        assert (scl == 0).mean() * 100 == pytest.approx(
            item["properties"]["s2:nodata_pixel_percentage"], abs=1e-5
        )
        partial += 0.05 < (values == 0).mean() < 0.95
    assert partial >= 1


def test_both_tiles_see_the_same_clouds(folder, items):
    east, west = (read(folder, item, "nir") for item in items[:2])
    to_west = Transformer.from_crs(east[1].crs, west[1].crs, always_xy=True)
    rows, cols = np.mgrid[0:48, 0:48]
    x, y = to_west.transform(*(east[1].transform @ (cols + 0.5, rows + 0.5)))
    c, r = (np.floor(v).astype(int) for v in ~west[1].transform @ (x, y))
    both = (c >= 0) & (c < 48) & (r >= 0) & (r < 48)
    assert both.mean() > 0.2
    a, b = east[0][both].astype(float), west[0][r[both], c[both]].astype(float)
    assert np.corrcoef(a, b)[0, 1] > 0.9


def test_same_plan_same_bytes(folder, items, tmp_path):
    again = write_scenes(tmp_path, replace(PLAN, days=DAYS[:1]))
    assert again == items[:2]


def test_cloud_box_and_gain_and_all_bands(tmp_path):
    # A box over the tile's western half; its shadow falls to the north-west, outside the east.
    tile = TilePlan("33TUL", 300000, 5048160)
    day = DayPlan("2024-06-03", cloud_box=(12.0, 45.0, 12.48, 46.0), gain=0.9)
    plan = ScenePlan((tile,), (day,), resolution=120, size=96, bands=BANDS)
    seen = []
    (item,) = write_scenes(tmp_path, plan, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]
    assert set(item["assets"]) == {*BANDS, "scl"}
    assert [item["assets"][b]["proj:shape"][0] for b in ("red", "nir08", "coastal")] == [96, 48, 16]
    scl, source = read(tmp_path, item, "scl")
    lon, _ = lonlat(source)
    assert (scl[lon < 12.478] == 9).all()
    assert np.isin(scl[lon > 12.482], CLEAR).all()
    values, source = read(tmp_path, item, "green")
    lon, lat = lonlat(source)
    expected = truth(lon, lat, 6, ("green",))[0] * 9_000
    east = lon > 12.482
    assert np.abs(values[east] - expected[east]).max() <= 0.51


def test_size_that_a_band_does_not_fit_is_refused(tmp_path):
    plan = ScenePlan((EAST,), DAYS[:1], resolution=240, size=64, bands=("coastal",))
    with pytest.raises(ValueError, match=r"choose a ScenePlan.size that 6 divides"):
        write_scenes(tmp_path, plan)


def test_tile_outside_the_swath_has_no_scene(tmp_path):
    day = DayPlan("2024-06-03", swath=Swath(0, 0.05))
    west = TilePlan("32TQR", 717600, 5047800)
    plan = ScenePlan((west, EAST), (day,), resolution=240, size=48, bands=("red",))
    assert footprint(plan, EAST, day).is_empty
    assert [item["id"] for item in write_scenes(tmp_path, plan)] == ["S2A_32TQR_20240603_0_L2A"]


def test_footprint_over_the_antimeridian_is_cut(tmp_path):
    tile = TilePlan("60KYF", 810000, 8100000)  # 180° runs through it
    plan = ScenePlan((tile,), DAYS[:1], resolution=960, size=48, bands=("red",))
    (item,) = write_scenes(tmp_path, plan)
    west, south, east, north = item["bbox"]
    assert west > 179 and east < -179 and south < north < 0
    outline = shape(item["geometry"])
    assert outline.geom_type == "MultiPolygon" and outline.is_valid
    assert outline.bounds[0] == -180 and outline.bounds[2] == 180
    side_km = np.sqrt(outline.area * 111.2**2 * np.cos(np.radians((south + north) / 2)))
    assert side_km == pytest.approx(46.08, rel=0.01)


def test_the_land_looks_alive():
    lon, lat = np.meshgrid(np.linspace(11.78, 12.41, 150), np.linspace(45.3, 45.55, 100))
    ndvi = {}
    for month in (6, 7):
        red, nir = truth(lon, lat, month, ("red", "nir"))
        assert red.min() > 0 and nir.max() < 0.7
        ndvi[month] = (nir - red) / (nir + red)
        assert (ndvi[month] < 0).mean() > 0.03  # water
        assert (ndvi[month] > 0.7).mean() > 0.2  # woods
    assert 0.02 < np.abs(ndvi[7] - ndvi[6]).mean() < 0.3


def test_truth_does_not_depend_on_the_grid_that_asks():
    lon, lat = np.meshgrid(np.linspace(12.0, 12.1, 20), np.linspace(45.4, 45.5, 20))
    whole = truth(lon, lat, 6)
    part = truth(lon[5:9, 3:17], lat[5:9, 3:17], 6)
    np.testing.assert_array_equal(whole[:, 5:9, 3:17], part)
    np.testing.assert_allclose(truth(lon + 360, lat, 6), whole, atol=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_share_of_clouds(share):
    lon, lat = np.meshgrid(np.linspace(11.5, 12.8, 300), np.linspace(45.0, 45.9, 300))
    opacity = clouds(lon, lat, 3, share)
    assert (opacity > 0).mean() == pytest.approx(share, abs=0.07)
    assert clouds(lon, lat, 3, 0).max() == 0
    assert clouds(lon, lat, 3, 1).min() == 1


def test_demo_plan_covers_what_it_promises():
    assert {day.date[:7] for day in DEMO.days} == {"2024-06", "2024-07"}
    assert {(day.baseline >= "04.00", day.shift) for day in DEMO.days} == {
        (False, 0),
        (True, 0),
        (True, -1000),
    }
    assert {tile.crs for tile in DEMO.tiles} == {"EPSG:32632", "EPSG:32633"}
