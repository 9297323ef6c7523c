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
    """A breakpoint, watchpoint or catchpoint with its number.

    It may halt the machine at events that match one of `patterns`, and before operations whose rows in the
    program are `break_rows`.  A row cannot ask for a process, or what a condition asks.  Where that is
    asked (`asks_openings`) the machine halts instead at `openings`: the first events of these operations.

    It halts the machine if three tests are true, in this order (None counts as true): `quick(event)` needs
    only the event, `test(event)` needs the machine at the event, and `condition` is the user's.  With
    `before` the machine halts at the start of the event's operation.  Instead of halting it `action()` is
    called, if it is given: that prints `printed`.

    `aim(machine)` makes it a stop of another machine.  `spelling` is the command that makes such a stop.

    The events that some watchpoints want depend on the state: `follow(machine)` sets `patterns` for the
    present state.  `find(events, width)` gets all events of an operation, which accesses `width` bytes, and
    returns those that the stop is about; their kinds are `kinds`.
    """

    def __init__(self, number: int, sort: str, what: str, patterns: list[Pattern], disposition: str) -> None:
        self.number, self.sort, self.what, self.patterns = number, sort, what, patterns
        self.disposition = disposition
        self.spelling = self.address = self.printed = ""
        self.enabled = True
        self.hits = self.ignore = 0
        self.left = 0  # hits after which it is disabled; 0: no limit
        self.condition: Condition | None = None
        self.commands: list[Any] = []
        self.before = False
        self.pid = ANY
        self.break_rows: frozenset[int] = frozenset()
        self.openings: list[Pattern] = []
        self.quick: Callable[[LoggedEvent], bool] | None = None
        self.test: Callable[[LoggedEvent], bool] | None = None
        self.values: Callable[[Any, LoggedEvent], tuple[int, int]] | None = None  # the old and the new value
        self.aim: Callable[[Any], None] | None = None
        self.follow: Callable[[Any], None] | None = None
        self.find: Callable[[list[LoggedEvent], int], list[LoggedEvent]] | None = None
        self.kinds: tuple[int, ...] = ()  # of the events that `find` may return
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
        """Does it ask for a process, or for a condition that needs the first event of the operation?"""
        return self.pid != ANY or (self.condition is not None and self.condition.asks(self.openings))

    @property
    def rows(self) -> frozenset[int]:
        """Rows of the program before whose operations it halts the machine."""
        return NO_ROWS if self.asks_openings else self.break_rows

    @property
    def caught(self) -> list[Pattern]:
        """The events at which it may halt the machine."""
        return self.patterns + self.openings if self.openings and self.asks_openings else self.patterns

    @property
    def asked(self) -> list[Pattern]:
        """`caught`, with the part of the condition that the stop table can ask."""
        if self.condition is None:
            return self.caught
        retargeting = [pattern for pattern in self.caught if pattern.retargets]
        others = [pattern for pattern in self.caught if not pattern.retargets]
        return retargeting + self.condition.restrict(others)

    @property
    def by_event(self) -> bool:
        """Can it be decided from an event alone whether the stop holds?"""
        return (
            self.test is None
            and self.find is None
            and not self.before
            and (self.condition is None or self.condition.by_event)
        )

    def condition_holds(self, event: LoggedEvent | None, pid: int, operations: int) -> bool:
        """Does the condition hold at an event, or (None) at the start of an operation of a process?

        As in GDB, a condition that cannot be computed counts as true, and the user is shown the error.
        """
        if self.condition is None:
            return True
        try:
            return self.condition.holds(event, pid, operations)
        except UserError as error:
            self.complain(f"Error in testing condition for breakpoint {self.number}:\n{error}")
            return True

    def may_hold(self, event: LoggedEvent) -> bool:
        """May it hold at an event?  Only what needs no machine is tested."""
        return (
            self.condition is None
            or not self.condition.by_event
            or self.condition_holds(event, event.pid, event.operation)
        )

    def count_crossing(self) -> bool:
        """Count that the machine came to where it holds; does it halt the machine now?"""
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
        """Remove a stop, unless it is removed already."""
        self.by_number.pop(stop.number, None)

    def aim(self, machine: Any) -> list[str]:
        """Aim all stops at another machine.  A stop that is not possible there is disabled; returns a line to
        show for each of them."""
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
            if pattern.plain:  # every event of the kind matches: the mask alone logs them
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
        """The active stops that may hold at an event; only what needs no machine is tested."""
        return [
            stop
            for stop in self.active
            if any(pattern.matches(event) for pattern in stop.caught)
            and (stop.quick is None or stop.quick(event))
        ]

    def matching_each(self, events: list[LoggedEvent], width: int) -> list[list[Stop]]:
        """As `matching`, for each of all events of an operation, which accesses `width` bytes: then `find` of
        a stop can tell."""
        chosen = {stop: stop.find(events, width) for stop in self.active if stop.find is not None}
        return [
            [stop for stop in self.matching(event) if stop not in chosen]
            + [stop for stop, theirs in chosen.items() if any(event is other for other in theirs)]
            for event in events
        ]

    def matching_caught(self, event: LoggedEvent) -> list[Stop]:
        """As `matching`, for an event that was logged without the others of its operation: a stop with `find`
        may mean it, or another event of that operation."""
        matching = self.matching(event)
        return [
            stop
            for stop in self.active
            if (event.kind in (*stop.kinds, ENTRY_WRITE) if stop.find is not None else stop in matching)
        ]

    def break_rows(self) -> set[int]:
        """Rows of the program before whose operations a stop may halt."""
        return {row for stop in self.active for row in stop.rows}

    def at_row(self, row: int, pid: int) -> list[Stop]:
        """The active stops that halt before an operation of a process."""
        return [stop for stop in self.active if row in stop.rows and stop.pid in (ANY, pid)]

    def passes(self, events: list[LoggedEvent]) -> bool:
        """Do these events of one operation alone show that no stop halts the machine?

        If so, crossings of stops with an ignore count are counted.
        """
        ignored: list[Stop] = []
        for event in events:
            for stop in self.matching(event):
                if not stop.by_event:
                    return False
                if stop.condition_holds(event, event.pid, event.operation):
                    ignored.append(stop)
        return self.count_ignored(ignored)

    def passes_row(self, row: int, pid: int, operations: int) -> bool:
        """As `passes`, for the stops that halt before an operation."""
        ignored = []
        for stop in self.at_row(row, pid):
            if stop.condition is not None and not stop.condition.by_event:
                return False
            if stop.condition_holds(None, pid, operations):
                ignored.append(stop)
        return self.count_ignored(ignored)

    @staticmethod
    def count_ignored(stops: list[Stop]) -> bool:
        """Count a crossing for each of these, if each has that many to ignore; else False."""
        if any(stops.count(stop) > stop.ignore for stop in stops):
            return False
        for stop in stops:
            stop.count_crossing()
        return True

    def halts_at(self, stop: Stop, event: LoggedEvent) -> bool:
        """Does a stop halt the machine, which is at an event that matches it?  Counts the crossing."""
        if stop.test is not None and not stop.test(event):
            return False
        return stop.condition_holds(event, event.pid, event.operation) and self.count_crossing(stop)

    def halts_before(self, stop: Stop, pid: int, operations: int) -> bool:
        """Does a stop halt the machine before an operation whose row it names?  Counts the crossing."""
        return stop.condition_holds(None, pid, operations) and self.count_crossing(stop)

    def count_crossing(self, stop: Stop) -> bool:
        """Count a crossing of a stop; does it halt the machine?  A temporary one is removed then."""
        if not stop.count_crossing():
            return False
        if stop.disposition == DELETE:
            self.delete(stop)
        return True
