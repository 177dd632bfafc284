"""The notebook in docs: every cell runs, in one process as a kernel would, on a tiny cube."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT, REGION, Tiny, build_both

NOTEBOOK = PROJECT / "docs" / "first_look.ipynb"
# What a kernel does with a cell: run it, show the value of a last expression.
KERNEL = """
import ast, json, sys, urllib.request
import matplotlib.pyplot as plt
names, shown = {}, []
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        html = getattr(value, "_repr_html_", None)
        shown.append(html() if html else repr(value))
plt.savefig("figure.png")
with urllib.request.urlopen(names["page"].url.partition("#")[0] + "api/cube") as answer:
    told = json.load(answer)
json.dump({"shown": shown, "months": told["months"], "n": len(names["series"])}, sys.stdout)
"""


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.mark.slow
def test_every_cell_runs_on_a_cube(tmp_path, scenes):
    shutil.copytree(scenes, tmp_path / "scenes")
    (tmp_path / "tiny.yaml").write_text(
        REGION.replace("store: cube", "store: .neve/demo/cube"), "utf-8"
    )
    (tmp_path / ".neve" / "demo").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    build_both(Tiny(tmp_path), ".neve/demo/cube")
    ran = subprocess.run(
        [sys.executable, "-c", KERNEL, NOTEBOOK],
        cwd=tmp_path / "docs",
        env=os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    cube, series, history, sizes, page = told["shown"]
    assert cube.startswith("<pre>neve cube  ../.neve/demo/cube at main\n")
    assert "EVI" in series and told["n"] == 2
    assert "2024-07" in history
    assert sizes == "(1, 2)"
    assert "<iframe" in page and told["months"] == ["2024-06", "2024-07"]
    assert (tmp_path / "docs" / "figure.png").stat().st_size > 10_000
