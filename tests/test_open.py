"""A cube opened: every index of its bands is there, stored or not, with the same values."""

import asyncio
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from conftest import PROJECT
from cubes import make

import neve
from neve.cube.places import open_repository
from neve.cube.reader import variables
from neve.errors import AskPerson


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cubes")
    floats = "dtypes: {reflectance: float32, indices: float32}"
    return {
        "all": make(folder, "all", "all"),
        "none": make(folder, "none", "[]"),
        "all floats": make(folder, "allfloats", "all", floats),
        "no floats": make(folder, "nofloats", "[]", floats),
    }


LEVELS = ("1x", "2x", "4x", "16x")


@pytest.mark.parametrize(
    ("kinds", "levels"), [(("all", "none"), LEVELS), (("all floats", "no floats"), LEVELS[1:2])]
)
def test_a_derived_index_has_the_bits_of_a_stored_one_at_every_level(stores, kinds, levels):
    stored, derived = (neve.open(stores[kind]) for kind in kinds)
    found = {v.name: v for v in variables(derived)}
    assert {v.kind for v in variables(stored)} <= {"stored", "alias"}
    assert set(found) == {v.name for v in variables(stored)}
    assert sum(v.kind == "derived" for v in found.values()) == 229
    gaps = 0
    for level in levels:
        for name in found:
            one, other = stored[level][name], derived[level][name]
            assert one.dtype == other.dtype and one.dims == other.dims, name
            assert one.values.tobytes() == other.values.tobytes(), (level, name)
            assert one.encoding.get("scale_factor") == other.encoding.get("scale_factor")
            hints = {"derived_from", "alias_of"}
            assert {k: v for k, v in one.attrs.items() if k not in hints} == {
                k: v for k, v in other.attrs.items() if k not in hints
            }
        gaps += int(derived[level]["NDVI"].isnull().sum())
    assert gaps > 100


def test_only_the_part_that_is_read_is_computed(stores, monkeypatch):
    tree = neve.open(stores["none"])
    whole = tree["1x"]["EVI"].values
    pixels = []
    compute = neve.cube.derived.compute

    def counting(indices, bands):
        pixels.append(next(iter(bands.values())).size)
        return compute(indices, bands)

    monkeypatch.setattr("neve.cube.derived.compute", counting)
    evi = tree["1x"]["EVI"]
    np.testing.assert_array_equal(evi.isel(time=0, x=slice(5, 60, 7)).values, whole[0, :, 5:60:7])
    np.testing.assert_array_equal(evi[0, [7, 3], [70, 1, 9]], whole[0][np.ix_([7, 3], [70, 1, 9])])
    np.testing.assert_array_equal(evi[0, 40, 12].values, whole[0, 40, 12])
    points = xr.DataArray([4, 60, 8], dims="p")
    np.testing.assert_array_equal(evi[0].isel(y=points, x=points), whole[0][points, points])
    near = evi.sel(x=float(evi.x[10]) + 7, y=float(evi.y[3]) - 5, method="nearest")
    np.testing.assert_array_equal(near, whole[:, 3, 10])
    part = asyncio.run(evi[0, 3:9, [5, 2]].load_async())  # as xpublish-tiles reads
    np.testing.assert_array_equal(part, whole[0, 3:9][:, [5, 2]])
    assert max(pixels) <= len(evi.y) * 8
    with pytest.raises(IndexError):
        evi[0, 10_000]


def test_it_can_be_pickled_and_written_elsewhere(stores, tmp_path):
    tree = pickle.loads(pickle.dumps(neve.open(stores["none"])))
    level = tree["4x"].to_dataset()[["NDVI", "EVI"]]
    level.to_zarr(tmp_path / "copy", zarr_format=3, consolidated=False)
    copy = xr.open_zarr(tmp_path / "copy", consolidated=False)
    xr.testing.assert_equal(copy.load(), level.load())
    assert copy["NDVI"].encoding["dtype"] == np.int16


def test_what_is_stored_is_opened_as_xarray_opens_it(stores):
    session = open_repository(stores["none"]).readonly_session("main")
    plain = xr.open_datatree(session.store, engine="zarr", zarr_format=3, consolidated=False)
    ours = neve.open(stores["none"], derived=False)
    assert ours.identical(plain)
    whole = neve.open(stores["none"])
    for level in LEVELS:
        assert (
            whole[level]
            .to_dataset()[list(plain[level].data_vars)]
            .identical(plain[level].to_dataset())
        )


def test_opening_all_levels_is_cheap_and_importing_neve_is_light(stores):
    neve.open(stores["none"])
    began = time.process_time()
    neve.open(stores["none"])
    assert time.process_time() - began < 1.0
    code = "import sys, neve; sys.exit('xarray' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_at_names_a_branch_a_tag_or_a_snapshot(stores):
    repository = open_repository(stores["none"])
    tip, empty, *_ = (commit.id for commit in repository.ancestry(branch="main"))
    repository.create_tag("v1", tip)
    for at in ("main", "v1", tip):
        assert len(neve.open(stores["none"], at)["1x"].time) == 1
    none_yet = neve.open(stores["none"], at=empty)["1x"]
    assert none_yet["NDVI"].shape[0] == none_yet["NDVI"].values.size == 0
    for at in ("v2", "ZZZZZZZZZZZZZZZZZZZZ", "ABCDEFGHJKMNPQRSTVW0"):
        with pytest.raises(AskPerson, match=at):
            neve.open(stores["none"], at)


def test_attributes_say_what_a_variable_is(stores):
    found = {v.name: v for v in variables(neve.open(stores["none"]))}
    assert found["red"].kind == "stored"
    savi = found["SAVI"]
    assert savi.attributes["derived_from"] == ["nir", "red"]
    assert savi.attributes["long_name"] == "Soil-Adjusted Vegetation Index"
    assert savi.attributes["formula"] == "(1.0 + L) * (N - R) / (N + R + L)"
    assert savi.attributes["constants"] == {"L": 1.0}
    assert savi.attributes["references"].startswith("https://doi.org/")
    assert savi.attributes["application_domain"] == "vegetation"
    assert savi.attributes["display_range"][0] < savi.attributes["display_range"][1]
    assert savi.attributes["colormap"] == "RdYlGn"
    assert {"count", "valid_fraction"} < found.keys()
    assert not {"time_bnds", "spatial_ref"} & found.keys()
