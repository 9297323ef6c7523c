"""C's operators on values, with GDB's types and error messages."""

from __future__ import annotations

from collections.abc import Callable

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import (
    ARRAY,
    FLOAT,
    FUNCTION,
    INT,
    INT_TYPE,
    INTERNAL,
    LONG,
    POINTER,
    VOID,
    VOID_CODE,
    CType,
    array_of,
    common,
    pointer_to,
    promoted,
)
from vmdbg.expressions.values import NEEDS_MEMORY, VOID_VALUE, Value, from_bytes, is_number, make, make_truth

Warn = Callable[[str], None]
NOT_A_NUMBER = "Argument to arithmetic operation not a number or boolean."
MAX_VALUE_BYTES = 65536
SHIFTS = ("<<", ">>")
EQUALITIES = ("==", "!=")
ORDERINGS = ("<", ">", "<=", ">=")


def silent(_warning: str) -> None:
    """A receiver of warnings that ignores them."""


def divide(left: int, right: int) -> int:
    """C's division: rounds towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


INTEGER_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "/": divide,
    "%": lambda left, right: left - divide(left, right) * right,
    "&": int.__and__,
    "|": int.__or__,
    "^": int.__xor__,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def binary(operator: str, left: Value, right: Value, warn: Warn = silent, dry: bool = False) -> Value:
    """`left OP right` for every operator but `&& || , = @`.

    UserError with GDB's message.  `warn(text)` is called for a shift count that is too large.  With `dry`
    only the type of the result counts.
    """
    if operator in COMPARISONS:
        return make_truth(compare(operator, left, right))
    kind, other = left.type, right.type
    if is_number(kind) and is_number(other):
        if FLOAT in (kind.code, other.code):
            return float_operation(operator, left, right)
        if operator in SHIFTS:
            return shift(operator, left, right, warn)
        return integer_operation(operator, left, right, dry)
    if operator in ("+", "-"):
        moved = pointer_operation(operator, left, right)
        if moved is not None:
            return moved
    raise UserError(NOT_A_NUMBER)


def integer_operation(operator: str, left: Value, right: Value, dry: bool) -> Value:
    """Arithmetic on two integers in the type that C's conversions give."""
    kind = common(left.type, right.type)
    first, second = int(kind.wrap(left.number)), int(kind.wrap(right.number))
    if operator in ("/", "%") and second == 0:
        if not dry:
            raise UserError("Division by zero")
        second = 1
    return make(kind, INTEGER_OPERATIONS[operator](first, second))


def float_operation(operator: str, left: Value, right: Value) -> Value:
    """Arithmetic on floats: IEEE, so that a division by zero is infinite."""
    kind = common(left.type, right.type)
    first, second = float(left.number), float(right.number)
    if operator == "+":
        return make(kind, first + second)
    if operator == "-":
        return make(kind, first - second)
    if operator == "*":
        return make(kind, first * second)
    if operator != "/":
        raise UserError("Integer-only operation on floating point number.")
    if second:
        return make(kind, first / second)
    if first == 0 or first != first:  # noqa: PLR0124 - the test for NaN
        return make(kind, -float("nan"))
    return make(kind, float("inf") if first > 0 else float("-inf"))


def shift(operator: str, left: Value, right: Value, warn: Warn) -> Value:
    """A shift in the promoted type of its left side; too wide ones warn and leave only the sign."""
    kind = promoted(left.type)
    first, count = int(left.number), int(right.number)
    bits = kind.size * 8
    if 0 <= count < bits:
        return make(kind, first << count if operator == "<<" else first >> count)
    side = "left" if operator == "<<" else "right"
    warn(f"{side} shift count " + ("is negative" if count < 0 else ">= width of type"))
    return make(kind, -1 if operator == ">>" and first < 0 else 0)


def pointer_operation(operator: str, left: Value, right: Value) -> Value | None:
    """Pointer plus or minus integer, pointer minus pointer; None if it is neither."""
    step, other = element_type(left), element_type(right)
    if step is None and other is not None and operator == "+" and right.type.code != INT:
        left, right, step, other = right, left, other, step
    if step is None:
        return None
    size = max(1, step.size)
    if right.type.code == INT:
        distance = int(right.number) * size
        address = left.as_integer() + (distance if operator == "+" else -distance)
        return make(pointer_to(step), address)
    if other is None or operator == "+":
        return None
    if other.size != step.size:
        raise UserError(
            "First argument of `-' is a pointer and second argument is neither\n"
            "an integer nor a pointer of the same type."
        )
    return make(LONG, divide(left.as_integer() - right.as_integer(), size))


def element_type(value: Value) -> CType | None:
    """The type that a pointer points to, or of the elements of an array; None for other values."""
    return value.type.target if value.type.code in (POINTER, ARRAY) else None


def compare(operator: str, left: Value, right: Value) -> bool:
    """A comparison of numbers, of addresses, or (equality) of two voids."""
    kind, other = left.type, right.type
    if is_number(kind) and is_number(other):
        shared = common(kind, other)
        return COMPARISONS[operator](shared.wrap(left.number), shared.wrap(right.number))
    addresses = [comparable_address(left), comparable_address(right)]
    if kind.code == other.code == VOID_CODE and operator in EQUALITIES:
        return operator == "=="
    if None in addresses or not {POINTER, ARRAY} & {kind.code, other.code}:
        sort = "equality test" if operator in EQUALITIES else "ordering comparison"
        raise UserError(f"Invalid type combination in {sort}.")
    first, second = (address or 0 for address in addresses)
    return COMPARISONS[operator](first, second)


def comparable_address(value: Value) -> int | None:
    """The address that a value stands for in a comparison; None if it is no address."""
    code = value.type.code
    return value.as_address() if code in (POINTER, ARRAY, INT) else None


def unary(operator: str, value: Value) -> Value:
    """`-x`, `+x`, `~x`, `!x`."""
    if operator == "!":
        return make_truth(not value.truth())
    kind = value.type
    if operator == "~":
        if kind.code != INT:
            raise UserError("Argument to complement operation not an integer, boolean.")
        return make(promoted(kind), ~int(value.number))
    if not is_number(kind):
        name = "negate" if operator == "-" else "positive"
        raise UserError(f"Argument to {name} operation not a number.")
    return make(promoted(kind), value.number if operator == "+" else 0 - value.number)


def step(operator: str, value: Value) -> Value:
    """The new value of the operand of `++` or `--`."""
    if not value.type.is_scalar:
        raise UserError("Not a numeric type.")
    return binary(operator[0], value, make(INT_TYPE, 1))


def cast(kind: CType, value: Value) -> Value:
    """`(type)value`.  A cast of an integer to an array type gives the array of its bytes, as in GDB."""
    source = value.type
    if kind.code == VOID_CODE:
        return VOID_VALUE
    if kind.name == "bool":
        return make(kind, value.truth())
    if kind.code == ARRAY:
        return cast_to_array(kind, value)
    if kind.is_scalar and source.code in (ARRAY, FUNCTION):
        return make(kind, value.as_integer())
    if not kind.is_scalar or not source.is_scalar:
        if source.code == VOID_CODE and kind.size == source.size:
            return make(kind, 0)
        raise UserError("Invalid cast.")
    if {kind.code, source.code} == {FLOAT, POINTER} and kind.size == source.size:
        return from_bytes(kind, value.as_bytes(), value.address)
    address = value.address if kind is source or kind.code == source.code == POINTER else None
    number = value.as_integer() if kind.code != FLOAT else value.number
    return Value(kind, kind.wrap(number), address=address)


def cast_to_array(kind: CType, value: Value) -> Value:
    """The bytes of a value as an array of the same size; an open count of the array type is computed."""
    element = kind.pointed()
    data = value.as_bytes()
    if kind.count is None and element.size and value.type.code != INTERNAL:
        kind = array_of(element, len(data) // element.size)
        data = data[: kind.size]
    if kind.size != len(data):
        raise UserError("Invalid cast.")
    return Value(kind, data=data, address=value.address)


def repeated(value: Value, count: Value) -> tuple[CType, int]:
    """The array type and the address of `value @ count`."""
    if count.type.code != INT:
        raise UserError('Non-integral right operand for "@" operator.')
    if value.address is None:
        raise UserError("Only values in memory can be extended with '@'.")
    number = int(count.number)
    if number <= 0:
        raise UserError(f"Invalid number {number} of repetitions.")
    kind = array_of(value.type, number)
    check_size(kind)
    return kind, value.address


def check_size(kind: CType) -> None:
    """UserError for a type whose values are too large to fetch."""
    if kind.size > MAX_VALUE_BYTES:
        raise UserError(f"value requires {kind.size} bytes, which is more than max-value-size")


def pointer_target(value: Value) -> tuple[CType, int]:
    """The type and address of `*value`; an integer is the address of an int."""
    kind = value.type
    if kind.code == INT:
        return INT_TYPE, value.as_address()
    if kind.code == ARRAY:
        return kind.pointed(), value.decayed()
    if kind.code != POINTER:
        raise UserError("Attempt to take contents of a non-pointer value.")
    target = kind.pointed()
    if target is VOID or target.code == VOID_CODE:
        raise UserError("Attempt to dereference a generic pointer.")
    return target, value.as_address()


def subscript_target(value: Value, index: Value) -> tuple[CType, int]:
    """The type and address of `value[index]` in memory."""
    kind = element_type(value)
    if kind is None:
        raise UserError(f"cannot subscript something of type `{value.type}'")
    if value.type.code == ARRAY and value.address is None:
        raise UserError(NEEDS_MEMORY)
    if kind.code == VOID_CODE:
        raise UserError("Attempt to dereference a generic pointer.")
    return kind, (value.as_integer() + index.as_integer() * kind.size) & ((1 << 64) - 1)
