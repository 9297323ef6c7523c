"""Random expressions, values in memory, `x` and `printf` give what gdb gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
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


ADDRESSES = st.one_of(st.integers(0x1000, 0x1400), st.integers(0x17F0, 0x1808)).map(hex)
LOADED = ["char", "unsigned char", "short", "unsigned", "long", "float", "double", "char*", "int*"]
COUNTS = st.sampled_from([1, 2, 3, 9, 10, 11, 12, 40, 199, 200, 201, 260])


def joined(form: str, *parts: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda found: form.format(*found))


# What is printed can be read: gdb moves `x` even to where a failed `print` ends.
LOW = st.integers(0x1000, 0x1400).map(hex)
KINDS = st.sampled_from(LOADED)
VALUES = joined(
    "output{} {}",
    st.sampled_from(["", "", "/x", "/d", "/u", "/o", "/t", "/a", "/c", "/f", "/s", "/z"]),
    st.one_of(
        joined("*({}*){}", KINDS, LOW),
        joined("*({}*){}@{}", KINDS, st.integers(0x1000, 0x1010).map(hex), COUNTS),
        joined("{{{}[{}][{}]}}{}", KINDS, st.integers(1, 12), st.integers(1, 3), LOW),
        joined("({}*){}", KINDS, LOW),
        joined("({}){}", KINDS, LOW),
    ),
)
UNITS = joined("{}{}", st.sampled_from("xduotafcz"), st.sampled_from(["", "b", "h", "w", "g"]))
# gdb looks for strings backwards in pieces and loses count: only numbers are read backwards.
EXAMINED = st.one_of(
    joined("x/{}{} {}", st.sampled_from(["", "2", "3", "9", "17", "-2", "-5"]), UNITS, ADDRESSES),
    joined("x/{}s {}", st.sampled_from(["", "2", "5"]), ADDRESSES),
)
GONE_ON = st.sampled_from(["x", "x/3"])
PRINTED = joined(
    'printf "[%{}{}{}{}]\\n", {}',
    st.lists(st.sampled_from("-+ #0"), max_size=2, unique=True).map("".join),
    st.sampled_from(["", "3", "12"]),
    st.sampled_from(["", "", ".", ".0", ".3", ".10"]),
    st.sampled_from(
        ["d", "hd", "ld", "lld", "i", "u", "lu", "x", "X", "llx", "o", "c", "s", "p", "f", "e", "g"]
    ),
    st.sampled_from(
        ["5", "-5", "0", "65", "0xffffffff", "1.5", "-2.25", "1l<<40", "(char)200", "(char*)0x1000"]
    ),
)
SETTINGS = settings(
    max_examples=4,
    phases=[Phase.generate],  # a failure lists the lines that differ: there is nothing to shrink
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.too_slow,
    ],
)


@pytest.mark.long
@given(st.lists(COMMANDS, min_size=150, max_size=400))
@SETTINGS
def test_random_expressions(compare: Callable[..., None], commands: list[str]) -> None:
    # gdb looks at the right side of && twice, so that a warning may come twice.
    compare(commands, warnings=False)


@pytest.mark.long
@given(st.lists(st.one_of(VALUES, EXAMINED, EXAMINED, GONE_ON), min_size=150, max_size=300))
@SETTINGS
def test_random_values_in_memory(compare: Callable[..., None], commands: list[str]) -> None:
    compare(["x/x 0x1000", *commands])


@pytest.mark.long
@given(st.lists(PRINTED, min_size=150, max_size=300))
@SETTINGS
def test_random_printf(compare: Callable[..., None], commands: list[str]) -> None:
    compare(commands)
