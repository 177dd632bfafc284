"""Files that people hand in, as plain values: of bounded size and depth, whoever wrote them.

Belongs here: YAML and JSON before they mean anything. Does not belong here: their keys
(``region``, ``area``).
"""

import json
from pathlib import Path
from typing import Any

import yaml

MOST_YAML, MOST_JSON = 1_000_000, 10_000_000  # bytes
DEEPEST = 20


def read_yaml(path: Path) -> Any:
    """What a YAML file holds: plain values only.

    Raises ``OSError``, and ``ValueError`` for what is too large, too deep, no YAML or no text, and
    for aliases: a few lines of them make values that fill the memory once they are written out.
    """
    text = _text(path, MOST_YAML)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"write the value out instead of the alias *{event.anchor}")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} deep")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read as YAML: {error}") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises ``OSError`` and ``ValueError`` as ``read_yaml`` does."""
    try:
        return json.loads(_text(path, MOST_JSON))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _text(path: Path, most: int) -> str:
    if path.stat().st_size > most:
        raise ValueError(f"larger than {most} bytes; is it the right file?")
    return path.read_text("utf-8")
