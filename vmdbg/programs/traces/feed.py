"""A trace that is fed to a machine: a part of it at a time is in the table `op` (`machine.feeds`)."""

from __future__ import annotations

from array import array
from collections import OrderedDict

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_EXIT, OP_LINE
from vmdbg.machine.feeds import OP_FEED
from vmdbg.machine.trace_pages import TracePages
from vmdbg.programs.program import ProcessSpec, Program
from vmdbg.programs.traces.catalog import trace_name
from vmdbg.programs.traces.parser import ROWS
from vmdbg.programs.traces.regions import everywhere
from vmdbg.state.tables import OP, OP_VA, OP_VALUE, PROCESS, PROCESS_END, PROCESS_PC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.programs.addresses import Space
    from vmdbg.programs.program import RegionSpec
    from vmdbg.programs.traces.contents import Contents
    from vmdbg.programs.traces.parser import Parser

MAX_NAME = 16
PLACES = ROWS + 2  # rows of a process: a part, OP_FEED, and an exit for who reads no further
KEPT = 24  # parts of all traces that are kept, so that the machine can go back a little at once
GONE = "The accesses of {name} before number {first} came from a pipe and are gone."
SHORTER = "{name}: it has become shorter since it was read."


class Part:
    """Some rows, to which the machine comes at a time, and the row behind them: `following` are accesses and
    place before the next ones, None at the end; `records` were read until then."""

    __slots__ = ("end", "rows", "time")

    def __init__(self, rows: memoryview, following: tuple[int, int] | None, records: int, time: int) -> None:
        self.rows, self.time = rows, time
        kind = OP_EXIT if following is None else OP_FEED
        self.end = array("q", (kind | records << OP_LINE, *(following or (0, 0)), 0))

    def put(self, op: Any, first: int) -> None:
        """Put all of it into the table `op`, from a row on."""
        at = first * OP
        behind = at + len(self.rows)
        op[at:behind] = self.rows
        op[behind : behind + OP] = self.end


class PartsFeed:
    """Gives a process rows, a part at a time, the `first` when it is made.  `file` is how a user knows it."""

    name: str
    file: str
    first: Part
    forgotten = 0

    def put(self, machine: Machine, pid: int, part: Part) -> None:
        """Put rows in place, and the process at the first of them."""
        first = machine.m.process[pid * PROCESS + PROCESS_END] - PLACES
        part.put(machine.m.op, first)
        machine.m.process[pid * PROCESS + PROCESS_PC] = first

    def spec(self, regions: list[RegionSpec]) -> ProcessSpec:
        """The process, with these regions."""
        rows: array[int] = array("q", bytes(8 * OP * (PLACES - 1)))
        self.first.put(memoryview(rows), 0)
        rows.extend((OP_EXIT, 0, 0, 0))
        return ProcessSpec(self.name[:MAX_NAME], None, -1, regions, rows)


class RowsFeed(PartsFeed):
    """Gives a process the accesses of a trace whose rows are in memory."""

    def __init__(self, file: str, found: Contents) -> None:
        assert found.rows is not None, "they are in memory"
        self.name, self.file, self.found = trace_name(file), file, found
        self.rows = memoryview(found.rows)[:-OP]  # without the exit behind them
        self.first = self.part(0)

    def part(self, at: int) -> Part:
        """The part before which there are `at` accesses."""
        behind = at + ROWS
        following = (behind, 0) if OP * behind < len(self.rows) else None
        return Part(self.rows[OP * at : OP * behind], following, 0, 0)

    def refill(self, machine: Machine, pid: int) -> None:
        """As `machine.feeds.Feed` says."""
        row = machine.m.process[pid * PROCESS + PROCESS_PC] * OP
        self.put(machine, pid, self.part(machine.m.op[row + OP_VA]))


class TraceFeed(PartsFeed):
    """Gives a process the accesses of a trace, `count` of them (None: all) after the first `skip`.

    `given` were given, not counting those given again; `left_out` and `bad` are what the parser counted
    until then.  `interrupted`: the user pressed Ctrl-C while a pipe had too little for a first part.
    `forgotten` is the time before which the machine cannot be run again.  `total` is how many accesses there
    are, None if that is not known.  UserError, InputError: the first part is read when it is made.
    """

    def __init__(
        self,
        parser: Parser,
        skip: int = 0,
        count: int | None = None,
        kept: int = KEPT,
        total: int | None = None,
    ) -> None:
        self.parser, self.count, self.most_kept, self.total = parser, count, max(2, kept), total
        self.name, self.file = trace_name(parser.trace.path), parser.trace.shown
        self.given = self.left_out = self.bad = self.forgotten = 0
        self.done = 0  # bytes of the file from which those came
        self.ended = False
        self.kept: OrderedDict[int, Part] = OrderedDict()  # by the accesses before them
        self.next = 0  # accesses before those that the parser reads next
        rows = self.skipped(skip)
        self.interrupted = False
        try:
            self.first = self.read(0, rows)
        except KeyboardInterrupt:  # what a pipe has given cannot be had again
            if not (had := parser.rows_so_far()):
                raise
            self.interrupted = True
            self.first = self.read(0, bytes(parser.op[: OP * had].cast("B")))
        parser.patient = True  # what is wrong further on is told when the machine has come there
        if skip and count != 0 and not len(self.first.rows):
            raise UserError(f"{parser.trace.shown}: -skip passes over all of its accesses.")

    def skipped(self, skip: int) -> bytes | None:
        """Pass accesses over; the rows behind them of the last part that was read, None if there are none."""
        left = skip
        with progress.task(f"Skipping in {self.name}", "accesses", skip) as task:
            while left:
                rows = self.parser.chunk()
                if rows > left:
                    return bytes(self.parser.op[OP * left : OP * rows].cast("B"))
                if not rows:
                    return b""
                left -= rows
                task.at(skip - left)
        return None

    def read(self, time: int, rows: bytes | None = None) -> Part:
        """The next part, which the machine comes to at a time; `rows` if they are read already."""
        parser, at = self.parser, self.next
        parser.counted[at] = parser.left_out, parser.bad
        if rows is None:
            rows = bytes(parser.op[: OP * parser.chunk()].cast("B"))
            if self.total is not None and parser.ended and at + len(rows) // (8 * OP) < self.total:
                raise UserError(SHORTER.format(name=parser.trace.shown))
        full = not parser.ended
        number = len(rows) // (8 * OP)
        records = parser.records
        if self.count is not None and at + number >= self.count:
            number, full = self.count - at, False
            rows = rows[: 8 * OP * number]
            records = memoryview(rows).cast("q")[-OP] >> OP_LINE if rows else records
        self.next = at + number
        following = (self.next, parser.place) if full and number else None
        part = self.kept[at] = Part(memoryview(rows).cast("q"), following, records, time)
        if self.next >= self.given:
            self.given = self.next
            plain = not parser.trace.compressed and parser.trace.pieces is None
            self.done = parser.place if plain else parser.trace.read_on_disk()
            self.left_out, self.bad = parser.left_out, parser.bad
            self.ended = self.ended or following is None
        while len(self.kept) > self.most_kept:
            self.kept.popitem(last=False)
            if not parser.trace.regular:
                self.forgotten = next(iter(self.kept.values())).time
        return part

    def refill(self, machine: Machine, pid: int) -> None:
        """As `machine.feeds.Feed` says."""
        row = machine.m.process[pid * PROCESS + PROCESS_PC] * OP
        at, place = machine.m.op[row + OP_VA], machine.m.op[row + OP_VALUE]
        part = self.kept.get(at)
        if part is None:
            if at != self.next:
                if not self.parser.trace.regular:
                    first = next(iter(self.kept))
                    raise UserError(GONE.format(name=self.parser.trace.shown, first=first))
                self.parser.go(place, machine.m.op[row] >> OP_LINE, at)
                self.next = at
            part = self.read(machine.operations)
        self.put(machine, pid, part)

    @property
    def estimate(self) -> int | None:
        """About how many accesses the trace has, by how far it was read; None if that is not known."""
        if self.ended:
            return self.given
        trace = self.parser.trace
        if not trace.regular or not self.done:
            return self.count
        guess = max(self.given, self.given * trace.size // self.done)
        return guess if self.count is None else min(guess, self.count)


class FedProgram(Program):
    """A trace with which one machine is fed; how many `accesses` it has is known."""

    __slots__ = ("accesses", "feeds")

    def __init__(
        self,
        file: str,
        feed: RowsFeed | TraceFeed,
        regions: list[RegionSpec],
        accesses: int,
        remarks: list[str],
    ) -> None:
        super().__init__(feed.name, file, [], [feed.spec(regions)], remarks=remarks)
        self.feeds, self.accesses = [feed], accesses

    @property
    def length(self) -> int:
        """How many operations it executes."""
        return self.accesses + 1


class ReplayedProgram(Program):
    """Traces that are replayed, each a process of its own.

    `regions` are those of each; None: all addresses, mapped as `pages` says (None: in base pages).
    `warm_counts` are the counts of events when the warm-up was over, None until then.
    """

    __slots__ = ("feeds", "warm_counts")
    feeds: list[TraceFeed]

    def __init__(
        self,
        feeds: list[TraceFeed],
        space: Space,
        pages: TracePages | None = None,
        regions: list[list[RegionSpec]] | None = None,
    ) -> None:
        names = [feed.name for feed in feeds]
        file = feeds[0].file
        regions = regions or [everywhere(space, pages or TracePages(space.page_size)) for _ in feeds]
        specs = [feed.spec(own) for feed, own in zip(feeds, regions, strict=True)]
        super().__init__(", ".join(names), file, [], specs)
        self.feeds = feeds
        self.warm_counts: dict[str, int] | None = None

    @property
    def length(self) -> int | None:
        """About how many operations it executes, if that can be said."""
        guesses = [feed.estimate for feed in self.feeds]
        return None if None in guesses else sum(guess + 1 for guess in guesses if guess is not None)
