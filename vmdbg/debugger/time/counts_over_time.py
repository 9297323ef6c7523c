"""How often each kind of event had happened by times of the record: the past is run again."""

from __future__ import annotations

from vmdbg.debugger.time.types import AT_END, AT_INTERRUPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmdbg.debugger.time.timeline import Timeline

    #: A time, and what `Machine.counts` said then.
    Counted = tuple[int, Mapping[str, int]]


def counts_over_time(timeline: Timeline, every: int, pid: int | None = None) -> list[Counted]:
    """The counts, of one process or of all: at the begin of the record, each `every` operations, and now.

    The machine stays where it is; of the operation in which it stands nothing counts.  KeyboardInterrupt if
    Ctrl-C came on the way.
    """
    machine, now = timeline.machine, timeline.machine.operations
    found: list[Counted] = []
    with timeline.runner.interrupts, timeline.excursion():
        timeline.runner.begin()
        timeline.travel(timeline.begin)
        while True:
            found.append((machine.operations, machine.counts(pid)))
            if machine.operations >= now:
                return found
            why = timeline.run_to(min(now, machine.operations + every))
            if why == AT_INTERRUPT:
                raise KeyboardInterrupt
            if why == AT_END:
                return found
