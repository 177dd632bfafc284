"""Overviews of an existing dataset: neve, its floor and its peers on one source, interleaved.

The floor reads and decodes every stored chunk once and writes levels that are there already,
as neve reads and writes; ``zarr_floor`` as zarr-python does.
``--peers DIR``: folder of virtual environments with peers that do not fit into this one
(``topozarr ndpyramid``, ``terrazarr``, ``eopf-geozarr``). Tables go to stderr, one JSON line of
ratios to stdout: a peer's CPU ÷ ours, ours ÷ the floors'. terrazarr and eopf-geozarr copy native
too and make all of 2, 4, … 64; topozarr "all" copies native too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from overview_source import FACTORS, FILLS, make, reading

HERE = Path(__file__).parent
PEERS = {
    "topozarr_levels": "topozarr",
    "topozarr": "topozarr",
    "ndpyramid": "ndpyramid",
    "xarray": "xarray",
    "terrazarr": "terrazarr",
    "eopf_geozarr": "eopf_geozarr",
}
TARGETS = {"topozarr_levels": 2, "topozarr": 4, "ndpyramid": 6, "xarray": 6}


def say(*words: object, sep: str = " ") -> None:
    """Explain on stderr."""
    print(*words, sep=sep, file=sys.stderr, flush=True)


def python_with(module: str, peers: Path) -> str | None:
    """The first interpreter that can import a peer."""
    for python in (sys.executable, *map(str, sorted(peers.glob("*/bin/python")))):
        found = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", found], check=False).returncode == 0:
            return python
    return None


def run(python: str, *words: object) -> dict[str, Any] | None:
    """One variant in its own process; None, said on stderr, if it failed."""
    command = [python, str(HERE / "overview_variants.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        say(f"{words[0]} FAILED:", *done.stderr.strip().splitlines()[-4:], sep="\n  ")
        return None
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {}


def error(native: Path, levels: Path, names: dict[int, str], name: str) -> float:
    """Largest difference from the exact mean of valid native pixels, first time step."""
    values = zarr.open_group(reading(native), mode="r")[f"0/{name}"][0]
    ok = values != FILLS[name]
    worst = 0.0
    for factor, group in names.items():
        level = zarr.open_group(reading(levels), mode="r")[f"{group}/{name}"][0]
        sums = [
            np.add.reduceat(
                np.add.reduceat(part.astype("int64"), range(0, len(part), factor), 0),
                range(0, part.shape[1], factor),
                1,
            )[: level.shape[0], : level.shape[1]]
            for part in (np.where(ok, values, 0), ok)
        ]
        exact = sums[0] / np.maximum(sums[1], 1)
        lost = (level == FILLS[name]) != (sums[1] == 0)
        off = np.abs(level - exact)[sums[1] > 0]
        worst = max(worst, off.max(initial=0), np.inf if lost.any() else 0)
    return float(worst)


def measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All variants on one source, ``rounds`` times in turn; medians."""
    source = work / "source"
    make(work / "small", 1024, 1)
    make(source, args.side, args.steps)
    size = sum(f.stat().st_size for f in (source / "chunks").iterdir())
    raw = 8 * args.steps * args.side**2
    say(f"source: {args.steps} × {args.side}² of uint16, int16, float32: {raw / 1e9:.2f} GB of")
    say(f"  pixels, {size / 1e9:.2f} GB stored, 30 % of chunks absent; factors {FACTORS}")
    pythons = {
        name: python_with(module, args.peers) for name, module in PEERS.items() if name in args.only
    }
    for name in [name for name, python in pythons.items() if python is None]:
        say(f"PEER ABSENT: {name} ({PEERS[name]} is in no environment; see --peers)")
    pythons = dict.fromkeys(("neve", "floor", "zarr_floor"), sys.executable) | pythons
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    again = ["neve", "floor"] * (args.pairs - 1)  # they end soon, so that noise weighs more
    for _ in range(args.rounds):
        for name, python in [*((name, sys.executable) for name in again), *pythons.items()]:
            if python is None or (results[name] and results[name][-1] is None):
                continue
            shutil.rmtree(work / name, ignore_errors=True)
            extra = [work / "neve"] if name.endswith("floor") else []
            result = run(python, name, source, work / name, *extra)
            results[name].append(result)  # type: ignore[arg-type]
            say(f"  {name:16}", result and {k: round(v, 2) for k, v in result.items()})
    medians = {
        name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        for name, rounds in results.items()
        if rounds and all(rounds)
    }
    groups = {f: f"{f}x" for f in FACTORS}
    errors = {"neve": max(error(source, work / "neve", groups, n) for n in ("u16", "i16"))}
    if "topozarr" in medians:
        numbered = {f: str(k) for k, f in enumerate(FACTORS, 1)}
        errors["topozarr"] = max(
            error(source, work / "topozarr", numbered, n) for n in ("u16", "i16")
        )
    pairs = zip(results["neve"], results["floor"], strict=True)
    ratios = sorted(ours["cpu"] / floor["cpu"] for ours, floor in pairs)
    return {"medians": medians, "errors": errors, "stored": size, "ratios": ratios}


def memory(sides: tuple[int, int], work: Path) -> list[int]:
    """Peak memory of neve on a small and a large raster (uint16, one step)."""
    peaks = []
    for side in sides:
        source = work / "source"
        shutil.rmtree(source, ignore_errors=True)
        make(source, side, 1, ("u16",))
        result = run(sys.executable, "neve", source, work / "neve")
        assert result is not None
        peaks.append(int(result["peak"]))
        say(f"peak memory at {side}²: {result['peak'] / 2**20:.0f} MiB")
    return peaks


def main() -> None:
    """Measure, explain, and end stdout with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2048², one round")
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=3, help="times neve and floor in a round")
    parser.add_argument("--peers", type=Path, default=HERE / "peers")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS), help="peers")
    parser.add_argument("--work", type=Path, default=None, help="folder for the stores")
    args = parser.parse_args()
    if args.quick:
        args.side, args.steps, args.rounds, args.pairs = 2048, 1, 1, 1
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        found = measure(args, Path(folder))
        sides = (4096, 8192) if args.quick else (8192, 32768)
        small, large = memory(sides, Path(folder))
    medians, ours = found["medians"], found["medians"]["neve"]["cpu"]
    floor = medians["floor"]["cpu"]
    head = ("CPU s", 8), ("÷ floor", 9), ("÷ neve", 8), ("wall s", 8), ("read ÷ stored", 15)
    say(f"\n{'':18}" + "".join(f"{word:>{width}}" for word, width in (*head, ("MiB", 7))))
    for name, m in sorted(medians.items(), key=lambda item: item[1]["cpu"]):
        target = f"   target ≥ {TARGETS[name]}" if name in TARGETS else ""
        say(
            f"{name:18}{m['cpu']:8.2f}{m['cpu'] / floor:9.2f}{m['cpu'] / ours:8.2f}{m['wall']:8.2f}"
            f"{m['bytes_read'] / found['stored']:15.3f}{m['peak'] / 2**20:7.0f}{target}"
        )
    say(f"largest integer error: {found['errors']} (target for neve ≤ 0.5)")
    paired = statistics.median(found["ratios"])
    spread = ", ".join(f"{ratio:.2f}" for ratio in found["ratios"])
    say(f"neve ÷ floor, pair by pair: {spread}; median {paired:.2f} (target ≤ 1.25)")
    say(f"memory × {large / small:.2f} from {sides[0]}² to {sides[1]}² (target ≤ 1.1)")
    summary = {
        "read_floor_cpu": round(paired, 3),
        "zarr_floor_cpu": round(ours / medians["zarr_floor"]["cpu"], 3),
        **{
            f"{name}_cpu": round(medians[name]["cpu"] / ours, 3) if name in medians else None
            for name in PEERS
        },
        "bytes_read": round(medians["neve"]["bytes_read"] / found["stored"], 5),
        "integer_error": found["errors"]["neve"],
        "memory_growth": round(large / small, 3),
        "neve_cpu_s": ours,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
