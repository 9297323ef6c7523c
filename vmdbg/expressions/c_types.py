"""The types of C that expressions use: 64-bit longs and pointers, little-endian, as GDB on such a machine.

Sizes are bytes.  Besides C's own names there are `int8_t` to `uint64_t`, `u8` to `u64`, `s8` to `s64`,
`size_t`, `uintptr_t` and `bool`.
"""

from __future__ import annotations

from struct import pack as struct_pack
from struct import unpack as struct_unpack

INT, FLOAT, POINTER, ARRAY, VOID_CODE, FUNCTION, INTERNAL = range(7)
POINTER_BYTES = 8
FLOAT_LETTERS = {4: "<f", 8: "<d", 16: "<d"}  # a long double has no more digits than a double


class CType:
    """One type: code, name, size; `signed`, `text` for integers; `target` and `count` for what points.

    `text`: GDB shows values of the type as characters.  `count` is None for an array type without a length.
    """

    __slots__ = ("code", "count", "name", "signed", "size", "target", "text")

    def __init__(
        self,
        code: int,
        name: str,
        size: int,
        signed: bool = False,
        text: bool = False,
        target: CType | None = None,
        count: int | None = None,
    ) -> None:
        self.code, self.name, self.size, self.signed, self.text = code, name, size, signed, text
        self.target, self.count = target, count

    def __str__(self) -> str:
        return describe(self)

    def __repr__(self) -> str:
        return f"CType({describe(self)!r})"

    @property
    def is_scalar(self) -> bool:
        """Whether a value of this type is one number."""
        return self.code <= POINTER

    def pointed(self) -> CType:
        """What a pointer points to, or an array's element."""
        assert self.target is not None
        return self.target

    def wrap(self, number: float) -> float:
        """The number as this type holds it: reduced modulo its size, or rounded to single precision."""
        if self.code == FLOAT:
            if self.size == 4:
                try:
                    return self.unpack(self.pack(number))
                except OverflowError:
                    return float("inf") if number > 0 else float("-inf")
            return float(number)
        bits = self.size * 8
        value = int(number) & ((1 << bits) - 1)
        if self.signed and value >> (bits - 1):
            value -= 1 << bits
        return value

    def pack(self, number: float) -> bytes:
        """The bytes of a number of this type."""
        if self.code == FLOAT:
            if self.size == 4 and number != number:  # noqa: PLR0124 - the test for NaN
                bits = int.from_bytes(struct_pack("<d", number), "little")
                return (bits >> 63 << 31 | 0xFF << 23 | bits >> 29 & 0x7FFFFF).to_bytes(4, "little")
            return struct_pack(FLOAT_LETTERS[self.size], number).ljust(self.size, b"\0")
        return (int(number) & ((1 << self.size * 8) - 1)).to_bytes(self.size, "little")

    def unpack(self, data: bytes) -> float:
        """The number that `data`, `size` bytes, holds."""
        if self.code == FLOAT:
            if self.size == 4:
                return single(int.from_bytes(data[:4], "little"))
            return float(struct_unpack("<d", data[:8])[0])
        return int.from_bytes(data[: self.size], "little", signed=self.signed)


def single(bits: int) -> float:
    """The number with these bits in single precision.  NaN keeps its payload, which struct would change."""
    if bits >> 23 & 0xFF == 0xFF and bits & 0x7FFFFF:
        wide = bits >> 31 << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29
        return float(struct_unpack("<d", wide.to_bytes(8, "little"))[0])
    return float(struct_unpack("<f", bits.to_bytes(4, "little"))[0])


def describe(kind: CType, inner: str = "") -> str:
    """The type as C writes it: `int`, `char *`, `int (*)[2]`, `unsigned long [4]`."""
    if kind.code == POINTER:
        target = kind.pointed()
        stars = "*" + inner
        return describe(target, f"({stars})" if target.code in (ARRAY, FUNCTION) else stars)
    if kind.code == ARRAY:
        count = "" if kind.count is None else kind.count
        return describe(kind.pointed(), f"{inner}[{count}]")
    if kind.code == FUNCTION:
        return describe(kind.pointed(), f"{inner}()")
    return f"{kind.name} {inner}" if inner else kind.name


def integer(name: str, size: int, signed: bool, text: bool = False) -> CType:
    """An integer type of `size` bytes."""
    return CType(INT, name, size, signed, text)


def pointer_to(target: CType) -> CType:
    """The type of pointers to `target`."""
    return CType(POINTER, "", POINTER_BYTES, target=target)


def array_of(element: CType, count: int | None) -> CType:
    """The type of arrays of `count` elements; None: without a length."""
    return CType(ARRAY, "", element.size * (count or 0), target=element, count=count)


def function_of(result: CType) -> CType:
    """The type of functions that return `result`."""
    return CType(FUNCTION, "", 1, target=result)


def qualified(kind: CType, words: str) -> CType:
    """The named type with qualifiers such as `const ` before its name."""
    return CType(kind.code, words + kind.name, kind.size, kind.signed, kind.text, kind.target, kind.count)


VOID = CType(VOID_CODE, "void", 1)
INTERNAL_FUNCTION = CType(INTERNAL, "<internal function>", 0)
CHAR = integer("char", 1, True, True)
SIGNED_CHAR = integer("signed char", 1, True, True)
UNSIGNED_CHAR = integer("unsigned char", 1, False, True)
SHORT = integer("short", 2, True)
UNSIGNED_SHORT = integer("unsigned short", 2, False)
INT_TYPE = integer("int", 4, True)
UNSIGNED_INT = integer("unsigned int", 4, False)
LONG = integer("long", 8, True)
UNSIGNED_LONG = integer("unsigned long", 8, False)
LONG_LONG = integer("long long", 8, True)
UNSIGNED_LONG_LONG = integer("unsigned long long", 8, False)
SINGLE = CType(FLOAT, "float", 4, True)
DOUBLE = CType(FLOAT, "double", 8, True)
LONG_DOUBLE = CType(FLOAT, "long double", 16, True)
CHAR_POINTER = pointer_to(CHAR)
U64 = integer("u64", 8, False)
# What `x` reads: one byte is a number there, not a character.
EXAMINED = {
    "b": integer("int8_t", 1, True),
    "h": integer("int16_t", 2, True),
    "w": integer("int32_t", 4, True),
    "g": integer("int64_t", 8, True),
}

# Every order of the words of C's integer types that GDB takes.
SPELLINGS: dict[tuple[str, ...], CType] = {
    tuple(words.split()): kind
    for kind, spellings in (
        (CHAR, "char"),
        (SIGNED_CHAR, "signed char"),
        (UNSIGNED_CHAR, "unsigned char"),
        (SHORT, "short; short int; short signed; short signed int; signed short; signed short int"),
        (
            UNSIGNED_SHORT,
            "unsigned short; unsigned short int; short unsigned; short unsigned int",
        ),
        (INT_TYPE, "int; signed; signed int"),
        (UNSIGNED_INT, "unsigned; unsigned int"),
        (LONG, "long; long int; long signed; long signed int; signed long; signed long int"),
        (UNSIGNED_LONG, "unsigned long; unsigned long int; long unsigned; long unsigned int"),
        (
            LONG_LONG,
            "long long; long long int; long long signed; long long signed int",
        ),
        (LONG_LONG, "signed long long; signed long long int"),
        (
            UNSIGNED_LONG_LONG,
            "unsigned long long; unsigned long long int; long long unsigned; long long unsigned int",
        ),
        (SINGLE, "float"),
        (DOUBLE, "double"),
        (LONG_DOUBLE, "long double"),
        (VOID, "void"),
    )
    for words in spellings.split(";")
}
for _bits in (8, 16, 32, 64):
    for _name, _signed in (
        (f"u{_bits}", False),
        (f"s{_bits}", True),
        (f"uint{_bits}_t", False),
        (f"int{_bits}_t", True),
    ):
        SPELLINGS[_name,] = integer(_name, _bits // 8, _signed, _bits == 8)
SPELLINGS["u64",] = U64
SPELLINGS["size_t",] = integer("size_t", 8, False)
SPELLINGS["uintptr_t",] = integer("uintptr_t", 8, False)
SPELLINGS["bool",] = SPELLINGS["_Bool",] = integer("bool", 1, False)
BEGINNINGS = {words[:length] for words in SPELLINGS for length in range(1, len(words) + 1)}
QUALIFIERS = {"const", "volatile", "restrict"}
AGGREGATES = {"struct", "union", "enum"}
TYPE_WORDS = {words[0] for words in SPELLINGS} | QUALIFIERS | AGGREGATES


def promoted(kind: CType) -> CType:
    """The integer promotion of C: a type shorter than int becomes int."""
    return INT_TYPE if kind.code == INT and kind.size < INT_TYPE.size else kind


def common(left: CType, right: CType) -> CType:
    """The type in which GDB computes `left OP right` of two numbers."""
    if FLOAT in (left.code, right.code):
        floats = [kind for kind in (left, right) if kind.code == FLOAT]
        return max(floats, key=lambda kind: kind.size)
    left, right = promoted(left), promoted(right)
    if left.size == right.size:
        unsigned = not (left.signed and right.signed)
    else:
        unsigned = not (left if left.size > right.size else right).signed
    if max(left.size, right.size) <= INT_TYPE.size:
        return UNSIGNED_INT if unsigned else INT_TYPE
    return UNSIGNED_LONG if unsigned else LONG
