"""The bytes of a trace: from a file or standard input, plain or compressed with gzip, xz or zstd."""

from __future__ import annotations

import io
import os
import select
import stat
import sys

from vmdbg.errors import InputError, UserError
from vmdbg.machine.feeds import NotReady

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

    Errors = tuple[type[Exception], ...]

STDIN = "-"
XZ, GZIP, ZSTD = b"\xfd7zXZ\x00", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
COMPRESSED = (XZ, GZIP, ZSTD)
SUFFIXES = (".xz", ".gz", ".zst", ".zstd")  # of compressed files
HEAD = 1 << 16  # bytes by which a format is recognised
BUFFER = 1 << 20
PACKED = 1 << 14  # bytes that are unpacked at once: of gzip they become 16 MiB at most
PATIENCE = 0.1  # seconds between two looks for Ctrl-C while a pipe has nothing
ZSTD_MISSING = 'a trace compressed with zstd needs zstandard: pip install "vmdbg[traces]"'


class FileBytes(io.RawIOBase):
    """The bytes of a file or a pipe.  Where one has to wait, `asked()` says now and then whether to give up;
    NotReady then, and nothing is lost."""

    def __init__(self, number: int, waits: bool, asked: Callable[[], bool]) -> None:
        self.number, self.waits, self.asked = number, waits, asked
        self.ready = b""
        self.idle = False  # is there nothing to read yet?

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        if not self.ready:
            self.idle = self.waits
            while self.idle and not select.select([self.number], [], [], PATIENCE)[0]:
                if self.asked():
                    raise NotReady("Interrupted.")
            self.idle = False
            return os.readv(self.number, [buffer])
        count = min(len(buffer), len(self.ready))
        buffer[:count] = self.ready[:count]
        self.ready = self.ready[count:]
        return count

    def peek(self, count: int) -> bytes:
        """The next bytes, which are read again."""
        found = b""
        while len(found) < count and (piece := self.read(count - len(found))):
            found += piece
        self.ready = found + self.ready
        return found

    def go(self, place: int) -> None:
        """Be at a place of a file."""
        self.ready = b""
        os.lseek(self.number, place, os.SEEK_SET)

    def place(self) -> int:
        """How many bytes of a file were read."""
        return os.lseek(self.number, 0, os.SEEK_CUR)

    def close(self) -> None:
        if not self.closed:
            os.close(self.number)
        super().close()


class UnpackedBytes(io.RawIOBase):
    """What a compressed stream unpacks to, one frame after the other.  EOFError where it ends too early.

    `make` gives what unpacks a frame.  An error of the stream, when one waits for it, loses nothing.
    """

    def __init__(self, stream: IO[bytes], make: Callable[[], Any]) -> None:
        self.stream, self.make = stream, make
        self.unpacker: Any = None
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        while not self.ready:
            if self.is_done():
                packed = getattr(self.unpacker, "unused_data", b"").lstrip(b"\0") or self.stream.read(PACKED)
                if not packed:
                    return 0
                self.unpacker = self.make()
            elif getattr(self.unpacker, "needs_input", True):
                packed = self.stream.read(PACKED)
                if not packed:
                    raise EOFError("the end is missing")
            else:
                packed = b""
            self.ready = memoryview(self.unpacker.decompress(packed))
        count = min(len(buffer), len(self.ready))
        buffer[:count] = self.ready[:count]
        self.ready = self.ready[count:]
        return count

    def is_done(self) -> bool:
        """Does the next byte begin a frame?"""
        return self.unpacker is None or bool(self.unpacker.eof)


class Lzma:
    """Unpacks a frame of xz, a bounded number of bytes at a time."""

    def __init__(self) -> None:
        import lzma

        self.inner = lzma.LZMADecompressor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def decompress(self, packed: bytes) -> bytes:
        """As that of `lzma`."""
        return self.inner.decompress(packed, BUFFER)


class PieceBytes(io.RawIOBase):
    """Pieces of bytes, one after the other."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        while not self.ready:
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.ready = memoryview(piece)
        count = min(len(buffer), len(self.ready))
        buffer[:count] = self.ready[:count]
        self.ready = self.ready[count:]
        return count


def unpacked(stream: Any, head: bytes, path: str) -> tuple[Any, Errors]:
    """What a stream that begins with `head` unpacks to, and the errors that mean that it is damaged."""
    if head.startswith(XZ):
        import lzma

        return UnpackedBytes(stream, Lzma), (lzma.LZMAError, EOFError)
    if head.startswith(GZIP):
        import zlib

        return UnpackedBytes(stream, lambda: zlib.decompressobj(31)), (zlib.error, EOFError)
    if head.startswith(ZSTD):
        try:
            import zstandard
        except ImportError:
            raise UserError(f"{path}: {ZSTD_MISSING}.") from None
        return UnpackedBytes(stream, lambda: zstandard.ZstdDecompressor().decompressobj()), (
            zstandard.ZstdError,
            EOFError,
        )
    return stream, ()


def identity(file: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does."""
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns


class TraceBytes:
    """The bytes of a trace, unpacked.

    `path` is a file, or `-` for standard input; `shown` is how errors name it.  `regular`: it can be read
    again from any place; `size` are then its bytes on disk.  UserError if it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.shown = "standard input" if path == STDIN else path
        self.place = 0  # bytes read, unpacked
        self.status: os.stat_result
        self.compressed = False
        self.pieces: Callable[[str], Iterator[bytes]] | None = None
        self._raw: FileBytes | None = None
        self.asked: Callable[[], bool] = lambda: False  # did the user press Ctrl-C?
        self._open()
        self._identity = identity(self.status)
        self.head = self.take(HEAD)
        self._rest = memoryview(self.head)
        self.place = 0

    def _open(self) -> None:
        """Open the file, or standard input, at its begin."""
        self._rest = memoryview(b"")
        self._errors: Errors = ()
        if self.path == STDIN and sys.stdin is None:
            raise UserError(f"{self.shown}: it is closed.")
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC
            number = os.dup(sys.stdin.fileno()) if self.path == STDIN else os.open(self.path, flags)
            self.status = os.fstat(number)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.shown}: {getattr(error, 'strerror', None) or error}.") from None
        self.regular = stat.S_ISREG(self.status.st_mode) and self.path != STDIN
        raw = FileBytes(number, not self.regular, self.interrupted)
        self._raw = raw
        self.size = self.status.st_size if self.regular else 0
        if self.pieces is not None:
            self._text: Any = PieceBytes(self.pieces(self.path))
            return
        try:
            head = raw.peek(len(XZ))
        except OSError as error:
            raise UserError(f"{self.shown}: {error.strerror}.") from None
        self.compressed = head.startswith(COMPRESSED)
        self._text, self._errors = unpacked(raw, head, self.shown)

    def interrupted(self) -> bool:
        """Did the user press Ctrl-C?"""
        return self.asked()

    def use_pieces(self, pieces: Callable[[str], Iterator[bytes]]) -> None:
        """Take the bytes from a function that is given the file's name.  UserError if it is no file."""
        if not self.regular or self.compressed:
            raise UserError(
                f"{self.shown}: this format needs a plain file, for it is not read from its begin."
            )
        self.pieces = pieces
        self.close()
        self._open()
        self.place = 0

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into a buffer; how many, 0 at the end.  InputError if it is damaged."""
        if self._rest:
            count = min(len(view), len(self._rest))
            view[:count] = self._rest[:count]
            self._rest = self._rest[count:]
        else:
            try:
                count = self._text.readinto(view) or 0
            except self._errors as error:
                raise InputError(
                    f"offset {self.place}, unpacked: cannot be decompressed: {error}", self.shown
                ) from None
            except (OSError, ValueError) as error:
                raise UserError(f"{self.shown}: {getattr(error, 'strerror', None) or error}.") from None
        self.place += count
        return count

    def take(self, count: int) -> bytes:
        """The next bytes, as many as there are up to a number."""
        buffer, had = bytearray(count), 0
        with memoryview(buffer) as view:
            while had < count:
                got = self.read_into(view[had:])
                if not got:
                    break
                had += got
        return bytes(buffer[:had])

    def go(self, place: int) -> None:
        """Be at a place of a regular file.  UserError if the file has changed or is gone."""
        if place < self.place or (place > self.place and not self.compressed):
            self.close()
            self._open()
            self.place = 0
            if identity(self.status) != self._identity:
                raise UserError(f"{self.shown}: it has changed since it was read.")
            if not self.compressed and self.pieces is None:
                self._text.go(place)
                self.place = place
        while self.place < place:
            if not self.take(min(BUFFER, place - self.place)):
                raise UserError(f"{self.shown}: it has become shorter since it was read.")

    def is_idle(self) -> bool:
        """Was reading left while a pipe had nothing?  Then it can go on where it was."""
        return self._raw is not None and self._raw.idle

    def read_on_disk(self) -> int:
        """How far the file was read, in bytes of it."""
        return self._raw.place() if self._raw is not None and self.regular else 0

    def __del__(self) -> None:
        """A machine that goes lets go of its traces."""
        if hasattr(self, "_raw"):
            self.close()

    def close(self) -> None:
        """Nothing more is read."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
