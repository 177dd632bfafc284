"""Prints the table of ``docs/reliability.md`` from what the full campaigns have kept.

Run as ``python tests/torture/report.py`` from anywhere, after ``make torture``.
"""

from collections import Counter
from typing import Any

from campaign import BROKEN, KEPT, bound, read

HEAD = ("campaign", "trials", "outcomes", "broken promises", "below, with 95 % confidence")


def row(name: str, kept: list[dict[str, Any]]) -> tuple[str, ...]:
    """A line per campaign; a trial that broke its promise counts so, whatever it gave later."""
    worst: dict[int, str] = {}
    for line in kept:
        if worst.get(line["trial"]) not in BROKEN:
            worst[line["trial"]] = line["outcome"]
    each, planned = kept[-1]["each"], kept[-1]["of"]
    outcomes = Counter(worst.values())
    told = "; ".join(f"{count} × {outcome}" for outcome, count in sorted(outcomes.items()))
    cases = str(len(worst) * each)
    if len(worst) < planned:
        cases += f" of {planned * each}: **not complete**"
    seen = sum(outcomes[name] for name in BROKEN)
    return name, cases, told, str(seen), f"{100 * bound(len(worst) * each, seen):.2g} %"


def main() -> None:
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [row(file.stem, read(file)) for file in sorted(KEPT.glob("*.jsonl"))]
    for cells in rows:
        print("|", " | ".join(cells), "|")
    for file in sorted(KEPT.glob("*.txt")):
        print(f"\n{file.stem}: {file.read_text('utf-8').strip()}")


if __name__ == "__main__":
    main()
