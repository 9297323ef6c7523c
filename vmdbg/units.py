"""Sizes and addresses, in and out: `4K`, `2M`, `0x1000`; exact, never rounded."""

from __future__ import annotations

from vmdbg.errors import UserError

SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}
WORD_MASK = (1 << 64) - 1
SIGN_BIT = 1 << 63


def u64(value: int) -> int:
    """The unsigned value of a 64-bit word that the tables keep signed."""
    return value & WORD_MASK


def s64(value: int) -> int:
    """The signed value (as tables keep it) of an unsigned or signed 64-bit word."""
    value &= WORD_MASK
    return value - (1 << 64) if value & SIGN_BIT else value


def parse_number(text: str) -> int:
    """An integer as GDB writes it: `10`, `0x1f`, `0b101`, `017` (octal).  UserError if it is none."""
    digits = text.strip()
    negative = digits.startswith("-")
    body = digits[1:] if negative else digits
    try:
        lower = body.lower()
        if body != body.strip() or "_" in body or not body.isascii():
            raise ValueError
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
