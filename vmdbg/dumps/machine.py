"""A machine of which there is nothing but memory and registers: what a dump shows.  It cannot run.

Its functions are the hot code of every machine, linked for the format of the dump: the same walk, the same
rules.  Its memory is the file, as banks; its other tables are those of a machine without a process.
"""

from __future__ import annotations

from struct import calcsize

from vmdbg.dumps.paging import is_kernel
from vmdbg.errors import UserError
from vmdbg.formats import NAMES, find
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import load_controls
from vmdbg.state.tables import (
    BANK,
    BANK_BASE,
    BANK_OFFSET,
    BANK_SIZE,
    CPU,
    CPU_ADDRESS,
    CPU_MODE,
    CPU_ROOT,
    RAM_VIEWS,
    TABLES,
    Views,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.dumps.image import Bank, Image

RAM = 2 << 20  # bytes of the memory that the dump's takes the place of
KERNEL, USER = 1, 0


class DumpMachine(Machine):
    """The machine of a dump.  `image` is where its memory comes from; `saved_registers` what each CPU had in
    all its registers, as far as the dump knows."""

    def __init__(self, image: Image, format: str, cpus: list[dict[str, int]]) -> None:
        if format not in NAMES:
            raise UserError(f"This CPU translates by {format}, a format that vmdbg does not have.")
        form = find(format)
        if form.bounded:
            raise UserError(f"{form.name} has no page tables: of a dump there is nothing to see.")
        config = MachineConfig(
            {
                "machine.format": format,
                "machine.ram": min(RAM, form.frames << form.page_bits),
                "machine.swap.size": 0,
                "kernel.first_frame": 0,
                "machine.cpus": max(1, len(cpus)),
                "tlb.l1": "1x1",
                "tlb.l1i": "off",
                "tlb.l1d": "off",
                "tlb.l2": "off",
                "tlb.asids": False,
            },
            "dump",
        )
        super().__init__(config)
        self.image = image
        self.format_known = True  # by registers or by the user
        self.saved_registers = tuple(cpus)
        self.k.m = with_banks(self.k.m, image.view, image.banks)
        for number, cpu in enumerate(cpus or [{}]):
            self.load_registers(number, cpu)

    def load_registers(self, number: int, cpu: dict[str, int]) -> None:
        """Give a CPU the registers of a dump: control registers, mode, and the address of the last fault."""
        row, form = number * CPU, self.format
        self.m.cpu[row + CPU_MODE] = KERNEL if is_kernel(cpu) else USER
        self.m.cpu[row + CPU_ADDRESS] = s64(cpu.get(form.fault_register, 0))
        load_controls(self, number, cpu)

    def set_root(self, number: int, root: int) -> None:
        """Let a CPU translate by the tables at a physical address, or by what a root register names."""
        self.m.cpu[number * CPU + CPU_ROOT] = s64(root & self.format.root_mask & WORD_MASK)
        self.rooted = True

    def resize(self, rows: str, count: int) -> None:
        """UserError: the tables of a dump do not grow."""
        raise UserError("A dump cannot be changed.")


def with_banks(m: Any, view: memoryview, banks: list[Bank]) -> Views:
    """The tables `m` with other memory: the bytes of `view`, as the banks say.

    The bank that comes first in the file is the first of the buffer (`hardware.memory.ram_offset`).
    """
    order = sorted(banks, key=lambda bank: bank.offset)
    start = order[0].offset
    end = max(bank.offset + bank.size for bank in banks)
    seen: Any = Views()
    for name in TABLES:
        setattr(seen, name, getattr(m, name))
    memory = view[start:end]
    seen.ram1 = memory
    for name, code in RAM_VIEWS.items():
        width = calcsize(code)
        whole: Any = memory[: len(memory) // width * width]
        setattr(seen, name, whole.cast(code))
    seen.bank = memoryview(bytearray(8 * BANK * len(banks))).cast("q")
    for place, bank in enumerate(order):
        row = place * BANK
        seen.bank[row + BANK_BASE], seen.bank[row + BANK_SIZE] = bank.base, bank.size
        seen.bank[row + BANK_OFFSET] = bank.offset - start
    return seen  # type: ignore[no-any-return]
