"""One chunk of a trace after the other becomes rows of operations, interpreted or compiled.

Memory is bounded: a buffer of text and one of rows, whatever the length of the trace.
"""

from __future__ import annotations

import os

from vmdbg.engine import native
from vmdbg.engine.build import build
from vmdbg.engine.language import NotHotError
from vmdbg.engine.link import link
from vmdbg.engine.module import Layout
from vmdbg.engine.sources import SourceError
from vmdbg.errors import InputError, UserError
from vmdbg.machine.feeds import NotReady
from vmdbg.programs.traces import scan
from vmdbg.state.tables import OP
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from vmdbg.programs.addresses import Space
    from vmdbg.programs.traces.record import Head, TraceFormat
    from vmdbg.programs.traces.stream import TraceBytes

TEXT = 1 << 20  # bytes of text in memory
SPARE = 64  # bytes behind them that hot code may look at
ROWS = 1 << 16  # rows of a chunk
PATIENCE = 1 << 17  # bytes that are read interpreted before compiled code is worth its while
ENTRY = "scan_records"
AUTO, INTERPRETED, COMPILED = "auto", "interpreted", "compiled"
SHOWN = 80  # characters of a line that an error repeats
WHAT_HELPS = (
    'With "-skip-bad" "replay" counts such records and goes on.  "-format NAME" forces another format; '
    '"trace formats" lists those that can be read.'
)
DIGITS = bytes(int(chr(c), 16) if chr(c) in "0123456789abcdefABCDEF" else 16 for c in range(256))
CODES = {"text1": "B", "text8": "q", "digit": "B", "scan": "q", "op": "q"}
TOP = 1 << 62  # no address of the lower half is higher


class Views:
    """The tables as the interpreted engine takes them."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def layout() -> Layout:
    """The tables as compiled code takes them."""
    return Layout(CODES, ("text1", "text8"))


def machine_code(
    bindings: Mapping[str, Any], entry: str, tables: Layout, make: bool = True
) -> native.Code | None:
    """Full code of an entry, without `make` only if it is there; None if this Python cannot compile."""
    if not native.available():
        return None
    checked = os.environ.get("VMDBG_CHECKED", "0") not in ("", "0")
    try:
        found = build(bindings, entry, tables, checked)
        return found.full() if make else found.cached()
    except (NotHotError, SourceError):
        return None


class Parser:
    """Reads the records of one trace.

    `space` are the machine's addresses (None: any are taken); `straddle`: the rows of accesses that go on in
    the next page say so.  After `chunk()` the rows are the first of
    `op`; `records` were read in all, `left_out` accesses of the kernel's addresses, and `bad` records, if
    `skip_bad`, that are none.  `place` is the byte, unpacked, of the next record.  `ended`: the last chunk
    came to the end of the trace.  `patient`: rows before what is wrong are a chunk, and the next one raises
    the error.  `counted` has what `left_out` and `bad` were before some chunks, for `go`.
    """

    def __init__(
        self,
        trace: TraceBytes,
        form: TraceFormat,
        head: Head,
        space: Space | None,
        page_bits: int,
        skip_bad: bool = False,
        engine: str = AUTO,
        straddle: bool = False,
    ) -> None:
        self.trace, self.form, self.head, self.space = trace, form, head, space
        self.skip_bad, self.engine = skip_bad, engine
        self.bad = self.done = 0
        self.ended = self.patient = False
        self.counted: dict[int, tuple[int, int]] = {}
        self._pending: UserError | None = None
        self._waited = False
        self.buffers = {
            "text1": bytearray(TEXT + SPARE),
            "digit": bytearray(DIGITS),
            "scan": bytearray(8 * scan.SCAN_WORDS),
            "op": bytearray(8 * OP * (ROWS + form.rows)),
        }
        self.buffers["text8"] = self.buffers["text1"]
        self.m = Views()
        for name, code in CODES.items():
            view: Any = memoryview(self.buffers[name])
            setattr(self.m, name, view.cast(code))
        self.op: memoryview = self.m.op
        self.bindings = {"trace_record": form.record}
        self._run: Callable[[Any], int] = link(self.bindings, entry=ENTRY)[ENTRY]
        self._code: native.Code | None = None
        self._tables: native.Tables | None = None
        self.fill_scan(page_bits)
        self.m.scan[scan.SCAN_STRADDLE] = int(straddle)
        self._base = self._used = 0  # where text1 begins in the trace; bytes in it
        self.go(head.offset, head.records)

    def fill_scan(self, page_bits: int) -> None:
        """What hot code is told once."""
        words, space = self.m.scan, self.space
        words[scan.SCAN_ROOM] = OP * (ROWS - self.form.rows)
        words[scan.SCAN_SHIFT] = page_bits
        if space is None:
            words[scan.SCAN_LIMIT] = words[scan.SCAN_TOP] = TOP
            words[scan.SCAN_BOTTOM], words[scan.SCAN_UPPER] = -(1 << 63), 1
        else:
            words[scan.SCAN_TOP] = min(space.half, TOP)
            words[scan.SCAN_LIMIT] = min(space.half, space.user_end, TOP)
            words[scan.SCAN_BOTTOM] = min(0, space.upper - (1 << 64))
            words[scan.SCAN_UPPER] = int(space.user_end >= 1 << 64)
        for number, word in enumerate(self.head.words):
            words[scan.SCAN_FIRST + number] = word

    # -- where

    @property
    def records(self) -> int:
        """Records before the next one; of text: lines."""
        return int(self.m.scan[scan.SCAN_RECORD])

    @property
    def left_out(self) -> int:
        """Accesses that were left out."""
        return int(self.m.scan[scan.SCAN_LEFT_OUT])

    @property
    def place(self) -> int:
        """The byte of the trace, unpacked, at which the next record begins."""
        return self._base + int(self.m.scan[scan.SCAN_AT])

    def go(self, place: int, records: int, chunk: int = 0) -> None:
        """Be at the record that begins at a byte, after so many records; `chunk` is a key of `counted`."""
        self.trace.go(place)
        self._base, self._used, self._dry, self._pending = place, 0, False, None
        self._waited = False
        self.m.scan[scan.SCAN_LEFT_OUT], self.bad = self.counted.get(chunk, (0, 0))
        self.m.scan[scan.SCAN_WRONG] = 0
        self.m.scan[scan.SCAN_AT] = self.m.scan[scan.SCAN_END] = 0
        self.m.scan[scan.SCAN_RECORD] = records

    # -- reading

    def chunk(self) -> int:
        """Read records until the rows are full or the trace ends; how many rows there are then, 0 at the end.

        InputError with line or offset of a record that is none, unless these are skipped.
        """
        words = self.m.scan
        if not self._waited:
            words[scan.SCAN_ROW] = 0
        self.ended = self._waited = False
        if self._pending is not None:
            raise self._pending
        try:
            self.fill()
        except NotReady:
            self._waited = True  # the next call goes on
            raise
        except UserError as error:
            if not self.patient or not words[scan.SCAN_ROW]:
                raise
            self._pending = error
        return int(words[scan.SCAN_ROW]) // OP

    def rows_so_far(self) -> int:
        """How many rows there are, after `chunk` was interrupted while a pipe had nothing; the next chunk
        begins behind them."""
        self._waited = False
        return int(self.m.scan[scan.SCAN_ROW]) // OP if self.trace.is_idle() else 0

    def fill(self) -> None:
        """As `chunk`."""
        words = self.m.scan
        while words[scan.SCAN_ROW] <= words[scan.SCAN_ROOM]:
            if words[scan.SCAN_AT] >= words[scan.SCAN_END] and not self.more():
                self.ended = True
                return
            self.run()
            if words[scan.SCAN_WRONG]:
                self.refuse_or_skip()

    def run(self) -> None:
        """Let hot code read what there is."""
        if self._code is None and (self.engine == COMPILED or (self.engine == AUTO and self.done > PATIENCE)):
            self.compile()
        elif self._code is None and self.engine == AUTO and self.trace.size > PATIENCE and not self.done:
            self.use(machine_code(self.bindings, ENTRY, layout(), make=False))
        before = self.m.scan[scan.SCAN_AT]
        if self._code is None or self._tables is None:
            if self.engine == AUTO and self.done <= PATIENCE:
                self.run_slowly()
            else:
                self._run(self.m)
        else:
            self._code(self._tables)
        self.done += self.m.scan[scan.SCAN_AT] - before

    def run_slowly(self) -> None:
        """Interpreted, read no more than PATIENCE bytes at once."""
        words = self.m.scan
        end = words[scan.SCAN_END]
        words[scan.SCAN_END] = min(end, words[scan.SCAN_AT] + PATIENCE)
        self._run(self.m)  # a line that begins before that is read to its end
        words[scan.SCAN_END] = end

    def use(self, code: native.Code | None) -> None:
        """Read with that machine code from now on; None: interpreted."""
        self._code = code
        self._tables = native.Tables(self.buffers, layout()) if code is not None else None

    def compile(self) -> None:
        """Have machine code, if this Python can."""
        self.use(machine_code(self.bindings, ENTRY, layout()))
        if self._code is not None:
            return
        if self.engine == COMPILED:
            raise UserError("The compiled engine needs llvmlite, which is not installed.")
        self.engine = INTERPRETED

    def more(self) -> bool:
        """Bring whole records into the text; False if the trace has ended."""
        words, text = self.m.scan, self.m.text1
        at, size = words[scan.SCAN_AT], self.head.size
        left = self._used - at
        if at and left:
            text[:left] = bytes(text[at : self._used])
        self._base, self._used = self._base + at, left
        words[scan.SCAN_AT] = words[scan.SCAN_END] = 0
        while not self._dry and self._used < TEXT:
            got = self.trace.read_into(text[self._used : TEXT])
            self._dry = got == 0
            self._used += got
            whole = self.whole_records(size, got)
            if not whole and self._used == TEXT:
                self.refuse_or_skip_line()
                whole = self.whole_records(size, self._used)
            if whole:
                words[scan.SCAN_END] = whole
                return True
        if not self._used:
            self.check_total()
            return False
        if size:
            self.refuse_rest(size)
            return False
        text[self._used] = scan.NEWLINE
        words[scan.SCAN_END] = self._used = self._used + 1
        return True

    def whole_records(self, size: int, got: int) -> int:
        """The bytes of whole records in the text, of which the last `got` are new."""
        if size:
            return self._used - self._used % size
        return self.buffers["text1"].rfind(b"\n", self._used - got, self._used) + 1

    # -- what is wrong

    def refused(self, said: str, line: int = 0, column: int = 0, source: str = "") -> InputError:
        """That the trace is not as its format says, and what helps."""
        error = InputError(f"{said} ({self.form.name})", self.trace.shown, line, column, source)
        error.hint = WHAT_HELPS
        return error

    def refuse_or_skip(self) -> None:
        """The record at SCAN_AT is none: InputError, or it is passed over and counted."""
        words, size = self.m.scan, self.head.size
        if not self.skip_bad:
            raise self.error()
        at = words[scan.SCAN_AT]
        words[scan.SCAN_AT] = at + size if size else self.buffers["text1"].find(b"\n", at) + 1
        words[scan.SCAN_WRONG] = 0
        words[scan.SCAN_RECORD] += 1
        self.bad += 1

    def refuse_or_skip_line(self) -> None:
        """The text is full, and no line ends in it: InputError, or the line is passed over and counted."""
        words, text = self.m.scan, self.m.text1
        if not self.skip_bad:
            said = f"expected the end of the line within {format_size(TEXT)}"
            raise self.refused(said, words[scan.SCAN_RECORD] + 1)
        end = 0  # one past the line
        while not end and (got := self.trace.read_into(text[:TEXT])):
            self._base, self._used = self._base + self._used, got
            end = self.buffers["text1"].find(b"\n", 0, got) + 1
        end = end or self._used
        text[: self._used - end] = bytes(text[end : self._used])
        self._base, self._used = self._base + end, self._used - end
        words[scan.SCAN_RECORD] += 1
        self.bad += 1

    def refuse_rest(self, size: int) -> None:
        """The trace ends inside a record."""
        left, self._used = self._used, 0
        if not self.skip_bad:
            raise self.refused(f"offset {self._base}: expected a record of {size} bytes, but {left} are left")
        self._base += left
        self.bad += 1

    def check_total(self) -> None:
        """InputError if the trace has not as many records as its head says."""
        total = self.head.total
        if total is not None and total != self.records and not self.skip_bad:
            place = self._base + self._used
            raise self.refused(
                f"offset {place}: the header says {total} records, but there are {self.records}"
            )

    def error(self) -> InputError:
        """What is wrong with the record at SCAN_AT."""
        words = self.m.scan
        at, place = words[scan.SCAN_AT], words[scan.SCAN_PLACE]
        bits, of_pages = (64, 62) if self.space is None else (self.space.va_bits, self.space.va_bits)
        said = scan.EXPECTED[words[scan.SCAN_WRONG]].format(
            begin=self.form.begin, bits=bits, pages=of_pages - words[scan.SCAN_SHIFT]
        )
        if self.form.opened is not None:
            return self.refused(f"row {self.records + 1}: {said}")
        if self.head.size:
            return self.refused(f"offset {self._base + place}: {said}")
        end = self.buffers["text1"].find(b"\n", at)
        shows = place - at < SHOWN
        line = bytes(self.m.text1[at : min(end, at + SHOWN)]).decode("ascii", "replace") if shows else ""
        shown = "".join(c if c.isprintable() else "?" for c in line)
        return self.refused(said, words[scan.SCAN_RECORD] + 1, place - at + 1, shown)
