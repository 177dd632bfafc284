"""A campaign: one trial repeated over seeds, its outcomes counted and kept.

A trial is a function of its seed alone, so that a finding can be repeated. With
``NEVE_TORTURE=full`` every outcome is appended to ``.neve/torture/<name>.jsonl`` and a campaign
that was interrupted goes on where it was; else a few trials run and nothing is kept.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FULL = os.environ.get("NEVE_TORTURE") == "full"
KEPT = Path(__file__).parents[2] / ".neve" / "torture"


def campaign(
    name: str, short: int, full: int, trial: Callable[[random.Random], str]
) -> Counter[str]:
    """Run a campaign of so many trials; returns how often each outcome was seen.

    Each trial gets its own generator, seeded by the campaign's name and the trial's number. An
    exception of a trial ends the campaign; its number is named.
    """
    record = KEPT / f"{name}.jsonl"
    done: dict[int, str] = {}
    if FULL and record.exists():
        lines = map(json.loads, record.read_text("utf-8").splitlines())
        done = {line["trial"]: line["outcome"] for line in lines}
    for number in range(full if FULL else short):
        if number in done:
            continue
        try:
            done[number] = trial(random.Random(f"{name}/{number}"))
        except Exception as error:
            error.add_note(f"trial {number} of campaign {name}")
            raise
        if FULL:
            KEPT.mkdir(parents=True, exist_ok=True)
            with record.open("a", encoding="utf-8") as file:
                print(json.dumps({"trial": number, "outcome": done[number]}), file=file)
    return Counter(done.values())


def bound(trials: int, seen: int = 0) -> float:
    """Upper end of the 95 % interval (Wilson's; the rule of three for none) of a share."""
    if seen == 0:
        return min(1.0, 3 / trials)
    z, share = 1.96, seen / trials
    middle = share + z * z / (2 * trials)
    spread = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    return (middle + spread) / (1 + z * z / trials)
