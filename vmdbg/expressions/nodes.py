"""The parsed form of expressions: nodes that compute their value, address and effect.

A node is parsed once and run many times; it keeps nothing between runs.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions import arithmetic
from vmdbg.expressions.c_types import ARRAY, INT, POINTER, VOID, VOID_CODE, CType, array_of, pointer_to
from vmdbg.expressions.values import NEEDS_MEMORY, VOID_VALUE, Value, from_bytes, make, make_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.expressions.evaluator import Evaluator

NOT_AN_LVALUE = "Left operand of assignment is not an lvalue."
NO_ADDRESS = "Attempt to take address of value not located in memory."


class Node:
    """An expression.  `run`, `locate` and `assign` raise UserError with GDB's message."""

    __slots__ = ()

    def children(self) -> Sequence[Node]:
        """The parts that running this node may run."""
        return ()

    def run(self, evaluator: Evaluator) -> Value:
        """The value."""
        raise NotImplementedError

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        """Type and address of the expression in memory, which is not read."""
        value = self.run(evaluator)
        if value.address is None:
            raise UserError(NEEDS_MEMORY if value.type.code == ARRAY else NO_ADDRESS)
        return value.type, value.address

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        """Store a value in what the expression names; returns the value as stored."""
        raise UserError(NOT_AN_LVALUE)

    def writes(self, evaluator: Evaluator) -> bool:
        """Whether an assignment to this node changes the machine."""
        return False

    def acts(self, evaluator: Evaluator) -> bool:
        """Whether running this node may change memory or registers of the machine."""
        return any(child.acts(evaluator) for child in self.children())


class Constant(Node):
    """A number, string or character."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def run(self, evaluator: Evaluator) -> Value:
        return self.value


class TypeName(Node):
    """A type in the position of an expression, as in `sizeof(int)`."""

    __slots__ = ("type",)

    def __init__(self, kind: CType) -> None:
        self.type = kind

    def run(self, evaluator: Evaluator) -> Value:
        if evaluator.dry:
            return Value(self.type)
        raise UserError("Attempt to use a type name as an expression")


class HistoryValue(Node):
    """`$`, `$$`, `$$N` (numbers from 0 down), `$N`."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, evaluator: Evaluator) -> Value:
        return evaluator.value_history.get(self.number)

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        self.run(evaluator)
        raise UserError("Left operand of assignment is not a modifiable lvalue.")


class Variable(Node):
    """`$name`: a register of the machine, or else a convenience variable or a function."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, evaluator: Evaluator) -> Value:
        value = evaluator.scope.register(self.name)
        if value is not None:
            return value
        value = evaluator.variables.get(self.name)
        if value is VOID_VALUE and evaluator.has_function(self.name):
            return make_function(self.name)
        if value is VOID_VALUE and not evaluator.dry and evaluator.scope.is_register_name(self.name):
            evaluator.warn(f"This machine has no register {self.name}; ${self.name} is void.")
        return value

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        current = evaluator.scope.register(self.name)
        if current is not None:
            return assign_register(evaluator, self.name, current, value)
        if evaluator.has_function(self.name):
            raise UserError("Cannot overwrite convenience function " + self.name)
        if evaluator.variables.get(self.name) is VOID_VALUE and evaluator.scope.is_register_name(self.name):
            evaluator.warn(
                f"This machine has no register {self.name}; ${self.name} is now a convenience variable."
            )
        if value.type.code == ARRAY and value.address is not None:
            value = make(pointer_to(value.type.pointed()), value.address)
        elif value.address is not None:
            value = Value(value.type, value.number, value.data)
        evaluator.variables.set(self.name, value)
        return value

    def writes(self, evaluator: Evaluator) -> bool:
        return evaluator.scope.register(self.name) is not None


def assign_register(evaluator: Evaluator, name: str, current: Value, value: Value) -> Value:
    """Set a register, with the value converted to the register's type; returns its new value."""
    evaluator.scope.set_register(name, arithmetic.cast(current.type, value))
    after = evaluator.scope.register(name)
    return current if after is None else after


class Symbol(Node):
    """A name of the program: a pointer to its address."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, evaluator: Evaluator) -> Value:
        return make(pointer_to(VOID), self.locate(evaluator)[1])

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        address = evaluator.scope.symbol(self.name)
        if address is None:
            raise UserError(f'No symbol "{self.name}" in current context.')
        return VOID, address


class Field(Node):
    """`base.name`: a field of a register such as `$cr0.wp`; nothing else has fields."""

    __slots__ = ("arrow", "base", "name")

    def __init__(self, base: Node, name: str, arrow: bool) -> None:
        self.base, self.name, self.arrow = base, name, arrow

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def path(self) -> str:
        """The dotted name of a register's field, or an empty string."""
        before = ""
        if isinstance(self.base, Variable):
            before = self.base.name
        elif isinstance(self.base, Field):
            before = self.base.path()
        return f"{before}.{self.name}" if before and not self.arrow else ""

    def find(self, evaluator: Evaluator) -> Value:
        """The field's value.  UserError if there is no such field."""
        path = self.path()
        value = evaluator.scope.register(path) if path else None
        if value is None:
            self.base.run(evaluator)
            owner = path.rpartition(".")[0]
            if owner and evaluator.scope.register(owner) is not None:
                raise UserError(
                    f"There is no member named {self.name}.",
                    f'"info registers {owner}" shows what ${owner} has here.',
                )
            what = "structure pointer" if self.arrow else "structure"
            raise UserError(f"Attempt to extract a component of a value that is not a {what}.")
        return value

    def run(self, evaluator: Evaluator) -> Value:
        return self.find(evaluator)

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        return assign_register(evaluator, self.path(), self.find(evaluator), value)

    def writes(self, evaluator: Evaluator) -> bool:
        return True


class InMemory(Node):
    """A node whose value lies in memory, at the address that `locate` returns."""

    __slots__ = ()

    def run(self, evaluator: Evaluator) -> Value:
        kind, address = self.locate(evaluator)
        return evaluator.fetch(kind, address)

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        kind, address = self.locate(evaluator)
        stored = arithmetic.cast(kind, value)
        evaluator.scope.write_memory(address, stored.as_bytes())
        return Value(kind, stored.number, stored.data, address)

    def writes(self, evaluator: Evaluator) -> bool:
        return True


class Dereference(InMemory):
    """`*pointer`."""

    __slots__ = ("base",)

    def __init__(self, base: Node) -> None:
        self.base = base

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        return arithmetic.pointer_target(self.base.run(evaluator))


class Typed(InMemory):
    """`{type}address`."""

    __slots__ = ("base", "type")

    def __init__(self, kind: CType, base: Node) -> None:
        self.type, self.base = kind, base

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        if self.type.code == VOID_CODE:
            raise UserError("Attempt to dereference a generic pointer.")
        arithmetic.check_size(self.type)
        return self.type, self.base.run(evaluator).as_address()


class Repeated(InMemory):
    """`value @ count`: an array that begins where the value is."""

    __slots__ = ("base", "count")

    def __init__(self, base: Node, count: Node) -> None:
        self.base, self.count = base, count

    def children(self) -> Sequence[Node]:
        return (self.base, self.count)

    def run(self, evaluator: Evaluator) -> Value:
        if evaluator.dry:
            count = self.count.run(evaluator).as_integer()
            return Value(array_of(self.base.run(evaluator).type, max(1, count)), address=0)
        return super().run(evaluator)

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        count = self.count.run(evaluator)
        if isinstance(self.base, InMemory):
            kind, address = self.base.locate(evaluator)
            return arithmetic.repeated(Value(kind, address=address), count)
        return arithmetic.repeated(self.base.run(evaluator), count)


class Subscript(InMemory):
    """`base[index]`: in memory, or an element of an array that a variable or the history holds."""

    __slots__ = ("base", "index")

    def __init__(self, base: Node, index: Node) -> None:
        self.base, self.index = base, index

    def children(self) -> Sequence[Node]:
        return (self.base, self.index)

    def held(self, evaluator: Evaluator) -> Value:
        """The base's value, not read from memory if it is there."""
        if isinstance(self.base, InMemory):
            kind, address = self.base.locate(evaluator)
            if kind.code == ARRAY:
                return Value(kind, address=address)
        return self.base.run(evaluator)

    def run(self, evaluator: Evaluator) -> Value:
        base = self.held(evaluator)
        if base.type.code == ARRAY and base.address is None and not evaluator.dry:
            return base.element(self.index.run(evaluator).as_integer())
        kind, address = self.target(evaluator, base)
        return evaluator.fetch(kind, address)

    def target(self, evaluator: Evaluator, base: Value) -> tuple[CType, int]:
        if evaluator.dry and base.type.code == ARRAY and base.address is None:
            base = Value(base.type, address=0)
        return arithmetic.subscript_target(base, self.index.run(evaluator))

    def locate(self, evaluator: Evaluator) -> tuple[CType, int]:
        return self.target(evaluator, self.held(evaluator))

    def assign(self, evaluator: Evaluator, value: Value) -> Value:
        base = self.held(evaluator)
        if not (isinstance(self.base, Variable) and base.type.code == ARRAY):
            return super().assign(evaluator, value)
        index = self.index.run(evaluator).as_integer()
        element = base.element(index)
        stored = arithmetic.cast(element.type, value)
        at = index * element.type.size
        data = base.data[:at] + stored.as_bytes() + base.data[at + element.type.size :]
        evaluator.variables.set(self.base.name, Value(base.type, data=data))
        return from_bytes(element.type, stored.as_bytes())

    def writes(self, evaluator: Evaluator) -> bool:
        if evaluator.assignments > 1 or not isinstance(self.base, Variable):
            return True
        return self.base.run(evaluator).type.code != ARRAY


class AddressOf(Node):
    """`&base`."""

    __slots__ = ("base",)

    def __init__(self, base: Node) -> None:
        self.base = base

    def children(self) -> Sequence[Node]:
        return (self.base,)

    def run(self, evaluator: Evaluator) -> Value:
        if isinstance(self.base, Dereference):
            value = self.base.base.run(evaluator)
            if value.type.code in (INT, POINTER):
                return value
        if evaluator.dry and not isinstance(self.base, InMemory | Symbol):
            return make(pointer_to(self.base.run(evaluator).type), 0)
        kind, address = self.base.locate(evaluator)
        return make(pointer_to(kind), address)
