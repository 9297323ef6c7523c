"""A trace written in another format."""

from __future__ import annotations

import contextlib
import os

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.files import replaced_by
from vmdbg.programs.traces.stream import SUFFIXES, ZSTD_MISSING
from vmdbg.state.tables import OP, OP_VA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.programs.traces.parser import Parser
    from vmdbg.programs.traces.record import Access, TraceFormat

PIECE = 1 << 16  # bytes written at once


def accesses(parser: Parser) -> Iterator[Access]:
    """The accesses of a trace, one by one."""
    with progress.task(f"Converting {parser.trace.shown}", "B", parser.trace.size or None) as task:
        while count := parser.chunk():
            rows = parser.op[: OP * count]
            yield from zip(bytes(rows.cast("B")[:: 8 * OP]), rows[OP_VA::OP].tolist(), strict=True)
            task.at(parser.trace.read_on_disk())


def packed(path: str, name: str) -> Any:
    """A file to be written, compressed as the end of a name says."""
    if name.endswith(".xz"):
        import lzma

        return lzma.open(path, "wb", preset=1)
    if name.endswith(".gz"):
        import gzip

        return gzip.open(path, "wb", 6)
    if name.endswith((".zst", ".zstd")):
        try:
            import zstandard
        except ImportError:
            raise UserError(f"{name}: {ZSTD_MISSING}.") from None
        return zstandard.open(path, "wb")
    return open(path, "wb")


def convert(parser: Parser, path: str, form: TraceFormat, page_bits: int) -> int:
    """Write the accesses of a trace to a file; how many.

    The file takes the place of an old one when it is whole.  UserError, InputError: then it stays.
    """
    assert form.write is not None
    if form.opened is not None and path.endswith(SUFFIXES):
        raise UserError(f"{path}: {form.name} is not read compressed; it has a compression of its own.")
    target, total = replaced_by(path), 0
    temporary = f"{target}.{os.getpid()}.new"

    def counted() -> Iterator[Access]:
        nonlocal total
        for access in accesses(parser):
            total += 1
            yield access

    try:
        with packed(temporary, path) as stream:
            waiting: list[bytes] = []
            size = 0
            for piece in form.write(counted(), page_bits):
                waiting.append(piece)
                size += len(piece)
                if size >= PIECE:
                    stream.write(b"".join(waiting))
                    waiting, size = [], 0
            stream.write(b"".join(waiting))
        os.replace(temporary, target)
    except OSError as error:
        remove(temporary)
        raise UserError(f"{path}: {error.strerror or error}.") from None
    except BaseException:
        remove(temporary)
        raise
    return total


def remove(path: str) -> None:
    """A file that is not finished goes."""
    with contextlib.suppress(OSError):
        os.unlink(path)
