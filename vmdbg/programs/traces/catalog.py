"""All formats of traces, in the order in which they are tried, and opening a trace."""

from __future__ import annotations

import codecs
import os

from vmdbg.errors import InputError, UserError
from vmdbg.programs.operations import OPERATIONS
from vmdbg.programs.traces.formats.address_letter import ADDRESS_LETTER
from vmdbg.programs.traces.formats.addresses import ADDRESSES, HEX_ADDRESSES
from vmdbg.programs.traces.formats.champsim import CHAMPSIM
from vmdbg.programs.traces.formats.columns import OBJECT_TABLE, TABLE
from vmdbg.programs.traces.formats.decimal_letter import DECIMAL_LETTER
from vmdbg.programs.traces.formats.dinero import DINERO
from vmdbg.programs.traces.formats.dynamorio import DYNAMORIO
from vmdbg.programs.traces.formats.lackey import LACKEY
from vmdbg.programs.traces.formats.letter_address import LETTER_ADDRESS
from vmdbg.programs.traces.formats.numpy_array import NUMPY_ARRAY
from vmdbg.programs.traces.formats.oracle_general import ORACLE_GENERAL
from vmdbg.programs.traces.formats.parquet_table import PARQUET_TABLE
from vmdbg.programs.traces.formats.pinatrace import PINATRACE
from vmdbg.programs.traces.parser import AUTO, Parser
from vmdbg.programs.traces.record import LINES_ASKED, sample_lines
from vmdbg.programs.traces.stream import SUFFIXES, TraceBytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.addresses import Space
    from vmdbg.programs.traces.record import TraceFormat

FORMATS: tuple[TraceFormat, ...] = (
    NUMPY_ARRAY,
    PARQUET_TABLE,
    LACKEY,
    PINATRACE,
    DYNAMORIO,
    TABLE,
    OBJECT_TABLE,
    DECIMAL_LETTER,
    LETTER_ADDRESS,
    DINERO,
    ADDRESS_LETTER,
    ADDRESSES,
    HEX_ADDRESSES,
    CHAMPSIM,
    ORACLE_GENERAL,
)
BY_NAME = {form.name: form for form in FORMATS}
NAMES = ", ".join(BY_NAME)
MARK = "\ufeff".encode()  # with which UTF-8 may begin
READABLE = f'Traces that can be read ("-format NAME" forces one): {NAMES}.'


def find_format(name: str) -> TraceFormat:
    """The format of that name.  UserError if there is none."""
    if name not in BY_NAME:
        raise UserError(f'No format of traces is named "{name}": there are {NAMES}.')
    return BY_NAME[name]


def recognised(head: bytes) -> TraceFormat | None:
    """The first format that the first bytes of a trace, uncompressed, have; None if there is none."""
    return next((form for form in FORMATS if form.recognise(head)), None)


def most_like(head: bytes) -> TraceFormat | None:
    """The format of text that most of the first lines have, half of them at least; None if there is none."""
    lines = sample_lines(head, 4 * LINES_ASKED)
    forms = [(form, form.line) for form in FORMATS if form.line is not None]
    found = {form: sum(line.fullmatch(text) is not None for text in lines) for form, line in forms}
    best = max(found, key=lambda form: found[form])
    return best if 2 * found[best] >= max(1, len(lines)) else None


def is_utf_16(head: bytes) -> bool:
    """Is it text that, say, PowerShell has written?"""
    if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    try:
        text = head[: len(head) & ~1].decode("utf-16")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def named(path: str) -> TraceFormat | None:
    """The format that the name of a file says; None if it says none."""
    for suffix in SUFFIXES:
        path = path.removesuffix(suffix)
    return next((form for form in FORMATS if path.endswith(form.suffixes)), None)


def unmarked(head: bytes) -> bytes:
    """The first bytes of a file, of text those behind the mark with which UTF-8 may begin."""
    return head if b"\0" in head else head.removeprefix(MARK)


def format_of(path: str, head: bytes) -> TraceFormat | None:
    """The format of a trace with that name and these first bytes, `unmarked`; None if it has none."""
    return recognised(head) or named(path) or most_like(head)


def is_no_program(path: str, head: bytes) -> bool:
    """Is a file with that name and these first bytes a trace, and no `.vmp` program?

    `read 0x1000` may be a line of either: with such lines, and a name that says nothing, it is a program.
    """
    if named(path) is not None or is_utf_16(head):
        return True
    text = unmarked(head)
    words = {line.split()[0].decode("latin-1") for line in sample_lines(text)}
    return words.isdisjoint(OPERATIONS) and format_of(path, text) is not None


def trace_name(path: str) -> str:
    """The name of a trace: that of its file without the ends that say how it is written."""
    name = os.path.basename(path) if path != "-" else "stdin"
    for suffix in (*SUFFIXES, ".trace", *(suffix for form in FORMATS for suffix in form.suffixes)):
        name = name.removesuffix(suffix)
    return name


def open_trace(
    path: str,
    format: str = "",
    *,
    space: Space | None = None,
    page_bits: int = 12,
    skip_bad: bool = False,
    engine: str = AUTO,
    straddle: bool = False,
) -> Parser:
    """A trace from its first record on; `path` `-` is standard input, `format` empty: by its content.

    `space` are the addresses of the machine that it is for; None: all.  `page_bits`: of a page's offset, for
    formats that number pages.  `straddle`: as `Parser` says.  UserError, InputError.
    """
    form = find_format(format) if format else None
    trace = TraceBytes(path)
    head = unmarked(trace.head)
    try:
        if is_utf_16(head):
            raise InputError("it is text in UTF-16; expected UTF-8 (iconv -f UTF-16 -t UTF-8)", trace.shown)
        form = form or format_of(path, head)
        if form is None:
            said = "there is nothing in it" if not trace.head else "this is no trace that can be read"
            raise InputError(said, trace.shown)
        if form.opened is not None:
            trace.use_pieces(form.opened)
        try:
            first = form.prepare(head)
            first.offset += len(trace.head) - len(head)
        except InputError as error:
            said = f"{error.message} ({form.name})"
            raise InputError(said, trace.shown, error.line, error.column) from None
        except UserError as error:
            raise InputError(f"{str(error).rstrip('.')} ({form.name})", trace.shown) from None
        return Parser(trace, form, first, space, page_bits, skip_bad, engine, straddle)
    except UserError as error:
        trace.close()
        if not error.hint:
            error.hint = READABLE
        raise
