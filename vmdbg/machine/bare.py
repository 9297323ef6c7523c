"""An MMU and nothing else: the machine `bare` with memory that belongs to somebody else.

The walk, the rules and the codes of faults are those of every machine; what is missing is all that acts by
itself: no kernel, no process, no TLB.
"""

from __future__ import annotations

from struct import calcsize

from vmdbg.formats import find
from vmdbg.hardware import foreign_memory
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import BANK, BANK_BASE, BANK_OFFSET, BANK_SIZE, RAM_VIEWS, TABLES, Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, Protocol

    class ForeignMemory(Protocol):
        """What `hardware.foreign_memory` asks.

        `view` are the bytes if memory is one buffer, which begins at physical address `base`; then entries
        are read from there.  `order` is the order of bytes in an entry, which the format says.
        """

        view: memoryview | None
        base: int
        order: Literal["little", "big"]

        def load(self, pa: int, width: int) -> int:
            """The entry at an address, 8 bytes signed; -1 where there is no memory."""

        def offset(self, pa: int, width: int) -> int:
            """0 where there is memory, else -1."""

        def store(self, pa: int, width: int, value: int) -> None:
            """Write an entry."""


LEAST_RAM = 64  # bytes of the machine's own memory, which is not used
#: Linked code by format, page size, and whether memory is no buffer: it holds no state.
CODE: dict[tuple[str, int, bool], dict[str, Any]] = {}


class ForeignViews(Views):
    """The tables, and the memory that is none of them."""

    __slots__ = ("memory",)


class BareMachine(Machine):
    """A machine of a format, by name or TOML file, on foreign memory.  UserError if there is no such format.

    Each access walks; where software fills the TLB, that walk stands for its handler's.

    `page_size`: as the setting `machine.page_size`.
    """

    def __init__(self, format: str, memory: ForeignMemory, page_size: int = 0) -> None:
        values = {"machine.format": format, "machine.page_size": page_size, "tlb.fill": "walker"}
        config = load_config("bare").with_(values)
        form = find(format, page_size)
        config = config.with_({"machine.ram": max(form.page_size, LEAST_RAM)})
        memory.order = "big" if form.big_endian else "little"
        doors: dict[str, Any] = {"store_entry": foreign_memory.store_entry}
        if memory.view is None:
            doors |= {"load_entry": foreign_memory.load_entry, "ram_offset": foreign_memory.ram_offset}
        super().__init__(config, doors)
        view = memoryview(b"") if memory.view is None else memory.view
        self.k.m = over_memory(self.m, view, [(memory.base, len(view), 0)], memory)

    def interpreted(self) -> dict[str, Callable[..., Any]]:
        """The functions of the interpreted engine, made once for each format and kind of memory."""
        form = self.config["machine.format"]
        key = (
            form,
            self.config["machine.page_size"],
            self.bindings.get("load_entry") is foreign_memory.load_entry,
        )
        if form.endswith(".toml"):  # the file may be another one the next time
            return super().interpreted()
        if key not in CODE:
            CODE[key] = super().interpreted()
        return CODE[key]


def over_memory(m: Any, view: Any, banks: Iterable[tuple[int, int, int]], memory: object = None) -> Any:
    """The tables `m` with other memory: `view`, the bytes of banks (physical address, size, offset).

    The bank that comes first in the buffer is the first of the table, and begins the buffer
    (`hardware.memory.ram_offset`).  A last word that is not whole is in the narrower views only, from which
    it is read.  `memory` is what `hardware.foreign_memory` asks.
    """
    order = sorted(banks, key=lambda bank: bank[2])
    start, end = order[0][2], max(offset + size for _, size, offset in order)
    seen: Any = ForeignViews()
    for name in TABLES:
        setattr(seen, name, getattr(m, name))
    seen.ram1 = view = view[start:end]
    for name, code in RAM_VIEWS.items():
        width = calcsize(code)
        setattr(seen, name, view[: len(view) // width * width].cast(code))
    seen.bank = memoryview(bytearray(8 * BANK * len(order))).cast("q")
    for place, (base, size, offset) in enumerate(order):
        row = place * BANK
        seen.bank[row + BANK_BASE], seen.bank[row + BANK_SIZE] = base, size
        seen.bank[row + BANK_OFFSET] = offset - start
    seen.memory = memory
    return seen
