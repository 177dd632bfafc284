"""Programs: the trees of many indices → one list of instructions on few registers.

Belongs here: sharing of common subexpressions, their order, and which register holds what.
Does not belong here: pixels (``kernel`` and ``plain`` run a program over them).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neve.indices import expression
from neve.indices.expression import Expr

# What an instruction makes of its operands x, y, z, w (registers) and c (its number). The last
# two store x as float32 or int16. The order is the numbering; kernel.py repeats it.
OPERATIONS = {
    "ADD": "x + y",
    "SUB": "x - y",
    "MUL": "x * y",
    "DIV": "x / y",
    "ADD_C": "x + c",
    "C_SUB": "c - x",
    "MUL_C": "c * x",
    "DIV_C": "x / c",
    "C_DIV": "c / x",
    "SQRT": "sqrt(x)",
    "EXP": "exp(x)",
    "POWER": "x ** c",
    "ADD_MUL": "x + c * y",
    "MUL_SUB": "c * y - x",
    "SUB_DIV": "(x - y) / z",
    "DIV_ADD": "x / (y + z)",
    "RATIO": "(x - y) / (z + w)",
    "FLOAT": "",
    "INT": "",
}
CODE = {name: code for code, name in enumerate(OPERATIONS)}

_NUMBER_RIGHT = {"add": "ADD_C", "sub": "ADD_C", "mul": "MUL_C", "div": "DIV_C"}
_NUMBER_LEFT = {"add": "ADD_C", "sub": "C_SUB", "mul": "MUL_C", "div": "C_DIV"}


@dataclass(frozen=True)
class Program:
    """Instructions that make every output of a set of indices, each operation once.

    ``code``: int32 (instructions, 6): operation, x, y, z, w, target; ``numbers``: float32
    (instructions,), the c of each. The first registers hold ``bands`` (in that order) and are
    never written; no instruction writes over its own operand. FLOAT and INT store register x
    in row ``target`` of the float32 and of the int16 outputs, of which there are ``rows``.
    """

    bands: tuple[str, ...]
    code: NDArray[np.int32]
    numbers: NDArray[np.float32]
    registers: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class _Step:
    """One node with the operation, the operands and the number that make it."""

    node: Expr
    operation: str
    operands: tuple[Expr, ...]
    number: float = 0.0


def compiled(outputs: Sequence[tuple[Expr, bool]]) -> Program:
    """The program for pairs of (tree, whether it is stored as int16); rows count per dtype."""
    # Trees of the same bands after one another: their shared parts are needed for a short time.
    steps = _steps(sorted((tree for tree, _ in outputs), key=expression.bands))
    stores: dict[Expr, list[tuple[str, int]]] = {}
    rows = [0, 0]
    for tree, small in outputs:
        stores.setdefault(tree, []).append(("INT" if small else "FLOAT", rows[small]))
        rows[small] += 1
    bands = sorted(
        {n for step in steps for n in step.operands if n[0] == "band"}
        | {tree for tree, _ in outputs if tree[0] == "band"}
    )
    register = {band: row for row, band in enumerate(bands)}
    code = [line for band in bands for line in _stores(band, register, stores)]
    numbers = [0.0] * len(code)
    last = {node: k for k, step in enumerate(steps) for node in (step.node, *step.operands)}
    used, free = len(bands), list[int]()
    for k, step in enumerate(steps):
        if not free:
            free.append(used)
            used += 1
        register[step.node] = free.pop()
        places = [register[node] for node in step.operands]
        places += [0] * (4 - len(places))
        code.append((CODE[step.operation], *places, register[step.node]))
        code += (lines := _stores(step.node, register, stores))
        numbers += [step.number] + [0.0] * len(lines)
        # Only now: a register that is free before its target is chosen may be its operand's.
        done = {n for n in (step.node, *step.operands) if last[n] == k and n[0] != "band"}
        free += sorted(register[node] for node in done)
    return Program(
        bands=tuple(band[1] for band in bands),
        code=np.array(code, np.int32).reshape(-1, 6),
        numbers=np.array(numbers, np.float32),
        registers=used,
        rows=(rows[0], rows[1]),
    )


def _stores(
    node: Expr, register: dict[Expr, int], stores: dict[Expr, list[tuple[str, int]]]
) -> list[tuple[int, ...]]:
    """The instructions that store a node where it is an output."""
    return [(CODE[name], register[node], 0, 0, 0, row) for name, row in stores.get(node, ())]


def _steps(trees: Sequence[Expr]) -> list[_Step]:
    """One step for every distinct node that is needed, operands first."""
    order: dict[Expr, None] = {}
    for tree in trees:
        for node in expression.walk(tree):
            if node[0] not in ("number", "band"):
                order.setdefault(node)
    uses = Counter(child for node in order for child in expression.children(node))
    uses.update(trees)
    steps = [_step(node, uses) for node in order]
    needed = {*trees, *(operand for step in steps for operand in step.operands)}
    while True:
        kept = [step for step in steps if step.node in needed]
        needed = {*trees, *(operand for step in kept for operand in step.operands)}
        if len(kept) == len(steps):
            return kept
        steps = kept


def _step(node: Expr, uses: Counter[Expr]) -> _Step:
    """The step that makes a node, taking in operands where that saves a pass over memory."""
    operation = node[0]
    if operation == "power":
        return _Step(node, "POWER", (node[1],), node[2])
    if operation in ("sqrt", "exp"):
        return _Step(node, operation.upper(), (node[1],))
    return _operation(node, node[1], node[2], uses)


def _operation(node: Expr, x: Expr, y: Expr, uses: Counter[Expr]) -> _Step:
    """The step of a sum, difference, product or quotient."""
    operation = node[0]
    if y[0] == "number":
        value = -y[1] if operation == "sub" else y[1]
        return _Step(node, _NUMBER_RIGHT[operation], (x,), value)
    if x[0] == "number":
        return _Step(node, _NUMBER_LEFT[operation], (y,), x[1])
    if operation == "div":
        return _division(node, x, y, uses)
    if operation in ("add", "sub"):
        return _scaled(node, x, y, uses)
    return _Step(node, "MUL", (x, y))


def _inner(node: Expr, operation: str, uses: Counter[Expr]) -> bool:
    """Whether a node is such a sum or difference that is done better within its user."""
    plain = node[0] == operation and all(part[0] != "number" for part in node[1:])
    return plain and (uses[node] == 1 or all(part[0] == "band" for part in node[1:]))


def _division(node: Expr, x: Expr, y: Expr, uses: Counter[Expr]) -> _Step:
    above, below = _inner(x, "sub", uses), _inner(y, "add", uses)
    if above and below:
        return _Step(node, "RATIO", (*x[1:], *y[1:]))
    if above:
        return _Step(node, "SUB_DIV", (*x[1:], y))
    return _Step(node, "DIV_ADD", (x, *y[1:])) if below else _Step(node, "DIV", (x, y))


def _scaled(node: Expr, x: Expr, y: Expr, uses: Counter[Expr]) -> _Step:
    """x ± c · y and c · x − y in one step where the product is used once."""

    def product(part: Expr) -> bool:
        return part[0] == "mul" and uses[part] == 1 and part[1][0] == "number"

    if product(y):
        value = y[1][1]
        return _Step(node, "ADD_MUL", (x, y[2]), value if node[0] == "add" else -value)
    if product(x):
        name = "ADD_MUL" if node[0] == "add" else "MUL_SUB"
        return _Step(node, name, (y, x[2]), x[1][1])
    return _Step(node, node[0].upper(), (x, y))
