"""Tables of events, and what is said when the machine comes to a halt."""

from __future__ import annotations

from vmdbg.debugger.time.types import AT_BEGIN, AT_END, AT_INTERRUPT
from vmdbg.inspect.event_costs import PARTS, CostSum, cost_by_part, counts_of, how_done
from vmdbg.inspect.event_words import UNSIGNED_NAMES, EventWords
from vmdbg.inspect.machine import cpu_in_use
from vmdbg.inspect.signals import signal_help, signal_name
from vmdbg.units import WORD_MASK
from vmdbg.views.document import Document
from vmdbg.views.result import ADDRESS, DATA, NUMBER, SAMPLE, Column, Result, Table, chunks, folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.debugger.time.ended import Ended
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.location import Location
    from vmdbg.debugger.time.types import Arrival, Position
    from vmdbg.machine.machine import Machine
    from vmdbg.views.result import Line


WIDTH = 80
TAB = 8  # columns of a line number, as GDB's tab
COLUMNS = (
    Column("time"),
    Column("event"),
    Column("what"),
    Column("cycles", kind=NUMBER),
    Column("cpu", kind=NUMBER),
    Column("pid", kind=NUMBER),
    Column("arguments", kind=DATA),
)
HEADERS = ("time", "event")


class EventTable(Result):
    """Events as rows; `grouped`: the steps of a walk share a line.  A single row has no header.

    `words` says what they were; by default of the machine as it is.  `width` is that of the text.
    """

    def __init__(
        self,
        machine: Machine,
        rows: Iterable[LoggedEvent],
        grouped: bool = False,
        words: EventWords | None = None,
        width: int = WIDTH,
    ) -> None:
        self.words, self.rows, self.width = words or EventWords(machine), rows, width
        self.grouped = grouped and self.words.has_levels

    def data(self) -> Any:
        return (self.row_data(row) for row in self.rows)

    def row_data(self, row: LoggedEvent) -> dict[str, Any]:
        """One event as JSON shows it."""
        arguments = {
            name: value & WORD_MASK if name in UNSIGNED_NAMES else value
            for name, value in row.arguments.items()
        }
        return {
            "time": f"{row.operation}:{row.number}",
            "event": row.name,
            "what": self.words.what(row),
            "cycles": self.words.cost(row),
            "cpu": row.cpu,
            "pid": row.pid,
            "arguments": arguments,
        }

    def table(self) -> tuple[Sequence[Column], Iterator[Sequence[Any]]]:
        keys = [column.key for column in COLUMNS[:-1]]
        rows = (self.row_data(row) for row in self.rows)
        return COLUMNS[:-1], ([row[key] for key in keys] for row in rows)

    def columns_by_key(self) -> dict[str, Column]:
        return {key: Column(key, kind=ADDRESS) for key in UNSIGNED_NAMES}

    def groups(self) -> Iterator[list[LoggedEvent]]:
        """The rows that one line tells."""
        held: list[LoggedEvent] = []
        for row in self.rows:
            joins = self.grouped and row.declaration.is_step
            if held and not (joins and held[-1].name == row.name and row.number == held[-1].number + 1):
                yield held
                held = []
            held.append(row)
            if not joins:
                yield held
                held = []
        if held:
            yield held

    def cells(self, rows: list[LoggedEvent]) -> tuple[str, str, str, int | None]:
        """Time, event, what, cycles of one line."""
        first, last = rows[0], rows[-1]
        time = f"{first.operation}:{first.number}"
        if last is first:
            short = self.grouped and first.name == "walk-step"
            what = self.words.walk(rows) if short else self.words.what(first)
            return time, first.name, what, self.words.cost(first)
        return f"{time}-{last.number}", first.name, self.words.walk(rows), self.words.total(rows)

    def lines(self) -> Iterator[Line]:
        header, widths = False, [0, 0]
        for number, cells in enumerate(chunks((self.cells(rows) for rows in self.groups()), SAMPLE)):
            widths = [max(widths[place], *[len(row[place]) for row in cells]) for place in (0, 1)]
            if number == 0 and len(cells) > 1:
                header = True
                widths = [max(width, len(name)) for width, name in zip(widths, HEADERS, strict=True)]
                room = self.width - sum(widths) - 4
                yield [("title", f"{'time':{widths[0]}}  {'event':{widths[1]}}  {'what':{room - 6}}cycles")]
            yield from self.chunk_lines(cells, widths, header)

    def chunk_lines(
        self, cells: list[tuple[str, str, str, int | None]], widths: list[int], header: bool
    ) -> Iterator[Line]:
        """The lines of some rows below each other."""
        room = self.width - sum(widths) - 4  # for what is said and the cycles
        for time, name, what, cycles in cells:
            cost = ("-" if cycles is None else str(cycles)) if header or cycles is not None else ""
            said, *more = folded([what], room - (len(cost) + 2 if cost else 0))
            line = [("", f"{time:{widths[0]}}  "), ("event", f"{name:{widths[1]}}"), ("", f"  {said[0]}")]
            if cost:
                line.append(("", f"{cost:>{room - len(said[0])}}"))
            yield line
            yield from (" " * (sum(widths) + 4) + text for (text,) in more)


# -- where the machine stands


def banner(machine: Machine, position: Position, location: Location | None) -> Iterator[Line]:
    """`3:0  process 1, tutorial16.vmp:7` and the line of the program; just the time without a process."""
    if location is None:
        yield [("time", str(position))]
        return
    number = cpu_in_use(machine)
    cpu = "" if number is None else f"cpu {number}, "
    where = f", {location.file}" + (f":{location.line}" if location.line else "") if location.file else ""
    yield [("time", str(position)), ("", f"  {cpu}process {location.pid}{where}")]
    line = str(location.line) if location.line else ""
    yield f"{line:{TAB - 1}} {location.source or location.operation}"


def banner_data(position: Position, location: Location | None) -> dict[str, Any]:
    """The same as JSON shows it."""
    data: dict[str, Any] = dict.fromkeys(("time", "pid", "name", "file", "line", "operation"))
    data["time"] = str(position)
    if location is not None:
        data |= {
            "pid": location.pid,
            "name": location.name,
            "file": location.file or None,
            "line": location.line or None,
            "operation": location.operation,
        }
    return data


def ended_lines(ended: list[Ended]) -> Iterator[Line]:
    """What GDB says of a process that has ended."""
    for process in ended:
        who = f"Process {process.pid} ({process.name})"
        if process.status > 128:
            yield f"{who} terminated with signal {signal_words(process.status - 128)}{cause_text(process)}."
        elif process.status:
            yield f"[{who} exited with code {process.status:02o}]"
        else:
            yield f"[{who} exited normally]"


def signal_words(number: int) -> str:
    """`SIGSEGV, Segmentation fault`."""
    described = signal_help(number)
    return signal_name(number) + (f", {described}" if described else "")


def cause_text(process: Ended) -> str:
    """Why a process was killed that did nothing wrong itself, after a colon."""
    if process.at_limit:
        return f": it is at its limit, {process.limit} frame{'' if process.limit == 1 else 's'}"
    why = "the policy names no page that can leave" if process.by_policy else "no page can leave"
    return (
        f": no frame is free and {why}, and its score, {process.score}, is the highest"
        if process.cause
        else ""
    )


def arrival_lines(machine: Machine, arrival: Arrival) -> Iterator[Line]:
    """Why the machine halted, before the banner: every stop that holds, a signal, Ctrl-C."""
    yield from ended_lines(arrival.ended)
    row = arrival.event
    for stop in arrival.stops:
        if stop.before and not stop.number:
            continue  # of "until": nothing to say
        yield ""
        if stop.before:
            yield f"{stop.label}, {stop.what}"
            continue
        assert row is not None
        if stop.values is not None or stop.sort == "watchpoint":
            yield from watch_lines(EventWords(machine), arrival, stop, row)
        elif stop.number:
            yield f"{stop.label}, {row.name}: {row.declaration.head or EventWords(machine).what(row)}"
        else:
            yield f"Process {row.pid} received signal {signal_words(row.a)}."
    if arrival.kind == AT_INTERRUPT:
        yield ""
        yield "Program received signal SIGINT, Interrupt."
    elif arrival.kind == AT_BEGIN:
        yield ""
        yield "No more reverse-execution history."
    elif arrival.kind == AT_END and not arrival.ended:
        yield "The program has ended."


def watch_lines(words: EventWords, arrival: Arrival, stop: Stop, row: LoggedEvent) -> Iterator[Line]:
    """What a watchpoint saw, in GDB's words; going back, old and new change places."""
    yield f"{stop.label}: {stop.what}"
    yield ""
    values = arrival.values.get(stop.number)
    if values is None:
        yield f"{row.name}: {words.what(row)}"
        return
    shown = [words.watched_text(row, value) for value in values]
    old, new = reversed(shown) if arrival.back else shown
    if values[0] == values[1]:
        yield f"Value = {new}"
        return
    yield f"Old value = {old}"
    yield [("", f"New value = {new}"), ("changed", changed_flags(old, new))]


def changed_flags(old: str, new: str) -> str:
    """`  (+A +D -RW)`: flags that an entry has got and lost, by the two texts; nothing if one is no leaf."""
    before, after = (text.partition("  ")[2].split() for text in (old, new))
    if not (before and after) or {before[0], after[0]} & {"empty", "not", "slot"}:
        return ""
    marks = [f"+{flag}" for flag in after if flag not in before]
    marks += [f"-{flag}" for flag in before if flag not in after]
    return f"  ({' '.join(marks)})" if marks else ""


def operation_words(text: str) -> str:
    """An operation without the value that it writes."""
    return text.split(",", maxsplit=1)[0]


def cost_table(machine: Machine, operations: list[tuple[int, str, list[LoggedEvent]]]) -> Table:
    """A row for each operation: time, text and events of each are given."""
    words = EventWords(machine)
    columns = [Column("time", kind=NUMBER, align="<"), Column("operation")]
    columns += [Column(part, f"{part:>4}", kind=NUMBER) for part in PARTS]
    columns += [Column("cycles", kind=NUMBER), Column("how")]
    spent: list[int] = []

    def rows() -> Iterator[list[object]]:
        for operation in operations:
            row = cost_row(words, *operation)
            spent.append(int(row[-2]))  # type: ignore[call-overload]
            yield row

    def notes() -> list[str]:
        if len(spent) < 2:
            return []
        found = CostSum(words, counts_of(row for *_, rows in operations for row in rows))
        return [total_line(spent, found.instructions, found.mpki), *formula_lines(found.formula())]

    return Table(columns, rows(), notes=notes, empty="No operation was executed.")


def cost_sum(machine: Machine, first: int, last: int, counts: Mapping[str, int]) -> Document:
    """What the operations from `first` to `last` cost together, by the counts of their events."""
    found = CostSum(EventWords(machine), counts)
    columns = [Column("what", "spent on"), Column("count", "times", NUMBER), Column("each", kind=NUMBER)]
    columns += [Column("cycles", kind=NUMBER)]
    rows = [[term.what, term.count, term.each, term.count * term.each] for term in found.terms]

    def lines() -> Iterator[Line]:
        shares = [f"{row[-1] / found.accesses:.3f}" if found.accesses else "-" for row in rows]
        shown = [*columns, Column("share", "an access", align=">")]
        yield from Table(shown, [[*row, share] for row, share in zip(rows, shares, strict=True)]).lines()
        rate = instruction_words(found.instructions, found.mpki)
        number, accesses = last - first + 1, found.accesses
        said = f"{number} operation{'s' * (number != 1)}, {accesses} access{'es' * (accesses != 1)}"
        yield f"{said}: {found.cycles} cycles{rate}."
        yield from formula_lines(found.formula())

    return Document(lambda: {"first": first, "last": last, **found.data()}, lines, columns, lambda: rows)


def formula_lines(formula: str) -> list[str]:
    """A formula in lines that fit the screen, cut at its plus signs; none if it is empty."""
    first, *more = formula.split(" + ")
    lines = [first]
    for term in more:
        if len(lines[-1]) + len(term) + 5 > WIDTH:
            lines += [f"  + {term}"]
        else:
            lines[-1] += f" + {term}"
    return lines if formula else []


def instruction_words(instructions: int, mpki: float | None) -> str:
    """`; 2 instructions, MPKI 500.0`; nothing without instructions."""
    what = "1 instruction" if instructions == 1 else f"{instructions} instructions"
    return f"; {what}, MPKI {mpki}" if instructions else ""


def total_line(spent: list[int], instructions: int, mpki: float | None) -> str:
    """`4 operations: 3246 cycles, 811.5 each; 2 instructions, MPKI 500.0.`"""
    total = sum(spent)
    mean = f"{total / len(spent):.1f}".removesuffix(".0")
    rate = instruction_words(instructions, mpki)
    return f"{len(spent)} operations: {total} cycles, {mean} each{rate}."


def cost_row(words: EventWords, time: int, text: str, rows: list[LoggedEvent]) -> list[object]:
    """The cells of one operation; a part that costs nothing is None."""
    spent = cost_by_part(words, rows)
    parts = [spent[part] or None for part in PARTS]
    return [time, operation_words(text), *parts, sum(spent.values()), how_done(rows)]
