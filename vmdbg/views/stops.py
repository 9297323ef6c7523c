"""`info breakpoints`, with GDB's columns."""

from __future__ import annotations

from vmdbg.views.result import NUMBER, Column, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from vmdbg.debugger.stops import Stop
    from vmdbg.views.result import Line

KEYS = ("number", "type", "disposition", "enabled", "address", "what", "condition", "hits", "ignore")


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
            "address": None,
            "what": stop.what,
            "condition": stop.condition or None,
            "hits": stop.hits,
            "ignore": stop.ignore,
        }

    def data(self) -> Any:
        return (self.row(stop) for stop in self.stops)

    def table(self) -> tuple[Sequence[Column], Iterator[Sequence[Any]]]:
        columns = [
            Column(key, kind=NUMBER if key in ("number", "hits", "ignore") else "text") for key in KEYS
        ]
        return columns, (list(self.row(stop).values()) for stop in self.stops)

    def lines(self) -> Iterator[Line]:
        width = max([14, *(len(stop.sort) for stop in self.stops)])
        yield [("header", f"{'Num':7} {'Type':{width}} Disp Enb Address            What")]
        for stop in self.stops:
            flag = "y" if stop.enabled else "n"
            head = f"{stop.number:<7} {stop.sort:{width}} {stop.disposition:4} {flag:3}"
            yield f"{head} {'':18} {stop.what}".rstrip()
            if stop.condition:
                yield f"\tstop only if {stop.condition}"
            if stop.hits:
                yield f"\tbreakpoint already hit {stop.hits} time{'' if stop.hits == 1 else 's'}"
            if stop.ignore:
                yield f"\tignore next {stop.ignore} hits"
            for statement in stop.commands:
                yield from statement.lines(4)
