"""Files that people hand in, as plain values: of bounded size and depth, whoever wrote them.

Belongs here: YAML and JSON before they mean anything. Does not belong here: their keys
(``region``, ``area``).
"""

import json
import re
import stat
from functools import partial
from pathlib import Path
from typing import Any

import yaml

MOST_YAML, MOST_JSON = 1_000_000, 10_000_000  # bytes
DEEPEST = 20
_DEEPEST_JSON = 100
# Brackets of JSON, and the strings that may hold others.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[][{}]')
# Characters of one value: 3600 hexadecimal digits are a number that Python refuses to write out.
LONGEST_YAML = 3000


class TooLarge(ValueError):
    """A file of more bytes than are read."""


def read_yaml(path: Path) -> Any:
    """What a YAML file holds: plain values only.

    Raises ``OSError``, and ``ValueError`` for what is no file, too large, too deep, no YAML or no
    text, and for aliases: a few lines of them make values that fill the memory when written out.
    """
    text = _text(path, MOST_YAML)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"write the value out instead of the alias *{event.anchor}")
            if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_YAML:
                raise ValueError(f"a value of more than {LONGEST_YAML} characters")
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


def parsed_json(text: str) -> Any:
    """What JSON text holds, by whomever, in one page with what others wrote.

    Whole numbers that Python refuses to read are floats; where values are nested too deep for it,
    null stands for all below ``_DEEPEST_JSON`` levels. Raises ``ValueError``.
    """
    parse = partial(json.loads, parse_int=lambda n: (int if len(n) < 99 else float)(n))
    try:
        return parse(text)
    except RecursionError:
        return parse(_shallow(text))


def _shallow(text: str) -> str:
    kept, start, depth = "", 0, 0
    for found in _BRACKETS.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == _DEEPEST_JSON:
                kept += text[start : found.start()] + "null"
                start = len(text)
        elif found[0] in ("]", "}"):
            if depth == _DEEPEST_JSON:
                start = found.end()
            depth -= 1
    return kept + text[start:]


def read_bytes(path: Path, most: int) -> bytes:
    """A whole file; raises ``OSError``, ``ValueError`` for what is no file, ``TooLarge``."""
    if not stat.S_ISREG(path.stat().st_mode):  # a device need not end, a pipe need not begin
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"larger than {most} bytes; is it the right file?")
    return data


def _text(path: Path, most: int) -> str:
    return read_bytes(path, most).decode("utf-8")
