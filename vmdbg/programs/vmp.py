"""The reader of `.vmp` programs; the language is on the page docs/programs.md."""

from __future__ import annotations

import os
from array import array

from vmdbg import progress
from vmdbg.errors import InputError, UserError
from vmdbg.kernel.calls.regions import GUARD
from vmdbg.kernel.calls.syscalls import EXIT_UNSAID, MMAP_OBJECT, OBJECT_MASK
from vmdbg.kernel.faults import MOST_FRAMES
from vmdbg.kernel.scheduler import OP_END, OP_EXIT, OP_LINE, OP_LOOP, OP_RANGED
from vmdbg.programs.addresses import Space
from vmdbg.programs.arguments import read_arguments
from vmdbg.programs.mappings import Objects, Options
from vmdbg.programs.operations import KINDS, OPERATIONS, PATTERNS, expected_operations
from vmdbg.programs.options import options, rights
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.programs.ranges import weigh
from vmdbg.programs.scanner import LineCursor, shorten
from vmdbg.state.op_rows import OP_ROUNDS
from vmdbg.state.tables import OP, OP_MORE, OP_VA, OP_WORD
from vmdbg.units import bytes_of, s64, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LOOPS = 8  # nested; as many as a process has counters for.  A handler may run inside half of them
MAX_BYTES = 16 << 20
MAX_LINE = 1000
MAX_NAME = 16  # bytes of a process's name
MAX_ROUNDS = (1 << 63) - 1

#: Words that cannot be names.  Words of options can be names: no expression can stand where they do.
KEYWORDS = ("process", "region", "let", "loop", "end", "none", *PATTERNS, *OPERATIONS)


class Building:
    """A process while its lines, `first` to `last`, are read.  A row is four words of `rows`."""

    def __init__(self, name: str, first: int, objects: Objects) -> None:
        self.name, self.first, self.last, self.objects = name, first, first, objects
        self.limit: int | None = None
        self.cpu = -1
        self.oom = 0
        self.regions: list[RegionSpec] = []
        self.rows: array[int] = array("q")
        self.exits = -1  # the row behind the last `exit`
        self.loops: list[tuple[int, LineCursor, int]] = []  # row, line and column of each open loop
        self.deep: tuple[LineCursor, int] | None = (
            None  # the first loop that no process with a handler may have
        )
        self.handles = False
        self.labels: dict[str, tuple[int, int]] = {}  # row and open loops
        self.uses: list[tuple[int, str, LineCursor, int]] = []  # row, label, line and column where it is used
        self.references: list[int] = []
        self.mappings: list[int] = []  # rows that name an object

    @property
    def row(self) -> int:
        """The number of the next row."""
        return len(self.rows) // OP

    def finish(self) -> ProcessSpec:
        """The process.  InputError for open loops and unknown labels."""
        if self.loops:
            _, cursor, at = self.loops[-1]
            cursor.fail('this loop has no "end"', at, at + len("loop"))
        if self.handles and self.deep is not None:
            cursor, at = self.deep
            message = f"more than {MAX_LOOPS // 2} loops inside one another in a process with a handler"
            cursor.fail(message, at, at + len("loop"))
        for row, label, cursor, start in self.uses:
            end = start + len(label)
            if label not in self.labels:
                known = ", ".join(self.labels) or "it has none"
                cursor.fail(f'no label "{shorten(label)}" in this process; labels: {known}', start, end)
            target, depth = self.labels[label]
            if depth:
                cursor.fail(f'the label "{shorten(label)}" is inside a loop', start, end)
            self.rows[row * OP + OP_VA] = target
            self.references.append(row)
        labels = {name: row for name, (row, _) in self.labels.items()}
        if self.exits != self.row or self.row in labels.values():
            self.rows.extend((OP_EXIT | self.last << OP_LINE, 0, EXIT_UNSAID, 0))
        return ProcessSpec(
            self.name,
            self.limit,
            self.cpu,
            self.regions,
            self.rows,
            (self.first, self.last),
            labels,
            sorted(self.references),
            self.oom,
            self.objects.wanted,
            self.mappings,
        )


class Parser:
    """Reads a program line by line.  All methods raise InputError."""

    def __init__(self, name: str, file: str, space: Space, approve: Callable[[str], str]) -> None:
        self.name, self.file, self.space = name, file, space
        self.objects = Objects(os.path.dirname(file), approve)
        self.symbols: dict[str, int] = {}
        self.declared_at: dict[str, int] = {}  # lines of names
        self.processes: list[ProcessSpec] = []
        self.building: Building | None = None
        self.line = 0
        self.word_at = 0  # where the statement's word stands in the line
        self.statements: dict[str, Callable[[LineCursor], None]] = {
            "process": self.process,
            "region": self.region,
            "let": self.let,
            "loop": self.loop,
            "end": self.end,
        }

    def program(self, lines: list[str]) -> Program:
        """The whole program."""
        with progress.task(f"Reading {self.name}", "lines", len(lines)) as task:
            for number, source in enumerate(lines, 1):
                self.line = number
                check_characters(source, self.file, number)
                cursor = LineCursor(source, self.file, number, self.symbols)
                if not cursor.done():
                    self.statement(cursor)
                task.at(number)
        self.close()
        if not self.processes:
            raise InputError("expected a process or an operation, but the file has none", self.file)
        return Program(self.name, self.file, lines, self.processes, self.symbols, self.declared_at)

    def statement(self, cursor: LineCursor) -> None:
        """One line that is not empty."""
        start = cursor.at
        word = cursor.name("an operation, a declaration or a label")
        if cursor.take(":"):
            self.label(cursor, word, start)
            if cursor.done():
                return
            start = cursor.at
            word = cursor.name("an operation or the end of the line")
        self.word_at = start
        if word in self.statements:
            self.statements[word](cursor)
            cursor.finish()
        elif word in OPERATIONS:
            self.operation(cursor, word)
        else:
            message = f'unknown operation "{shorten(word)}"; expected {expected_operations()}'
            cursor.fail(message, start, start + len(word))

    def current(self) -> Building:
        """The process that the line belongs to; a program without `process` has one with its name."""
        if self.building is None:
            name = text_of(bytes_of(self.name, MAX_NAME))
            self.building = Building(name, self.line, self.objects)
        self.building.last = self.line
        return self.building

    def close(self) -> None:
        """End the process that is being read, if there is one."""
        if self.building is not None:
            self.processes.append(self.building.finish())
            self.building = None

    # -- declarations

    def process(self, cursor: LineCursor) -> None:
        """`process NAME [limit=N] [cpu=N] [oom=N]`"""
        self.close()
        start = cursor.at
        name = cursor.name("a name")
        if len(name) > MAX_NAME:
            cursor.fail(f"expected a name of at most {MAX_NAME} characters", start, start + len(name))
        self.declared_at.setdefault(name, self.line)
        self.building = Building(name, self.line, self.objects)
        found = options(
            cursor, {"limit": (1, MOST_FRAMES), "cpu": (0, 63), "oom": (-MOST_FRAMES, MOST_FRAMES)}
        )
        self.building.limit = found.get("limit")
        self.building.cpu = found.get("cpu", -1)
        self.building.oom = found.get("oom", 0)

    def region(self, cursor: LineCursor) -> None:
        """`region KIND START SIZE RIGHTS [OPTIONS]`"""
        building = self.current()
        if building.row:
            cursor.fail(
                "regions come before the first operation of a process", self.word_at, len(cursor.text)
            )
        start = cursor.at
        kind = cursor.name("a kind of region: " + ", ".join(KINDS))
        if kind not in KINDS:
            message = f'unknown kind of region "{shorten(kind)}"; expected {", ".join(KINDS)}'
            cursor.fail(message, start, start + len(kind))
        kind_at = start, start + len(kind)
        start_at = cursor.at
        first = cursor.expression("the region's first address")
        size_at = cursor.at
        size = cursor.expression("the region's size")
        size_end = cursor.trimmed()
        allowed = rights(cursor)
        chosen = Options(cursor, self.space, self.objects, fixed=False)
        chosen.check_kind(cursor, kind, allowed, kind_at)
        chosen.share |= kind == "shared"
        chosen.settle(self.objects, size)
        page = 1 << chosen.shift if chosen.shift else self.space.page_size
        self.space.check_aligned(cursor, first, page, start_at, size_at)
        if size <= 0:
            cursor.fail("expected a size of at least one page", size_at, size_end)
        self.space.check_aligned(cursor, size, page, size_at, size_end)
        self.space.check_region(cursor, first, size, start_at, size_end)
        new = RegionSpec("anon" if kind == GUARD else kind, s64(first), size, allowed)
        new.page_size, new.populate, new.line = page if chosen.shift else 0, chosen.populate, self.line
        new.object, new.offset, new.share = chosen.object, chosen.offset, chosen.share
        for other in building.regions:
            if new.start < other.end and other.start < new.end:
                cursor.fail(f"the region overlaps the one of line {other.line}", start_at, size_end)
        building.regions.append(new)

    def let(self, cursor: LineCursor) -> None:
        """`let NAME = EXPR`"""
        start = cursor.at
        name = cursor.name("a name")
        self.check_new(cursor, name, start)
        if not cursor.take("="):
            cursor.expected('"="')
        self.symbols[name] = cursor.expression("a number")
        self.declared_at[name] = self.line

    def label(self, cursor: LineCursor, name: str, start: int) -> None:
        """`NAME:`"""
        building = self.current()
        self.check_new(cursor, name, start)
        building.labels[name] = building.row, len(building.loops)
        self.declared_at.setdefault(name, self.line)

    def check_new(self, cursor: LineCursor, name: str, start: int) -> None:
        """Refuse a name that is taken."""
        labels = self.building.labels if self.building else {}
        if name in KEYWORDS:
            cursor.fail(f'"{name}" is a word of the language; expected a name', start, start + len(name))
        if name in self.symbols or name in labels:
            cursor.fail(f'"{shorten(name)}" is there already', start, start + len(name))

    # -- operations

    def loop(self, cursor: LineCursor) -> None:
        """`loop [N]`"""
        building = self.current()
        if len(building.loops) == MAX_LOOPS:
            cursor.fail(f"more than {MAX_LOOPS} loops inside one another", self.word_at, cursor.trimmed())
        rounds, start = MAX_ROUNDS, cursor.at
        if not cursor.done():
            rounds = cursor.expression("a number of rounds")
            if not 1 <= rounds <= MAX_ROUNDS:
                cursor.fail("expected a number of rounds from 1", start, cursor.trimmed())
        if len(building.loops) == MAX_LOOPS // 2 and building.deep is None:
            building.deep = cursor, self.word_at
        building.loops.append((building.row, cursor, self.word_at))
        building.rows.extend((OP_LOOP | self.line << OP_LINE, rounds, 0, 0))

    def end(self, cursor: LineCursor) -> None:
        """`end`"""
        building = self.building
        if building is None or not building.loops:
            cursor.fail('"end" without a loop', self.word_at, cursor.trimmed())
        building.last = self.line
        row, opened, at = building.loops.pop()
        if building.row == row + 1:
            opened.fail("the loop has no operation", at, at + len("loop"))
        building.references.append(building.row)
        building.rows.extend((OP_END | self.line << OP_LINE, row + 1, 0, 0))

    def operation(self, cursor: LineCursor, name: str) -> None:
        """An operation with its arguments."""
        building = self.current()
        row, label, label_at = read_arguments(cursor, OPERATIONS[name], self.space, self.objects)
        if name == "mmap" and row[OP_MORE] >> MMAP_OBJECT & OBJECT_MASK:
            building.mappings.append(building.row)
        if label:
            building.uses.append((building.row, label, cursor, label_at))
        if row[OP_WORD] & OP_RANGED and len(row) == 3 * OP:  # a pattern
            weigh(row, [building.rows[at * OP + OP_ROUNDS] for at, _, _ in reversed(building.loops)])
        row[OP_WORD] |= self.line << OP_LINE
        building.rows.extend(row)
        if name == "exit":
            building.exits = building.row
        building.handles |= name == "handler"


def check_characters(source: str, file: str, line: int) -> None:
    """Refuse lines that are too long for a message or have characters that cannot be printed."""
    if len(source) > MAX_LINE:
        raise InputError(f"expected at most {MAX_LINE} characters in a line", file, line, MAX_LINE + 1)
    visible = source.replace("\t", " ")
    if not visible.isprintable():
        column = next(column for column, character in enumerate(visible) if not character.isprintable())
        code = ord(visible[column])
        shown = "".join(character if character.isprintable() else "?" for character in visible)
        raise InputError(f"unexpected character U+{code:04X}", file, line, column + 1, shown)


def read_vmp(
    path: str,
    *,
    va_bits: int,
    page_size: int,
    approve: Callable[[str], str] = os.path.expanduser,
    user_end: int = 1 << 64,
) -> Program:
    """The program in a `.vmp` file, for a machine with these addresses and base pages (bytes).

    `approve` gives the path to open for a file that it maps, or raises a UserError.  UserError if it cannot
    be opened; InputError if it is no program: then nothing of it is used.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"expected at most {MAX_BYTES >> 20} MiB of text", path)
    return parse_vmp(data, path, va_bits=va_bits, page_size=page_size, approve=approve, user_end=user_end)


def parse_vmp(
    data: bytes,
    file: str,
    *,
    va_bits: int,
    page_size: int,
    approve: Callable[[str], str] = os.path.expanduser,
    user_end: int = 1 << 64,
) -> Program:
    """The program in `data`, the content of the file of that name.  `approve`, InputError as `read_vmp`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - before.rfind(b"\n")
        raise InputError("expected text in UTF-8", file, before.count(b"\n") + 1, column) from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    name = os.path.basename(file)
    space = Space(va_bits, page_size, user_end)
    return Parser(name.removesuffix(".vmp"), file, space, approve).program(lines)
