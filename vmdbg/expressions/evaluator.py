"""Expressions of the prompt, of conditions and of scripts: C as GDB understands it.

evaluator = Evaluator(scope)
evaluator.evaluate("$x = 1 << 3")           text to Value
node = evaluator.parse("$_pid == 2")        once
evaluator.run(node)                         thousands of times a second
evaluator.acts(node)                        would it write to the machine?
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions import arithmetic
from vmdbg.expressions.c_types import ARRAY, FUNCTION, CType, describe
from vmdbg.expressions.functions import FUNCTIONS
from vmdbg.expressions.nodes import Node
from vmdbg.expressions.operators import Assign, Step
from vmdbg.expressions.parser import TOO_DEEP, parse, parse_list, parse_prefix
from vmdbg.expressions.values import Value, ValueHistory, Variables, from_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object

__all__ = ["EmptyScope", "Evaluator", "Node", "Scope", "parse", "parse_list", "parse_prefix"]


KEPT = 5000  # parsed expressions at most, of so many characters at most
KEPT_LENGTH = 256


class Scope(Protocol):
    """What expressions see of the machine and the shell.  Names come without `$`."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes at an address.  UserError `Cannot access memory at address 0x0` with the first bad one."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Store bytes: acts on the machine.  UserError as `read_memory`."""

    def register(self, name: str) -> Value | None:
        """A register or one of its fields (`cr0.wp`); None if the machine has no such name."""

    def set_register(self, name: str, value: Value) -> None:
        """Set a register that `register` knows: acts on the machine."""

    def is_register_name(self, name: str) -> bool:
        """Is it the name of a register of some CPU, whether or not the machine has it?"""

    def symbol(self, name: str) -> int | None:
        """The address of a name of the program."""

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        """A function of the machine, such as `pte(va)`; None if there is none of that name.  Pure."""

    def setting(self, name: str, as_text: bool = False) -> int | str | bool | None:
        """A setting's value, 0 for unlimited, or its text; None if there is none of that name."""


class EmptyScope:
    """A scope without a machine: no memory, no registers, no names, no settings."""

    def read_memory(self, address: int, size: int) -> bytes:
        raise UserError(f"Cannot access memory at address 0x{address:x}")

    def write_memory(self, address: int, data: bytes) -> None:
        raise UserError(f"Cannot access memory at address 0x{address:x}")

    def register(self, name: str) -> Value | None:
        return None

    def set_register(self, name: str, value: Value) -> None:
        raise AssertionError(name, value)

    def is_register_name(self, name: str) -> bool:
        return False

    def symbol(self, name: str) -> int | None:
        return None

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        return None

    def setting(self, name: str, as_text: bool = False) -> int | str | bool | None:
        return None


class Evaluator:
    """Runs expressions against a scope, a value history and the convenience variables.

    `warn(text)` is called for each warning, with GDB's text without `warning: `; `functions` may be extended
    with functions of the shell.
    """

    def __init__(
        self,
        scope: Scope,
        value_history: ValueHistory | None = None,
        variables: Variables | None = None,
        warn: arithmetic.Warn = arithmetic.silent,
    ) -> None:
        self.scope = scope
        self.value_history = ValueHistory() if value_history is None else value_history
        self.variables = Variables() if variables is None else variables
        self.warn = warn
        self.functions = dict(FUNCTIONS)
        self.dry = False
        self.assignments = 0
        self.radix = 10  # of numbers without a prefix
        self._parsed: dict[tuple[int, str], Node] = {}
        self._counted: dict[Node, int] = {}  # the assignments of kept trees
        self._named = False

    def knows(self, name: str) -> bool:
        """Whether the program has this name."""
        self._named = True
        return self.scope.symbol(name) is not None

    def parse(self, text: str) -> Node:
        """The text as a tree.  UserError for a syntax error or a name that the program does not have.

        A tree without names of the program is kept: a text in a loop of a script is parsed once.
        """
        key = (self.radix, text)
        node = self._parsed.get(key)
        if node is None:
            self._named = False
            node = parse(text, self.knows, self.radix)
            if not self._named and len(text) <= KEPT_LENGTH:
                if len(self._parsed) >= KEPT:
                    self._parsed.clear()
                    self._counted.clear()
                self._parsed[key], self._counted[node] = node, count_assignments(node)
        return node

    def parse_prefix(self, text: str, comma: bool = False) -> tuple[Node, str]:
        """The expression at the text's beginning and the rest, as for `break LINE if EXPR`."""
        return parse_prefix(text, self.knows, comma, self.radix)

    def parse_list(self, text: str) -> list[Node]:
        """Expressions between commas, as the arguments of `printf`."""
        return parse_list(text, self.knows, self.radix)

    def evaluate(self, text: str) -> Value:
        """The value of a text."""
        return self.run(self.parse(text))

    def run(self, node: Node) -> Value:
        """The value of a parsed expression."""
        try:
            return node.run(self)
        except RecursionError:
            raise UserError(TOO_DEEP) from None

    def truth(self, node: Node) -> bool:
        """Whether a condition holds."""
        return self.run(node).truth()

    def type_of(self, node: Node) -> CType:
        """The type, found without reading memory, calling or assigning, as `whatis` and `sizeof` do."""
        before = self.dry
        self.dry = True
        try:
            return self.run(node).type
        finally:
            self.dry = before

    def describe(self, text: str) -> str:
        """The type of a text's value as C writes it: what follows `type = ` in `whatis`."""
        return describe(self.type_of(self.parse(text)))

    def acts(self, expression: str | Node) -> bool:
        """Whether running the expression could write memory or registers; found without running it."""
        node = self.parse(expression) if isinstance(expression, str) else expression
        self.assignments = self.count(node)
        try:
            return self.assignments > 0 and node.acts(self)
        except RecursionError:
            raise UserError(TOO_DEEP) from None

    def assigns(self, expression: str | Node) -> bool:
        """Whether the expression contains an assignment; `set` warns if not."""
        node = self.parse(expression) if isinstance(expression, str) else expression
        return self.count(node) > 0

    def count(self, node: Node) -> int:
        """How many assignments, `++` and `--` it has."""
        found = self._counted.get(node)
        return count_assignments(node) if found is None else found

    def fetch(self, kind: CType, address: int) -> Value:
        """The value of a type in memory; zeros where only the type is asked for."""
        if kind.code == FUNCTION:
            return Value(kind, address=address)
        if kind.code == ARRAY:
            arithmetic.check_size(kind)
        if self.dry:
            return from_bytes(kind, bytes(kind.size), address)
        data = self.scope.read_memory(address, kind.size) if kind.size else b""
        return from_bytes(kind, data, address)

    def has_function(self, name: str) -> bool:
        """Whether this is a function that needs no machine."""
        return name in self.functions

    def call(self, name: str, arguments: Sequence[Value]) -> Value | None:
        """The result of a function; None if there is none of that name."""
        function = self.functions.get(name)
        if function is not None:
            return function(self, arguments)
        return self.scope.call(name, list(arguments))


def count_assignments(node: Node) -> int:
    """How many assignments, `++` and `--` an expression has."""
    found = 0
    rest = [node]
    while rest:
        node = rest.pop()
        found += isinstance(node, Assign | Step)
        rest += node.children()
    return found
