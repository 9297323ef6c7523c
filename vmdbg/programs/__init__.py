"""Where operations come from: `.vmp` programs, traces, ELF files; `read_program` picks the reader."""

from __future__ import annotations

import os

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.machine.trace_pages import TracePages
    from vmdbg.programs.program import Program

COMPRESSED = (b"\xfd7zXZ\x00", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
ELF = b"\x7fELF"
TRACE_SUFFIXES = (".trace", ".xz", ".gz", ".zst")


def read_program(
    path: str,
    *,
    va_bits: int,
    page_size: int,
    resident: bool = False,
    approve: Callable[[str], str] = os.path.expanduser,
    user_end: int = 1 << 64,
    pages: TracePages | None = None,
    straddle: bool = False,
    fed: bool = False,
) -> Program:
    """The program in a file, for a machine with addresses of `va_bits` bits and these base pages (bytes).

    `resident`: the pages of a trace are in memory from the start; `pages`: how they are mapped; `straddle`:
    its accesses that go on in the next page say so; `fed`: it has a feed, and one machine runs it.  `approve`
    gives the path to open for the name of a file, of the program and those that it maps, or raises a
    UserError.  Addresses from `user_end` on are the kernel's.  UserError if the file cannot be opened;
    InputError with line and column if it is not what it should be: nothing of it is used.
    """
    path = approve(path)
    try:
        with open(path, "rb") as stream:
            head = stream.read(1 << 12)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    if head.startswith(ELF):
        from vmdbg.programs.elf import read_elf

        return read_elf(path, va_bits=va_bits, page_size=page_size)
    if is_trace(path, head):
        from vmdbg.programs.traces.whole import read_trace

        return read_trace(
            path,
            va_bits=va_bits,
            page_size=page_size,
            resident=resident,
            user_end=user_end,
            pages=pages,
            straddle=straddle,
            fed=fed,
        )
    from vmdbg.programs.vmp import read_vmp

    return read_vmp(path, va_bits=va_bits, page_size=page_size, approve=approve, user_end=user_end)


def is_trace(path: str, head: bytes) -> bool:
    """Is the file a trace?  Its name decides; if that says nothing, its first bytes."""
    if path.endswith(".vmp"):
        return False
    if path.endswith(TRACE_SUFFIXES) or head.startswith(COMPRESSED):
        return True
    from vmdbg.programs.traces.catalog import is_no_program

    return is_no_program(path, head)
