"""What the timeline hands out and keeps: positions, acting commands, why a run ended."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.debugger.time.ended import Ended
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.machine.machine import Machine
    from vmdbg.machine.snapshot import Snapshot

# Why a run ended.
AT_LIMIT = "limit"  # as far as was asked for
AT_STOP = "stop"  # a stop holds
AT_END = "end"  # no process is left that could run
AT_INTERRUPT = "interrupt"  # Ctrl-C
AT_BEGIN = "begin"  # going back: the record begins here


class Position(namedtuple("Position", "operations events")):
    """Operations executed : events inside the current one."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.operations}:{self.events}"


class Crossing(namedtuple("Crossing", "operation row pid")):
    """An operation before which a stop may halt: its time, its row in the program, its process."""

    __slots__ = ()


class Action:
    """A change made by a command: one operation of the timeline.

    `changes` are numbers of events by name; `finished`: an operation had to be finished before it;
    `branch`: the number of the branch that it began, or 0; `line`: the command that does it again.
    """

    __slots__ = ("after", "before", "branch", "changes", "events", "finished", "line", "name", "time")

    def __init__(self, name: str, time: int, before: Snapshot) -> None:
        self.name = self.line = name
        self.time = time
        self.before = self.after = before
        self.events: list[LoggedEvent] = []
        self.changes: dict[str, int] = {}
        self.finished = False
        self.branch = 0


class Arrival:
    """Why the machine came to a halt: an AT_ constant; `stops` with the event that they stopped at."""

    __slots__ = ("back", "ended", "event", "kind", "stops", "values")

    def __init__(
        self,
        kind: str,
        stops: list[Stop] | None = None,
        event: LoggedEvent | None = None,
        ended: list[Ended] | None = None,
    ) -> None:
        self.kind, self.stops, self.event, self.ended = kind, stops or [], event, ended or []
        self.back = False  # was the machine going back?
        self.values: dict[int, tuple[int, int]] = {}  # of watchpoints by number: what was, and is

    @classmethod
    def at(cls, machine: Machine, stops: list[Stop], row: LoggedEvent) -> Arrival:
        """The machine is at the event at which stops hold."""
        arrival = cls(AT_STOP, stops, row)
        arrival.values = {stop.number: stop.values(machine, row) for stop in stops if stop.values is not None}
        return arrival


class Moment:
    """A state, and the number of the event that the machine goes on to from there."""

    __slots__ = ("events", "snapshot")

    def __init__(self, snapshot: Snapshot, events: int) -> None:
        self.snapshot, self.events = snapshot, events


class Undone:
    """Acting commands that were undone, the first of them by name, and where the machine was.

    `branch`: they are still there, on that branch.
    """

    __slots__ = ("actions", "branch", "end", "moment")

    def __init__(self, actions: list[Action], end: int, moment: Moment) -> None:
        self.actions, self.end, self.moment = actions, end, moment
        self.branch = 0
