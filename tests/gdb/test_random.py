"""Random C expressions over integers have the value and the type that gdb gives them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

SUFFIXES = st.sampled_from(["", "", "", "u", "l", "ul", "ll"])
EDGES = [0, 1, 2, 7, 63, 127, 128, 255, 256, 32767, 65535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32]
NUMBERS = st.one_of(
    st.integers(0, 40), st.sampled_from([*EDGES, (1 << 63) - 1]), st.integers(0, (1 << 63) - 1)
)
CONSTANTS = st.builds(
    lambda number, form, suffix: format(number, form) + suffix,
    NUMBERS,
    st.sampled_from(["d", "#x", "#b"]),
    SUFFIXES,
)
CHARACTERS = st.sampled_from(["'a'", "'\\377'", "'\\n'"])
# gdb itself dies of the smallest long divided by -1: divisors are constants that are not negative.
DIVISORS = st.builds(lambda number, suffix: f"{number}{suffix}", st.integers(0, 300), SUFFIXES)
BINARY = ["+", "-", "*", "&", "|", "^", "<<", ">>", "==", "!=", "<", ">", "<=", ">=", "&&", "||", ","]
TYPES = ["char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long", "unsigned long"]


def larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    unary = st.sampled_from(["-", "~", "!", "+", "- -", "sizeof "])
    return st.one_of(
        st.tuples(smaller, st.sampled_from(BINARY), smaller).map(lambda parts: "{} {} {}".format(*parts)),
        st.tuples(smaller, st.sampled_from(BINARY), smaller).map(lambda parts: "({} {} {})".format(*parts)),
        st.tuples(smaller, st.sampled_from(["/", "%"]), DIVISORS).map(
            lambda parts: "({}) {} {}".format(*parts)
        ),
        st.tuples(unary, smaller).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(st.sampled_from(TYPES), smaller).map(lambda parts: "({})({})".format(*parts)),
        st.tuples(smaller, smaller, smaller).map(lambda parts: "({} ? {} : {})".format(*parts)),
    )


EXPRESSIONS = st.recursive(st.one_of(CONSTANTS, CONSTANTS, CHARACTERS), larger, max_leaves=8)
COMMANDS = st.builds(
    lambda command, text: f"{command} {text}",
    st.sampled_from(
        ["output", "output", "output/x", "output/d", "output/u", "output/o", "output/t", "whatis"]
    ),
    EXPRESSIONS,
)


@given(st.lists(COMMANDS, min_size=150, max_size=400))
@settings(
    max_examples=4,
    phases=[Phase.generate],  # a failure lists the lines that differ: there is nothing to shrink
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.too_slow,
    ],
)
def test_random_expressions(compare: Callable[..., None], commands: list[str]) -> None:
    # gdb looks at the right side of && twice, so that a warning may come twice.
    compare(commands, warnings=False)
