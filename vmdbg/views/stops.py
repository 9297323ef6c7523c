"""`info breakpoints`, with GDB's columns."""

from __future__ import annotations

from vmdbg.views.result import NUMBER, Column, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.views.result import Line

COUNTS = ("number", "hits", "ignore", "left")
KEYS = ("number", "type", "disposition", "enabled", "address", "what", "condition", *COUNTS[1:])


class StopTable(Result):
    """The stops; below each what more there is to say."""

    def __init__(self, stops: list[Stop]) -> None:
        self.stops = stops

    def row(self, stop: Stop) -> dict[str, Any]:
        """One stop as JSON shows it."""
        return {
            "number": stop.number,
            "type": stop.sort,
            "disposition": stop.disposition,
            "enabled": stop.enabled,
            "address": stop.address or None,
            "what": stop.what,
            "condition": stop.condition.text if stop.condition is not None else None,
            "hits": stop.hits,
            "ignore": stop.ignore,
            "left": stop.left,
        }

    def data(self) -> Any:
        return (self.row(stop) for stop in self.stops)

    def table(self) -> tuple[Sequence[Column], Iterator[Sequence[Any]]]:
        columns = [
            Column(key, kind=NUMBER if key in ("number", "hits", "ignore", "left") else "text")
            for key in KEYS
        ]
        return columns, (list(self.row(stop).values()) for stop in self.stops)

    def lines(self) -> Iterator[Line]:
        width = max([14, *(len(stop.sort) for stop in self.stops)])
        yield [("title", f"{'Num':7} {'Type':{width}} Disp Enb Address            What")]
        for stop in self.stops:
            flag = "y" if stop.enabled else "n"
            head = f"{stop.number:<7} {stop.sort:{width}} {stop.disposition:4} {flag:3}"
            what = stop.what if stop.what != stop.address else ""
            what += f" process {stop.pid}" if stop.pid >= 0 else ""
            yield f"{head} {stop.address:18} {what}".rstrip()
            if stop.condition is not None:
                yield f"\tstop only if {stop.condition.text}"
            if stop.hits:
                yield f"\tbreakpoint already hit {stop.hits} time{'' if stop.hits == 1 else 's'}"
            if stop.ignore:
                yield f"\tignore next {stop.ignore} hits"
            if stop.left > 1:
                yield f"\tdisable after {'additional' if stop.ignore else 'next'} {stop.left} hits"
            if stop.printed:
                yield f"        printf {stop.printed}"
            for statement in stop.commands:
                yield from statement.lines(4)
