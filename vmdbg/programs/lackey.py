"""The reader of memory traces of Valgrind's tool lackey, plain or compressed with xz or gzip.

`valgrind --tool=lackey --trace-mem=yes` writes `I  0401ab70,3`, ` L ADDRESS,SIZE`, ` S`, ` M`
(address in hex).  Each line is one access, to the page of its first byte; `M`, load and store, writes.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from array import array
from struct import Struct

from vmdbg import progress
from vmdbg.errors import InputError, UserError
from vmdbg.formats.contract import ALL_RIGHTS
from vmdbg.kernel.scheduler import OP_EXIT, OP_FETCH, OP_LINE, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.addresses import Space
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import OP
from vmdbg.units import format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, BinaryIO, NoReturn

    Known = tuple[object, ...]

KINDS = {b"I  ": OP_FETCH, b" L ": OP_READ, b" S ": OP_WRITE, b" M ": OP_MODIFY}
HEX = b"0123456789abcdefABCDEF"
USUAL = re.compile(rb"(I  | [LSM] )([0-9a-f]{1,16}),[1-9][0-9]{0,5}")  # a line as valgrind writes it
REMARKS = (b"==", b"--")  # what valgrind itself says
CHUNK = 1 << 20
MAX_SHOWN = 80  # characters of a line that an error repeats
MAX_KNOWN = 1 << 19  # different lines that are kept
MAX_RUNS = 256
MAX_RATIO = 1000  # bytes of text that a byte of a compressed trace may become
NO_BOUND = 1 << 62
MAX_TEXT = 64 << 20  # bytes of text that any trace may become
MAX_NAME = 16
ROW = Struct("=4q")
#: Traces that a machine still has, by what was read and for which machine: one that boots anew with other
#: settings does not read its trace again.
_programs: weakref.WeakValueDictionary[Known, Program] = weakref.WeakValueDictionary()


class NotALine(Exception):
    """A line is not one of a trace."""


def is_remark(line: bytes) -> bool:
    """Is the line one that is no access and no mistake, such as a message of valgrind?"""
    return not line or line.startswith(REMARKS)


class Lines(dict[bytes, bytes]):
    """Each line of a trace -> its row, without the line's number; empty for remarks.

    Programs loop, so most lines have occurred before and are only looked up here.  `pages` are the
    numbers of all pages that were met, negative in the upper half.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.shift = space.page_size.bit_length() - 1
        self.pages: set[int] = set()

    def __missing__(self, line: bytes) -> bytes:
        usual = USUAL.fullmatch(line)
        if usual is not None and (va := int(usual[2], 16)) < self.space.half:
            kind = KINDS[usual[1]]
        elif is_remark(line):
            return b""
        elif mistake(line, self.space):
            raise NotALine
        else:
            kind, va = KINDS[line[:3]], s64(int(line[3 : line.index(b",")], 16))
        self.pages.add(va >> self.shift)
        row = self[line] = ROW.pack(kind, va, 0, 0)
        return row


def mistake(line: bytes, space: Space) -> tuple[int, str] | None:
    """Column (from 0) of what is wrong with a line and what was expected; None for a good one."""
    if line[:3] not in KINDS:
        return 0, 'expected "I  ", " L ", " S " or " M "'
    address, comma, size = line[3:].partition(b",")
    digits = len(address) - len(address.lstrip(HEX))
    if digits == 0:
        return 3, "expected an address in hex"
    if digits < len(address) or not comma:
        return 3 + digits, 'expected a hex digit or ","'
    if digits > 16 or not space.canonical(int(address, 16)):
        return 3, f"the address does not fit in {space.va_bits} bits"
    if space.wrong_half(int(address, 16)):
        return 3, space.wrong_half(int(address, 16))
    if not size.isdigit() or len(size) > 6 or int(size) == 0:
        return 3 + digits + 1, "expected a size in bytes, from 1"
    return None


def decompressed(stream: BinaryIO) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """The text in a file that may be compressed, and the errors of reading it that mean a broken file."""
    head = stream.read(6)
    stream.seek(0)
    if head.startswith(b"\xfd7zXZ\x00"):
        import lzma

        return lzma.open(stream), (lzma.LZMAError, EOFError)
    if head.startswith(b"\x1f\x8b"):
        import gzip
        import zlib

        text: IO[bytes] = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
        return text, (gzip.BadGzipFile, zlib.error, EOFError)
    return stream, ()


def read_lackey(
    path: str, *, va_bits: int, page_size: int, resident: bool = False, user_end: int = 1 << 64
) -> Program:
    """The trace in a file as a program with one process, named after the file.

    Its regions cover the pages that it touches, or halves of the address space if these form too
    many runs; `resident`: every page touched, and no other, is in memory from the start.  UserError if
    the file cannot be read; InputError names line and column of what is no line of a trace.
    """
    lines = Lines(Space(va_bits, page_size, user_end))
    rows: array[int] = array("q")
    broken: tuple[type[Exception], ...] = ()
    try:
        with open(path, "rb") as stream:
            file = os.fstat(stream.fileno())
            key = (path, *identity(file), va_bits, page_size, resident, user_end)
            if key in _programs:
                return _programs[key]
            text, broken = decompressed(stream)
            most = max(MAX_TEXT, MAX_RATIO * file.st_size) if text is not stream else NO_BOUND
            with text, progress.task(f"Reading {os.path.basename(path)}", "B", file.st_size) as task:
                last = read_rows(text, path, lines, rows, most, lambda: task.at(stream.tell()))
    except broken as error:
        raise InputError(f"cannot be decompressed: {error}", path) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    if not rows:
        raise InputError('expected lines such as "I  0401ab70,3", but there is none', path)
    rows.extend((OP_EXIT | last << OP_LINE, 0, 0, 0))
    name = os.path.basename(path)
    for suffix in (".xz", ".gz", ".lackey", ".trace"):
        name = name.removesuffix(suffix)
    spec = ProcessSpec(name[:MAX_NAME], None, -1, regions_of(lines, resident), rows, (1, last))
    program = _programs[key] = Program(name, path, [], [spec])
    return program


def identity(file: os.stat_result) -> Known:
    """What changes when a file does."""
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns


def read_rows(
    stream: IO[bytes],
    path: str,
    known: Lines,
    rows: array[int],
    most: int,
    told: Callable[[], None] = lambda: None,
) -> int:
    """Append the rows of all lines, of `most` bytes; returns the number of lines.

    `told` is called after each piece.
    """
    number, rest, left = 0, b"", most
    while True:
        chunk = stream.read(CHUNK)
        left -= len(chunk)
        if left < 0:
            raise InputError(f"it unpacks to more than {format_size(most)}", path)
        text = rest + chunk
        cut = text.rfind(b"\n") + 1 if chunk else len(text)
        if not cut and len(text) > CHUNK:
            cut = len(text)  # no line of a trace: refused below
        rest = text[cut:]
        found = text[:cut].splitlines()
        add_rows(found, number, path, known, rows)
        number += len(found)
        if len(known) > MAX_KNOWN:
            known.clear()
        told()
        if not chunk:
            return number


def add_rows(found: list[bytes], before: int, path: str, known: Lines, rows: array[int]) -> None:
    """Append the rows of the lines `found`; `before` lines come before them in the file."""
    try:
        packed = list(map(known.__getitem__, found))
    except NotALine:
        refuse(found, before, path, known.space)
    block = array("q", b"".join(packed))
    numbers = array("q", range(before + 1 << OP_LINE, before + len(found) + 1 << OP_LINE, 1 << OP_LINE))
    if len(block) < OP * len(found):
        numbers = array("q", [number for number, row in zip(numbers, packed, strict=True) if row])
    block[::OP] = sums(block[::OP], numbers)
    rows.extend(block)


def sums(one: array[int], other: array[int]) -> array[int]:
    """The sums of the words of two arrays.

    They are added as two long numbers: no word is negative or overflows.
    """
    total = int.from_bytes(one.tobytes(), sys.byteorder) + int.from_bytes(other.tobytes(), sys.byteorder)
    return array("q", total.to_bytes(len(one) * one.itemsize, sys.byteorder))


def refuse(found: list[bytes], before: int, path: str, space: Space) -> NoReturn:
    """Raise the InputError for the first of the lines that is not one of a trace."""
    for number, line in enumerate(found, before + 1):
        wrong = None if is_remark(line) else mistake(line, space)
        if wrong:
            shown = "".join(
                c if c.isprintable() else "?" for c in line[:MAX_SHOWN].decode("ascii", "replace")
            )
            raise InputError(wrong[1], path, number, wrong[0] + 1, shown)
    raise AssertionError("one of the lines was refused")


def regions_of(known: Lines, resident: bool) -> list[RegionSpec]:
    """Regions for all pages that the trace touches, one for each run of them."""
    page = known.space.page_size
    pages = sorted(known.pages)
    runs: list[tuple[int, int]] = []
    for number in pages:
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    if len(runs) > MAX_RUNS and not resident:
        half = known.space.half >> known.shift
        runs = [(-half, 0)] if pages[0] < 0 else []
        runs += [(0, half)] if pages[-1] >= 0 else []
    return [
        RegionSpec("trace", first * page, (end - first) * page, ALL_RIGHTS, populate=resident)
        for first, end in runs
    ]
