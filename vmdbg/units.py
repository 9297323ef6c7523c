"""Sizes and addresses, in and out: `4K`, `2M`, `0x1000`; exact, never rounded."""

from __future__ import annotations

from vmdbg.errors import UserError

SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}
LETTERS = {"\a": "a", "\b": "b", "\f": "f", "\r": "r", "\v": "v"}
MOST_DIGITS = 40  # of a decimal number: more than any number of the machine has
MOST_BITS = 128  # characters of a number in any base, leading zeros apart
WORD_MASK = (1 << 64) - 1
SIGN_BIT = 1 << 63


def u64(value: int) -> int:
    """The unsigned value of a 64-bit word that the tables keep signed."""
    return value & WORD_MASK


def s64(value: int) -> int:
    """The signed value (as tables keep it) of an unsigned or signed 64-bit word."""
    value &= WORD_MASK
    return value - (1 << 64) if value & SIGN_BIT else value


def visible(text: str) -> str:
    """Text with nothing that a terminal would obey: control characters, bytes that are not UTF-8 (which
    Python keeps as surrogates) and other characters without a picture as GDB spells them, `\\033`, `\\r`.
    Tabs and newlines stay."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() or char in "\t\n" else spelled(char) for char in text])


def unicode_only(text: str) -> str:
    """Text with its bytes that are not UTF-8 spelled in octal: what JSON may hold."""
    return "".join([spelled(char) if "\ud800" <= char <= "\udfff" else char for char in text])


def spelled(char: str) -> str:
    """One character as C writes it: a letter behind a backslash, or its bytes in octal."""
    letter = LETTERS.get(char)
    if letter is not None:
        return "\\" + letter
    try:
        data = char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair
        data = char.encode("utf-8", "surrogatepass")
    return "".join([f"\\{byte:03o}" for byte in data])


def text_of(data: bytes) -> str:
    """The text of some bytes; what is not UTF-8 stays, as Python's surrogates, until it is shown."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str, size: int | None = None) -> bytes:
    """The bytes of a text that may have such surrogates; of its characters those that fit into `size`."""
    if size is None:
        return text.encode("utf-8", "surrogateescape")
    data = b""
    for char in text[:size]:
        more = char.encode("utf-8", "surrogateescape")
        if len(data) + len(more) > size:
            break
        data += more
    return data


def decimal(text: str) -> int | None:
    """The number that digits 0 to 9 spell; None if there is anything else, or more than MOST_DIGITS.

    Python's `isdigit` and `int` take digits of other scripts too, and one of them what the other does not.
    """
    return int(text) if 0 < len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal() else None


def parse_number(text: str) -> int:
    """An integer as GDB writes it: `10`, `0x1f`, `0b101`, `017` (octal).  UserError if it is none."""
    digits = text.strip()
    negative = digits.startswith("-")
    body = digits[1:] if negative else digits
    try:
        lower = body.lower()
        if body != body.strip() or "_" in body or not body.isascii():
            raise ValueError
        if len(lower.lstrip("0b")) > MOST_BITS:
            raise UserError("Numeric constant too large.")
        if lower.startswith("0x"):
            value = int(lower[2:], 16)
        elif lower.startswith("0b"):
            value = int(lower[2:], 2)
        elif len(lower) > 1 and lower[0] == "0":
            value = int(lower, 8)
        else:
            value = int(lower, 10)
        if lower[0] in "+-" or lower[2:3] in ("+", "-"):
            raise ValueError
    except (ValueError, IndexError):
        raise UserError(f'Invalid number "{text}".') from None
    return -value if negative else value


def parse_size(text: str) -> int:
    """A size in bytes: a number with an optional suffix `K M G T P E` (binary, `KiB`/`KB` too)."""
    body = text.strip()
    upper = body.upper()
    for tail in ("IB", "B"):
        if upper.endswith(tail) and not upper.startswith(("0X", "0B")):
            upper = upper[: -len(tail)].rstrip()
            break
    if upper and upper[-1] in SUFFIXES and not upper.startswith("0X"):
        return parse_number(upper[:-1].strip() or text) * SUFFIXES[upper[-1]]
    return parse_number(upper or text)


def format_size(size: int, unit: int = 0) -> str:
    """A size, exact: `2072 KiB`, `16 KiB`, `2 MiB`, `100 B`; the largest unit that divides it.

    With `unit` (a power of 1024) that unit is used where it divides the size.
    """
    if size == 0:
        return "0 B"
    if unit and size % unit == 0:
        names = {1 << 10: "KiB", 1 << 20: "MiB", 1 << 30: "GiB", 1 << 40: "TiB", 1: "B"}
        return f"{size // unit} {names[unit]}"
    best = (1, "B")
    for letter, factor in SUFFIXES.items():
        if size % factor == 0:
            best = (factor, letter + "iB")
    return f"{size // best[0]} {best[1]}"


def format_address(address: int, bits: int) -> str:
    """An address in hex, padded to the machine's width up to 32 bits only."""
    unsigned = address & WORD_MASK
    if bits <= 32:
        return f"0x{unsigned:0{(bits + 3) // 4}x}"
    return f"0x{unsigned:x}"
