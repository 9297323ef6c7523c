"""The values that a timeline returns and keeps: positions, acting commands, reasons why a run ended."""

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
    """A position of the machine: operations executed, and events inside the current one; `12:4` as text."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.operations}:{self.events}"


class Crossing(namedtuple("Crossing", "operation row pid")):
    """An operation that the machine comes to: its time, its row in the program, its process (0: none)."""

    __slots__ = ()


class Action:
    """A change made by a command: one operation of the timeline, at `time`.

    `before` and `after` are the states around it, `events` its events, `changes` their amounts by name of the
    event.  `finished`: the operation in which the machine stood was finished first.  `branch`: the number of
    the branch that it began, or 0.  `command`: the command line that does it again.
    """

    __slots__ = ("after", "before", "branch", "changes", "command", "events", "finished", "name", "time")

    def __init__(self, name: str, time: int, before: Snapshot) -> None:
        self.name = self.command = name
        self.time = time
        self.before = self.after = before
        self.events: list[LoggedEvent] = []
        self.changes: dict[str, int] = {}
        self.finished = False
        self.branch = 0


class Arrival:
    """Why the machine halted.

    `kind` is an AT_ constant.  With AT_STOP `stops` are the stops that halted it and `event` is the event at
    which they did; None: they halted it before an operation.  `ended` are the processes that ended meanwhile.
    """

    __slots__ = ("back", "ended", "event", "kind", "stops", "values")

    def __init__(
        self,
        kind: str,
        stops: list[Stop] | None = None,
        event: LoggedEvent | None = None,
        ended: list[Ended] | None = None,
    ) -> None:
        self.kind, self.stops, self.event, self.ended = kind, stops or [], event, ended or []
        self.back = False  # did the machine go back in time?
        self.values: dict[
            int, tuple[int, int]
        ] = {}  # by number of a watchpoint: the old value and the new one

    @classmethod
    def at(cls, machine: Machine, stops: list[Stop], event: LoggedEvent) -> Arrival:
        """The arrival at an event at which stops hold: the machine stands there."""
        arrival = cls(AT_STOP, stops, event)
        arrival.values = {
            stop.number: stop.values(machine, event) for stop in stops if stop.values is not None
        }
        return arrival


class Moment:
    """A position with what is needed to come back to it.

    `snapshot` is the state between two operations; `events` is the number of the event inside the operation
    that is next there, 0 for none.
    """

    __slots__ = ("events", "snapshot")

    def __init__(self, snapshot: Snapshot, events: int) -> None:
        self.snapshot, self.events = snapshot, events


class Undone:
    """What one `undo` has removed: commands, the old end of the record, and the old position of the machine.

    `branch`: the number of the branch that still has them; 0: only this has.
    """

    __slots__ = ("actions", "branch", "end", "moment")

    def __init__(self, actions: list[Action], end: int, moment: Moment) -> None:
        self.actions, self.end, self.moment = actions, end, moment
        self.branch = 0
