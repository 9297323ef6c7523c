"""Patterns: what a row of the stop table can ask of an event, so that a compiled run finds it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.time.event_log import LoggedEvent

ANY = -1


class Pattern:
    """A row of the stop table: a kind of event and what is asked of it (ANY: nothing).

    `low` and `high` are the limits of argument number `which`, counted from 1; None: there is no limit.  With
    `retargets` an event that matches may change which events the stop wants: `Stop.follow` is called then.
    """

    __slots__ = ("cpu", "high", "kind", "low", "pid", "retargets", "which")

    def __init__(
        self,
        kind: int,
        pid: int = ANY,
        cpu: int = ANY,
        low: int | None = None,
        high: int | None = None,
        which: int = 1,
        retargets: bool = False,
    ) -> None:
        self.kind, self.pid, self.cpu, self.low, self.which = kind, pid, cpu, low, which
        self.high = low if high is None else high
        self.retargets = retargets

    @property
    def plain(self) -> bool:
        """Does every event of its kind match?"""
        return self.pid == self.cpu == ANY and self.low is None

    def changed(self, **values: int) -> Pattern:
        """The same pattern with other values."""
        return Pattern(**{name: getattr(self, name) for name in self.__slots__} | values)

    def matches(self, event: LoggedEvent) -> bool:
        """Is the event one of these?"""
        if event.kind != self.kind or self.pid not in (ANY, event.pid) or self.cpu not in (ANY, event.cpu):
            return False
        if self.low is None or self.high is None:
            return True
        return self.low <= (event.a, event.b, event.c)[self.which - 1] <= self.high
