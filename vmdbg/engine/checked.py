"""Checked tables: the interpreted engine gives them to functions of a user's; and the failures of these.

In Python a negative index counts from the end of a table; in the compiled engine's checked functions it is an
error (`engine.module`).  With these tables both engines fail at the same access, with the same message.
"""

from __future__ import annotations

import ast
import copy
import sys
import types

from vmdbg.engine.language import MOST_ROUNDS
from vmdbg.engine.link import reachable
from vmdbg.engine.sources import SourceError, Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Function = Callable[..., Any]

#: Ranges of the elements of a table by its type code.
RANGES = {"q": (-(1 << 63), 1 << 63), "I": (0, 1 << 32), "H": (0, 1 << 16), "B": (0, 1 << 8)}
STRETCHES = ("zero_words", "copy_words")  # the failure is reported for the line that calls them


class Failure(IndexError):
    """A checked function found no such element, a divisor of 0, a shift count or a number that is too large.

    `said` is the message, with the number and the function; `path` and `line` are where the failure was.
    `caller` is the (path, line) of the line in a user's function that failed or whose call failed; None if
    there is no such function, or if the traceback shows it.
    """

    def __init__(self, path: str, line: int, function: str, what: str, number: int) -> None:
        self.said = f"{what.format(number)}, in {function}"
        super().__init__(f"{self.said} ({path}:{line})")
        self.path, self.line = path, line
        self.caller: tuple[str, int] | None = None


class CheckedTable:
    """A table of the interpreted engine in which an index has to be from 0 to its length - 1."""

    __slots__ = ("memory", "name")

    def __init__(self, memory: memoryview, name: str) -> None:
        self.memory, self.name = memory, name

    def __len__(self) -> int:
        return len(self.memory)

    def __getitem__(self, index: Any) -> Any:
        self.check(index)
        return self.memory[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.check(index)
        if isinstance(value, int):
            low, high = RANGES[self.memory.format]
            if not low <= value < high:
                raise self.failure(f"{{}} does not fit m.{self.name}", value)
        self.memory[index] = value

    def check(self, index: Any) -> None:
        """Failure unless the table has that element, or all of a slice (`zero_words` and `copy_words`)."""
        start, count, length = index, 1, len(self.memory)
        if isinstance(index, slice):
            start, count = index.start, index.stop - index.start
            if not 0 <= count <= length:
                raise self.failure(f"m.{self.name} has no {{}} words", count)
        if not 0 <= start <= length - count:
            raise self.failure(f"m.{self.name}[{{}}] is out of range", start)

    @staticmethod
    def failure(what: str, number: int) -> Failure:
        """The failure of the hot function that asked."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- there is no other way to one's caller
        while frame is not None and (
            frame.f_code.co_filename == __file__ or frame.f_code.co_name in STRETCHES
        ):
            frame = frame.f_back
        assert frame is not None
        code = frame.f_code
        return Failure(code.co_filename, frame.f_lineno, code.co_name, what, number)


class Checked:
    """The tables `m` of the interpreted engine, checked."""

    def __init__(self, m: Any) -> None:
        self.of = m

    def __getattr__(self, name: str) -> CheckedTable:
        table = self.__dict__[name] = CheckedTable(getattr(self.of, name), name)
        return table


def count_rounds(node: ast.stmt) -> None:
    """Let the loops of a function count their rounds, as those of the compiled engine do."""
    rounds = ".rounds"  # no name of Python's: the file cannot have it
    loops = [part for part in ast.walk(node) if isinstance(part, ast.While)]
    if not isinstance(node, ast.FunctionDef) or not loops:
        return
    for loop in loops:
        count = ast.parse(
            f"rounds += 1\nif rounds > {MOST_ROUNDS}:\n"
            f"    raise OverflowError('a loop of more than {MOST_ROUNDS} rounds')"
        ).body
        for part in (part for statement in count for part in ast.walk(statement)):
            if isinstance(part, ast.Name) and part.id == "rounds":
                part.id = rounds
            if hasattr(part, "lineno"):
                ast.copy_location(part, loop.test)
        loop.body[:0] = count
    start = ast.Assign([ast.Name(rounds, ast.Store())], ast.Constant(0))
    node.body.insert(0, ast.fix_missing_locations(ast.copy_location(start, node)))


def counted_copies(copies: dict[str, Function], entries: list[str]) -> dict[str, Function]:
    """Linked functions of a user's, and what they call: the loops of all of them count their rounds."""
    reached: dict[str, Function] = {}
    for entry in entries:
        reached |= reachable(copies, entry)
    sources = Sources(reached)
    spaces: dict[int, dict[str, Any]] = {}
    counted: dict[str, Function] = {}
    for name, function in reached.items():
        space = spaces.setdefault(id(function.__globals__), dict(function.__globals__))
        own = "source" in function.__dict__["hot"]  # counted when it was read
        code = function.__code__ if own else counted_code(sources, name)
        counted[name] = types.FunctionType(code, space, name)
        counted[name].__dict__.update(function.__dict__)
    for space in spaces.values():
        space.update(counted)
    return counted


def counted_code(sources: Sources, name: str) -> types.CodeType:
    """The code of a function of vmdbg's, its loops counted; without its source the code that it has."""
    function = sources.functions[name]
    try:
        node = copy.deepcopy(sources.definition(name))
    except SourceError:
        return function.__code__
    if not any(isinstance(part, ast.While) for part in ast.walk(node)):
        return function.__code__
    node.decorator_list = []
    count_rounds(node)
    made = compile(ast.Module([node], []), function.__code__.co_filename, "exec", dont_inherit=True)
    return next(part for part in made.co_consts if isinstance(part, types.CodeType))


def check_tables(copies: dict[str, Function], names: tuple[str, ...]) -> None:
    """Let linked functions of a user's that have one of these names, and what they call, work on checked
    tables, and count the rounds of their loops."""

    def checked(function: Function) -> Function:
        def call(m: Any, number: int) -> Any:
            return function(m if type(m) is Checked else Checked(m), number)

        return call

    own = [name for name in names if "source" in copies[name].__dict__["hot"]]
    counted = counted_copies(copies, own)
    found = {name: checked(counted[name]) for name in own}
    for function in copies.values():
        function.__globals__.update(found)
    copies.update(found)
