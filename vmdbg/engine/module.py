"""One module of LLVM's intermediate representation: an entry and all that it calls, with the tables.

Compiled code gets `m` as the address of a row of words: for each table its address and its number of
elements, then the words of `FAILURE`.

A *checked* function looks at each index before it uses it.  One that is out of range ends the function,
and every caller, at once; the words of `FAILURE` then say where.  These functions are checked: all of
a checked build, those whose decorator says so (a policy of a user's), and those that these call.
"""

from __future__ import annotations

import platform

from vmdbg.engine.language import PLAIN, NotHotError, is_plain, unassigned
from vmdbg.engine.link import reachable
from vmdbg.engine.lowering import Lowering
from vmdbg.engine.sources import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Function = Callable[..., Any]

#: Words behind the tables: the text of the place that failed; its number; the place in a user's function.
FAILURE = ("place", "number", "caller")
#: The calling convention of functions that are apart: they save the registers that they use, so that what
#: seldom calls them can keep its values there.
CONVENTION = "preserve_mostcc "
HOSTS = ("x86_64", "amd64", "aarch64", "arm64")  # Architecture: those for which LLVM has that convention


class Layout:
    """The tables that compiled code sees: names and type codes of elements, in the order of their words.

    `shared` names tables that are other views of one memory: loads and stores of these may meet.
    """

    def __init__(self, codes: Mapping[str, str], shared: Sequence[str] = ()) -> None:
        self.codes = dict(codes)
        self.word = {name: 2 * number for number, name in enumerate(codes)}
        self.failure = 2 * len(codes)
        self.alias = {name: (shared[0] if name in shared else name) for name in codes}

    @property
    def words(self) -> int:
        """Words of `m` in all."""
        return self.failure + len(FAILURE)


class Module:
    """The translation of one entry and of all that it calls."""

    def __init__(
        self, functions: Mapping[str, Function], entry: str, layout: Layout, checked: bool = False
    ) -> None:
        self.functions, self.entry, self.layout, self.checked = functions, entry, layout, checked
        self.sources = Sources(functions)
        self.trees: dict[str, ast.FunctionDef] = {}
        self.translated: dict[str, str] = {}
        self.texts: dict[str, str] = {}  # constants that failures point to
        self.failing: dict[str, bool] = {}
        self.calls: dict[str, dict[str, ast.AST]] = {}
        self.waiting: list[tuple[str, tuple[str, ...], bool]] = []
        self.symbol(entry, (), self.is_checked(entry))
        while self.waiting:
            name, tables, safe = self.waiting.pop()
            try:
                lowered = Lowering(self, name, tables, safe)
                self.translated[lowered.symbol] = lowered.text()
            except RecursionError:
                raise self.error(name, self.sources.definition(name), "it is nested too deeply") from None
        self.refuse_recursion(entry, [])

    def tree(self, name: str) -> ast.FunctionDef:
        """The definition of a function, with a head of the language's; it reads no name before that has a
        value.  NotHotError."""
        if name not in self.trees:
            tree = self.trees[name] = self.sources.definition(name)
            if not is_plain(tree.args):
                raise self.error(name, tree, PLAIN)
            for early in unassigned(tree):
                raise self.error(name, early, f"{early.id} may have no value yet")
        return self.trees[name]

    def refuse_recursion(self, name: str, way: list[str]) -> None:
        """NotHotError if `name` calls, directly or not, a function in `way`, the calls that led to it: the
        stack would have no limit."""
        for called, node in self.calls.pop(name, {}).items():
            if called in (*way, name):
                raise self.error(name, node, f"it calls itself, by way of {called}")
            self.refuse_recursion(called, [*way, name])

    def error(self, name: str, node: ast.AST, wrong: str) -> NotHotError:
        """The NotHotError for a node that is not of the language."""
        code = self.functions[name].__code__
        return NotHotError(wrong, name, code.co_filename, getattr(node, "lineno", code.co_firstlineno))

    def is_checked(self, name: str) -> bool:
        """Is a function checked even if its caller is not?"""
        return self.checked or bool(self.functions[name].__dict__["hot"].get("checked"))

    def can_fail(self, name: str) -> bool:
        """May a function that is not checked itself call, directly or not, one that is?"""
        if name not in self.failing:
            self.failing[name] = any(self.is_checked(called) for called in reachable(self.functions, name))
        return self.failing[name]

    def symbol(self, name: str, tables: tuple[str, ...], safe: bool) -> str:
        """The symbol of a function for these tables; it is translated if it was not yet."""
        found = self.mangled(name, tables, safe)
        if found not in self.translated:
            self.translated[found] = ""
            self.waiting.append((name, tables, safe))
        return found

    def mangled(self, name: str, tables: tuple[str, ...], safe: bool) -> str:
        """The symbol of a function; one that takes tables has a copy for each choice of them.

        It is quoted: Python's names may have letters that LLVM's have not.
        """
        parts = [name] if name == self.entry else [name, *tables, "checked" if safe else ""]
        return f'@"{".".join(parts)}"'

    def failure_text(self, name: str, node: ast.AST, what: str) -> str:
        """The constant that tells of a failure: file, line, function, what; each ends with a zero byte."""
        code = self.functions[name].__code__
        parts = (code.co_filename, str(getattr(node, "lineno", code.co_firstlineno)), name, what)
        text = "\0".join(parts).encode("utf-8", "surrogateescape") + b"\0"
        number = len(self.texts)
        quoted = "".join(
            chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02x}" for byte in text
        )
        line = f'private unnamed_addr constant [{len(text)} x i8] c"{quoted}"'
        return self.texts.setdefault(line, f"@place.{number}")

    def text(self) -> str:
        """The whole module."""
        aliases = sorted(set(self.layout.alias.values()))
        return "\n".join(
            [
                'source_filename = "vmdbg"',
                *(f"{name} = {line}" for line, name in self.texts.items()),
                "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
                "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
                "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)",
                *self.translated.values(),
                "!0 = !{}",
                '!1 = !{!"vmdbg"}',
                '!2 = !{!"m", !1, i64 0}',
                "!3 = !{!2, !2, i64 0}",
                '!4 = !{!"branch_weights", i32 1, i32 1048576}',
                *(f'!{10 + 2 * n} = !{{!"{name}", !1, i64 0}}' for n, name in enumerate(aliases)),
                *(f"!{11 + 2 * n} = !{{!{10 + 2 * n}, !{10 + 2 * n}, i64 0}}" for n in range(len(aliases))),
                "",
            ]
        )

    def convention(self, name: str) -> str:
        """The calling convention of a function, with a space behind it; empty for that of C."""
        apart = self.functions[name].__dict__["hot"].get("apart") and name != self.entry
        return CONVENTION if apart and platform.machine().lower() in HOSTS else ""

    def alias_class(self, table: str) -> int:
        """The number of the metadata that says which memory a table is."""
        return 11 + 2 * sorted(set(self.layout.alias.values())).index(self.layout.alias[table])
