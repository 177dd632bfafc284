"""The land that tests ask: both real coastlines, and a small one that is made up."""

from pathlib import Path

import cartopy
import numpy as np
import pytest
import shapely

from neve.land import Land, load_land, touching

ROOT = Path(__file__).parents[1]
WORLD_ATLAS = ROOT / "node_modules" / "world-atlas"
SHARED = ROOT.parent / "shared" / "natural-earth"


@pytest.fixture(scope="module")
def world_atlas(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """The fallback, loaded where cartopy has nothing."""
    if not WORLD_ATLAS.exists():
        pytest.skip("node_modules is absent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cartopy.config, "data_dir", tmp_path_factory.mktemp("empty"))
        patch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path_factory.mktemp("empty"))
        land = load_land(WORLD_ATLAS)
    assert land.source == "world-atlas 2.0.2 land-10m"
    return land


@pytest.fixture(scope="module")
def natural_earth() -> Land:
    """The real shapefile, through cartopy."""
    if not SHARED.exists():
        pytest.skip("../shared is absent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cartopy.config, "pre_existing_data_dir", SHARED)
        land = load_land()
    assert land.source.startswith("cartopy: natural_earth 10m land")
    return land


@pytest.fixture(scope="module", params=["world_atlas", "natural_earth"])
def land(request: pytest.FixtureRequest) -> Land:
    """The whole world from each source that this machine has."""
    return request.getfixturevalue(request.param)


def near(land: Land, lon: float, lat: float, half: float = 0.01) -> bool:
    return bool(touching(land, np.array([[lon - half, lat - half, lon + half, lat + half]]))[0])


SMALL_LAND = Land(
    np.array(
        [
            shapely.box(-180, -20, -178, -15),
            shapely.box(179, -20, 180, -16),
            shapely.box(177, -60, 180, -30),
            shapely.box(-180, 10, -179, 70),
            shapely.box(-30, 0, 40, 60).difference(shapely.box(-10, 20, 20, 50)),
            shapely.box(-180, -90, 180, -80),
            shapely.Point(100, 10),
            shapely.LineString([(-100, 30), (-99, 31)]),
        ]
    ),
    "made up",
)
