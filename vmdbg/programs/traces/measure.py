"""What is measured of a trace in one pass, interpreted or compiled: stack distances, and the working set.

Memory is bounded by the distinct pages (of the sample, where one is taken), not by the length of the trace.
"""

from __future__ import annotations

from itertools import pairwise

from vmdbg import progress
from vmdbg.engine import native
from vmdbg.engine.link import link
from vmdbg.engine.module import Layout
from vmdbg.errors import UserError
from vmdbg.kernel.access_patterns import LOW31
from vmdbg.programs.traces import page_numbers as words
from vmdbg.programs.traces.locality import Distances, Interval, WorkingSet, continued, in_pairs
from vmdbg.programs.traces.parser import AUTO, COMPILED, INTERPRETED, ROWS, Views, machine_code
from vmdbg.programs.traces.stack_distance import TOP, count_distances
from vmdbg.programs.traces.working_set import INTERVAL, follow_working_set
from vmdbg.state.tables import OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.programs.traces.parser import Parser

PATIENCE = 1 << 14  # rows that are measured interpreted before compiled code is worth its while
BYTES = {"q": 8, "I": 4}  # of an element
POWER = 10  # of two: words of the first hash table
COLUMNS = {"number": "I", "page": "q"}
GROUPS = 8  # of the pages of a sample, from which its error is estimated
MOST_INTERVALS = 100_000
KEPT = 512  # intervals that are kept if nobody says how long they are


class Measure:
    """Hot code that goes over the rows of a parser.

    `columns` are type codes of its tables; `sizes(power)` their elements, where the hash table has 2**`power`
    and half as many pages have room.
    """

    def __init__(
        self,
        parser: Parser,
        page_bits: int,
        function: Callable[..., int],
        columns: dict[str, str],
        sizes: Callable[[int], dict[str, int]],
    ) -> None:
        self.entry = function.__name__
        self.codes = {"op": "q", "measure": "q", **COLUMNS, **columns}
        self.sizes, self.power, self.done = sizes, POWER, 0
        self.engine = parser.engine
        self.buffers: dict[str, Any] = {"op": parser.buffers["op"]}
        self.words = memoryview(bytearray(8 * words.MEASURE_WORDS)).cast("q")
        self.buffers["measure"] = self.words.obj
        self.words[words.MEASURE_SHIFT] = page_bits
        self.words[words.MEASURE_BELOW] = LOW31 + 1
        self._run: Callable[[Any], int] = link({}, entry=self.entry)[self.entry]
        self._code: native.Code | None = None
        self._tables: native.Tables | None = None
        self.allot()

    def allot(self) -> None:
        """Tables for 2**(power - 1) pages, with what those have that they replace."""
        room = 1 << (self.power - 1)
        elements = {"number": 2 * room, "page": room + 1, **self.sizes(self.power)}
        for name, count in elements.items():
            buffer = bytearray(BYTES[self.codes[name]] * count)
            if name in self.buffers and name != "number":
                buffer[: len(self.buffers[name])] = self.buffers[name]
            self.buffers[name] = buffer
        self.words[words.MEASURE_MASK], self.words[words.MEASURE_ROOM] = 2 * room - 1, room
        self.words[words.MEASURE_GROWN] = 1
        self.m = Views()
        for name, code in self.codes.items():
            view: Any = memoryview(self.buffers[name])
            setattr(self.m, name, view.cast(code))
        self._tables = native.Tables(self.buffers, Layout(self.codes)) if self._code is not None else None

    @property
    def pages(self) -> int:
        """How many different pages there were so far."""
        return self.words[words.MEASURE_PAGES]

    def take(self, count: int) -> int:
        """Go over the first rows of the parser; how many of them are left there, which sampling changes."""
        self.words[words.MEASURE_AT], self.words[words.MEASURE_END] = 0, OP * count
        self.done += count
        late = self.engine == COMPILED or (self.engine == AUTO and self.done > PATIENCE)
        if self._code is None and late:
            self.compile()
        while True:
            if self._tables is not None and self._code is not None:
                self._code(self._tables)
            else:
                self._run(self.m)
            if self.words[words.MEASURE_AT] >= self.words[words.MEASURE_END]:
                return self.words[words.MEASURE_END] // OP
            assert self.pages == self.words[words.MEASURE_ROOM], "hot code stops for want of room only"
            self.power += 2
            self.allot()

    def compile(self) -> None:
        """Have machine code, if this Python can."""
        self._code = machine_code({}, self.entry, Layout(self.codes))
        if self._code is None:
            self.engine = INTERPRETED
        else:
            self._tables = native.Tables(self.buffers, Layout(self.codes))


def chunks(parser: Parser) -> Iterator[int]:
    """The number of rows of each chunk, with a line of progress."""
    with progress.task(f"Reading {parser.trace.shown}", "B", parser.trace.size or None) as task:
        while count := parser.chunk():
            yield count
            task.at(parser.trace.read_on_disk())


# -- stack distances


def distance_sizes(power: int) -> dict[str, int]:
    """Elements of the tables of `stack_distance`."""
    room = 1 << (power - 1)
    slots = dict.fromkeys(("owner", "tree"), 2 * room)
    return {"top": TOP, "slot": room + 1, **slots, "distance": room + TOP + 2}


def stack_of(parser: Parser, page_bits: int, first: int = 0, below: int = LOW31 + 1) -> Measure:
    """A measure of stack distances, of the pages whose hash is from `first` up to `below`."""
    columns = {"top": "q", "slot": "I", "owner": "I", "tree": "I", "distance": "q"}
    made = Measure(parser, page_bits, count_distances, columns, distance_sizes)
    made.words[words.MEASURE_FIRST], made.words[words.MEASURE_BELOW] = first, below
    return made


def distances(parser: Parser, page_bits: int, rate: float = 1.0) -> Distances:
    """The stack distances of a trace, read to its end, in pages of 2**`page_bits` bytes.

    With a `rate` below 1: of that part of the pages, chosen by a hash (SHARDS with a fixed rate: Waldspurger
    et al., Efficient MRC construction with SHARDS, FAST 2015).  InputError for a record that is none.
    """
    below = min(LOW31 + 1, max(1, round(rate * (LOW31 + 1))))
    if below > LOW31:
        stack, total = stack_of(parser, page_bits), 0
        for count in chunks(parser):
            total += count
            stack.take(count)
        return counted(stack, total, 1.0)
    chosen = Measure(parser, page_bits, words.keep_sampled, {}, lambda power: {})
    chosen.words[words.MEASURE_BELOW] = below
    bounds = [below * group // GROUPS for group in range(GROUPS + 1)]
    stacks = [stack_of(parser, page_bits)]
    stacks += [stack_of(parser, page_bits, *pair) for pair in pairwise(bounds)]
    total = 0
    for count in chunks(parser):
        total += count
        left = chosen.take(count)
        for stack in stacks:
            stack.take(left)
    rate = below / (LOW31 + 1)
    whole, *groups = [
        counted(stack, total, rate / (GROUPS if place else 1)) for place, stack in enumerate(stacks)
    ]
    whole.groups = groups
    return whole


def counted(stack: Measure, accesses: int, rate: float) -> Distances:
    """What a measure has counted."""
    counts = stack.m.distance.tolist()
    while counts and not counts[-1]:
        counts.pop()
    return Distances(accesses, stack.pages, counts, rate)


# -- the working set


def working_set_sizes(power: int) -> dict[str, int]:
    """Elements of the tables of `working_set`; `interval` has room for those of a whole chunk."""
    pages = (1 << (power - 1)) + 1
    return {"last": pages, "older": pages, "newer": pages, "interval": INTERVAL * (ROWS + 2)}


def working_set(parser: Parser, page_bits: int, window: int, every: int = 0) -> WorkingSet:
    """The working set of a trace, read to its end, over time.

    `window` are accesses, from 1.  There is an interval for each `every` accesses, the last may be shorter;
    0: a power of two of them, so that there are at most KEPT intervals.  InputError for a record that is
    none; UserError if there are more than MOST_INTERVALS.
    """
    step = every or 1
    columns = {"last": "q", "older": "I", "newer": "I", "interval": "q"}
    measure = Measure(parser, page_bits, follow_working_set, columns, working_set_sizes)
    measure.words[words.MEASURE_WINDOW] = window
    measure.words[words.MEASURE_EVERY] = measure.words[words.MEASURE_LEFT] = step
    found: list[Interval] = []
    for count in chunks(parser):
        measure.words[words.MEASURE_INTERVAL] = 0
        measure.take(count)
        found = continued(found, intervals(measure), step)
        if len(found) > MOST_INTERVALS:
            raise UserError(f"-every {every}: more than {MOST_INTERVALS} intervals.")
        while not every and len(found) > KEPT:
            found, step = in_pairs(found), 2 * step
        measure.words[words.MEASURE_EVERY] = step
        measure.words[words.MEASURE_LEFT] = step - found[-1].accesses % step
    return WorkingSet(window, step, measure.pages, found)


def intervals(measure: Measure) -> list[Interval]:
    """The rows of the table `interval`, which is cleared."""
    rows = measure.m.interval
    end = measure.words[words.MEASURE_INTERVAL] + INTERVAL
    taken = rows[:end].tolist()
    rows[:end] = memoryview(bytes(8 * end)).cast("q")
    found = [Interval(*taken[at : at + INTERVAL]) for at in range(0, end, INTERVAL)]
    return found if found[-1].accesses else found[:-1]
