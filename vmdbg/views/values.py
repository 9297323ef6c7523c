"""Values as text: what `print`, `output` and `display` show; `x` and `printf` have files of their own."""

from __future__ import annotations

from vmdbg.expressions.c_types import ARRAY, FLOAT, FUNCTION, INT, INTERNAL, POINTER, CType, describe
from vmdbg.expressions.values import Reader, Value, from_bytes, goes_on, read_string
from vmdbg.views.examine import ExamineState, Format, decode_format, format_memory, split_format
from vmdbg.views.printf import format_printf, split_printf, unescape
from vmdbg.views.scalars import (
    DEFAULT_OPTIONS,
    RADIX_LETTERS,
    PrintOptions,
    Symbolize,
    format_float,
    format_number,
    format_place,
    format_string,
    format_text_array,
)
from vmdbg.views.scalars import format_character as character

__all__ = [
    "ExamineState",
    "Format",
    "PrintOptions",
    "decode_format",
    "format_memory",
    "format_printf",
    "format_value",
    "split_format",
    "split_printf",
    "unescape",
]


class ValueFormatter:
    """What all values of one `print` share: the letter, options, memory for strings, names of places."""

    def __init__(
        self, letter: str, read: Reader | None, options: PrintOptions, symbolize: Symbolize | None
    ) -> None:
        self.letter = "" if letter == "s" else letter
        self.read, self.options = read, options
        self.symbolize = symbolize if options.symbol else None

    def format(self, value: Value, top: bool = True, depth: int = 0) -> str:
        """A value; only at the `top` is a pointer's type shown."""
        kind = value.type
        if kind.code == ARRAY:
            return self.array(value, depth)
        if self.letter and kind.is_scalar and kind.code in (INT, FLOAT, POINTER):
            return format_number(kind, value.number, self.letter, symbolize=self.symbolize)
        if kind.code == INT and self.options.radix in RADIX_LETTERS:
            return format_number(kind, value.number, RADIX_LETTERS[self.options.radix])
        if kind.code == INT:
            return self.integer(kind, int(value.number))
        if kind.code == FLOAT:
            return format_float(value.number, kind.size)
        if kind.code == POINTER:
            return self.pointer(value, top)
        if kind.code == FUNCTION:
            return f"{{{describe(kind)}}} {format_place(value.as_address(), self.symbolize)}"
        if kind.code == INTERNAL:
            return "0x0" if self.letter == "x" else f"<internal function {value.name}>"
        return "void"

    @staticmethod
    def integer(kind: CType, number: int) -> str:
        """An integer as its type asks: a character, a truth, a number."""
        if kind.text:
            return character(number)
        if kind.name == "bool" and number in (0, 1):
            return "true" if number else "false"
        return str(number)

    def pointer(self, value: Value, top: bool) -> str:
        """`(int *) 0x1000`, `0x1000 "text"`."""
        address = value.as_address()
        target = value.type.pointed()
        prefix = ""
        if top and target.name.removeprefix("const ") != "char":
            prefix = f"({describe(value.type)}) "
        shown = prefix + format_place(address, self.symbolize)
        if not target.text or not address or self.read is None:
            return shown
        data, whole, error = read_string(self.read, address, self.options.limit)
        if error is not None and not data:
            return f"{shown} <error: {error}>"
        cut = not whole and error is None and goes_on(self.read, address + len(data))
        text = format_string(data, self.options, cut)
        return f"{shown} {text}" + (f"<error: {error}>" if error is not None else "")

    def array(self, value: Value, depth: int) -> str:
        """`{1, 2, 3}`; characters as a string unless a letter asks for numbers."""
        element = value.type.pointed()
        if element.code == INT and element.text and not self.letter:
            return format_text_array(value.data, self.options)
        size = element.size
        if not size:
            return "{}"
        items = [value.data[at : at + size] for at in range(0, len(value.data), size)]
        texts: list[str] = []
        place = shown = 0
        while place < len(items) and shown < self.options.limit:
            item = items[place]
            run = 1
            while place + run < len(items) and items[place + run] == item:
                run += 1
            text = self.format(from_bytes(element, item), top=False, depth=depth + 1)
            if run > self.options.threshold:
                texts.append(f"{text} <repeats {run} times>")
                place += run
                shown += self.options.threshold
            else:
                again = min(run, self.options.limit - shown)
                texts += [text] * again
                place += again
                shown += again
        dots = "..." if place < len(items) else ""
        if self.options.array:
            margin = "  " * (depth + 1)
            return "{\n" + ",\n".join(margin + text for text in texts) + dots + "\n" + margin[2:] + "}"
        return "{" + ", ".join(texts) + dots + "}"


def format_value(
    value: Value,
    letter: str = "",
    read: Reader | None = None,
    options: PrintOptions = DEFAULT_OPTIONS,
    symbolize: Symbolize | None = None,
) -> str:
    """A value as `print/LETTER` shows it, without its number in the history.

    `read` gives memory, for the strings that pointers to characters point to; `symbolize` the name of
    an address, such as `buf+8`, or an empty string.  UserError for a letter that is no form.
    """
    return ValueFormatter(letter, read, options, symbolize).format(value)
