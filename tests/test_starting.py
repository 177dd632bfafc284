"""neve init writes what neve accepts and nothing else; neve doctor names what lacks."""

import io
import json
import sys

import pytest

from neve.region import load


def test_a_region_file_is_written_once_and_loads(neve, tmp_path):
    made = ("init", "--name", "graz", "--bbox", "15.3,46.9,15.6,47.2", "--folder", tmp_path)
    code, told = neve(*made)
    assert (code, told.strip()) == (0, str(tmp_path / "graz.yaml"))
    region = load(tmp_path / "graz.yaml")
    assert region.grid().crs == "EPSG:32633"
    assert region.area.bbox == (15.3, 46.9, 15.6, 47.2)
    before = (tmp_path / "graz.yaml").read_bytes()
    assert neve(*made)[0] == 3
    assert (tmp_path / "graz.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [
        ("--bbox", "15.3,46.9,15.6"),
        ("--bbox", "here"),
        ("--bbox", "15.3,47.2,15.6,46.9"),
        ("--bbox", "15.3,46.9,15.6,47.2", "--bands", "red,ultraviolet"),
        ("--bbox", "15.3,46.9,15.6,47.2", "--resolution", "-1"),
        ("--geometry", "nowhere.geojson"),
        ("--country", "Atlantis"),
        ("--country", "Austria", "--bbox", "15.3,46.9,15.6,47.2"),
    ],
)
def test_what_neve_would_not_load_is_not_written(neve, tmp_path, wrong):
    assert neve("init", "--name", "graz", "--folder", tmp_path, *wrong)[0] == 3
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_prints_the_file_only(neve, tmp_path):
    code, told = neve(
        "init", "--name", "graz", "--bbox", "1,2,3,4", "--folder", tmp_path, "--dry-run"
    )
    assert code == 0
    assert told.startswith("name: graz\narea:\n")
    assert list(tmp_path.iterdir()) == []


def test_a_country_is_its_box(neve, tmp_path):
    made = ("init", "--name", "a", "--folder", tmp_path, "--dry-run", "--json", "--country")
    code, told = neve(*made, "austria")
    west, south, east, north = json.loads(told)["area"]["bbox"]
    assert code == 0
    assert (west, south, east, north) == pytest.approx((9.53, 46.40, 17.15, 49.0), abs=0.05)
    west, _, east, _ = json.loads(neve(*made, "Fiji")[1])["area"]["bbox"]
    assert 170 < west < 180 and -180 < east < -170
    assert neve(*made, "Austri")[0] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("area", ["15.3,46.9,15.6,47.2", "Liechtenstein", "area.geojson"])
def test_what_no_option_says_is_asked_for(neve, tmp_path, monkeypatch, area):
    ring = [[15.3, 46.9], [15.6, 46.9], [15.6, 47.2], [15.3, 46.9]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "area.geojson").write_text(json.dumps(shape), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"graz\n{area}\n"))
    code, told = neve("init")
    assert code == 0
    assert told.endswith("regions/graz.yaml\n")
    assert load(tmp_path / "regions" / "graz.yaml").grid().height > 1000


def test_the_doctor_names_region_and_catalogue(neve, tiny):
    code, told = neve("doctor", tiny.folder, "--json")
    checks = {check["what"]: check for check in json.loads(told)["checks"]}
    assert code == 0, checks
    assert "3 items" in checks["tiny.yaml catalogue"]["found"]
    tiny.file.write_text(tiny.file.read_text("utf-8").replace("catalog: scenes", "catalog: gone"))
    (tiny.folder / "broken.yaml").write_text("name: [", "utf-8")
    code, told = neve("doctor", tiny.folder, "--json")
    wrong = [check for check in json.loads(told)["checks"] if not check["ok"]]
    assert code == 3
    assert [check["what"] for check in wrong] == ["broken.yaml", "tiny.yaml catalogue"]
    assert "gone" in wrong[1]["found"]
