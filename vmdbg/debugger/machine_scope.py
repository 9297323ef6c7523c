"""The scope of expressions on a machine: memory, registers `$cr3`, functions `$pte(va)`, symbols.

Reading changes nothing: it uses the tables and not the TLB, and sets no A or D bit.  Writing changes the
machine; it goes through `perform`, which the session's timeline replaces.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions.values import Value, make_integer, text_of
from vmdbg.hardware.page_tables import seen_by
from vmdbg.inspect.address_space import page_number
from vmdbg.inspect.context import check_process, current_cpu, find_context, shown_asid
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.translate import walk
from vmdbg.inspect.walk import READ, page_of, walk_tables
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.machine.registers import check_write, find_field, kept, names, read, write
from vmdbg.state.events import BY_NAME, ENTRY_WRITE, FAMILIES
from vmdbg.state.tables import (
    CPU,
    CPU_ASID,
    CPU_CODE,
    CPU_MODE,
    CPU_PID,
    FRAME,
    FRAME_STATE,
    REGION,
    REGION_START,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.formats.record import Format
    from vmdbg.inspect.walk import Outcome, Walk
    from vmdbg.machine.machine import Machine

#: Registers that every machine has, by column of the table `cpu`; only shown.
COLUMNS = {"asid": CPU_ASID, "mode": CPU_MODE, "error_code": CPU_CODE, "_pid": CPU_PID}
WORD_BYTES = 8  # of the widest store
FUNCTIONS = ("count", "entry", "offset", "pa", "pfn", "pte", "slot", "sym", "vpn")
WALKING = ("entry", "pa", "pfn", "pte", "slot")  # those that read the tables


class MachineScope:
    """The scope of a machine.  `perform(text, action)` makes changes; `text` is the name of the change."""

    def __init__(self, machine: Machine, perform: Callable[[str, Callable[[], None]], None]) -> None:
        self.machine, self.perform = machine, perform
        self.notation = Notation(machine.format)
        self.bits, self.physical_bits = self.notation.va_bits, self.notation.physical_bits
        self._registers = frozenset((*register_names(self.machine.format), *COLUMNS, "_cpu", "_operations"))

    # -- memory

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address, by the tables.  UserError names the first one that is not there."""
        found = bytearray()
        try:
            context = find_context(self.machine)
        except UserError:
            raise inaccessible(address) from None
        k = self.machine.k
        while len(found) < size:
            va = (address + len(found)) & WORD_MASK
            walk = walk_tables(self.machine, context.root, va, context.cpu)
            legal = seen_by(k, context.cpu, k.canonical, s64(va))
            if not (walk.maps and legal) or va >> self.va_width:
                raise inaccessible(va)
            page, length = page_of(self.machine, walk)
            offset = va & (length - 1)
            count = min(size - len(found), length - offset)
            try:
                found += self.read_physical(page + offset, count)
            except UserError:
                raise inaccessible(va) from None
        return bytes(found)

    @property
    def va_width(self) -> int:
        """Bits of an address that is not sign-extended, else 64."""
        return 64 if self.machine.format.sign_extended else self.bits

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes at a physical address.  UserError names the first one outside every bank."""
        k, m = self.machine.k, self.machine.m
        at = k.ram_offset(m, address, size)
        if at >= 0:
            return bytes(m.ram1[at : at + size])
        found = bytearray()
        for pa in range(address, address + size):
            at = k.ram_offset(m, pa, 1)
            if at < 0:
                raise inaccessible(pa)
            found.append(m.ram1[at])
        return bytes(found)

    def write_memory(self, address: int, data: bytes) -> None:
        """Store bytes at a virtual address, by the tables: acts.  UserError as `read_memory`.

        Entries that map them become dirty, so that no byte is lost (Linux: access_process_vm).
        """
        self.read_memory(address, len(data))
        k, m, context = self.machine.k, self.machine.m, find_context(self.machine)

        def write() -> None:
            done = 0
            while done < len(data):
                va = (address + done) & WORD_MASK
                walk = walk_tables(self.machine, context.root, va, context.cpu)
                page, length = page_of(self.machine, walk)
                offset = va & (length - 1)
                here = data[done : done + length - offset]
                store_bytes(k, m, page + offset, here)
                make_dirty(self.machine, walk)
                done += len(here)
            for cpu in range(self.machine.config["machine.cpus"]):
                k.tlb_suspect(m, cpu, -1, 0)  # the bytes may belong to a page table

        self.perform(f"set memory at {self.notation.va(address)}", write)

    def write_physical(self, address: int, data: bytes) -> None:
        """Store bytes at a physical address, unknown to the kernel: acts.  UserError as `read_physical`."""
        self.read_physical(address, len(data))
        k, m = self.machine.k, self.machine.m

        def write() -> None:
            store_bytes(k, m, address, data)
            for cpu in range(self.machine.config["machine.cpus"]):
                k.tlb_suspect(m, cpu, -1, 0)  # the bytes may belong to a page table

        self.perform(f"set memory at {self.notation.pa(address)}", write)

    # -- registers

    def register(self, name: str) -> Value | None:
        """A register of the current CPU or a field of one; None if the machine has no such name."""
        m = self.machine.m
        cpu = current_cpu(self.machine)
        if self.machine.saved_registers and name in self.machine.saved_registers[cpu]:
            return unsigned(kept(self.machine, cpu, name, self.machine.saved_registers[cpu][name]))
        if name not in self._registers:
            return None
        if name == "_cpu":
            return make_integer(cpu)
        if name == "_operations":
            return make_integer(self.machine.operations, 64)
        if name in COLUMNS:
            held = m.cpu[cpu * CPU + COLUMNS[name]]
            return make_integer(shown_asid(held) if name == "asid" else held)
        value, field = read(self.machine, cpu, name), find_field(self.machine.format, name)
        if value is None:
            return None
        return make_integer(value) if field is not None and field.width < 32 else unsigned(value)

    def set_register(self, name: str, value: Value) -> None:
        """Set a register of the current CPU or a field of one: acts.  UserError if it cannot be that."""
        cpu, new = current_cpu(self.machine), int(value)
        check_write(self.machine, cpu, name, new)
        self.perform(f"set ${name} = {new:#x}", lambda: write(self.machine, cpu, name, new))

    # -- names and functions

    def symbol(self, name: str) -> int | None:
        """The number that a name of the program stands for."""
        program, others = self.machine.program, self.machine.symbols
        found: int | None = None if program is None else program.symbols.get(name)
        return others.by_name.get(name) if found is None and others is not None else found

    def symbolize(self, address: int) -> str:
        """`heap+8` for an address in the region of a symbol, or near one of a symbol file, else nothing."""
        if self.machine.symbols is not None:
            return str(self.machine.symbols.name_of(address))
        program = self.machine.program
        if program is None or not program.symbols:
            return ""
        try:
            pid = find_context(self.machine).pid
        except UserError:
            return ""
        region = self.machine.k.region_find(self.machine.m, pid, s64(address))
        if not region:
            return ""
        start = self.machine.m.region[region * REGION + REGION_START] & WORD_MASK
        near = [(value, name) for name, value in program.symbols.items() if start <= value <= address]
        if not near:
            return ""
        value, name = max(near)
        return f"{name}+{address - value}" if address > value else name

    def names(self) -> list[str]:
        """Everything that an expression may name."""
        registers = dict.fromkeys((*register_names(self.machine.format), *COLUMNS))
        for saved in self.machine.saved_registers[:1]:
            registers |= saved
        symbols = self.machine.program.symbols if self.machine.program is not None else {}
        others = self.machine.symbols.by_name if self.machine.symbols is not None else {}
        return [*symbols, *others, *(f"${name}" for name in (*registers, *FUNCTIONS))]

    def count(self, arguments: list[Value]) -> Value:
        """`$count("tlb-miss")`: how often a kind of event, or one of a family such as "fault", happened, or
        to process `$count("tlb-miss", 2)`."""
        if not 1 <= len(arguments) <= 2:
            raise UserError("You must provide one or two arguments for $count.")
        kind = text_of(arguments[0], self.read_memory)
        kinds = (kind,) if kind in BY_NAME else FAMILIES.get(kind, ())
        if not kinds:
            raise UserError(f'Undefined event: "{kind}".', 'Try "info events".')
        pid = int(arguments[1]) if arguments[1:] else None
        if pid is not None:
            check_process(self.machine, pid, ended=True)
        counts = self.machine.counts(pid)
        return make_integer(sum(counts.get(name, 0) for name in kinds), 64)

    def look(self, va: int, root: int | None) -> tuple[Walk, Outcome]:
        """The walk of an address by a root table, else by the CPU's, and where it ends."""
        return walk(self.machine, find_context(self.machine, root=root), va, READ)

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        """A function of the machine.  UserError if the address is not mapped and the function needs it.

        Those that walk take the address of a root table after the virtual address.
        """
        if name not in FUNCTIONS:
            return None
        if name == "count":
            return self.count(arguments)
        if name in WALKING and not 1 <= len(arguments) <= 2:
            raise UserError(f"You must provide one or two arguments for ${name}.")
        if name not in WALKING and len(arguments) != 1:
            raise UserError(f"You must provide one argument for ${name}.")
        if name == "sym":
            text = text_of(arguments[0], self.read_memory)
            value = self.symbol(text)
            if value is None:
                raise UserError(f'No symbol "{text}" in current context.')
            return unsigned(value)
        va = arguments[0].as_address()
        if va >> self.va_width:
            raise UserError(f"Address {va:#x} does not fit in {self.bits} bits.")
        form = self.machine.format
        if name == "vpn":
            return unsigned(page_number(self.machine, va))
        if name == "offset":
            return unsigned(va & (form.page_size - 1))
        walk, found = self.look(va, arguments[1].as_address() if arguments[1:] else None)
        if name == "pte":
            return unsigned(walk.last.entry)
        if name == "entry":
            return unsigned(walk.last.address)
        if name == "slot":
            return unsigned(found.fault.slot if found.fault is not None else 0)
        if found.pa is None:
            reason = found.fault.reason if found.fault is not None else ""
            raise UserError(f"Address {self.notation.va(va)} is not mapped: {reason}.")
        return unsigned(found.pa if name == "pa" else found.pa >> form.page_bits)


def make_dirty(machine: Machine, walk: Walk) -> None:
    """Set D in the leaf at which a walk ended, so that the kernel writes the page back."""
    k, m = machine.k, machine.m
    if not walk.steps:
        return
    old = s64(walk.last.entry)
    frame = k.frame_at(m, page_of(machine, walk)[0])
    if not k.is_dirty(old) and m.frame[frame * FRAME + FRAME_STATE] == FRAME_IS_USER:
        new = k.touched(old, 1)
        k.store_entry(m, walk.last.address, new)
        k.emit(m, ENTRY_WRITE, walk.last.address, old, new)


def register_names(form: Format) -> list[str]:
    """Registers and fields of the format, as `machine.registers` has them."""
    return names(form)


def store_bytes(k: Any, m: Any, pa: int, data: bytes) -> None:
    """Store bytes at a physical address, in words where they are aligned."""
    offset = 0
    while offset < len(data):
        width = WORD_BYTES if not (pa + offset) % WORD_BYTES and len(data) - offset >= WORD_BYTES else 1
        word = int.from_bytes(data[offset : offset + width], "little")
        k.store(m, pa + offset, width, s64(word))
        offset += width


def unsigned(number: int) -> Value:
    """A number as a value of C's type `unsigned long`."""
    return make_integer(number & WORD_MASK, 64, signed=False)


def inaccessible(address: int) -> UserError:
    """The error for an address where no memory is, in GDB's words."""
    return UserError(f"Cannot access memory at address {address & WORD_MASK:#x}")
