"""The command line: exit codes, errors on stderr, and a build through the Dagster assets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import PROJECT

from neve.cli.planning import Amounts, Prices, planned
from neve.errors import AskPerson
from neve.opened import open as open_tree


def neve(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("neve"))
    environment = os.environ | {"DAGSTER_HOME": str(cwd), "NEVE_WORK": str(cwd / ".neve")}
    (cwd / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"))
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_build_publishes_a_month_and_info_tells_of_it(tiny, tmp_path):
    asked = ("build", tiny.file, "--month", "2024-06")
    dry = neve(*asked, "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(dry.stdout)["blocks"] == "9 of 9, 32 px", dry.stderr
    assert not (tmp_path / "cube").exists()
    built = neve(*asked, "--json", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    published = json.loads(built.stdout)
    assert Path(published["store"]) == tmp_path / "cube"
    history = tiny.cube().history()
    assert history[0].id == published["snapshot"]
    assert len(history[0].metadata["run_id"]) == 36
    told = neve("info", tmp_path / "cube", cwd=tmp_path)
    assert "2024-06" in told.stdout
    assert published["snapshot"] in told.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "month", "code", "named"),
    [
        (("resolution: 60", "resolution: -1"), "2024-06", 3, "'resolution'"),
        (("min_obs", "min_obs"), "2024-13", 3, "YYYY-MM"),
        (("bands: [blue, green, red, nir]", "bands: [red, nir, swir16]"), "2024-06", 3, "swir16"),
        (("catalog: scenes", "catalog: nowhere"), "2024-06", 3, "nowhere"),
        (("catalog: scenes", "catalog: http://127.0.0.1:9"), "2024-06", 4, "127.0.0.1:9"),
    ],
)
def test_what_goes_wrong_is_named_with_a_stable_code(tiny, tmp_path, change, month, code, named):
    text = tiny.file.read_text("utf-8").replace("[NDVI, EVI]", "[NDVI]").replace(*change)
    tiny.file.write_text(text, "utf-8")
    failed = neve("build", tiny.file, "--month", month, cwd=tmp_path)
    assert failed.returncode == code, failed.stderr[-3000:]
    assert named in failed.stderr.splitlines()[-1]
    assert not (tmp_path / "cube").exists() or len(open_tree(tiny.store)["1x"].time) == 0


def test_the_demo_removes_nothing_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert neve("demo", tmp_path, cwd=tmp_path).returncode == 3
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_wrong_usage_ends_with_two(tmp_path):
    assert neve("build", cwd=tmp_path).returncode == 2
    assert neve("info", tmp_path / "none", cwd=tmp_path).returncode == 3


@pytest.mark.slow
def test_overviews_are_added_to_a_dataset_of_others_but_not_to_a_cube(tiny, tmp_path):
    x, y = 500_000 + 10 * (np.arange(50) + 0.5), 5_000_000 - 10 * (np.arange(30) + 0.5)
    values = np.arange(1500, dtype="float32").reshape(30, 50)
    other = xr.Dataset({"v": (("y", "x"), values)}, coords={"x": x, "y": y})
    other.to_zarr(tmp_path / "other", group="1x", zarr_format=3, consolidated=False)
    asked = ("overviews", tmp_path / "other", "--factors", "2,10", "--crs", "EPSG:32633")
    dry = neve(*asked, "--dry-run", "--json", cwd=tmp_path)
    assert [row["shape"] for row in json.loads(dry.stdout)["levels"]] == [[15, 25], [3, 5]]
    assert not (tmp_path / "other" / "2x").exists()
    wrong = neve(*asked, "--method", "v=best", cwd=tmp_path)
    assert (wrong.returncode, "best" in wrong.stderr) == (3, True)
    added = neve(*asked, cwd=tmp_path)
    assert added.returncode == 0, added.stderr
    level = xr.open_zarr(tmp_path / "other", group="10x", consolidated=False)
    np.testing.assert_allclose(level["v"], values.reshape(3, 10, 5, 10).mean(axis=(1, 3)))
    tiny.cube()
    refused = neve("overviews", tiny.store, cwd=tmp_path)
    assert refused.returncode == 3
    assert "with its months" in refused.stderr


def test_the_plan_tells_bytes_and_the_time_of_so_many_workers(tiny):
    title, alone = planned(tiny.file, "2024-06")
    assert title.startswith("tiny 2024-06, from ")
    assert "time on 2 workers" in planned(tiny.file, "2024-06", workers=2)[1]
    variables = [np.dtype(v.dtype).itemsize for v in tiny.plan().layout.variables]
    window = tiny.plan().layout.window
    pixels = window.height * window.width * (1 + 1 / 2**2 + 1 / 4**2 + 1 / 16**2)
    written = f"{pixels * sum(variables) / 2**20:.2f} MiB"
    assert alone["bytes out, uncompressed"] == written
    works = tiny.plan().works
    reads = 2 * 5 * sum(len(work.scenes) for work in works)
    writes = (23 + 6 + 2 + 1) * len(variables)  # 5,658 pixels in chunks of 256
    assert alone["requests"] == f"{reads} reads and {writes} writes, or more"
    scenes = sum(
        len(w.scenes) * w.block.grid.height * w.block.grid.width for w in tiny.plan().works
    )
    seconds = scenes * 6**2 * 5 * 15e-9  # 60 m of 10 m pixels, four bands and the mask
    assert f"of {seconds:.2f} CPU s" in str(alone["time on 1 workers"])


def test_a_cost_is_what_is_used_times_its_price():
    used = Amounts(seconds=7200, bytes=3e9, reads=4000, writes=5000)
    assert used.cost(Prices(1, 0, 0, 0)) == (2, 0)
    assert used.cost(Prices(0, 1, 0, 0)) == (0, 3)
    assert used.cost(Prices(0, 0, 1, 0)) == (4, 0)
    assert used.cost(Prices(0, 0, 0, 1)) == (5, 0)
    for wrong in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(AskPerson, match="four numbers"):
            Prices.parse(wrong)
