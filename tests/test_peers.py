"""What readers of others make of a level: its place, its size, its CRS."""

import numpy as np
import pytest
from conftest import BY

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.sampling import grid_of
from neve.opened import open as open_tree

topozarr = pytest.importorskip("topozarr")


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_topozarr_takes_a_level_as_it_is(tiny, crs):
    degrees = tiny.file.read_text("utf-8").replace("EPSG:32633", crs)
    if crs == "EPSG:4326":
        tiny.file.write_text(degrees.replace("resolution: 60", "resolution: 0.0006"), "utf-8")
    build_month(tiny.plan("2024-06"), tiny.cube(), Inline(), BY)
    tree = open_tree(tiny.store, derived=False)
    level = tree["2x"].to_dataset()[["red", "count"]]
    level = level.proj.assign_crs(spatial_ref=tree["2x"].attrs["proj:code"])
    _, y, x = level["red"].dims
    plan = topozarr.create_pyramid(level, factors=[1, 2], x_dim=str(x), y_dim=str(y))
    told = plan.attrs["multiscales"]["layout"][0]
    ours = tree["2x"].attrs
    np.testing.assert_allclose(told["spatial:transform"], ours["spatial:transform"], rtol=1e-9)
    assert plan.attrs["proj:code"] == crs == grid_of(tree).crs
