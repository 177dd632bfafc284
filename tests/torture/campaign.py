"""A campaign: one trial repeated over seeds, its outcomes counted and kept.

What a trial aims at is drawn from its seed alone, so that a finding can be aimed at again; when
things happen is the machine's. With ``NEVE_TORTURE=full`` every outcome is appended to
``.neve/torture/<name>.jsonl`` and a campaign that was interrupted goes on where it was; else a few
trials run and nothing is kept.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FULL = os.environ.get("NEVE_TORTURE") == "full"
KEPT = Path(__file__).parents[2] / ".neve" / "torture"
RAISED = "raised"
FALSE_FAILURE = "FALSE FAILURE"
# Outcomes by which a trial tells that the promise was broken. Some campaigns allow a share of them.
BROKEN = frozenset({FALSE_FAILURE, "SILENT", "LOST", "UNDETECTED", "failed", RAISED})


def campaign(
    name: str,
    short: int,
    full: int,
    trial: Callable[[random.Random], str],
    each: int = 1,
    abreast: int = 1,
) -> Counter[str]:
    """Run a campaign of so many trials; returns how often each outcome was seen.

    Each trial gets its own generator, seeded by the campaign's name and the trial's number. An
    exception of a trial ends the campaign; its number is named, and it is tried again by the next
    run, but stays on record. ``each``: cases that one trial goes through; ``abreast``: so many
    trials run at a time, in threads, where they do little but wait.
    """
    record = KEPT / f"{name}.jsonl"

    def keep(number: int, outcome: str) -> None:
        if FULL:
            KEPT.mkdir(parents=True, exist_ok=True)
            line = {"trial": number, "of": full, "each": each, "outcome": outcome}
            with record.open("a", encoding="utf-8") as file:
                print(json.dumps(line), file=file)

    kept = read(record) if FULL and record.exists() else []
    done = {one["trial"]: one["outcome"] for one in kept if one["outcome"] != RAISED}

    def run(number: int) -> str:
        try:
            outcome = trial(random.Random(f"{name}/{number}"))
        except Exception as error:
            keep(number, RAISED)
            error.add_note(f"trial {number} of campaign {name}")
            raise
        keep(number, outcome)
        return outcome

    left = [number for number in range(full if FULL else short) if number not in done]
    with ThreadPoolExecutor(abreast) as pool:  # starts no thread before it is asked
        done |= zip(left, (pool.map if abreast > 1 else map)(run, left), strict=True)
    return Counter(done.values())


def note(name: str, told: str) -> None:
    """Keep in words what came of a campaign that is one long trial."""
    if FULL:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{name}.txt").write_text(told + "\n", "utf-8")


def read(record: Path) -> list[dict[str, Any]]:
    """What a campaign has kept: a line per trial that ended."""
    return [json.loads(line) for line in record.read_text("utf-8").splitlines()]


def bound(trials: int, seen: int = 0) -> float:
    """Upper end of the 95 % interval (Wilson's; the rule of three for none) of a share."""
    if seen == 0:
        return min(1.0, 3 / trials)
    z, share = 1.96, seen / trials
    middle = share + z * z / (2 * trials)
    spread = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    return (middle + spread) / (1 + z * z / trials)
