"""The timeline of one machine: where it stands, running it on and back, changing it.

A position is operations executed and events inside the current one: `12:4`.  Between operations the
machine is whole; inside one it is as it was at the instant of that event, and `base` is the state at
the operation's start, from which everything about the operation is run again.
"""

from __future__ import annotations

import time

from vmdbg.debugger.stops.breakpoints import opening, width_of
from vmdbg.debugger.time import event_log
from vmdbg.debugger.time.actions import Changing
from vmdbg.debugger.time.cursor import NOT_RUN
from vmdbg.debugger.time.endless import Watch
from vmdbg.debugger.time.location import current_process, next_row
from vmdbg.debugger.time.runner import FOREVER
from vmdbg.debugger.time.single_events import events_from_here
from vmdbg.debugger.time.types import AT_END, AT_INTERRUPT, AT_LIMIT, AT_STOP, Action, Arrival, Crossing
from vmdbg.errors import UserError
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.exits import REASON_IDLE
from vmdbg.kernel.scheduler import OP_KIND
from vmdbg.machine import op_breakpoints
from vmdbg.state.tables import CONTROL_HIT, CONTROL_LOGGED, CONTROL_STOP, OP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.debugger.stops.stops import Stop, Stops
    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.types import Position
    from vmdbg.machine.machine import Machine

MOST_CROSSINGS = 2000  # of marks that a log notes: each takes the machine out of the compiled engine


class Timeline(Changing):
    """The history of one machine, and the only one who runs or changes it; made as `Changing` is."""

    def __init__(
        self,
        machine: Machine,
        stops: Stops,
        tell: Callable[..., None] = lambda line, **how: None,
        confirm: Callable[[str], bool] = lambda question: True,
    ) -> None:
        super().__init__(machine, tell, confirm)
        self.stops = stops
        self._forks: bool | None = None  # is there a fork in the program?
        self._endless = Watch()
        self._halt: tuple[Position, list[Stop]] | None = None  # where stops halted it on its way forwards

    # -- the record

    @property
    def future(self) -> bool:
        """Did the machine go further than where it stands now?"""
        return (self.machine.operations, self.inside) < (self.end, 0)

    def operation_events(self) -> list[LoggedEvent]:
        """All events of the operation in which the machine stands, or that is next; it stays there."""
        with self.runner.interrupts:
            moment = self.moment()
            self.to_base()
            rows = self.whole() if live_processes(self.machine.k) else []
            self.put(moment)
            return rows

    def note_end(self) -> None:
        """The machine may have come further than ever."""
        if self.machine.operations > self.end:
            self.end = self.machine.operations
            self.undone.clear()

    # -- forwards

    def action_at(self, time: int) -> Action | None:
        """The acting command that is the operation of that time."""
        action = self.next_action(time)
        return action if action is not None and action.time == time else None

    def next_action(self, time: int) -> Action | None:
        """The first acting command of the history at or after a time."""
        return next((action for action in self.actions if action.time >= time), None)

    def advance(
        self,
        limit: int,
        watch: bool = False,
        hurry: bool = False,
        log: list[Crossing] | None = None,
        past: int = -1,
    ) -> str:
        """Run to `limit` operations executed, from between two operations; why it ended.

        With `watch` a stop may end it earlier: then CONTROL_HIT says in which operation, and the state is to
        be restored.  With `log` nothing does: events that stops match are in the machine's log, operations
        before which one halts in the list; it ends where either is too long.  Marks at operation `past` are
        passed.  In a `hurry` Ctrl-C has to wait.
        """
        machine, runner, stops = self.machine, self.runner, self.stops
        watched = watch or log is not None
        stops.install(machine, watched, log is not None)
        marked = stops.marked() if watched else set()
        begun = machine.operations
        try:
            while machine.operations < limit:
                self.arrange(begun)
                now = begun = machine.operations
                if self.checkpoints.wants(now, runner.ran):
                    self.check_point(now)
                remark = self._endless.remark(machine) if limit == FOREVER else ""
                if remark:
                    self.runner.tell(remark, unattended=True)
                if not hurry and runner.interrupts.take():
                    return AT_INTERRUPT
                action = self.next_action(now)
                if action is not None and action.time == now:
                    machine.restore(action.after)
                    continue
                if watch:
                    machine.m.control[CONTROL_LOGGED] = 0
                goal = min([limit, *(t for t in (action.time if action else now, self.booted) if t > now)])
                reason = self.slice(goal, marked) if now != past else runner.slice(now + 1)
                if machine.m.control[CONTROL_STOP] < 0:
                    if not self.passes_mark(log):
                        return AT_STOP
                    reason = runner.slice(machine.operations + 1)
                if machine.m.control[CONTROL_STOP] and log is not None:
                    stops.install(machine, watched, log=True, again=True)
                elif machine.m.control[CONTROL_STOP] and not self.passes_events():
                    return AT_STOP
                if log is not None and (len(log) > MOST_CROSSINGS or event_log.overflowed(machine.m)):
                    return AT_LIMIT
                if reason == REASON_IDLE:
                    return AT_END
            self.arrange(begun)
            return AT_LIMIT
        finally:
            stops.remove(machine.m)

    def check_point(self, now: int) -> None:
        """Keep a copy of the state."""
        started = time.monotonic()
        self.checkpoints.add(now, self.machine.snapshot())
        self.checkpoints.took(time.monotonic() - started, self.runner.ran)

    def slice(self, goal: int, rows: set[int]) -> int:
        """Run towards `goal` for a while, or to before an operation of these rows."""
        if not rows:
            return self.runner.slice(goal)
        op_breakpoints.put(self.machine, rows)
        try:
            return self.runner.slice(goal)
        finally:
            op_breakpoints.take(self.machine)

    def passes_mark(self, log: list[Crossing] | None) -> bool:
        """The machine came to a mark: does it go on?  With a `log` it does, and that is noted."""
        machine = self.machine
        pid = current_process(machine)
        crossing = Crossing(machine.operations, next_row(machine, pid), pid)
        if log is not None:
            log.append(crossing)
            return True
        return self.stops.passes_row(crossing.row, pid, crossing.operation)

    def passes_events(self) -> bool:
        """A stop row matched: does the machine go on, as far as the events alone tell?"""
        m = self.machine.m
        return not event_log.overflowed(m) and self.stops.passes(event_log.read_log(m))

    def forward(self, limit: int = FOREVER, watch: bool = True, fresh: bool = False) -> Arrival:
        """Run to `limit` operations executed, or to the first stop that holds.

        A stop before the operation at which the machine stands holds only for a `fresh` start.
        """
        with self.runner.interrupts:
            self.runner.begin()
            self._endless.start(self.machine)
            alive = live_processes(self.machine.k)
            arrival = self.to_stop(limit, watch, fresh)
            self.note_end()
            arrival.ended = self.ended(alive)
            self._halt = (self.position, arrival.stops) if arrival.event is not None else None
            return arrival

    def halted_by(self) -> list[Stop]:
        """The stops that halted the machine at the event after which it stands: going back from there they
        do not hold for it again."""
        return self._halt[1] if self._halt is not None and self._halt[0] == self.position else []

    def to_stop(self, limit: int, watch: bool, fresh: bool = False) -> Arrival:
        """As `forward`, without the accounts."""
        start = -1 if fresh or self.inside else self.machine.operations
        if self.inside:
            found = self.search(self.inside, watch)
            if found is not None:
                return found
        while True:
            why = self.advance(limit, watch, past=start)
            if why != AT_STOP:
                return Arrival(why)
            hit = self.machine.m.control[CONTROL_HIT]
            self.travel(hit)
            found = self.search(0, watch, before=hit != start)
            if found is not None:
                return found

    def search(self, passed: int, watch: bool, before: bool = True) -> Arrival | None:
        """Execute the current operation whole, unless a stop holds at an event after `passed`.

        `before`: stops that halt at the operation's start are asked too.
        """
        self.to_base()
        base = self.machine.snapshot()
        self.near = self.machine.operations, base
        crossed = self.cross_row() if watch and before and not passed else []
        width = self.access_width()
        rows = self.whole(base)
        first = opening(rows) if before and not passed else None
        for row, found in zip(rows, self.stops.found(rows, width) if watch else [], strict=False):
            stops = [stop for stop in found if row is first or not (stop.before or crossed)]
            if stops and row.number > passed:
                self.leave()
                self.machine.restore(base)
                self.enter(row.number, base)
                held = [stop for stop in stops if self.stops.cross(stop, row)]
                if held and not any(stop.before for stop in [*crossed, *held]):
                    return Arrival.at(self.machine, held, row)
                crossed += [stop for stop in held if stop.before]
        if crossed:
            self.leave()
            self.machine.restore(base)
            return Arrival(AT_STOP, crossed)
        self.settle()
        return None

    def access_width(self) -> int:
        """Bytes that the operation accesses at whose start the machine stands."""
        pid = current_process(self.machine)
        return width_of(self.machine.m.op[next_row(self.machine, pid) * OP]) if pid else 1

    def cross_row(self) -> list[Stop]:
        """The stops that halt the machine before the operation at whose start it stands; crossings count."""
        pid = current_process(self.machine)
        stops = self.stops.at_row(next_row(self.machine, pid), pid) if pid else []
        return [stop for stop in stops if self.stops.cross_row(stop, pid, self.machine.operations)]

    def landed(self, arrival: Arrival) -> Arrival:
        """The machine came as far as was asked for; a stop before the next operation is a reason, too."""
        if arrival.kind == AT_LIMIT and not self.inside:
            crossed = self.cross_row()
            if crossed:
                return Arrival(AT_STOP, crossed, ended=arrival.ended)
        return arrival

    # -- one event, one operation

    def step_events(self, count: int) -> list[LoggedEvent]:
        """Go `count` events on; the events.  Fewer if no process is left."""
        return list(events_from_here(self, count))

    def step(self, count: int, over: bool = False) -> Arrival:
        """Go on by `count` operations of the current process, however many others run between.

        With `over` a range of accesses counts as one.
        """
        pid = self.require_process()
        with self.runner.interrupts:
            self.runner.begin()
            alive = live_processes(self.machine.k)
            arrival = Arrival(AT_LIMIT)
            while count > 0 and arrival.kind == AT_LIMIT and pid in live_processes(self.machine.k):
                row = self.row_of(pid) if over else -1
                arrival, executed = self.step_some(pid, 1 if over else count)
                if executed and not (over and arrival.kind == AT_LIMIT and self.row_of(pid) == row):
                    count -= executed
            self.note_end()
            arrival.ended = self.ended(alive)
            return arrival

    def step_some(self, pid: int, count: int) -> tuple[Arrival, int]:
        """Run to a stop, or on by at most `count` operations of a process; how many it executed."""
        if self.inside:
            ours = self.base_place is not None and self.base_place.pid == pid
            return self.search(self.inside, watch=True) or Arrival(AT_LIMIT), int(ours)
        before = self.machine.operations
        ours = current_process(self.machine) == pid
        stride = count if count > 1 and ours and self.alone() else 1
        arrival = self.to_stop(before + stride, watch=True)
        return arrival, self.machine.operations - before if ours else 0

    def alone(self) -> bool:
        """Is there one process, and will there be no other?"""
        if len(live_processes(self.machine.k)) != 1:
            return False
        if self._forks is None:
            from vmdbg.kernel.calls.syscalls import OP_FORK

            self._forks = any(word & OP_KIND == OP_FORK for word in self.machine.m.op[::OP])
        return not self._forks

    # -- going to a time

    def travel(self, time: int) -> None:
        """Be at the start of an operation that was executed, or at the end of the record."""
        self.leave()
        known, snapshot = self.checkpoints.before(time)
        if self.near is not None and known < self.near[0] <= time:
            known, snapshot = self.near
        for action in self.actions:
            if known <= action.time < time:
                known, snapshot = action.time + 1, action.after
        self.machine.restore(snapshot)
        if self.machine.operations < time:
            self.advance(time, hurry=True)

    def go(self, operations: int, events: int = 0) -> Arrival:
        """Go to a position, in the past or the future, without stopping on the way.

        UserError if there is no such position; then nothing has changed.
        """
        if operations < self.begin:
            raise UserError(f"The record begins at {self.begin}:0.")
        with self.runner.interrupts:
            self.runner.begin()
            moment, alive = self.moment(), live_processes(self.machine.k)
            try:
                self.travel(min(operations, self.end))
                if self.advance(operations) == AT_INTERRUPT:
                    self.note_end()
                    return Arrival(AT_INTERRUPT, ended=self.ended(alive))
                if self.machine.operations < operations:
                    raise UserError(f"The program ends at {self.machine.operations}:0.")
                if events:
                    action = self.action_at(operations)
                    if action is not None:
                        raise UserError(f'Operation {operations} was the command "{action.name}".')
                    self.enter(events)
            except UserError:
                self.put(moment)
                raise
            self.note_end()
            return Arrival(AT_LIMIT, ended=self.ended(alive))

    # -- other histories

    def switch(self, number: int) -> None:
        """Be on another branch, at its end.  UserError if there is none of that number."""
        if number not in self.branches.by_number:
            raise UserError(f"No branch number {number}.")
        if number != self.branches.current.number:
            with self.runner.interrupts:
                self.branches.switch(self, number)
                self.travel(self.end)

    def restart(self) -> None:
        """Be at the beginning; the record is empty.  One that commands changed stays as a branch.

        UserError if no process runs there; then nothing has changed.
        """
        moment = self.moment()
        self.travel(self.begin)
        if self.place is None:
            self.put(moment)
            raise UserError(NOT_RUN)
        if self.actions:
            self.branches.part(self, self.begin, fresh=True)
        self.cut(self.begin)
        self.undone.clear()

    def close(self) -> None:
        """The machine goes."""
        self.runner.close()
