"""Formulas: what is understood, what is refused, and that rewriting changes no value."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from indices_oracle import by_tree

from neve.indices.expression import FormulaError, bands, parse, walk

NAMES = {"N": ("band", "nir"), "R": ("band", "red"), "L": ("number", 0.5)}
VALUES = {"nir": 0.4321, "red": 0.0567}

HOSTILE = [
    "__import__('os').system('x')",
    "N.__class__",
    "().__class__.__bases__",
    "N.real",
    "N[0]",
    "exec('1')",
    "N(R)",
    "sqrt(N)",
    "lambda: N",
    "[N for N in R]",
    "{N}",
    "N if R else N",
    "N and R",
    "N < R",
    "N @ R",
    "N // R",
    "N % R",
    "~N",
    "not N",
    "N := R",
    "N, R",
    "'N'",
    "f'{N}'",
    "True",
    "None",
    "1j",
    "0x10",
    "1_000 * N",
    "N; R",
    "N\x00R",
    "Ｎ",
    "N # R",
    "N = R",
    "Q",
    "",
    "  ",
    "(",
    "N +",
    "1or 2",
]
TOO_LARGE = [
    "N ** 9999999999",
    "9 ** 9 ** 9 ** 9",
    "9.9 ** 16 ** 16",
    "1e39 * N",
    "9" * 400 + " * N",
    "1e999 * N",
    "(" * 150 + "N" + ")" * 150 + "**17",
    "-" * 900 + "N",
    "(" * 400 + "N" + ")" * 400,
    "+".join(["N"] * 400),
    "N" * 2000,
    "((((N**16+R)**16+R)**16+R)**16+R)**16",
    "((((N**16)**16)**16)**16)**16",
]
UNDEFINED = ["N / 0", "N / (1 - 1)", "N ** 0", "N ** R", "(-1) ** 0.5 * N", "0 ** -1 * N", "2 ** N"]


@pytest.mark.parametrize("text", HOSTILE + TOO_LARGE + UNDEFINED)
def test_what_is_no_formula_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(FormulaError):
        parse(text, NAMES)
    assert time.process_time() - started < 0.5


@given(st.one_of(st.text(max_size=60), st.text("NRL019.e+-*/() _", max_size=60)))
def test_any_text_gives_a_tree_of_known_operations_or_a_formula_error(text: str) -> None:
    try:
        tree = parse(text, NAMES)
    except FormulaError:
        return
    known = {"band", "number", "add", "sub", "mul", "div", "sqrt", "power"}
    assert {node[0] for node in walk(tree)} <= known
    assert set(bands(tree)) <= {"nir", "red"}


Formula = tuple[str, Callable[[], float]]


def _binary(sign: str, x: Formula, y: Formula) -> Formula:
    compute = {
        "+": lambda: x[1]() + y[1](),
        "-": lambda: x[1]() - y[1](),
        "*": lambda: x[1]() * y[1](),
        "/": lambda: x[1]() / y[1](),
    }[sign]
    return f"({x[0]}) {sign} ({y[0]})", compute


def _power(x: Formula, exponent: float) -> Formula:
    def compute() -> float:
        power = x[1]() ** exponent
        if isinstance(power, complex):
            raise ArithmeticError
        return power

    return f"({x[0]}) ** {exponent}", compute


leaves = st.one_of(
    st.sampled_from([("N", lambda: 0.4321), ("R", lambda: 0.0567), ("L", lambda: 0.5)]),
    st.floats(0.01, 20).map(lambda v: (repr(v), lambda: v)),
    st.integers(1, 20).map(lambda v: (str(v), lambda: v)),
)
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*/"), inner, inner).map(lambda t: _binary(*t)),
        inner.map(lambda x: (f"-({x[0]})", lambda: -x[1]())),
        st.tuples(inner, st.sampled_from([0.5, 1.0, 2.0, 3, 4.0, -1, -2.0, 0.33])).map(
            lambda t: _power(*t)
        ),
    ),
    max_leaves=12,
)


@given(formulas)
def test_a_tree_has_the_value_of_its_formula(formula: Formula) -> None:
    text, compute = formula
    try:
        tree = parse(text, NAMES)
        expected = float(compute())
    except (FormulaError, ArithmeticError):
        return
    value, error = by_tree(tree, {name: np.float64(v) for name, v in VALUES.items()})
    if math.isfinite(expected) and np.isfinite(error):
        assert abs(float(value) - expected) <= 1e-6 * float(error) + 1e-12 * abs(expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("N+R", "R + N"),
        ("N*R*1.0", "R*N"),
        ("N - 0", "N"),
        ("N / (L + L)", "N"),
        ("N ** 1", "N"),
        ("N ** 2", "N*N"),
        ("N ** -1", "1 / N"),
        ("2 * 3 * N", "6 * N"),
        ("1/3 * N", "(1.0/3.0) * N"),
    ],
)
def test_equal_formulas_are_one_tree(one: str, other: str) -> None:
    assert parse(one, NAMES) == parse(other, NAMES)


def test_a_missing_band_is_never_folded_away() -> None:
    assert bands(parse("N + 0 * R", NAMES)) == ("nir", "red")
    assert bands(parse("R - (R - N)", NAMES)) == ("nir", "red")
    assert bands(parse("N / N", NAMES)) == ("nir",)
