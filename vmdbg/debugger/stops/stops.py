"""Stops: what makes the machine halt.  They live outside of it and never change a digest."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import ANY, Pattern
from vmdbg.errors import UserError
from vmdbg.state.events import (
    ACTION_LOG,
    ACTION_STOP,
    BY_NAME,
    ENTRY_WRITE,
    EVENTS,
    MASK_LOG,
    MASK_STOPS,
    SIGNAL,
)
from vmdbg.state.tables import (
    CONTROL_HIT,
    CONTROL_LOGGED,
    CONTROL_NUMBERED,
    CONTROL_STOP,
    CONTROL_STOPS,
    STOP,
    STOP_ACTION,
    STOP_CPU,
    STOP_HIGH,
    STOP_KIND,
    STOP_LOW,
    STOP_PID,
    STOP_VALUE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from vmdbg.debugger.stops.conditions import Condition
    from vmdbg.debugger.time.event_log import LoggedEvent

CATCHPOINT = "catchpoint"
KEEP, DELETE, DISABLE = "keep", "del", "dis"
NO_ROWS: frozenset[int] = frozenset()


class Stop:
    """One stop with its number.

    It halts the machine at events (`patterns`), and before operations whose rows of the program are
    `marks`.  The events that these begin with are `openings`: they are caught instead where the stop asks for
    a process or for more, which events can be asked and marks cannot.
    `quick(event)` decides by the event alone; `test(event)` at the event itself; None: it always
    holds.  `condition` is the user's, asked after that.  `before`: the machine halts at the start of the
    event's operation.  `aim` was made for one machine and is called with the next one.  `action` is done
    where the stop holds, instead of halting: it prints `printed`.  `spelling`: the command that makes such a
    stop.

    Of a stop whose events change with the state, `follow(machine)` sets the patterns to what is to be caught
    in the present one; `find(events, width)` tells which events of a whole operation that accesses `width`
    bytes are meant, and `kinds` are theirs.
    """

    def __init__(self, number: int, sort: str, what: str, patterns: list[Pattern], disposition: str) -> None:
        self.number, self.sort, self.what, self.patterns = number, sort, what, patterns
        self.disposition = disposition
        self.spelling = self.address = self.printed = ""
        self.enabled = True
        self.hits = self.ignore = 0
        self.left = 0  # hits after which it is disabled; 0: no bound
        self.condition: Condition | None = None
        self.commands: list[Any] = []
        self.before = False
        self.pid = ANY
        self.marks: frozenset[int] = frozenset()
        self.openings: list[Pattern] = []
        self.quick: Callable[[LoggedEvent], bool] | None = None
        self.test: Callable[[LoggedEvent], bool] | None = None
        self.values: Callable[[Any, LoggedEvent], tuple[int, int]] | None = None  # what was, and is
        self.aim: Callable[[Any], None] | None = None
        self.follow: Callable[[Any], None] | None = None
        self.find: Callable[[list[LoggedEvent], int], list[LoggedEvent]] | None = None
        self.kinds: tuple[int, ...] = ()  # of the events that `find` tells
        self.action: Callable[[], None] | None = None
        self.complain: Callable[[str], None] = lambda text: None

    @property
    def label(self) -> str:
        """`Catchpoint 1`, `Temporary catchpoint 1`, `Access (read/write) watchpoint 2`."""
        word = {"acc watchpoint": "access (read/write) watchpoint"}.get(self.sort, self.sort)
        word = word if self.disposition != DELETE else f"temporary {word}"
        return f"{word[:1].upper()}{word[1:]} {self.number}"

    @property
    def asks_openings(self) -> bool:
        """Does it ask something that marks cannot be asked, but the events that its operations begin with?"""
        return self.pid != ANY or (self.condition is not None and self.condition.asks(self.openings))

    @property
    def rows(self) -> frozenset[int]:
        """Rows of the program that are marked for it."""
        return NO_ROWS if self.asks_openings else self.marks

    @property
    def caught(self) -> list[Pattern]:
        """The events that are caught for it."""
        return self.patterns + self.openings if self.openings and self.asks_openings else self.patterns

    @property
    def asked(self) -> list[Pattern]:
        """What the stop table is asked for: `caught`, restricted by what the condition asks of them."""
        if self.condition is None:
            return self.caught
        retargeting = [pattern for pattern in self.caught if pattern.retargets]
        others = [pattern for pattern in self.caught if not pattern.retargets]
        return retargeting + self.condition.restrict(others)

    @property
    def by_event(self) -> bool:
        """Does an event alone tell whether it holds?"""
        return (
            self.test is None
            and self.find is None
            and not self.before
            and (self.condition is None or self.condition.by_event)
        )

    def true(self, event: LoggedEvent | None, pid: int, operations: int) -> bool:
        """Does the condition hold?  One that cannot be computed does, and is told of, as GDB does."""
        if self.condition is None:
            return True
        try:
            return self.condition.holds(event, pid, operations)
        except UserError as error:
            self.complain(f"Error in testing condition for breakpoint {self.number}:\n{error}")
            return True

    def may_hold(self, event: LoggedEvent) -> bool:
        """Does it hold at an event, as far as that alone tells?"""
        return (
            self.condition is None
            or not self.condition.by_event
            or self.true(event, event.pid, event.operation)
        )

    def crossed(self) -> bool:
        """It holds: count that; does the machine halt?"""
        self.hits += 1
        if self.ignore:
            self.ignore -= 1
            return False
        if self.left:
            self.left -= 1
        if self.disposition == DISABLE and not self.left:
            self.enabled = False
        if self.action is not None:
            self.action()
            return False
        return True


class Stops:
    """All stops of a session; numbers are never used again.

    `signals`: a process that is sent a signal halts the machine too.  Without `numbering` events that stop
    compiled code, or are logged there, are numbered among those of the kinds that are caught.
    """

    def __init__(self) -> None:
        self.by_number: dict[int, Stop] = {}
        self.last = 0
        self.signals = Stop(0, "signal", "signal", [Pattern(SIGNAL)], KEEP)
        self.numbering = False  # give events their numbers inside operations, of whatever kind others are

    # -- making and finding

    def add(self, sort: str, what: str, patterns: list[Pattern], disposition: str = KEEP) -> Stop:
        """A new stop."""
        self.last += 1
        stop = self.by_number[self.last] = Stop(self.last, sort, what, patterns, disposition)
        return stop

    def catch(self, kind: str, pid: int = ANY, cpu: int = ANY, disposition: str = KEEP) -> Stop:
        """A stop at every event of a kind."""
        event = BY_NAME.get(kind)
        if event is None:
            raise UserError(f'Undefined event: "{kind}".')
        return self.add(CATCHPOINT, kind, [Pattern(event.kind, pid, cpu)], disposition)

    def get(self, number: int) -> Stop:
        """The stop of that number."""
        stop = self.by_number.get(number)
        if stop is None:
            raise UserError(f"No breakpoint number {number}.")
        return stop

    def delete(self, stop: Stop) -> None:
        """It is gone."""
        self.by_number.pop(stop.number, None)

    def aim(self, machine: Any) -> list[str]:
        """Another machine takes the place of the one before; what is to be said of stops it has no place
        for: they are disabled."""
        said = []
        for stop in self.by_number.values():
            if stop.aim is not None:
                try:
                    stop.aim(machine)
                except UserError as error:
                    stop.enabled = False
                    said.append(f"Breakpoint {stop.number} disabled: {error}")
        return said

    # -- at work

    @property
    def active(self) -> Iterable[Stop]:
        """The stops that may halt the machine."""
        return [stop for stop in (*self.by_number.values(), self.signals) if stop.enabled]

    def install(self, machine: Any) -> None:
        """Write the stop rows and mask bytes: the machine halts at the first event that matches a stop, and
        the events that match are logged."""
        patterns = self.patterns_for(machine)
        machine.m.control[CONTROL_LOGGED] = 0
        self.write_rows(machine, patterns, halting=True)

    def install_log(self, machine: Any, again: bool = False) -> None:
        """The same for a run in which stops do not halt the machine: events that match are logged.

        Only those that retarget a stop halt it.  After such a one they are installed `again`, and the log
        goes on.
        """
        patterns = self.patterns_for(machine)
        if not again:
            machine.m.control[CONTROL_LOGGED] = 0
        for pattern in patterns:
            if pattern.plain:  # what is asked nothing needs no row
                machine.m.mask[pattern.kind] |= MASK_LOG
        self.write_rows(machine, [pattern for pattern in patterns if not pattern.plain], halting=False)

    def patterns_for(self, machine: Any) -> list[Pattern]:
        """What the active stops ask of the stop table in the machine's present state."""
        active = self.active
        for stop in active:
            if stop.follow is not None:
                stop.follow(machine)
        return [pattern for stop in active for pattern in stop.asked]

    def write_rows(self, machine: Any, patterns: list[Pattern], halting: bool) -> None:
        """Make patterns the rows of the stop table: each halts the machine if all are `halting` or it
        retargets a stop."""
        if len(patterns) * STOP > len(machine.m.stop):
            machine.grow("stops", 2 * len(patterns))
        m = machine.m
        m.control[CONTROL_STOP] = 0
        m.control[CONTROL_HIT] = m.control[CONTROL_NUMBERED] = -1
        for row, pattern in enumerate(sorted(patterns, key=lambda pattern: pattern.kind)):
            at = row * STOP
            m.mask[pattern.kind] |= MASK_STOPS
            m.stop[at + STOP_KIND], m.stop[at + STOP_PID] = pattern.kind, pattern.pid
            m.stop[at + STOP_CPU] = pattern.cpu
            m.stop[at + STOP_ACTION] = ACTION_STOP if halting or pattern.retargets else ACTION_LOG
            m.stop[at + STOP_VALUE] = 0 if pattern.low is None else pattern.which
            m.stop[at + STOP_LOW], m.stop[at + STOP_HIGH] = pattern.low or 0, pattern.high or 0
        m.control[CONTROL_STOPS] = len(patterns)
        if self.numbering:
            for kind in range(len(EVENTS)):
                m.mask[kind] |= MASK_STOPS

    @staticmethod
    def remove(m: Any) -> None:
        """Take the rows and mask bytes out."""
        for event in EVENTS:
            m.mask[event.kind] = 0
        m.control[CONTROL_STOPS] = 0

    def matching(self, event: LoggedEvent) -> list[Stop]:
        """The active stops that an event is one of, as far as it alone tells."""
        return [
            stop
            for stop in self.active
            if any(pattern.matches(event) for pattern in stop.caught)
            and (stop.quick is None or stop.quick(event))
        ]

    def found(self, events: list[LoggedEvent], width: int) -> list[list[Stop]]:
        """For each event of a whole operation, which accesses `width` bytes, the active stops that it is
        one of, as far as the events alone tell."""
        meant = {stop: stop.find(events, width) for stop in self.active if stop.find is not None}
        return [
            [stop for stop in self.matching(event) if stop not in meant]
            + [stop for stop, theirs in meant.items() if any(event is other for other in theirs)]
            for event in events
        ]

    def concern(self, event: LoggedEvent) -> list[Stop]:
        """The active stops at which an event may hold that was caught for one of them."""
        matching = self.matching(event)
        return [
            stop
            for stop in self.active
            if (event.kind in (*stop.kinds, ENTRY_WRITE) if stop.find is not None else stop in matching)
        ]

    def marked(self) -> set[int]:
        """Rows of the program before whose operations a stop may halt."""
        return {row for stop in self.active for row in stop.rows}

    def at_row(self, row: int, pid: int) -> list[Stop]:
        """The active stops that halt before an operation of a process."""
        return [stop for stop in self.active if row in stop.rows and stop.pid in (ANY, pid)]

    def passes(self, events: list[LoggedEvent]) -> bool:
        """Does none of these events of one operation halt the machine, as far as they alone tell?

        Crossings that are ignored are counted then.
        """
        ignored: list[Stop] = []
        for event in events:
            for stop in self.matching(event):
                if not stop.by_event:
                    return False
                if stop.true(event, event.pid, event.operation):
                    ignored.append(stop)
        return self.ignore(ignored)

    def passes_row(self, row: int, pid: int, operations: int) -> bool:
        """The same of the stops before an operation."""
        ignored = []
        for stop in self.at_row(row, pid):
            if stop.condition is not None and not stop.condition.by_event:
                return False
            if stop.true(None, pid, operations):
                ignored.append(stop)
        return self.ignore(ignored)

    @staticmethod
    def ignore(stops: list[Stop]) -> bool:
        """Count a crossing of each, unless one of them is not to be ignored."""
        if any(stops.count(stop) > stop.ignore for stop in stops):
            return False
        for stop in stops:
            stop.crossed()
        return True

    def cross(self, stop: Stop, event: LoggedEvent) -> bool:
        """The machine is at an event of a stop: does it halt here?  Counts the crossing."""
        if stop.test is not None and not stop.test(event):
            return False
        return stop.true(event, event.pid, event.operation) and self.halts(stop)

    def cross_row(self, stop: Stop, pid: int, operations: int) -> bool:
        """The machine is before an operation of a stop: does it halt here?  Counts the crossing."""
        return stop.true(None, pid, operations) and self.halts(stop)

    def halts(self, stop: Stop) -> bool:
        """Count a crossing; a temporary stop is gone if it halts."""
        if not stop.crossed():
            return False
        if stop.disposition == DELETE:
            self.delete(stop)
        return True
