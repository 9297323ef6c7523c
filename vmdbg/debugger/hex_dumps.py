"""Memory as people print it: dumps in hex, of textbooks and of tools, read as bytes and where they lie.

A line is an address and what is there.  These are read:

    page  12: 1b 1d 05 05            a page by its number (decimal, or 0x..), as OSTEP's homework prints it
    00000c00  1b 1d 05 05  |....|    hexdump -C, od -A x -t x1z: a line with an address alone ends it
    00000c00: 1b1d 0505  ....        xxd
    0xc00 <pt+8>:  0x1b  0x1d        x/2xb, x/2xg of a debugger, QEMU's xp: numbers with 0x, little-endian
    1b1d0505                         bytes alone, which follow those before
    *                                hexdump: the line before is repeated up to the next address

Words without 0x are bytes in the order of memory.
"""

from __future__ import annotations

import re

from vmdbg.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = re.compile(r"(?:page|frame|pfn)\s+(0x[0-9a-f]+|[0-9]+)\s*:?\s*(.*)", re.IGNORECASE)
ADDRESS = re.compile(r"(?:0x)?([0-9a-f]{1,16})(?:\s*<[^>]*>)?\s*:\s*(.*)", re.IGNORECASE)
OFFSET = re.compile(r"([0-9a-f]{6,8}|[0-9a-f]{16})\s+((?:[0-9a-f]{2}(?:\s.*)?))", re.IGNORECASE)
ALONE = re.compile(r"[0-9a-f]{6,8}|[0-9a-f]{16}", re.IGNORECASE)
BYTES = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
NUMBER = re.compile(r"0x([0-9a-f]+)", re.IGNORECASE)
FRAMED = re.compile(r"\s*[|>](.*)[|<]\s*")  # a picture of hexdump, of od
GAP = "  "  # between bytes and their picture
WIDTHS = (1, 2, 4, 8)
EXPECTED = "expected bytes in hex, with an address or a page number before them"


class Piece:
    """Bytes from a physical address on."""

    __slots__ = ("address", "data")

    def __init__(self, address: int) -> None:
        self.address, self.data = address, bytearray()

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + len(self.data)


class Reader:
    """Reads a dump line by line.  `start` is where bytes without an address go."""

    def __init__(self, name: str, start: int, page_size: int) -> None:
        self.name, self.page_size = name, page_size
        self.pieces: list[Piece] = []
        self.at = start
        self.last = b""
        self.repeats = False
        self.offsets = False  # lines began with an address that has no colon

    def read(self, number: int, raw: str) -> None:
        """One line.  InputError with its number if it is none of a dump."""
        line = raw.lstrip().rstrip("\r\n")
        if not line.strip() or line.startswith("#"):
            return
        if line.strip() == "*":
            self.repeats = bool(self.last)
            return
        address, text = self.place(line)
        if address is not None and self.repeats:
            while self.at < address:
                self.put(self.last[: address - self.at])
        self.repeats = False
        self.at = self.at if address is None else address
        data = bytes_of_line(text) if address is not None else bytes_of_words(text.split())
        if data is None:
            raise InputError(f"{EXPECTED}, not {line[:40]!r}", self.name, number)
        if data:
            self.put(data)
            self.last = data

    def place(self, line: str) -> tuple[int | None, str]:
        """The address that a line begins with, and the rest."""
        found = PAGE.fullmatch(line)
        if found:
            return int(found[1], 0 if found[1][:2].lower() == "0x" else 10) * self.page_size, found[2]
        found = ADDRESS.fullmatch(line)
        if found:
            return int(found[1], 16), found[2]
        found = OFFSET.fullmatch(line)
        if found:
            self.offsets = True
            return int(found[1], 16), found[2]
        if self.offsets and ALONE.fullmatch(line.strip()):
            return int(line, 16), ""
        return None, line

    def put(self, data: bytes) -> None:
        """Append bytes at the present address, which moves on behind them."""
        if not self.pieces or self.pieces[-1].end != self.at:
            self.pieces.append(Piece(self.at))
        self.pieces[-1].data += data
        self.at += len(data)


def bytes_of_line(text: str) -> bytes | None:
    """The bytes that words in hex spell, behind which there may be a picture of them, a character for each;
    None if they do not."""
    whole = bytes_of_words(text.split())
    gap = text.find(GAP)
    while gap >= 0:
        before, picture = bytes_of_words(text[:gap].split()), text[gap + len(GAP) :]
        framed = FRAMED.fullmatch(picture)
        if before and framed and len(framed[1]) == len(before):
            return before
        if before and (
            len(picture) == len(before) or (whole is None and 0 < len(picture.strip()) <= len(before))
        ):
            return before
        gap = text.find(GAP, gap + 1)
    return whole


def bytes_of_words(words: list[str]) -> bytes | None:
    """Bytes in order, or numbers with 0x, which are little-endian and as wide as their digits say."""
    data = bytearray()
    for word in words:
        found = NUMBER.fullmatch(word)
        if found:
            width = next((width for width in WIDTHS if len(found[1]) <= 2 * width), 0)
            if not width:
                return None
            data += int(found[1], 16).to_bytes(width, "little")
        elif BYTES.fullmatch(word):
            data += bytes.fromhex(word)
        else:
            return None
    return bytes(data)


def read_dump(lines: Iterable[str], name: str, start: int, page_size: int) -> list[Piece]:
    """The pieces of memory that a dump holds, in its order.  InputError names the line that is none."""
    reader = Reader(name, start, page_size)
    for number, line in enumerate(lines, 1):
        reader.read(number, line)
    return reader.pieces
