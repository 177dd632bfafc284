"""What the command line prints: tables for people, plain lines for pipes, JSON for programs."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

Row = Mapping[str, object]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, do nothing")]


def show(tables: Mapping[str, Sequence[Row]], as_json: bool) -> None:
    """Print tables by name: as JSON, as tables on a terminal, else as lines split by tabs."""
    if as_json:
        print(as_text(tables, indent=2))
    elif sys.stdout.isatty():
        for name, rows in tables.items():
            Console().print(_table(name, rows))
    else:
        for rows in tables.values():
            for line in ([*rows[0]] if rows else [], *(row.values() for row in rows)):
                print(*map(_text, line), sep="\t")


def show_one(name: str, told: Row, as_json: bool) -> None:
    """Print one thing by its properties: a JSON object, else a line for each property."""
    if as_json:
        print(as_text(told))
    else:
        show({name: [{"what": what, "value": value} for what, value in told.items()]}, False)


def as_text(told: object, indent: int | None = None) -> str:
    """JSON in which nothing but line ends steers a terminal."""
    text = json.dumps(told, default=_plain, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def spelled(text: str) -> str:
    """Text in which what would steer a terminal, or begin a line or a column, is spelled out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def row_of(value: Any) -> dict[str, object]:
    """A dataclass as a row."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _table(name: str, rows: Sequence[Row]) -> Table:
    # As Text: a commit's message is no markup.
    table = Table(*(Column(Text(key)) for key in (rows[0] if rows else ())), title=Text(name))
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))
    return table


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value))
    return spelled(str(value))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else list(value)  # type: ignore[call-overload]
