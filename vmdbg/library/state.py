"""The state of a machine as buffers, which NumPy, Polars and the like view without a copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmdbg.state.tables import STATE, TABLES

if TYPE_CHECKING:
    from vmdbg.machine.machine import Machine


class StateTable:
    """A table of the machine: rows of 64-bit signed words, or bytes.

    `columns` are the names of its columns with what they mean.  `view` is a memoryview of its rows that
    cannot be written: of two dimensions, or of one for a table of a single column.  `table["pid"]` is one
    column.  They show the machine as it is whenever they are read; a table that grows is another one
    afterwards.
    """

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine, self._declared = machine, TABLES[name]

    @property
    def name(self) -> str:
        """The name of the table."""
        return self._declared.name

    @property
    def columns(self) -> dict[str, str]:
        """The columns by name, with what they mean."""
        return dict(self._declared.columns)

    @property
    def view(self) -> memoryview:
        """The rows."""
        whole: memoryview = getattr(self._machine.m, self._declared.name)
        width = self._declared.width
        if width == 1:
            return whole.toreadonly()
        code: Any = self._declared.code
        return whole.cast("B").cast(code, (len(whole) // width, width)).toreadonly()

    def __getitem__(self, column: str) -> memoryview:
        if column not in self._declared.columns:
            raise KeyError(f"the table {self.name} has no column {column!r}; its rows are its view")
        place = list(self._declared.columns).index(column)
        whole: memoryview = getattr(self._machine.m, self._declared.name)
        return whole[place :: self._declared.width].toreadonly()

    def __len__(self) -> int:
        return len(getattr(self._machine.m, self._declared.name)) // self._declared.width

    def __repr__(self) -> str:
        return f"<StateTable {self.name}: {len(self)} rows of {', '.join(self.columns)}>"


class State(Mapping[str, StateTable]):
    """The tables that a machine is, by name, also as attributes: `state.tlb`, `state["frame"]`.

    `ram` are the bytes of memory.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getitem__(self, name: str) -> StateTable:
        if name not in TABLES or TABLES[name].group != STATE:
            raise KeyError(name)
        return StateTable(self._machine, name)

    def __getattr__(self, name: str) -> StateTable:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a machine has no table {name}; it has {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return (name for name, declared in TABLES.items() if declared.group == STATE)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    @property
    def ram(self) -> memoryview:
        """The bytes of memory, all banks one after the other; they cannot be written."""
        view: memoryview = self._machine.m.ram1
        return view.toreadonly()
