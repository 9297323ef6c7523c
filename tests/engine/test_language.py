"""What hot code may say: what both engines understand alike.  Reads the sources; imports nothing hot."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sources import tree_of
from vmdbg.engine import language
from vmdbg.engine.language import decorator_of, shift_count

PACKAGE = Path(__file__).resolve().parents[2] / "vmdbg"
MARKS = ("reads", "writes", "twin")

#: Functions that only the interpreted engine calls.
INTERPRETED = {"halt": "raises, to leave an operation at an event"}
#: Shift counts that are no constant and not masked, by function and text, and why they are 0 to 63.
DEPTH, LOW = "a depth or size index is below 8", "what is left of a shift of the format's own tables"
BYTE, PAGE = "a byte of the format's shifts or numbers of bits", "a page has at least 8 bytes"
SHIFTS = {
    ("misaligned", "depth << 3"): DEPTH,
    ("misaligned", "low"): LOW,
    ("leaf_frame", "depth << 3"): DEPTH,
    ("leaf_frame", "low"): LOW,
    ("allowed", "rights"): "rights are a nibble",
    ("tlb_search", "size_shift(size) - PAGE_BITS"): LOW,
    ("tlb_tag", "size_shift(size) - PAGE_BITS"): LOW,
    ("word_address", "size_shift(size)"): "a byte of the format's table of page sizes",
    ("tlb_holds", "size"): DEPTH,
    ("size_shift", "size << 3"): DEPTH,
    ("table_frames", "depth << 3"): DEPTH,
    ("table_index", "at"): DEPTH,
    ("table_index", "SHIFTS >> at & 255"): BYTE,
    ("table_index", "BITS >> at & 255"): BYTE,
    ("table_frames", "BITS >> (depth << 3) & 255"): BYTE,
    ("zero_frame", "PAGE_BITS - 3"): PAGE,
    ("is_zero", "PAGE_BITS - 3"): PAGE,
    ("fill_cached", "PAGE_BITS - 3"): PAGE,
    ("write_back", "PAGE_BITS - 3"): PAGE,
    ("copy_on_write", "PAGE_BITS - 3"): PAGE,
    ("copy_out", "PAGE_BITS - 3"): PAGE,
    ("copy_in", "PAGE_BITS - 3"): PAGE,
}


class Hot(NamedTuple):
    """One hot function: its file, its decorator, its syntax tree."""

    path: Path
    node: ast.FunctionDef
    mark: str

    def place(self, node: ast.AST) -> str:
        line = getattr(node, "lineno", self.node.lineno)
        return f"{self.path.relative_to(PACKAGE.parent)}:{line}: {self.node.name}"


@cache
def marked() -> list[Hot]:
    """All functions of the package with a decorator that hot code knows."""
    return [
        Hot(path, node, decorator_of(node))
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and decorator_of(node) in (*MARKS, "hole")
    ]


@cache
def hot_functions() -> list[Hot]:
    return [hot for hot in marked() if hot.mark in MARKS]


@cache
def known() -> dict[str, bool]:
    """What hot code may call, and whether it writes."""
    writers = {hot.node.name for hot in marked() if hot.mark == "writes"}
    return {name: name in writers for name in {hot.node.name for hot in marked()} | {"int", "len"}}


def written(text: str) -> Hot:
    """The hot function that a text of a test is."""
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    return Hot(PACKAGE / "engine.py", node, decorator_of(node))


def mistakes(hot: Hot) -> list[str]:
    """What a hot function must not say, with its place."""
    if hot.mark == "twin" or hot.node.name in INTERPRETED:
        return []
    return [f"{hot.place(node)}: {wrong}" for node, wrong in language.mistakes(hot.node, known(), SHIFTS)]


def test_there_is_hot_code() -> None:
    assert len(hot_functions()) > 100
    assert {"walk", "translate", "emit", "victim", "classify"} <= {hot.node.name for hot in hot_functions()}


@pytest.mark.long
def test_hot_code_says_only_what_both_engines_understand() -> None:
    assert [wrong for hot in hot_functions() for wrong in mistakes(hot)] == []


def test_each_exception_is_still_needed() -> None:
    shifts = set()
    for hot in hot_functions():
        for node in ast.walk(hot.node):
            count = shift_count(node)
            if count is not None:
                shifts.add((hot.node.name, ast.unparse(count)))
    assert set(SHIFTS) <= shifts
    assert set(INTERPRETED) <= {hot.node.name for hot in hot_functions()}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("return m.ram[0] / 2", "Div"),
        ("for i in m.ram:\n  pass", "a For"),
        ("return [1]", "a List"),
        ("return (1, 2)", "a Tuple"),
        ("return 'x'", "no int"),
        ("return 1.5", "no int"),
        ("global X", "a Global"),
        ("return m.ram.size.real", "an attribute"),
        ("return 1 << n", "a shift"),
        ("return 1 >> (n & 31 | 1)", "a shift"),
        ("m.frame[0] = 1", "a reader writes"),
        ("emit(m, 1, 2, 3, 4)", "a reader calls the writer emit"),
        ("return print(m)", "a call of no hot function"),
        ("return n in m.ram", "the operator In"),
        ("m.ram = n", "replaced"),
        ("return m.ram[1:2]", "a Slice"),
    ],
)
def test_a_mistake_is_found(body: str, wrong: str) -> None:
    text = "@reads\ndef f(m, n):\n" + "\n".join("    " + line for line in body.splitlines())
    assert any(wrong in found for found in mistakes(written(text)))


def test_readers_may_fill_scratch_tables() -> None:
    text = "@reads\ndef f(m, n):\n    m.path[0] = n << 3\n    return n >> (n & 63)"
    assert mistakes(written(text)) == []
