"""Stops: what makes the machine halt.  They live outside of it and never change a digest."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.state.events import ACTION_LOG, ACTION_STOP, BY_NAME, EVENTS, MASK_STOPS, SIGNAL
from vmdbg.state.tables import (
    CONTROL_HIT,
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

    from vmdbg.debugger.happenings import Happening

CATCHPOINT = "catchpoint"
KEEP, DELETE, DISABLE = "keep", "del", "dis"
ANY = -1


class Pattern:
    """A row of the stop table: a kind of event and what is asked of it (ANY: nothing)."""

    __slots__ = ("cpu", "high", "kind", "low", "pid")

    def __init__(
        self, kind: int, pid: int = ANY, cpu: int = ANY, low: int | None = None, high: int | None = None
    ) -> None:
        self.kind, self.pid, self.cpu, self.low = kind, pid, cpu, low
        self.high = low if high is None else high

    def matches(self, row: Happening) -> bool:
        """Is the event one of these?"""
        if row.kind != self.kind or self.pid not in (ANY, row.pid) or self.cpu not in (ANY, row.cpu):
            return False
        return self.low is None or self.high is None or self.low <= row.a <= self.high


class Stop:
    """One stop with its number.

    `quick(happening)` decides by the event alone; `test(happening)` at the event itself; None: it always
    holds.  `condition` is the user's, asked after that by `holds`.  `before`: the machine halts at the
    start of the event's operation.  `aim` was made for one machine and is called with the next one.
    """

    def __init__(self, number: int, sort: str, what: str, patterns: list[Pattern], disposition: str) -> None:
        self.number, self.sort, self.what, self.patterns = number, sort, what, patterns
        self.disposition = disposition
        self.enabled = True
        self.hits = self.ignore = 0
        self.condition = ""
        self.commands: list[Any] = []
        self.before = False
        self.quick: Callable[[Happening], bool] | None = None
        self.test: Callable[[Happening], bool] | None = None
        self.holds: Callable[[Happening], bool] | None = None
        self.values: Callable[[Any, Happening], tuple[int, int]] | None = None  # what was, and is
        self.aim: Callable[[Any], None] | None = None

    @property
    def label(self) -> str:
        """`Catchpoint 1`, `Temporary catchpoint 1`."""
        word = self.sort if self.disposition != DELETE else f"temporary {self.sort}"
        return f"{word[:1].upper()}{word[1:]} {self.number}"


class Stops:
    """All stops of a session; numbers are never used again.

    `signals`: a process that is sent a signal halts the machine too.
    """

    def __init__(self) -> None:
        self.by_number: dict[int, Stop] = {}
        self.last = 0
        self.signals = Stop(0, "signal", "signal", [Pattern(SIGNAL)], KEEP)

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

    def install(self, m: Any, watch: bool, log: bool = False) -> None:
        """Write the stop rows and mask bytes, or none unless `watch`.

        With `log` no row halts the machine: the events that match are logged.
        """
        m.control[CONTROL_STOP] = 0
        m.control[CONTROL_HIT] = -1
        row = 0
        for stop in self.active if watch else ():
            for pattern in stop.patterns:
                if (row + 1) * STOP > len(m.stop):
                    raise UserError(f"Too many stops: there is room for {len(m.stop) // STOP}.")
                at = row * STOP
                m.mask[pattern.kind] |= MASK_STOPS
                m.stop[at + STOP_KIND], m.stop[at + STOP_PID] = pattern.kind, pattern.pid
                m.stop[at + STOP_CPU] = pattern.cpu
                m.stop[at + STOP_ACTION] = ACTION_LOG if log else ACTION_STOP
                m.stop[at + STOP_VALUE] = pattern.low is not None
                m.stop[at + STOP_LOW], m.stop[at + STOP_HIGH] = pattern.low or 0, pattern.high or 0
                row += 1
        m.control[CONTROL_STOPS] = row

    @staticmethod
    def remove(m: Any) -> None:
        """Take the rows and mask bytes out."""
        for event in EVENTS:
            m.mask[event.kind] &= ~MASK_STOPS
        m.control[CONTROL_STOPS] = 0

    def matching(self, row: Happening) -> list[Stop]:
        """The active stops that an event is one of, as far as it alone tells."""
        return [
            stop
            for stop in self.active
            if any(pattern.matches(row) for pattern in stop.patterns)
            and (stop.quick is None or stop.quick(row))
        ]

    def cross(self, stop: Stop, row: Happening) -> bool:
        """The machine is at an event of a stop: does it halt here?  Counts the crossing."""
        if stop.test is not None and not stop.test(row):
            return False
        if stop.holds is not None and not stop.holds(row):
            return False
        stop.hits += 1
        if stop.ignore:
            stop.ignore -= 1
            return False
        if stop.disposition == DELETE:
            self.delete(stop)
        elif stop.disposition == DISABLE:
            stop.enabled = False
        return True
