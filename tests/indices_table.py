"""Remakes the audit's table in docs/indices.md: ``python tests/indices_table.py``."""

from pathlib import Path

from neve.indices import aliases, audit, select
from neve.indices.catalogue import BANDS

PAGE = Path(__file__).parent.parent / "docs" / "indices.md"
START, END = "<!-- table: made by tests/indices_table.py -->\n", "<!-- end of table -->\n"


def table() -> str:
    """One line per index of the default catalogue."""
    indices = select("all", tuple(BANDS.values()))
    repeats = aliases(indices)
    lines = [
        "| index | domain | stored as | least and largest, extreme | display | same as |",
        "|---|---|---|---|---|---|",
    ]
    for index in indices:
        least, largest = audit.look(index.tree, index.domain).extremes
        low, high = index.display
        lines.append(
            f"| {index.name} | {index.domain} | {index.dtype} | {least:.3g} … {largest:.3g} "
            f"| {low:g} … {high:g} | {repeats.get(index.name, '')} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    before, rest = page.split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], "utf-8")
