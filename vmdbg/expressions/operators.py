"""The nodes of operators: they compute from values, and their results have no address."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions import arithmetic
from vmdbg.expressions.c_types import ARRAY, INT_TYPE, CType
from vmdbg.expressions.nodes import Node, Variable
from vmdbg.expressions.values import ONE, ZERO, Value, make, make_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.expressions.evaluator import Evaluator

NOT_A_FUNCTION = "You can't do that without a process to debug."


class Cast(Node):
    """`(type)base`."""

    __slots__ = ("base", "type")

    def __init__(self, kind: CType, base: Node) -> None:
        self.type, self.base = kind, base

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def run(self, evaluator: Evaluator) -> Value:
        value = self.base.run(evaluator)
        if self.type.code == ARRAY and self.type.count is not None and value.address is not None:
            return evaluator.fetch(self.type, value.address)
        return arithmetic.cast(self.type, value)


class SizeOf(Node):
    """`sizeof base`; the base is never run."""

    __slots__ = ("base",)

    def __init__(self, base: Node) -> None:
        self.base = base

    def run(self, evaluator: Evaluator) -> Value:
        return make(INT_TYPE, evaluator.type_of(self.base).size)


class Unary(Node):
    """`-x +x ~x !x`."""

    __slots__ = ("base", "operator")

    def __init__(self, operator: str, base: Node) -> None:
        self.operator, self.base = operator, base

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def run(self, evaluator: Evaluator) -> Value:
        return arithmetic.unary(self.operator, self.base.run(evaluator))


class Binary(Node):
    """Every operator that computes both of its sides."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Node, right: Node) -> None:
        self.operator, self.left, self.right = operator, left, right

    def children(self) -> Sequence[Node]:
        return (self.left, self.right)

    def run(self, evaluator: Evaluator) -> Value:
        left, right = self.left.run(evaluator), self.right.run(evaluator)
        return arithmetic.binary(self.operator, left, right, evaluator.warn, evaluator.dry)


class Logical(Node):
    """`&&` and `||`: the right side is not run if the left one decides."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Node, right: Node) -> None:
        self.operator, self.left, self.right = operator, left, right

    def children(self) -> Sequence[Node]:
        return (self.left, self.right)

    def run(self, evaluator: Evaluator) -> Value:
        if self.left.run(evaluator).truth() == (self.operator == "||"):
            return ONE if self.operator == "||" else ZERO
        return ONE if self.right.run(evaluator).truth() else ZERO


class Comma(Node):
    """`left, right`."""

    __slots__ = ("left", "right")

    def __init__(self, left: Node, right: Node) -> None:
        self.left, self.right = left, right

    def children(self) -> Sequence[Node]:
        return (self.left, self.right)

    def run(self, evaluator: Evaluator) -> Value:
        self.left.run(evaluator)
        return self.right.run(evaluator)

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        self.left.run(evaluator)
        return self.right.locate(evaluator)

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        self.left.run(evaluator)
        return self.right.assign(evaluator, value)

    def writes(self, evaluator: Evaluator) -> bool:
        return self.right.writes(evaluator)


class Ternary(Node):
    """`condition ? yes : no`."""

    __slots__ = ("condition", "no", "yes")

    def __init__(self, condition: Node, yes: Node, no: Node) -> None:
        self.condition, self.yes, self.no = condition, yes, no

    def children(self) -> Sequence[Node]:
        return (self.condition, self.yes, self.no)

    def chosen(self, evaluator: Evaluator) -> Node:
        return self.yes if self.condition.run(evaluator).truth() else self.no

    def run(self, evaluator: Evaluator) -> Value:
        return self.chosen(evaluator).run(evaluator)

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        return self.chosen(evaluator).locate(evaluator)

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        return self.chosen(evaluator).assign(evaluator, value)

    def writes(self, evaluator: Evaluator) -> bool:
        return self.yes.writes(evaluator) or self.no.writes(evaluator)


class Assign(Node):
    """`target = source` and, with an operator, `target OP= source`."""

    __slots__ = ("operator", "source", "target")

    def __init__(self, operator: str, target: Node, source: Node) -> None:
        self.operator, self.target, self.source = operator, target, source

    def children(self) -> Sequence[Node]:
        return (self.target, self.source)

    def run(self, evaluator: Evaluator) -> Value:
        if evaluator.dry:
            return self.target.run(evaluator)
        if self.operator:
            before = self.target.run(evaluator)
            value = arithmetic.binary(self.operator, before, self.source.run(evaluator), evaluator.warn)
        else:
            value = self.source.run(evaluator)
        return self.target.assign(evaluator, value)

    def acts(self, evaluator: Evaluator) -> bool:
        return self.target.writes(evaluator) or super().acts(evaluator)


class Step(Node):
    """`++x --x x++ x--`; `after` says that the old value is the result."""

    __slots__ = ("after", "base", "operator")

    def __init__(self, operator: str, base: Node, after: bool) -> None:
        self.operator, self.base, self.after = operator, base, after

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def run(self, evaluator: Evaluator) -> Value:
        before = self.base.run(evaluator)
        if evaluator.dry:
            return before
        stored = self.base.assign(evaluator, arithmetic.step(self.operator, before))
        return before if self.after else stored

    def acts(self, evaluator: Evaluator) -> bool:
        return self.base.writes(evaluator) or super().acts(evaluator)


class Call(Node):
    """`$function(arguments)`."""

    __slots__ = ("arguments", "base")

    def __init__(self, base: Node, arguments: list[Node]) -> None:
        self.base, self.arguments = base, arguments

    def children(self) -> Sequence[Node]:
        return (self.base, *self.arguments)

    def run(self, evaluator: Evaluator) -> Value:
        if not isinstance(self.base, Variable):
            self.base.run(evaluator)
            raise UserError(NOT_A_FUNCTION)
        arguments = [argument.run(evaluator) for argument in self.arguments]
        if evaluator.dry and evaluator.has_function(self.base.name):
            return ZERO
        value = evaluator.call(self.base.name, arguments)
        if value is None:
            raise UserError(NOT_A_FUNCTION, f"There is no function ${self.base.name}.")
        return value


class ArrayOf(Node):
    """`{a, b, c}`."""

    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items

    def children(self) -> Sequence[Node]:
        return self.items

    def run(self, evaluator: Evaluator) -> Value:
        return make_array([item.run(evaluator) for item in self.items])
