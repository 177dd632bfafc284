"""The cube's layout as readers without neve find it."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import BY, PROJECT

from neve.build.engine import Inline
from neve.build.month import build_month

SCHEMAS = PROJECT.parent / "shared" / "geozarr"


@pytest.fixture
def store(tiny):
    build_month(tiny.plan(), tiny.cube(), Inline(), BY)
    return tiny.cube().repository.readonly_session("main").store


def test_plain_xarray_reads_it(store):
    tree = xr.open_datatree(store, engine="zarr", zarr_format=3, consolidated=False)
    level = tree["1x"]
    assert set(tree.children) == {"1x", "2x", "4x", "16x", "blocks"}
    assert level["red"].dims == ("time", "y", "x")
    assert str(level.time.values[0])[:10] == "2024-06-01"
    assert level.time.attrs["bounds"] == "time_bnds"
    assert level["red"].attrs["grid_mapping"] == "spatial_ref"
    valid = level["red"].values[np.isfinite(level["red"].values)]
    assert 0.0 < np.median(valid) < 0.5
    assert level["count"].dtype == np.uint16
    assert (level["count"].values >= 0).all()
    assert np.allclose(np.diff(level.x), 60)
    assert np.allclose(np.diff(tree["4x"].x), 240)


def test_plain_zarr_reads_it(store):
    red = zarr.open_array(store, path="1x/red", mode="r")
    assert red.dtype == np.int16
    assert red.attrs["scale_factor"] == 1e-4
    assert red.fill_value == red.attrs["_FillValue"] == -32768
    assert red.metadata.dimension_names == ("time", "y", "x")


def test_a_geographic_region_has_latitude_and_longitude(tiny):
    text = tiny.file.read_text("utf-8").replace("EPSG:32633", "EPSG:4326")
    tiny.file.write_text(text.replace("resolution: 60", "resolution: 0.0006"))
    build_month(tiny.plan(), tiny.cube(), Inline(), BY)
    store = tiny.cube().repository.readonly_session("main").store
    level = xr.open_zarr(store, group="1x", zarr_format=3, consolidated=False)
    assert level["NDVI"].dims == ("time", "latitude", "longitude")
    assert level.longitude.attrs["units"] == "degrees_east"
    assert float(level["valid_fraction"].mean()) > 0.9


def test_only_levels_carry_a_transform(store):
    root = zarr.open_group(store, mode="r")
    with_transform = [n for n, g in root.groups() if "spatial:transform" in g.attrs]
    assert sorted(with_transform) == ["16x", "1x", "2x", "4x"]
    assert "spatial:transform" not in root.attrs


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the GeoZarr schemas are in ../shared")
def test_metadata_validates_against_the_published_schemas(store):
    import jsonschema

    root = zarr.open_group(store, mode="r")
    nodes = [root, *(g for n, g in root.groups() if n != "blocks")]
    for name in ("proj", "spatial", "multiscales"):
        schema = json.loads((Path(SCHEMAS) / f"{name}-v0.1.json").read_text("utf-8"))
        text = json.dumps(schema)
        for online in {w for w in text.split('"') if w.endswith("projjson.schema.json")}:
            text = text.replace(f'{{"$ref": "{online}"}}', "{}")
        for node in nodes if name != "multiscales" else [root]:
            document = {
                "zarr_format": 3,
                "node_type": "group",
                "attributes": node.attrs.asdict(),
            }
            jsonschema.validate(document, json.loads(text))
