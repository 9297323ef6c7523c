"""Conditions of stops.

A part of a condition may be tested by the stop table, even in compiled code; a part may be decided by the
event alone; the rest needs the machine at that event.

`$_event`, `$_pid`, `$_cpu`, `$_operations` and the arguments of the event (`$_va`, `$_slot`, ...) are those
of the event; the names work without `$_` too, unless the program has a symbol of that name.
"""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import ANY, Pattern
from vmdbg.errors import UserError
from vmdbg.expressions.c_types import INT, POINTER
from vmdbg.expressions.evaluator import Evaluator
from vmdbg.expressions.nodes import Constant, Node, Symbol, Variable
from vmdbg.expressions.operators import Binary, Call, Cast, Logical, Ternary, Unary
from vmdbg.expressions.values import make_integer, make_string, text_of
from vmdbg.state.events import EVENTS
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.expressions.values import Value

OF_EVERY_EVENT = ("event", "pid", "cpu", "operations")
HIGHEST = (1 << 63) - 1
TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "=="}
BY_EVENT = (Constant, Variable, Unary, Binary, Logical, Ternary, Cast)  # nodes that need no machine


class EventScope:
    """What names mean in a condition: those of the event first, then those that `scope` knows."""

    def __init__(self, scope: Any, names: set[str]) -> None:
        self._scope, self.names = scope, names
        self.seen: dict[str, int | str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)

    def see(self, event: LoggedEvent | None, pid: int, operations: int) -> None:
        """Names now mean those of this event, or (None) of the start of an operation of a process."""
        self.seen = {"_pid": pid, "_operations": operations}
        if event is not None:
            self.seen |= {"_event": event.name, "_cpu": event.cpu}
            self.seen |= {f"_{name}": value for name, value in event.arguments.items()}

    def symbol(self, name: str) -> int | None:
        """The address of a name of the program; 0 for one of the event."""
        address = self._scope.symbol(name)
        return 0 if address is None and self.is_name(name) else address

    def is_name(self, name: str) -> bool:
        """Does a name that the program does not have stand for a value of the event?"""
        return name in self.names and self._scope.symbol(name) is None

    def register(self, name: str) -> Value | None:
        """A name of the event, or a register of the machine."""
        value = self.seen.get(name)
        if value is None:
            return self._scope.register(name)  # type: ignore[no-any-return]
        if isinstance(value, str):
            return make_string(value)
        return make_integer(value, 32 if name in ("_pid", "_cpu") else 64)


class Condition:
    """An expression about events of some kinds.  `by_event`: its value depends only on the event.

    UserError if it is no expression, or would change the machine.
    """

    def __init__(self, text: str, evaluator: Evaluator, kinds: list[int]) -> None:
        self.text = text
        names = {name for kind in kinds for name in EVENTS[kind].arguments}
        self.names = {*OF_EVERY_EVENT, "kind", *names}
        self.scope = EventScope(evaluator.scope, self.names)
        self.evaluator = Evaluator(self.scope, evaluator.value_history, evaluator.variables, evaluator.warn)
        self.evaluator.radix = evaluator.radix
        node = self.evaluator.parse(text)
        if self.evaluator.acts(node):
            raise UserError("A condition cannot change the machine.")
        self.node = self.renamed(node)
        self.by_event = self.needs_no_machine(self.node)

    def renamed(self, node: Node) -> Node:
        """The expression with `$_pid` for `pid`, and kinds of events compared as strings."""
        if isinstance(node, Symbol):
            if self.scope.is_name(node.name):
                return Variable("_event" if node.name == "kind" else f"_{node.name}")
            return node
        for slots in [getattr(kind, "__slots__", ()) for kind in type(node).__mro__]:
            for slot in (slots,) if isinstance(slots, str) else slots:
                part = getattr(node, slot)
                if isinstance(part, Node):
                    setattr(node, slot, self.renamed(part))
                elif isinstance(part, (list, tuple)) and any(isinstance(item, Node) for item in part):
                    setattr(node, slot, type(part)(map(self.renamed, part)))
        if isinstance(node, Binary) and node.operator in ("==", "!="):
            sides = [node.left, node.right]
            if any(isinstance(side, Variable) and side.name == "_event" for side in sides):
                same = Call(Variable("_streq"), sides)
                return same if node.operator == "==" else Unary("!", same)
        return node

    def needs_no_machine(self, node: Node) -> bool:
        """Is it about the event, numbers and convenience variables?"""
        if isinstance(node, Call):
            known = isinstance(node.base, Variable) and self.evaluator.has_function(node.base.name)
            return known and all(map(self.needs_no_machine, node.arguments))
        if isinstance(node, Variable):
            return node.name[1:] in self.names or self.scope.register(node.name) is None
        return isinstance(node, BY_EVENT) and all(map(self.needs_no_machine, node.children()))

    def holds(self, event: LoggedEvent | None, pid: int, operations: int) -> bool:
        """Is it true at an event, or (None) at the start of an operation of a process?

        It is false at an event that does not have an argument that it names.  UserError as expressions give.
        """
        self.scope.see(event, pid, operations)
        try:
            return bool(self.evaluator.run(self.node).truth())
        except UserError:
            if self.lacks(event):
                return False
            raise

    def lacks(self, event: LoggedEvent | None) -> bool:
        """Does it name an argument that the event does not have?"""
        return event is not None and not self.named(self.node) <= {*OF_EVERY_EVENT, *event.arguments}

    def named(self, node: Node) -> set[str]:
        """Which names of events an expression uses."""
        if isinstance(node, Variable):
            return {node.name[1:]} & self.names
        return {name for child in node.children() for name in self.named(child)}

    def value(self, event: LoggedEvent) -> int | str | None:
        """What it is for an event: a number or a text; None if the event lacks an argument."""
        if self.lacks(event):
            return None
        self.scope.see(event, event.pid, event.operation)
        found = self.evaluator.run(self.node)
        if found.type.code in (INT, POINTER):
            return found.as_integer()
        return text_of(found, self.scope.read_memory)

    # -- what the stop rows can ask

    def restrict(self, patterns: list[Pattern]) -> list[Pattern]:
        """The patterns, narrowed by those parts of the condition that they can express.

        Every event at which the condition holds still matches one of them.
        """
        for part in conjuncts(self.node):
            found = self.comparison(part)
            if found is not None:
                patterns = [
                    restricted for p in patterns if (restricted := restricted_to(p, *found)) is not None
                ]
        return patterns

    def asks(self, patterns: list[Pattern]) -> bool:
        """Can these patterns express a part of the condition, or does it name arguments of their events?"""
        return bool(patterns) and (
            bool(self.named(self.node) - {"pid", "operations"}) or self.restrict(patterns) != patterns
        )

    def comparison(self, node: Node) -> tuple[str, str, int | str] | None:
        """`$_va == 4` as (name, operator, value); None if it compares no name of an event with a constant."""
        if isinstance(node, Call):  # $_streq($_event, "...")
            name, value = (*node.arguments, None, None)[:2]
            if not (isinstance(node.base, Variable) and node.base.name == "_streq"):
                return None
            if isinstance(name, Variable) and name.name == "_event" and isinstance(value, Constant):
                return "event", "==", text_of(value.value, self.scope.read_memory)
            return None
        if not isinstance(node, Binary) or node.operator not in TURNED:
            return None
        for name, value, operator in (
            (node.left, node.right, node.operator),
            (node.right, node.left, TURNED[node.operator]),
        ):
            if isinstance(name, Variable) and name.name[1:] in self.names and constant(value):
                try:
                    return name.name[1:], operator, self.evaluator.run(value).as_integer()
                except UserError:
                    return None
        return None


def conjuncts(node: Node) -> list[Node]:
    """The parts of `a && b && c`."""
    if isinstance(node, Logical) and node.operator == "&&":
        return [*conjuncts(node.left), *conjuncts(node.right)]
    return [node]


def constant(node: Node) -> bool:
    """Is the expression made of constants alone?"""
    return isinstance(node, (Constant, Unary, Binary, Cast)) and all(map(constant, node.children()))


def restricted_to(pattern: Pattern, name: str, operator: str, value: int | str) -> Pattern | None:
    """The pattern, narrowed by a comparison if a pattern can express that; None if no event would match."""
    event = EVENTS[pattern.kind]
    if isinstance(value, str):
        return pattern if operator != "==" or event.name == value else None
    if name in ("pid", "cpu"):
        if operator != "==" or value < 0:
            return pattern
        if getattr(pattern, name) not in (ANY, value):
            return None
        return pattern.changed(**{name: value})
    if name not in event.arguments or (operator != "==" and not 0 <= value <= HIGHEST):
        return pattern
    which, asked = event.arguments.index(name) + 1, s64(value)
    low, high = {
        "==": (asked, asked),
        "<": (-HIGHEST - 1, asked - 1),
        "<=": (-HIGHEST - 1, asked),
        ">": (asked + 1, HIGHEST),
        ">=": (asked, HIGHEST),
    }[operator]
    if pattern.low is not None and pattern.which != which:
        return pattern
    if pattern.low is not None and pattern.high is not None:
        low, high = max(low, pattern.low), min(high, pattern.high)
    return pattern.changed(which=which, low=low, high=high) if low <= high else None
