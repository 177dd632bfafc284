"""Formulas: text in spyndex's notation → an expression tree that is safe to evaluate.

Belongs here: the grammar (numbers, names, + - * / **, parentheses), what is refused, and
rewritings that never change a value. Does not belong here: what the names mean
(``catalogue``) and pixels (``evaluation``). The text is only ever *parsed* (``ast.parse`` in
expression mode, after every character was checked); nothing of it is evaluated or executed.

A tree is nested tuples, so that equal expressions are equal (and hash alike)::

    ("band", "nir")  ("number", 2.5)  ("add" | "sub" | "mul" | "div", left, right)
    ("sqrt", x)  ("exp", x)  ("power", x, 0.33)

What an operation gives where it cannot be done is nodata (NaN) or infinite, never a number
that looks right: a divisor, an exponent or the base of a root that is infinite gives NaN
(1 / (1 / 0) would else be a good-looking 0).
"""

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

Expr = tuple[Any, ...]

MAX_LENGTH = 1000
MAX_DEPTH = 48
MAX_NODES = 500
MAX_EXPONENT = 16.0

_TOKENS = re.compile(
    r"(?:\s|\*\*|[-+*/()]|[A-Za-z][A-Za-z0-9_]*|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))*"
)
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
}


class FormulaError(ValueError):
    """A formula that cannot be used; the message says what is wrong and how to put it right."""


def parse(text: str, names: Mapping[str, Expr]) -> Expr:
    """The expression tree of a formula.

    ``names``: what each name that may be used stands for (a band, a number, a whole tree).
    Raises FormulaError for anything but numbers, those names, + - * / ** and parentheses;
    for exponents that are no numbers between −16 and 16; for division by the number zero;
    and for formulas beyond 1000 characters, 500 operations or 48 levels.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"it has {len(text)} characters; at most {MAX_LENGTH} are read")
    end = match.end() if (match := _TOKENS.match(text)) else 0
    if end != len(text):
        raise FormulaError(
            f"{text[end : end + 12]!r} at character {end + 1} is not understood; "
            "use numbers, names, + - * / ** and parentheses"
        )
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise FormulaError(f"it is no formula: {reason}") from error
    return _limited(_tree(body, names, 0))


def _limited(tree: Expr) -> Expr:
    """The tree, refused when it is too large; counts without hashing, so it cannot blow up."""
    pending, count = [tree], 0
    while pending:
        pending.extend(children(pending.pop()))
        count += 1
        if count > MAX_NODES:
            raise FormulaError(f"it has more than {MAX_NODES} operations")
    return tree


def _tree(node: ast.expr, names: Mapping[str, Expr], depth: int) -> Expr:
    if depth > MAX_DEPTH:
        raise FormulaError(f"it is nested more than {MAX_DEPTH} levels deep")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return number(float(value) if value < 1e38 else math.inf)
        case ast.Name(id=name):
            if name not in names:
                raise FormulaError(f"the name {name!r} is unknown")
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return mul(number(-1.0), _tree(operand, names, depth + 1))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _tree(operand, names, depth + 1)
        case ast.BinOp(left=left, op=op, right=right):
            x, y = _tree(left, names, depth + 1), _tree(right, names, depth + 1)
            if isinstance(op, ast.Pow):
                return _limited(power(x, y))
            if type(op) in _OPERATORS:
                return _BUILDERS[_OPERATORS[type(op)]](x, y)
    raise FormulaError("only numbers, names, + - * / ** and parentheses are allowed, no calls")


def number(value: float) -> Expr:
    """A number; it has to be finite in float32."""
    if not abs(value) <= 3e38:
        raise FormulaError("a number in it is too large")
    return ("number", value + 0.0)


def _both(x: Expr, y: Expr) -> bool:
    return bool(x[0] == y[0] == "number")


def add(x: Expr, y: Expr) -> Expr:
    """x + y; operands are put in a fixed order (addition of floats is commutative)."""
    if _both(x, y):
        return number(x[1] + y[1])
    if x == ("number", 0.0):
        return y
    if y == ("number", 0.0):
        return x
    return ("add", *sorted((x, y)))


def sub(x: Expr, y: Expr) -> Expr:
    """x − y"""
    if _both(x, y):
        return number(x[1] - y[1])
    return x if y == ("number", 0.0) else ("sub", x, y)


def mul(x: Expr, y: Expr) -> Expr:
    """x · y; never dropped for a factor of 0, as a missing band must stay missing."""
    if _both(x, y):
        return number(x[1] * y[1])
    if x == ("number", 1.0):
        return y
    if y == ("number", 1.0):
        return x
    if y[0] == "number":
        x, y = y, x
    return ("mul", x, y) if x[0] == "number" else ("mul", *sorted((x, y)))


def div(x: Expr, y: Expr) -> Expr:
    """x / y"""
    if y == ("number", 0.0):
        raise FormulaError("it divides by zero")
    if _both(x, y):
        return number(x[1] / y[1])
    return x if y == ("number", 1.0) else ("div", x, y)


def exp(x: Expr) -> Expr:
    """e to the x"""
    return number(math.exp(x[1])) if x[0] == "number" else ("exp", x)


def power(x: Expr, y: Expr) -> Expr:
    """x ** y for a number y: products for whole numbers, a root for halves of them."""
    if y[0] != "number":
        raise FormulaError("an exponent must be a number")
    exponent = float(y[1])
    if abs(exponent) > MAX_EXPONENT:
        raise FormulaError(f"the exponent {exponent:g} is not within ±{MAX_EXPONENT:g}")
    if x[0] == "number":
        return _constant_power(x[1], exponent)
    if exponent < 0:
        return div(number(1.0), power(x, number(-exponent)))
    if exponent == 0.5:
        return ("sqrt", x)
    if exponent.is_integer() and exponent > 0:
        half = power(x, number(exponent // 2)) if exponent > 1 else x
        square = half if exponent == 1 else ("mul", half, half)
        return mul(square, x) if exponent % 2 and exponent > 1 else square
    if exponent == 0:
        raise FormulaError("the exponent 0 makes any value 1; write 1 instead")
    return ("power", x, exponent)


def _constant_power(base: float, exponent: float) -> Expr:
    if base < 0 and not exponent.is_integer():
        raise FormulaError("it takes a root of a negative number")
    if base == 0 and exponent < 0:
        raise FormulaError("it divides by zero")
    try:
        return number(base**exponent)
    except OverflowError as error:
        raise FormulaError("a number in it is too large") from error


_BUILDERS = {"add": add, "sub": sub, "mul": mul, "div": div}


def children(tree: Expr) -> tuple[Expr, ...]:
    """The operands that are trees themselves."""
    return tuple(part for part in tree[1:] if isinstance(part, tuple))


def walk(tree: Expr) -> Iterator[Expr]:
    """Every distinct node below and with ``tree``, operands before what uses them."""
    seen: set[Expr] = set()
    pending = [(tree, False)]
    while pending:
        node, ready = pending.pop()
        if node in seen:
            continue
        if ready:
            seen.add(node)
            yield node
        else:
            pending.append((node, True))
            pending.extend((child, False) for child in reversed(children(node)))


def bands(tree: Expr) -> tuple[str, ...]:
    """STAC common names of the bands that the tree needs, sorted."""
    return tuple(sorted(node[1] for node in walk(tree) if node[0] == "band"))
