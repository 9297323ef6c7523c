"""A result with three faces: one JSON object or array, lines drawn by hand, and a table for CSV."""

from __future__ import annotations

from vmdbg.views.result import ADDRESS, Column, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.walk import Outcome, Walk
    from vmdbg.machine.machine import Machine
    from vmdbg.views.plot import Plot
    from vmdbg.views.result import Line


class Document(Result):
    """`data`, `lines`, `rows` and `brief` are functions: whichever form is not asked for is not computed.

    `columns`, which may be a function too, and `rows` are what CSV shows; `addresses` names the keys that are
    addresses, at any depth; `brief` is the result in a few words (empty: its first line will do); `plot`
    draws it.  `walk` is what a picture of a walk is made of: the machine, the walk and its outcome.
    """

    def __init__(
        self,
        data: Callable[[], Mapping[str, Any] | Iterable[Mapping[str, Any]]],
        lines: Callable[[], Iterable[Line]],
        columns: Sequence[Column] | Callable[[], Sequence[Column]],
        rows: Callable[[], Iterable[Sequence[Any]]],
        addresses: Sequence[str] = (),
        brief: Callable[[], str] = str,
        plot: Callable[[], Plot] | None = None,
        walk: tuple[Machine, Walk, Outcome] | None = None,
    ) -> None:
        self._data, self._lines, self._columns, self._rows = data, lines, columns, rows
        self._addresses, self._brief, self._plot = addresses, brief, plot
        self.walk = walk

    @property
    def brief(self) -> str:
        """The result in a few words; empty if it has none."""
        return self._brief()

    def lines(self) -> Iterator[Line]:
        return iter(self._lines())

    def data(self) -> Any:
        return self._data()

    def table(self) -> tuple[Sequence[Column], Iterable[Sequence[Any]]]:
        return self._columns() if callable(self._columns) else self._columns, self._rows()

    def columns_by_key(self) -> Mapping[str, Column]:
        return {key: Column(key, kind=ADDRESS) for key in self._addresses}
