"""Region files: what stands in the issue works as it stands, and every mistake is named."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from neve import documents
from neve.area import Area
from neve.errors import RegionInvalid
from neve.land import enumerate_blocks
from neve.region import load
from resources.regions import RegionFolder

TWL = """\
name: twl
area: {bbox: [15.2, 45.3, 16.2, 45.9]}   # lon/lat; or geometry: <GeoJSON file>; may cross 180°
crs: EPSG:32633        # or EPSG:4326, or utm = the zone of the centre
resolution: 120        # in units of the CRS
anchor: [60, 0]
start: 2023-08
bands: [blue, green, red, nir]
indices: [NDVI, EVI, SAVI]
overviews: [4, 16, 64]
mask: {drop: [0, 1, 3, 8, 9, 10]}
collection: sentinel-2-l2a
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "region.yaml"
    file.write_text(text, "utf-8")
    return file


def test_the_published_file_works_as_it_stands(tmp_path):
    region = load(write(tmp_path, TWL))
    grid = region.grid()
    assert (grid.crs, grid.width, grid.height) == ("EPSG:32633", 656, 562)
    assert (grid.left - 60) % 120 == 0
    assert grid.top % 120 == 0
    assert [i.name for i in region.index_values()] == ["NDVI", "EVI", "SAVI"]
    assert region.recipe().drop == (0, 1, 3, 8, 9, 10)


def test_utm_is_the_zone_of_the_centre(tmp_path):
    region = load(write(tmp_path, TWL.replace("crs: EPSG:32633", "crs: utm")))
    assert region.grid().crs == "EPSG:32633"


def test_an_area_may_cross_the_antimeridian(tmp_path):
    text = TWL.replace("[15.2, 45.3, 16.2, 45.9]", "[179.5, -17, -179.5, -16]")
    text = text.replace("EPSG:32633", "EPSG:4326").replace("resolution: 120", "resolution: 0.01")
    grid = load(write(tmp_path, text.replace("[60, 0]", "[0, 0]"))).grid()
    assert (grid.width, grid.height) == (100, 100)
    assert grid.bounds == pytest.approx((179.5, -17, 180.5, -16))


def test_a_geometry_file_lies_beside_the_region_file(tmp_path):
    polygon = '{"type":"Polygon","coordinates":[[[15,45],[16,45],[16,46],[15,45]]]}'
    (tmp_path / "area.json").write_text(polygon, "utf-8")
    text = TWL.replace("{bbox: [15.2, 45.3, 16.2, 45.9]}", "{geometry: area.json}")
    assert load(write(tmp_path, text)).area.shape().bounds == (15, 45, 16, 46)


def test_a_geometry_cut_at_the_antimeridian_is_one_area_again(tmp_path):
    parts = [[[179, -17], [180, -17], [180, -16], [179, -16], [179, -17]]]
    parts.append([[-180, -17], [-179, -17], [-179, -16], [-180, -16], [-180, -17]])
    cut = {"type": "MultiPolygon", "coordinates": [[ring] for ring in parts]}
    (tmp_path / "fiji.json").write_text(json.dumps(cut), "utf-8")
    text = TWL.replace("{bbox: [15.2, 45.3, 16.2, 45.9]}", "{geometry: fiji.json}")
    region = load(write(tmp_path, text.replace("EPSG:32633", "utm")))
    assert region.area.shape().bounds == (179, -17, 181, -16)
    assert region.grid().crs in ("EPSG:32701", "EPSG:32760")
    assert region.grid().width < 2500


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("resolution: 120", "resolutoin: 120", "did you mean 'resolution'"),
        ("resolution: 120", "resolution: -3", "'resolution'"),
        ("resolution: 120", "", "'resolution' is missing"),
        ("bands: [blue,", "bands: [bleu,", "did you mean 'blue'"),
        ("bands: [blue, green, red, nir]", "bands: []", "'bands'"),
        ("[NDVI, EVI, SAVI]", "[NDVI, EVIL]", "EVIL"),
        ("[NDVI, EVI, SAVI]", "[NDMI]", "swir16"),
        ("[4, 16, 64]", "[4, 6]", "each divides the next"),
        ("{drop: [0, 1, 3, 8, 9, 10]}", "{drop: [77]}", "0–11"),
        ("{drop: [0, 1, 3, 8, 9, 10]}", "{dorp: [1]}", "did you mean 'drop'"),
        ("start: 2023-08", "start: 2023-13", "YYYY-MM"),
        ("crs: EPSG:32633", "crs: EPSG:999999", "EPSG:<code>"),
        ("[15.2, 45.3, 16.2, 45.9]", "[15.2, 46.3, 16.2, 45.9]", "south < north"),
        ("{bbox: [15.2, 45.3, 16.2, 45.9]}", "{geometry: none.json}", "none.json"),
        ("name: twl", "name: 'tw|l'", "'name'"),
        ("resolution: 120", "resolution: .inf", "'resolution'"),
        ("crs: EPSG:32633", "crs: EPSG:4326", "units of EPSG:4326"),
        ("crs: EPSG:32633", "crs: EPSG:4807", "degrees"),
        ("name: twl", "- a list", "YAML"),
        *(
            (
                "start: 2023-08",
                f"start: 2023-08\nhosts: ['{host}']",
                "without scheme, path and port",
            )
            for host in ("minio:9000", "http://minio:9000", "a b", "minio/x", "[::1]:9000", "")
        ),
    ],
)
def test_a_mistake_names_the_file_the_key_and_the_fix(tmp_path, old, new, named):
    assert old in TWL
    file = write(tmp_path, TWL.replace(old, new))
    with pytest.raises(RegionInvalid) as raised:
        load(file)
    assert str(file) in str(raised.value)
    assert named in str(raised.value)


def test_hosts_are_names_addresses_and_buckets(tmp_path):
    hosts = ("minio", "*.example.org", "10.0.0.1", "::1", "[fd00::1]", "my.bucket_1")
    text = TWL + f"hosts: {list(hosts)}\n"
    assert load(write(tmp_path, text)).hosts == hosts


BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise("abcdefghijkl")]
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB + "\nname: *l\n", "instead of the alias"),
        ("name: " + "[" * 50_000, "nested more than 20 deep"),
        ("name: " + "{a: " * 50_000, "nested more than 20 deep"),
        ("name: " + "x" * 1_000_001, "larger than"),
        ("name: !!python/object/apply:os.system [touch pwned]", "cannot be read as YAML"),
        ("name: \xff", "utf-8"),
        ("name: 0x" + 6000 * "f", "more than 3000 characters"),
    ],
    ids=["bomb", "lists", "maps", "long", "code", "bytes", "number"],
)
def test_a_hostile_region_file_is_refused_at_once(tmp_path, text, told):
    (tmp_path / "a.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RegionInvalid, match=told) as caught:
        load(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 1000
    assert not Path("pwned").exists()
    (tmp_path / "b.yaml").write_text(TWL, "utf-8")
    bad, good = RegionFolder(path=str(tmp_path)).each()
    assert (type(bad), good.name) == (RegionInvalid, "twl")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"type": "Polygon", "coordinates": ' + "[" * 900 + "]" * 900 + "}",
        '{"type": "FeatureCollection", "features": [1]}',
        '{"type": "FeatureCollection", "features": 7}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1e999, 0], [1, 1], [0, 0]]]}',
        "7",
        "x" * 10_000_001,
        json.dumps({"type": "Polygon", "coordinates": [[[0, k / 1e6] for k in range(100_001)]]}),
    ],
    ids=["deep", "deep coordinates", "number", "no list", "endless", "bare", "long", "detailed"],
)
def test_a_hostile_area_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    given = Area(geometry=tmp_path / "a.json")
    with pytest.raises(RegionInvalid, match=r"area.geometry .*a.json") as caught:
        given.shape()
    assert len(str(caught.value)) < 1000


def test_what_is_no_file_is_not_read(tmp_path):
    """A device need not end, a pipe need not begin, and what the kernel tells has no size."""
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(RegionInvalid, match=r"area.geometry .*not a regular file"):
            Area(geometry=path).shape()
        with pytest.raises(RegionInvalid, match="not a regular file"):
            load(path)


def test_a_file_that_tells_no_size_is_read_no_further_than_any(monkeypatch):
    monkeypatch.setattr(documents, "MOST_YAML", 10)
    with pytest.raises(RegionInvalid, match="larger than 10 bytes"):
        load(Path("/proc/self/status"))


def test_polygons_that_cross_themselves_and_each_other_are_an_area(tmp_path):
    """GEOS cannot make a union of them."""
    bow = [[[15, 45], [16, 46], [16, 45], [15, 46], [15, 45]]]
    across = [[[15.2, 44.9], [15.6, 46.1], [15.8, 44.9], [15.2, 44.9]]]
    parts = [{"type": "Polygon", "coordinates": c} for c in (bow, across)]
    told = {"type": "FeatureCollection", "features": [{"geometry": part} for part in parts]}
    (tmp_path / "area.json").write_text(json.dumps(told), "utf-8")
    text = TWL.replace("{bbox: [15.2, 45.3, 16.2, 45.9]}", "{geometry: area.json}")
    region = load(write(tmp_path, text))
    assert region.area.shape().bounds == (15, 44.9, 16, 46.1)
    assert enumerate_blocks(region.grid(), 256, None, region.area.shape())
