"""What a CPU needs to go on and to take a fault: is it mapped, with the rights that it needs?

x86: the instruction, the stack, the GDT and TSS, the gates of #PF and #DF, their handlers and stacks, and the
chain of faults that follows if they are not (Intel SDM 3A, 6.10 to 6.15, table 6-5: the double fault).
RISC-V and Arm: the instruction, the stack and the vector.
"""

from __future__ import annotations

from vmdbg.dumps.paging import CODE64, LMA
from vmdbg.errors import UserError
from vmdbg.hardware.page_tables import seen_by
from vmdbg.inspect.context import KERNEL, Context
from vmdbg.inspect.dump import COUNTERS, STACKS, first_of
from vmdbg.inspect.translate import outcome_of
from vmdbg.inspect.walk import FETCH, READ, WRITE, page_of, walk_tables
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.inspect.walk import Outcome
    from vmdbg.machine.machine import Machine

PAGE_FAULT, DOUBLE_FAULT = 14, 8
NAMES = {PAGE_FAULT: "#PF", DOUBLE_FAULT: "#DF"}
TASK_GATE, INTERRUPT_GATES = 5, (6, 7, 14, 15)
NO_REGISTERS = "needs the registers of a real CPU"


class Need:
    """Something that the CPU needs: `what`, its address, how it is accessed, where that goes (None: the
    address
    itself is known to be wrong, and `note` says why)."""

    __slots__ = ("address", "note", "outcome", "what")

    def __init__(self, what: str, address: int, outcome: Outcome | None, note: str = "") -> None:
        self.what, self.address, self.outcome, self.note = what, address & WORD_MASK, outcome, note

    @property
    def good(self) -> bool:
        """Is it there, with the rights that are needed?"""
        return self.outcome is not None and self.outcome.fault is None

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        found = self.outcome.data() if self.outcome is not None else {}
        return {
            "needed": self.what,
            "address": self.address,
            "ok": self.good,
            "access": found.get("access"),
            "mode": found.get("mode"),
            "pa": found.get("pa"),
            "fault": found.get("fault"),
            "note": self.note or None,
        }


class CpuCheck:
    """The needs of one CPU in order, and in `chain` what follows from them, in one sentence."""

    def __init__(self, machine: Machine, context: Context) -> None:
        if not machine.saved_registers:
            raise UserError(
                f'"check cpu" {NO_REGISTERS}: the target has none.',
                'A dump may: "target dump FILE -regs FILE".',
            )
        self.machine, self.context = machine, context
        self.registers = machine.saved_registers[context.cpu]
        self.needs: list[Need] = []
        self.chain = ""
        if first_of(self.registers, COUNTERS) is None:
            raise UserError(f'"check cpu" {NO_REGISTERS}: CPU {context.cpu} has no instruction pointer here.')
        if "idtr" in self.registers or "cr0" in self.registers:
            self.check_x86()
        else:
            self.check_vector()

    # -- memory

    def need(self, what: str, address: int, access: int, mode: int, note: str = "") -> Need:
        """One more thing that is needed."""
        machine, context = self.machine, self.context.with_mode(mode)
        walk = walk_tables(machine, context.root, address & WORD_MASK, context.cpu)
        found = Need(what, address, outcome_of(machine, context, walk, access), note)
        self.needs.append(found)
        return found

    def broken(self, what: str, address: int, note: str) -> Need:
        """Something that cannot be right, whatever is mapped."""
        self.needs.append(Need(what, address, None, note))
        return self.needs[-1]

    def word(self, address: int, size: int) -> int | None:
        """The number at a virtual address; None if a byte of it is not mapped."""
        machine, value = self.machine, 0
        for place in range(size):
            va = (address + place) & WORD_MASK
            walk = walk_tables(machine, self.context.root, va, self.context.cpu)
            k, cpu = machine.k, self.context.cpu
            if not walk.maps or not seen_by(k, cpu, k.canonical, s64(va)):
                return None
            page, length = page_of(machine, walk)
            pa = page + (va & length - 1)
            if machine.k.ram_offset(machine.m, pa, 1) < 0:
                return None
            value |= (machine.k.load(machine.m, pa, 1) & 255) << 8 * place
        return value

    # -- x86

    @property
    def long(self) -> bool:
        """Is the CPU in long mode, where gates have 16 bytes?"""
        if "efer" in self.registers:
            return bool(self.registers["efer"] & LMA)
        return self.machine.format.va_bits > 32

    def base_of(self, segment: str) -> int:
        """The base of a code, data or stack segment; 0 in 64-bit code."""
        flat = self.long and self.registers.get("cs.flags", CODE64) & CODE64
        return 0 if flat else self.registers.get(f"{segment}.base", 0)

    def check_x86(self) -> None:
        """The instruction, the stack, the descriptor tables, the gates."""
        registers, mode = self.registers, self.context.mode
        counter, stack = first_of(registers, COUNTERS), first_of(registers, STACKS)
        assert counter is not None
        first = self.need("instruction", self.base_of("cs") + counter, FETCH, mode)
        width = 8 if self.long else 4
        if stack is not None:
            second = self.need("stack", self.base_of("ss") + stack - width, WRITE, mode)
            first = first if not first.good else second
        if "idtr" not in registers:
            self.chain = "The registers do not say where the descriptor tables are."
            return
        if "gdtr" in registers:
            selector = registers.get("cs", 0) & ~7
            self.need("GDT, entry of CS", registers["gdtr"] + selector, READ, KERNEL)
        if registers.get("tr", 0) & ~3:
            self.need("TSS", registers.get("tr.base", 0), READ, KERNEL)
        told = {vector: self.check_gate(vector) for vector in (PAGE_FAULT, DOUBLE_FAULT)}
        self.chain = chain_of(first, told[PAGE_FAULT], told[DOUBLE_FAULT])

    def check_gate(self, vector: int) -> str:
        """A gate of the IDT, its handler and its stack; in words what is wrong, empty if nothing is."""
        registers, name = self.registers, NAMES[vector]
        size = 16 if self.long else 8
        address = registers["idtr"] + vector * size
        if vector * size + size - 1 > registers.get("idtr.limit", 0xFFFF):
            self.broken(f"{name} gate", address, f"beyond the limit of the IDT, {registers['idtr.limit']:#x}")
            return "its gate is beyond the limit of the IDT"
        if not self.need(f"{name} gate", address, READ, KERNEL).good:
            return "its gate cannot be read"
        gate = self.word(address, size)
        if gate is None:
            return "its gate cannot be read"
        kind, present = gate >> 40 & 15, gate >> 47 & 1
        if not present:
            self.needs[-1].note = "not present (P = 0)"
            self.needs[-1].outcome = None
            return "its gate is not present"
        if kind == TASK_GATE and not self.long:
            self.needs[-1].note = "a task gate, which is not followed"
            return ""
        if kind not in INTERRUPT_GATES:
            self.needs[-1].note = f"type {kind}: no interrupt or trap gate"
            self.needs[-1].outcome = None
            return "its gate is none"
        return self.check_handler(name, gate)

    def check_handler(self, name: str, gate: int) -> str:
        """The code segment, the handler and the stack that a gate names; in words what is wrong."""
        offset = gate & 0xFFFF | gate >> 32 & 0xFFFF0000 | (gate >> 64 & 0xFFFFFFFF) << 32  # SDM 3A, 6.14.1
        selector, problem = gate >> 16 & 0xFFFF, ""
        if "gdtr" in self.registers:
            entry = self.registers["gdtr"] + (selector & ~7)
            if (selector & ~7) + 7 > self.registers.get("gdtr.limit", 0xFFFF) or not selector & ~3:
                self.broken(
                    f"{name} code segment", entry, f"selector {selector:#x} is beyond the limit of the GDT"
                )
                problem = "its code segment is beyond the limit of the GDT"
            elif not self.need(f"{name} code segment", entry, READ, KERNEL).good:
                problem = "its code segment's descriptor cannot be read"
            elif not (self.word(entry, 8) or 0) >> 47 & 1:
                self.needs[-1].note, self.needs[-1].outcome = "not present (P = 0)", None
                problem = "its code segment is not present"
        stack = self.check_stack(name, gate >> 32 & 7 if self.long else 0)
        handler = self.need(f"{name} handler", offset, FETCH, KERNEL)
        return problem or stack or ("" if handler.good else "its handler cannot be fetched")

    def check_stack(self, name: str, ist: int) -> str:
        """The stack on which a handler begins, where it is not the present one; in words what is wrong."""
        registers = self.registers
        if not ist and self.context.mode == KERNEL:
            stack = first_of(registers, STACKS) or 0
            context, place = self.context.with_mode(KERNEL), self.base_of("ss") + stack - 8
            walk = walk_tables(self.machine, context.root, place & WORD_MASK, context.cpu)
            good = outcome_of(self.machine, context, walk, WRITE).fault is None
            return "" if good else "the stack cannot be written"
        if "tr.base" not in registers:
            return ""
        width = 8 if self.long else 4
        place = registers["tr.base"] + (36 + 8 * (ist - 1) if ist else 4)  # SDM 3A, figures 7-2 and 7-11
        which = f"IST{ist}" if ist else "RSP0" if self.long else "ESP0"
        if not self.need(f"{name} {which} in the TSS", place, READ, KERNEL).good:
            return f"{which} cannot be read from the TSS"
        top = self.word(place, width)
        if top is None:
            return f"{which} cannot be read from the TSS"
        if not self.need(f"{name} stack", top - width, WRITE, KERNEL).good:
            return f"its stack, {which}, cannot be written"
        return ""

    # -- the others

    def check_vector(self) -> None:
        """The instruction, the stack, and the code that traps go to."""
        registers, mode = self.registers, self.context.mode
        counter, stack = first_of(registers, COUNTERS), first_of(registers, STACKS)
        assert counter is not None
        first = self.need("instruction", counter, FETCH, mode)
        if stack is not None:
            self.need("stack", stack - 8, WRITE, mode)
        vectors = [
            ("trap vector", "stvec", ~3, 0),
            ("exception vector", "vbar_el1", ~0x7FF, 0x200 if mode else 0x400),
        ]
        found = [
            (what, registers[name] & mask, add) for what, name, mask, add in vectors if name in registers
        ]
        if not found:
            self.chain = "The registers do not say where traps go."
            return
        what, base, add = found[0]
        vector = self.need(what, base + add, FETCH, KERNEL)
        if vector.good:
            self.chain = "A fault is taken: its vector is mapped."
        else:
            began = "The instruction cannot be fetched; the" if not first.good else "The"
            self.chain = f"{began} vector cannot be fetched: a fault faults again, for ever."


def chain_of(first: Need, page_fault: str, double_fault: str) -> str:
    """What happens now, in one sentence (SDM 3A, table 6-5: a #PF while a #PF is delivered is a #DF).

    `first` is the first thing that faults, or something that does not; then what is wrong with the way to the
    handlers of #PF and #DF, empty if nothing is.
    """
    if first.good:
        began = "So: what runs now is mapped"
        if not page_fault and not double_fault:
            return f"{began}, and a #PF reaches its handler."
        if not page_fault:
            return f"{began}, and a #PF reaches its handler; a #DF does not: {double_fault}."
        began += f"; at a #PF {page_fault}"
    else:
        began = f"So: the {first.what} faults: #PF"
        if not page_fault:
            return f"{began}, which reaches its handler."
        began += f"; {page_fault}"
    loops = "handler cannot be fetched" in page_fault
    began += ": #PF again until the stack is used up, then #DF" if loops else ": #DF"
    if not double_fault:
        return f"{began}, which reaches its handler."
    neither = page_fault == double_fault == "its gate cannot be read"
    return f"{began}; {'its gate neither' if neither else double_fault}: triple fault."


def check_cpu(machine: Machine, context: Context) -> CpuCheck:
    """What a CPU needs.  UserError if the target has no registers of a real one."""
    return CpuCheck(machine, context)
