"""The memory that a composite takes is predicted before."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from composites import BANDS, SMALL, flat
from images import UTM33

from neve.compositing.composite import Recipe, predict_memory
from neve.grid import Grid
from neve.scenes.values import Scene

MEASURE = """
import json, sys
from pathlib import Path
sys.path.insert(0, "tests")
import test_predicted_memory as t
from neve.compositing.composite import compose
scenes, grid, recipe = t.large(Path(sys.argv[1]), sys.argv[2])
compose(grid.piece(0, 0, 64, 64), scenes, recipe)
def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith(key)).split()[1]) * 1024
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
compose(grid, scenes, recipe)
print(json.dumps([status("VmHWM") - before, t.predict_memory(grid, len(scenes), recipe)]))
"""


def large(folder: Path, method: str) -> tuple[list[Scene], Grid, Recipe]:
    clear = np.full((520, 520), 4, "u1")
    made = [flat(folder, "a", 700, clear)]
    scenes = [replace(made[0], id=f"s{k}", day=f"2023-08-{k + 1:02}") for k in range(12)]
    recipe = Recipe(BANDS, method=method)  # type: ignore[arg-type]
    return scenes, Grid(UTM33, 10, 500_000, 5_000_000, 1000, 1000), recipe


@pytest.mark.parametrize("method", ["median", "medoid"])
def test_memory_is_predicted(tmp_path: Path, method: str) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux to measure")
    large(tmp_path, method)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), method],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    measured, predicted = json.loads(done.stdout.splitlines()[-1])
    # 1.3 × is promised; a prediction far off would shrink blocks for nothing.
    assert predicted / 4 < measured < 1.3 * predicted


def test_memory_grows_with_pixels_scenes_and_bands_kept_together() -> None:
    grid = replace(SMALL, width=1200, height=1200)
    base = predict_memory(grid, 25, Recipe(BANDS))
    assert predict_memory(replace(grid, width=2400), 25, Recipe(BANDS)) > 1.4 * base
    assert predict_memory(grid, 50, Recipe(BANDS)) > 1.4 * base
    assert predict_memory(grid, 25, Recipe(BANDS, method="medoid")) > 1.3 * base
