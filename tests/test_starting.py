"""neve init writes what neve accepts and nothing else; neve doctor names what lacks."""

import json

import pytest
from test_looking import neve

from neve.region import load

__all__ = ["neve"]


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
