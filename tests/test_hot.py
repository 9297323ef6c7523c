"""What hot code may say: what Python and Numba understand alike.  Reads the sources; imports nothing hot."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vmdbg"
MARKS = ("reads", "writes", "twin")
BUILT_IN = {"int", "len"}
OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift,
    ast.RShift, ast.USub, ast.Invert, ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE,
)  # fmt: skip
NODES = (
    ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.While, ast.Return, ast.Break, ast.Continue, ast.Pass,
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.IfExp, ast.Subscript, ast.Name, ast.Load,
    ast.Store,
)  # fmt: skip
SCRATCH = {"path", "control"}  # the tables that readers may fill

#: Functions that only the interpreted engine calls.
INTERPRETED = {"halt": "raises, to leave an operation at an event"}
#: Shift counts that are no constant and not masked, by function and text, and why they are 0 to 63.
DEPTH, LOW = "a depth or size index is below 8", "what is left of a shift of the format's own tables"
SHIFTS = {
    ("misaligned", "depth << 3"): DEPTH,
    ("misaligned", "low"): LOW,
    ("leaf_frame", "depth << 3"): DEPTH,
    ("leaf_frame", "low"): LOW,
    ("allowed", "rights"): "rights are a nibble",
    ("tlb_fill", "size_shift(size) - PAGE_BITS"): LOW,
    ("tlb_find", "size_shift(size) - PAGE_BITS"): LOW,
    ("walk_cache_fill", "size_shift(size) - PAGE_BITS"): LOW,
    ("word_address", "size_shift(size)"): "a byte of the format's table of page sizes",
    ("tlb_holds", "size"): DEPTH,
    ("walk_from", "at"): DEPTH,
    ("leaf_entry", "at"): DEPTH,
    ("size_shift", "size << 3"): DEPTH,
    ("table_frames", "depth << 3"): DEPTH,
    ("access", "part << 3"): "a part of an access of at most 8 bytes is at most 7 bytes",
}
MASKS = {"KEY_SIZE", "WORD_ALLOWED", "WORD_RIGHTS"}  # constants below 64


class Hot(NamedTuple):
    """One hot function: its file, its marks, its syntax tree."""

    path: Path
    node: ast.FunctionDef
    mark: str

    def place(self, node: ast.AST) -> str:
        line = getattr(node, "lineno", self.node.lineno)
        return f"{self.path.relative_to(PACKAGE.parent)}:{line}: {self.node.name}"


def marks_of(node: ast.FunctionDef) -> list[str]:
    names = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return [name.id for name in names if isinstance(name, ast.Name) and name.id in MARKS]


def hot_functions(source: str, path: Path) -> Iterator[Hot]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and marks_of(node):
            yield Hot(path, node, marks_of(node)[0])


ALL = [hot for path in sorted(PACKAGE.rglob("*.py")) for hot in hot_functions(path.read_text("utf-8"), path)]
WRITERS = {hot.node.name for hot in ALL if hot.mark == "writes"}
SLOTS = {
    node.name
    for path in PACKAGE.rglob("*.py")
    for node in ast.parse(path.read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef)
    and any(isinstance(item, ast.Name) and item.id == "slot" for item in node.decorator_list)
}
CALLABLE = {hot.node.name for hot in ALL} | SLOTS | BUILT_IN


def body_of(hot: Hot) -> list[ast.stmt]:
    body = hot.node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return body[1:]
    return body


def mistakes(hot: Hot, callable_names: set[str] = CALLABLE) -> list[str]:
    """What a hot function must not say, with its place."""
    if hot.mark == "twin" or hot.node.name in INTERPRETED:
        return []
    found = []
    tables = {"m"}
    for statement in body_of(hot):
        for node in ast.walk(statement):
            wrong = mistake(hot, node, tables, callable_names)
            if wrong:
                found.append(f"{hot.place(node)}: {wrong}")
    return found


def mistake(hot: Hot, node: ast.AST, tables: set[str], callable_names: set[str]) -> str:
    if isinstance(node, ast.Constant):
        return "" if isinstance(node.value, int) else f"a constant that is no int: {node.value!r}"
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in tables:
            return "" if isinstance(node.ctx, ast.Load) else "a table is replaced"
        return f"an attribute of something else than m: {ast.unparse(node)}"
    if isinstance(node, ast.operator | ast.unaryop | ast.boolop | ast.cmpop):
        return "" if isinstance(node, OPERATORS) else f"the operator {type(node).__name__}"
    if not isinstance(node, NODES):
        return f"a {type(node).__name__}"
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in callable_names or node.keywords:
            return f"a call of no hot function: {ast.unparse(node)}"
        if hot.mark == "reads" and node.func.id in WRITERS:
            return f"a reader calls the writer {node.func.id}"
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and hot.mark == "reads":
        if not (isinstance(node.value, ast.Attribute) and node.value.attr in SCRATCH):
            return f"a reader writes {ast.unparse(node)}"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.LShift | ast.RShift):
        count = node.right if isinstance(node, ast.BinOp) else node.value
        if not bounded(count) and (hot.node.name, ast.unparse(count)) not in SHIFTS:
            return f"a shift by {ast.unparse(count)}, which may be below 0 or above 63"
    return ""


def bounded(count: ast.expr) -> bool:
    """Is a shift count a constant, or masked to at most 6 bits or to 8 (a byte of SHIFTS, BITS, SIZES)?"""
    if isinstance(count, ast.Constant):
        return isinstance(count.value, int) and 0 <= count.value <= 63
    if isinstance(count, ast.Name):
        return count.id.isupper()
    if isinstance(count, ast.BinOp) and isinstance(count.op, ast.Sub | ast.Add):
        return all(isinstance(side, ast.Constant) or bounded(side) for side in (count.left, count.right))
    if isinstance(count, ast.BinOp) and isinstance(count.op, ast.BitAnd):
        mask = count.right
        if isinstance(mask, ast.Name):
            return mask.id in MASKS
        return isinstance(mask, ast.Constant) and (mask.value in range(64) or mask.value == 255)
    return False


def test_there_is_hot_code() -> None:
    assert len(ALL) > 100
    assert {"walk", "translate", "emit", "victim", "classify"} <= {hot.node.name for hot in ALL}


def test_hot_code_says_only_what_both_engines_understand() -> None:
    assert [wrong for hot in ALL for wrong in mistakes(hot)] == []


def test_each_exception_is_still_needed() -> None:
    shifts = set()
    for hot in ALL:
        for node in ast.walk(hot.node):
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.LShift | ast.RShift):
                count = node.right if isinstance(node, ast.BinOp) else node.value
                shifts.add((hot.node.name, ast.unparse(count)))
    assert set(SHIFTS) <= shifts
    assert set(INTERPRETED) <= {hot.node.name for hot in ALL}


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
    (hot,) = hot_functions(text, PACKAGE / "hot.py")
    assert any(wrong in found for found in mistakes(hot))


def test_readers_may_fill_scratch_tables() -> None:
    (hot,) = hot_functions(
        "@reads\ndef f(m, n):\n    m.path[0] = n << 3\n    return n >> (n & 63)", PACKAGE / "hot.py"
    )
    assert mistakes(hot) == []
