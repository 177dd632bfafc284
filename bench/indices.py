"""All 229 indices of a block: neve, the cost of filling memory, and spyndex, interleaved.

Kernel: values of every index into reused memory, against filling as many float32 outputs and
against ``spyndex.computeIndex`` as documented and tuned (a list of names, cache-sized pieces,
reused outputs, float32). Pipeline: compute, encode and commit to Icechunk against
``computeIndex`` and xarray's ``to_zarr`` as it comes. Each variant runs in its own process,
round by round. A table goes to stderr, one JSON line of ratios to stdout.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from index_variants import INDICES, NAMES

from neve.indices import aliases

HERE = Path(__file__).parent
KERNELS = ("fill_floor", "neve", "neve_windows", "neve_float32", "spyndex", "spyndex_tuned")
PIPELINES = ("pipeline", "pipeline_zarr", "spyndex_to_zarr")


def say(*words: Any) -> None:
    print(*words, file=sys.stderr, flush=True)


def make(side: int) -> np.ndarray:
    """A landscape: smooth mixtures of five covers, with noise, as int16 (bands, side, side)."""
    covers = np.array(
        [
            (200, 250, 500, 300, 900, 2500, 3300, 3600, 3800, 1700, 800),
            (600, 800, 1100, 1500, 1800, 2000, 2100, 2300, 2500, 3100, 2700),
            (300, 350, 300, 150, 120, 100, 100, 80, 70, 40, 30),
            (1200, 1300, 1400, 1600, 1700, 1800, 1900, 2000, 2100, 2300, 2100),
            (400, 500, 800, 600, 1300, 2700, 3200, 3400, 3600, 2200, 1300),
        ]
    )
    rng = np.random.default_rng(7)
    coarse = rng.standard_normal((5, side // 40 + 3, side // 40 + 3)).repeat(40, 1).repeat(40, 2)
    kernel = np.ones(81) / 81
    for axis in (1, 2):
        coarse = np.apply_along_axis(np.convolve, axis, coarse, kernel, "valid")
    shares = np.exp(12 * coarse[:, :side, :side])
    shares /= shares.sum(0)
    values = np.einsum("cb,cyx->byx", covers, shares)
    noise = rng.normal(1, 0.03, (1, side, side)) + rng.normal(0, 0.01, values.shape)
    return np.clip(values * noise, 1, 16000).astype(np.int16)


def run(name: str, block: Path, out: Path, repeats: int) -> dict[str, Any]:
    """One variant in a process of its own: lists of CPU and wall seconds, peak memory."""
    environment = os.environ | {"PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, HERE / "index_variants.py", name, block, out, str(repeats)]
    done = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(side: int, rounds: int, work: Path) -> dict[str, dict[str, float]]:
    """Median CPU and wall seconds and peak memory of every variant."""
    block, out = work / "block.npy", work / "out"
    np.save(block, make(side))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*KERNELS, *PIPELINES)}
    for _ in range(rounds):
        for name in KERNELS:
            found[name].append(run(name, block, out, 5))
        for name in PIPELINES:
            found[name].append(run(name, block, out, 1))
    medians = {}
    for name, results in found.items():
        flat = {key: [v for r in results for v in r[key]] for key in ("cpu", "wall")}
        medians[name] = {key: statistics.median(values) for key, values in flat.items()}
        medians[name]["peak"] = statistics.median(r["peak"] for r in results)
    return medians


def times(medians: dict[str, dict[str, float]], one: str, other: str, key: str = "cpu") -> float:
    return round(medians[one][key] / medians[other][key], 3)


def report(medians: dict[str, dict[str, float]]) -> None:
    """The table, and each target with what was reached."""
    say(f"\n{'':18}{'CPU s':>9}{'wall s':>9}{'MiB':>8}")
    for name, m in medians.items():
        say(f"{name:18}{m['cpu']:9.3f}{m['wall']:9.3f}{m['peak'] / 2**20:8.0f}")

    ratio = partial(times, medians)
    say(f"\nneve ÷ fill floor        {ratio('neve', 'fill_floor'):6.2f}  target ≤ 2.5")
    say(f"  all of it as float32   {ratio('neve_float32', 'fill_floor'):6.2f}")
    say(f"spyndex ÷ neve           {ratio('spyndex', 'neve'):6.2f}  target ≥ 8")
    say(f"spyndex tuned ÷ neve     {ratio('spyndex_tuned', 'neve'):6.2f}  target ≥ 4")
    say(f"spyndex + to_zarr ÷ ours {ratio('spyndex_to_zarr', 'pipeline'):6.2f}  target ≥ 3.5")
    say(f"  ours through zarr      {ratio('spyndex_to_zarr', 'pipeline_zarr'):6.2f}")
    say(f"memory of pipelines, ÷   {ratio('pipeline', 'spyndex_to_zarr', 'peak'):6.2f}  ≤ 0.25")
    say(f"memory of kernels, ÷     {ratio('neve_windows', 'spyndex', 'peak'):6.2f}  ≤ 0.25")
    say(f"  all outputs held       {ratio('neve', 'spyndex', 'peak'):6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600², one round")
    parser.add_argument("--side", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.quick:
        args.side, args.rounds = 600, 1
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(args.side, args.rounds, Path(folder))
    say(f"{args.side}² px, {len(INDICES)} indices ({len(aliases(INDICES))} repeat another) from")
    say(f"  {len(NAMES)} bands; spyndex in float32; memory is what a run adds to its process")
    report(medians)
    ratio = partial(times, medians)
    summary = {
        "spyndex_cpu": ratio("spyndex", "neve"),
        "spyndex_tuned_cpu": ratio("spyndex_tuned", "neve"),
        "fill_floor_cpu": ratio("neve", "fill_floor"),
        "pipeline_cpu": ratio("spyndex_to_zarr", "pipeline"),
        "kernel_memory": ratio("neve_windows", "spyndex", "peak"),
        "pipeline_memory": ratio("pipeline", "spyndex_to_zarr", "peak"),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
