"""Random programs of the hot language: Python against quick and full code, checked or not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.long,
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
]

TABLES = ("word", "pair", "one", "two", "four", "more")
NUMBERS = (0, 1, -1, 2, 3, -5, 7, 8, 16, 63, 64, 255, 4096, -4096, (1 << 31), -(1 << 40), (1 << 63) - 1)
BINARY = ("+", "-", "*", "&", "|", "^")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


class Function:
    """What the text of one function may speak of."""

    def __init__(self, name: str, variables: list[str], tables: list[str], calls: list[Function]) -> None:
        self.name, self.variables, self.tables, self.calls = name, variables, tables, calls
        self.loops = 0
        self.taken: list[str] = []  # tables that it takes
        self.lines: list[str] = []


@st.composite
def leaf(draw: st.DrawFn, of: Function) -> str:
    """A variable or an element of a table: no constant."""
    if draw(st.integers(0, 2)) == 0:
        return f"{draw(st.sampled_from(of.tables))}[{draw(st.sampled_from(of.variables))} & 7]"
    return draw(st.sampled_from(of.variables))


@st.composite
def number(draw: st.DrawFn, of: Function, depth: int = 3) -> str:
    """An expression, in parentheses where that may matter."""
    how = draw(st.integers(0, 13)) if depth else 0
    again = number(of, depth - 1)
    if how < 2:
        return draw(leaf(of))
    if how == 2:
        return f"({draw(st.sampled_from(NUMBERS))})"
    if how == 3:
        return f"({draw(st.sampled_from(('-', '~', 'not ')))}{draw(again)})"
    if how == 4:
        shift = draw(st.sampled_from(("<<", ">>")))
        count = draw(st.sampled_from((f"({draw(again)} & 63)", "0", "3", "40", "63")))
        return f"({draw(leaf(of))} {shift} {count})"
    if how == 5:
        divisor = draw(st.sampled_from((draw(leaf(of)), "2", "64", "-1", "7", "-3", f"({draw(again)} | 1)")))
        return f"({draw(leaf(of))} {draw(st.sampled_from(('//', '%')))} {divisor})"
    if how == 6:
        return f"({draw(condition(of, depth - 1))})"
    if how == 7:
        return f"({draw(again)} if {draw(condition(of, depth - 1))} else {draw(again)})"
    if how == 8:
        return f"({draw(again)} {draw(st.sampled_from(('and', 'or')))} {draw(again)})"
    if how == 9 and of.calls:
        return draw(call(of, depth - 1))
    if how == 10:
        return f"{draw(st.sampled_from(of.tables))}[{draw(again)} & 7]"
    return f"({draw(leaf(of))} {draw(st.sampled_from(BINARY))} {draw(again)})"


@st.composite
def condition(draw: st.DrawFn, of: Function, depth: int = 2) -> str:
    """A comparison, a chain of them, or several."""
    parts = [draw(leaf(of))]
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        parts += [draw(st.sampled_from(COMPARISONS)), draw(number(of, max(depth - 1, 0)))]
    text = " ".join(parts)
    if depth > 0 and draw(st.integers(0, 2)) == 0:
        more = draw(condition(of, depth - 1))
        text = (
            f"{'not ' if draw(st.booleans()) else ''}({text}) {draw(st.sampled_from(('and', 'or')))} ({more})"
        )
    return text


@st.composite
def call(draw: st.DrawFn, of: Function, depth: int) -> str:
    called = draw(st.sampled_from(of.calls))
    tables = [draw(st.sampled_from(of.tables)) for _ in called.taken]
    return f"{called.name}({', '.join(['m', *tables, *[draw(number(of, max(depth, 0))) for _ in 'ab']])})"


@st.composite
def statements(draw: st.DrawFn, of: Function, depth: int, inside: bool) -> list[str]:
    """Some statements, indented by nothing."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        how = draw(st.integers(0, 11))
        target = draw(
            st.sampled_from((*of.variables, f"{draw(st.sampled_from(of.tables))}[{draw(leaf(of))} & 7]"))
        )
        if how < 4:
            lines.append(f"{target} = {draw(number(of))}")
        elif how < 6:
            op = draw(st.sampled_from((*BINARY, "//", "%")))
            lines.append(f"{target} {op}= {draw(number(of, 2))}")
        elif how == 6:
            lines.append(f"{target} {draw(st.sampled_from(('<<', '>>')))}= {draw(number(of, 1))} & 63")
        elif how == 7 and depth:
            lines.append(f"if {draw(condition(of))}:")
            lines += indented(draw(statements(of, depth - 1, inside)))
            if draw(st.booleans()):
                lines += ["else:", *indented(draw(statements(of, depth - 1, inside)))]
        elif how == 8 and depth:
            of.loops += 1
            rounds = f"n{of.loops}"
            test = draw(
                st.sampled_from((f"{rounds} < 5", f"{rounds} < 4 and ({draw(condition(of, 1))})", "True"))
            )
            lines += [f"{rounds} = 0", f"while {test}:", f"    {rounds} += 1"]
            lines += [f"    if {rounds} > 5:", "        break"] if test == "True" else []
            lines += indented(draw(statements(of, depth - 1, True)))
        elif how == 9 and inside:
            lines += [f"if {draw(condition(of, 1))}:", f"    {draw(st.sampled_from(('break', 'continue')))}"]
        elif how == 10:
            lines += [f"if {draw(condition(of, 1))}:", f"    return {draw(number(of, 2))}"]
        elif how == 11 and of.calls:
            lines.append(draw(call(of, 1)))
        else:
            lines.append("pass")
    return lines


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Some functions, each of which calls those before it, and the entry."""
    found: list[Function] = []
    whole = [f"m.{name}" for name in TABLES]
    for turn in range(draw(st.integers(0, 3))):
        taken = ["t", "u"][: draw(st.integers(0, 2))]
        of = Function(f"f{turn}", ["a", "b"], [*whole, *taken, *taken], list(found))
        of.taken = taken
        body = [*draw(statements(of, 2, False)), f"return {draw(number(of))}"]
        mark = draw(st.sampled_from(("hot", "hot", "apart", "cold", "rare", "users")))
        of.lines = [f"@{mark}", f"def {of.name}({', '.join(['m', *taken, 'a', 'b'])}):", *indented(body)]
        found.append(of)
    entry = Function("entry", ["a", "b", "c"], whole, list(found))
    start = [f"{name} = m.word[{at}]" for at, name in enumerate(entry.variables)]
    body = [*start, *draw(statements(entry, 3, False)), f"return {draw(number(entry))}"]
    entry.lines = ["@hot", "def entry(m):", *indented(body)]
    return "\n".join(line for of in [*found, entry] for line in [*of.lines, ""])


words = st.one_of(st.sampled_from(NUMBERS), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-9, 99))


def compare(model: Callable[[str], ModuleType], examples: int) -> None:
    hot = model("hot")
    edges = [0, -1, 7, 1 << 40, -(1 << 63), (1 << 63) - 1, 3, 8]

    @hypothesis.settings(max_examples=examples, deadline=None)
    @hypothesis.given(programs(), st.lists(words, min_size=3, max_size=8), st.booleans())
    def scenario(text: str, given: list[int], checked: bool) -> None:
        program = hot.Both(text if checked else text.replace("@users", "@hot"), checked)
        for numbers in (given, given[::-1], edges):
            program.compare(
                hot.memory(word=numbers, more=edges, one=[3, 255, 128], two=[65535], four=[7, 1 << 31])
            )

    scenario()


def test_random_programs_end_equal(model: Callable[[str], ModuleType]) -> None:
    compare(model, 80)


@pytest.mark.slow
def test_many_random_programs_end_equal(model: Callable[[str], ModuleType]) -> None:
    compare(model, 1500)
