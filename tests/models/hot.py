"""Hot functions from a text: compiled in each way, and run by Python with words that wrap around.

The reference is Python itself: its interpreter runs the same text, whose every operator gives a `Word`, on
tables of Words.  What the language leaves to an exception has the value that `engine.lowering` promises,
or raises `Fails` for a checked function.
"""

from __future__ import annotations

import ast
import itertools
import tempfile
from pathlib import Path
from typing import Any

from vmdbg.engine import native
from vmdbg.engine.module import Layout, Module

#: Tables of the tests, and their type codes: `pair` is `word` as bytes.
CODES = {"word": "q", "pair": "B", "four": "I", "two": "H", "one": "B", "more": "q", "log": "q", "out": "q"}
LENGTHS = {"word": 16, "four": 8, "two": 8, "one": 8, "more": 16, "log": 256, "out": 65536}
LAYOUT = Layout(CODES, ("word", "pair"))
WIDTHS = {"q": 8, "I": 4, "H": 2, "B": 1}
TIERS = (native.QUICK, native.FULL)
MARKS = """
def _mark(**marks):
    def mark(function):
        function.hot = {"writes": True, "cold": False, "rare": False, "fills": True} | marks
        return function
    return mark
hot, apart = _mark(), _mark(apart=True)
cold, rare = _mark(apart=True, cold=True), _mark(apart=True, cold=True, rare=True)
users = _mark(checked=True, source=SOURCE)
"""
_folder = tempfile.TemporaryDirectory(prefix="vmdbg-hot-")
_numbers = itertools.count()


def functions(text: str, **constants: int) -> dict[str, Any]:
    """The hot functions of a text, linked: each is marked `@hot`, `@apart`, `@cold`, `@rare` or `@users`."""
    path = Path(_folder.name) / f"hot{next(_numbers)}.py"
    path.write_text(text, "utf-8")
    space: dict[str, Any] = {"SOURCE": text.encode(), **constants}
    exec(MARKS, space)
    exec(compile(text, str(path), "exec", dont_inherit=True), space)
    return {name: value for name, value in space.items() if hasattr(value, "hot")}


def module(text: str, checked: bool = False, **constants: int) -> Module:
    """The translation of a text whose entry is `entry(m)`."""
    return Module(functions(text, **constants), "entry", LAYOUT, checked)


class Memory:
    """Zeroed tables, or those with the bytes of another one."""

    def __init__(self, other: Memory | None = None) -> None:
        self.buffers = {
            name: bytearray(other.buffers[name] if other else LENGTHS[name] * WIDTHS[CODES[name]])
            for name in LENGTHS
        }
        self.buffers["pair"] = self.buffers["word"]

    def view(self, name: str) -> memoryview:
        """A table as Python sees it."""
        return memoryview(self.buffers[name]).cast("B").cast(CODES[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memory) and self.buffers == other.buffers

    __hash__ = None  # type: ignore[assignment]


def memory(**words: list[int]) -> Memory:
    """Tables whose first elements are these."""
    made = Memory()
    for name, values in words.items():
        view = made.view(name)
        for at, value in enumerate(values):
            view[at] = value
    return made


def run(made: Module, tier: str, memory: Memory) -> int:
    """Run the entry of a translated text, compiled."""
    code = native.Code(native.compiled(made.text(), tier), "entry", tier)
    return code(native.Tables(memory.buffers, LAYOUT))


# -- the reference


class Fails(Exception):
    """A checked function fails here."""


def wrapped(value: int) -> int:
    """An int as a word: the low 64 bits, signed."""
    return (value & (1 << 64) - 1 ^ 1 << 63) - (1 << 63)


class Words:
    """What operators of the language mean, for a checked function or another."""

    def __init__(self, checked: bool) -> None:
        self.checked = checked

    def binary(self, op: str, left: int, right: int) -> int:
        if op in ("LShift", "RShift"):
            if self.checked and not 0 <= right < 64:
                raise Fails(f"a shift by {wrapped(right)}")
            right &= 63
            return wrapped(left << right if op == "LShift" else left >> right)
        if op in ("FloorDiv", "Mod"):
            if right == 0:
                if self.checked:
                    raise Fails("division by zero")
                return 0
            return wrapped(left // right if op == "FloorDiv" else left % right)
        return wrapped(
            {
                "Add": left + right, "Sub": left - right, "Mult": left * right,
                "BitAnd": left & right, "BitOr": left | right, "BitXor": left ^ right,
            }[op]
        )  # fmt: skip


class Table:
    """A table of a Memory: its elements are words; one that is not there is another's memory."""

    def __init__(self, memory: Memory, name: str, checked: bool) -> None:
        self.view, self.name, self.checked = memory.view(name), name, checked
        self.bits = 8 * WIDTHS[CODES[name]]

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, index: int) -> int:
        self.check(index)
        return self.view[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.check(index)
        if self.bits < 64:
            if self.checked and not 0 <= value < 1 << self.bits:
                raise Fails(f"{value} does not fit m.{self.name}")
            value &= (1 << self.bits) - 1
        self.view[index] = value

    def check(self, index: int) -> None:
        if not 0 <= index < len(self.view):
            assert self.checked, "an index of the test is out of range"
            raise Fails(f"m.{self.name}[{index}] is out of range")

    def stretch(self, start: int, count: int) -> None:
        if not 0 <= count <= len(self):
            raise Fails(f"m.{self.name} has no {count} words")
        if not 0 <= start <= len(self) - count:
            raise Fails(f"m.{self.name}[{start}] is out of range")


def prefetch(table: Table, index: int) -> None:
    """`hardware.memory.prefetch`."""


def zero_words(target: Table, start: int, count: int) -> None:
    """`hardware.memory.zero_words`."""
    target.stretch(start, count)
    for at in range(start, start + count):
        target[at] = 0


def copy_words(target: Table, to: int, source: Table, start: int, count: int) -> None:
    """`hardware.memory.copy_words`."""
    target.stretch(to, count)
    source.stretch(start, count)
    words = [source[start + at] for at in range(count)]
    for at, word in enumerate(words):
        target[to + at] = word


class Tables:
    """`m` of the reference."""

    def __init__(self, memory: Memory, checked: bool) -> None:
        for name in CODES:
            setattr(self, name, Table(memory, name, checked))


class Wrapping(ast.NodeTransformer):
    """Makes each operator a call of `words.binary`, or wraps what it gives."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return self.operated(node.op, node.left, node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return node
        if isinstance(node.op, ast.Invert):
            return self.operated(ast.BitXor(), node.operand, ast.Constant(-1))
        return self.operated(ast.Sub(), ast.Constant(0), node.operand)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        old: ast.expr
        if isinstance(node.target, ast.Name):
            old = ast.Name(node.target.id, ast.Load())
            return ast.Assign([node.target], self.operated(node.op, old, node.value))
        assert isinstance(node.target, ast.Subscript)
        place = ast.Assign([ast.Name(".at", ast.Store())], node.target.slice)
        node.target.slice = ast.Name(".at", ast.Load())
        old = ast.Subscript(node.target.value, ast.Name(".at", ast.Load()), ast.Load())
        return [place, ast.Assign([node.target], self.operated(node.op, old, node.value))]  # type: ignore[return-value]

    @staticmethod
    def operated(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.expr:
        function = ast.Attribute(ast.Name(".words", ast.Load()), "binary", ast.Load())
        return ast.Call(function, [ast.Constant(type(op).__name__), left, right], [])


class Both:
    """A text with an entry `entry(m)`, for Python and for each tier; checked or not."""

    def __init__(self, text: str, checked: bool = False, **constants: int) -> None:
        self.checked = checked
        self.space: dict[str, Any] = {"SOURCE": b"", ".words": Words(checked), **constants}
        self.space |= {"prefetch": prefetch, "zero_words": zero_words, "copy_words": copy_words}
        exec(MARKS, self.space)
        tree = ast.fix_missing_locations(Wrapping().visit(ast.parse(text)))
        exec(compile(tree, "reference", "exec", dont_inherit=True), self.space)
        made = module(text, checked, **constants).text()
        self.tiers = [native.Code(native.compiled(made, tier), "entry", tier) for tier in TIERS]

    def reference(self, memory: Memory) -> int | str:
        """What the entry gives in Python, or how it fails."""
        try:
            return wrapped(int(self.space["entry"](Tables(memory, self.checked)) or 0))
        except Fails as failure:
            return str(failure)

    def compare(self, memory: Memory) -> int | str:
        """Run it in Python and in each tier; all must end equal, with equal tables."""
        expected = Memory(memory)
        result = self.reference(expected)
        for code in self.tiers:
            found = Memory(memory)
            try:
                ended: int | str = code(native.Tables(found.buffers, LAYOUT))
            except native.Failure as failure:
                ended = failure.said.rpartition(", in ")[0]
            assert ended == result, code.tier
            assert found == expected, code.tier
        return result


# Words at which something changes.
EDGES = sorted({
    0, 1, -1, 2, -2, 3, -3, 5, 7, -7, 8, 63, 64, 65, 127, 128, -128, 255, 256, 65535, 65536, (1 << 31) - 1,
    1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 32, 3 << 40, -(5 << 40), 1 << 62, -(1 << 62), (1 << 62) + 1,
    (1 << 63) - 1, (1 << 63) - 2, -(1 << 63), -(1 << 63) + 1,
})  # fmt: skip
