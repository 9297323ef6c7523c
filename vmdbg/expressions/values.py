"""Values of expressions; the value history `$ $$ $3`; the convenience variables `$foo`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import (
    ARRAY,
    CHAR,
    FLOAT,
    FUNCTION,
    INT,
    INT_TYPE,
    INTERNAL_FUNCTION,
    LONG,
    POINTER,
    SHORT,
    UNSIGNED_CHAR,
    UNSIGNED_INT,
    UNSIGNED_LONG,
    UNSIGNED_SHORT,
    VOID,
    CType,
    array_of,
    describe,
)

Reader = Callable[[int, int], bytes]
NEEDS_MEMORY = "evaluation of this expression requires the target program to be active"
ADDRESS_MASK = (1 << 64) - 1
INTEGERS = {
    (8, True): CHAR,
    (8, False): UNSIGNED_CHAR,
    (16, True): SHORT,
    (16, False): UNSIGNED_SHORT,
    (32, True): INT_TYPE,
    (32, False): UNSIGNED_INT,
    (64, True): LONG,
    (64, False): UNSIGNED_LONG,
}


class Value:
    """A typed value that never changes: a number, an array's bytes, void, or a function's name.

    Integers, floats and pointers (unsigned) have a `number`, arrays have `data`.  `address` is where in
    memory it was read, or None; `name` is the name of an internal function.
    """

    __slots__ = ("address", "data", "name", "number", "type")

    def __init__(
        self,
        kind: CType,
        number: float = 0,
        data: bytes = b"",
        address: int | None = None,
        name: str = "",
    ) -> None:
        self.type, self.number, self.data, self.address, self.name = kind, number, data, address, name

    def __repr__(self) -> str:
        shown = self.data if self.type.code == ARRAY else self.number
        return f"Value({describe(self.type)!r}, {shown!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        return describe(self.type) == describe(other.type) and self.as_bytes() == other.as_bytes()

    def __hash__(self) -> int:
        return hash((describe(self.type), self.as_bytes()))

    def __int__(self) -> int:
        return self.as_integer()

    @property
    def is_void(self) -> bool:
        return self.type is VOID

    def as_bytes(self) -> bytes:
        """The value as memory would hold it."""
        if self.type.code == ARRAY:
            return self.data
        return self.type.pack(self.number) if self.type.is_scalar else b"\0" * self.type.size

    def as_integer(self) -> int:
        """The value as C's long would hold it; an array is its address.  UserError if there is none."""
        if self.type.is_scalar:
            number = self.number
            if isinstance(number, int):
                return number
            if abs(number) < 2.0**63:
                return int(number)
            return -1 << 63 if number < 0 else (1 << 63) - 1
        return self.decayed()

    def as_address(self) -> int:
        """The value as an unsigned 64-bit address."""
        return self.as_integer() & ADDRESS_MASK

    def decayed(self) -> int:
        """The address of an array in memory.  UserError for other values that are no numbers."""
        if self.type.code in (ARRAY, FUNCTION):
            if self.address is None:
                raise UserError(NEEDS_MEMORY)
            return self.address
        raise UserError("Value can't be converted to integer.")

    def truth(self) -> bool:
        """The value as a condition: not zero and not void; for an array, its address."""
        if self.type.is_scalar:
            return bool(self.number)
        return self.type.code == ARRAY and self.decayed() != 0

    def element(self, index: int) -> Value:
        """The element of an array value.  UserError beyond its end."""
        kind = self.type.pointed()
        if not 0 <= index < (self.type.count or 0):
            raise UserError("no such vector element")
        at = index * kind.size
        address = None if self.address is None else self.address + at
        return from_bytes(kind, self.data[at : at + kind.size], address)

    def elements(self) -> Iterator[Value]:
        """The elements of an array value in order."""
        return (self.element(index) for index in range(self.type.count or 0))


def from_bytes(kind: CType, data: bytes, address: int | None = None) -> Value:
    """The value of a type that `data` holds."""
    if kind.is_scalar:
        return Value(kind, kind.unpack(data), address=address)
    return Value(kind, data=data if kind.code == ARRAY else b"", address=address)


def make(kind: CType, number: float) -> Value:
    """A number as a value of a type, wrapped to its size."""
    return Value(kind, kind.wrap(number))


def make_integer(number: int, bits: int = 32, signed: bool = True) -> Value:
    """An integer of 8, 16, 32 or 64 bits as a value of C's type of that size."""
    return make(INTEGERS[bits, signed], number)


def make_truth(truth: object) -> Value:
    """C's int 1 or 0."""
    return ONE if truth else ZERO


def make_string(text: str | bytes) -> Value:
    """A string as C's array of char, with the zero byte that ends it."""
    data = (text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text) + b"\0"
    return Value(array_of(CHAR, len(data)), data=data)


def make_array(values: list[Value]) -> Value:
    """An array of values that all have the size of the first."""
    if len({value.type.size for value in values}) > 1:
        raise UserError("array elements must all be the same size")
    kind = values[0].type
    return Value(array_of(kind, len(values)), data=b"".join(value.as_bytes() for value in values))


VOID_VALUE = Value(VOID)
ZERO = Value(INT_TYPE, 0)
ONE = Value(INT_TYPE, 1)


def read_string(read: Reader, address: int, limit: int) -> tuple[bytes, bool, UserError | None]:
    """The bytes at an address up to a zero byte or `limit`; did a zero byte end them; the error or None."""
    found = bytearray()
    step = 64
    while len(found) < limit:
        at = (address + len(found)) & ADDRESS_MASK
        size = min(limit - len(found), step - at % step)
        try:
            chunk = read(at, size)
        except UserError as error:
            if size == 1:
                return bytes(found), False, error
            step = 1
            continue
        end = chunk.find(0)
        if end >= 0:
            return bytes(found + chunk[:end]), True, None
        found += chunk
    return bytes(found), False, None


def goes_on(read: Reader, address: int) -> bool:
    """Whether a string that was cut before this address goes on there, with another byte than zero."""
    data, whole, _ = read_string(read, address & ADDRESS_MASK, 1)
    return bool(data) or not whole


def text_of(value: Value, read: Reader) -> str:
    """The C string that a value is or points to.  UserError if it is no string or memory cannot be read."""
    kind = value.type
    target = kind.target
    if target is None or target.code != INT or target.size != 1:
        raise UserError(f"Trying to read string with inappropriate type `{kind}'.")
    if kind.code == POINTER:
        data, _, error = read_string(read, value.as_address(), 1 << 16)
        if error is not None:
            raise error
    else:
        data = value.data.partition(b"\0")[0]
    return data.decode("utf-8", "surrogateescape")


class ValueHistory:
    """The values that `print` has shown, numbered from 1."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self._after = 0

    def __len__(self) -> int:
        return len(self.values)

    def record(self, value: Value) -> int:
        """Append a value; its number."""
        self.values.append(value)
        return len(self.values)

    def get(self, number: int) -> Value:
        """The value `$number`; 0 and less count back from the last.  UserError if there is none."""
        size = len(self.values)
        wanted = number if number > 0 else size + number
        if wanted > size:
            raise UserError(f"History has not yet reached ${wanted}.")
        if wanted <= 0:
            if number == 0:
                raise UserError("The history is empty.")
            raise UserError(f"History does not go back to $${-number}.")
        return self.values[wanted - 1]

    def last(self) -> Value:
        """The value `$`.  UserError on an empty history."""
        return self.get(0)

    def rows(self, centre: int | None = None, more: bool = False) -> list[tuple[int, Value]]:
        """Ten values as `show values` lists them: the last, around `centre`, or `more` of the same."""
        if more:
            first = self._after
        elif centre is not None:
            first = centre - 5
        else:
            first = len(self.values) - 9
        first = max(1, first)
        rows = list(enumerate(self.values[first - 1 : first + 9], first))
        self._after = first + 10
        return rows


class Variables:
    """The convenience variables; a name (without `$`) that is not set is void."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}

    def get(self, name: str) -> Value:
        return self.values.get(name, VOID_VALUE)

    def set(self, name: str, value: Value) -> None:
        """Set a variable; an array in memory becomes a pointer to its first element."""
        self.values[name] = value

    def rows(self) -> list[tuple[str, Value]]:
        """Names and values as `show convenience` lists them: the newest first."""
        return list(reversed(self.values.items()))


def make_function(name: str) -> Value:
    """The value of a function's name that is not called."""
    return Value(INTERNAL_FUNCTION, name=name)


def is_number(kind: CType) -> bool:
    """Whether arithmetic takes values of this type."""
    return kind.code in (INT, FLOAT)
