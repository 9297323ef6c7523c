"""A machine of which there is nothing but memory and registers: what a dump shows.  It cannot run.

Its functions are the hot code of every machine, linked for the format of the dump: the same walk, the same
rules.  Its memory is the file, as banks; its other tables are those of a machine without a process.
"""

from __future__ import annotations

from vmdbg.dumps.paging import is_kernel
from vmdbg.errors import UserError
from vmdbg.formats import NAMES, find
from vmdbg.hardware import foreign_memory
from vmdbg.machine.bare import over_memory
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import load_controls
from vmdbg.state.tables import CPU, CPU_ADDRESS, CPU_MODE, CPU_ROOT
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.dumps.image import Image

RAM = 2 << 20  # bytes of the memory that the dump's takes the place of
KERNEL, USER = 1, 0
DOORS: dict[str, Any] = {"load": foreign_memory.load, "ram_offset": foreign_memory.ram_offset}


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
        if image.memory is not None:
            self.bindings |= DOORS
            self.k.__dict__.update(self.interpreted())
        self.image = image
        self.format_known = True  # by registers or by the user
        self.saved_registers = tuple(cpus)
        banks = [(bank.base, bank.size, bank.offset) for bank in image.banks]
        self.k.m = over_memory(self.k.m, image.view, banks, image.memory)
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

    def read_bytes(self, pa: int, size: int) -> bytes:
        """Bytes of one bank; none if they are not all in it."""
        at = self.k.ram_offset(self.k.m, pa, size)
        return bytes(self.k.m.ram1[at : at + size]) if at >= 0 else b""

    def resize(self, rows: str, count: int) -> None:
        """UserError: the tables of a dump do not grow."""
        raise UserError("A dump cannot be changed.")
