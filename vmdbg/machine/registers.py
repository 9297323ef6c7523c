"""The registers of a CPU as software reads and writes them, and what a write does to its TLB.

A name is a whole register (`cr3`, `satp`, `cr4`) or a field of one (`cr4.pge`, `satp.asid`), as the
format declares them.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import BARE_ROOT
from vmdbg.formats.record import FLUSH_ALL, FLUSH_SPACE
from vmdbg.hardware.page_tables import table_entries
from vmdbg.hardware.tlb import ZERO_SPACE
from vmdbg.machine.boot import set_allowed
from vmdbg.state.tables import (
    CONTROLS,
    CPU,
    CPU_ADDRESS,
    CPU_ASID,
    CPU_PID,
    CPU_ROOT,
    CPU_WINDOW,
    PROCESS,
    PROCESS_WINDOW,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmdbg.formats.record import Format, Register
    from vmdbg.machine.machine import Machine


def names(form: Format) -> list[str]:
    """Every register that may be written, and every field of one."""
    found = [form.root_register, form.fault_register]
    for field in (*form.root_fields, *form.registers):
        found += [field.name.partition(".")[0], field.name]
    return list(dict.fromkeys(found))


def find_field(form: Format, name: str) -> Register | None:
    """The field of that name."""
    return next((field for field in (*form.root_fields, *form.registers) if field.name == name), None)


def owner(name: str) -> str:
    """The register that a field belongs to."""
    return name.partition(".")[0]


def read(machine: Machine, cpu: int, name: str) -> int | None:
    """The value of a register or field, unsigned; None if there is none of that name."""
    m, form, row = machine.m, machine.format, cpu * CPU
    field = find_field(form, name)
    if field is not None and name != owner(name):
        whole = read(machine, cpu, owner(name))
        return None if whole is None else whole >> field.low & field.mask
    if name == form.root_register:
        return root_value(machine, cpu)
    if name == form.fault_register:
        return int(m.cpu[row + CPU_ADDRESS]) & WORD_MASK
    word = next((field.word for field in form.registers if owner(field.name) == name), None)
    return None if word is None else int(m.cpu[row + CONTROLS[word]]) & own_bits(form, name)


def own_bits(form: Format, name: str) -> int:
    """The bits of its word of control registers that a register has: two may share one."""
    return sum(field.mask << field.low for field in form.registers if owner(field.name) == name)


def root_value(machine: Machine, cpu: int) -> int:
    """The root register: the table's address, or what it is composed of (RISC-V: MODE, ASID, PPN)."""
    m, form, row = machine.m, machine.format, cpu * CPU
    root = int(m.cpu[row + CPU_ROOT]) & WORD_MASK
    if machine.bindings["BARE"] and s64(root) == BARE_ROOT:
        return 0
    if not form.root_fields or not root:
        return root
    *modes, asid, page = form.root_fields
    number = m.cpu[row + CPU_ASID] % ZERO_SPACE if machine.config["tlb.asids"] else 0
    whole = sum(mode.initial << mode.low for mode in modes)
    return whole | number << asid.low | root >> page_shift(form) << page.low


def page_shift(form: Format) -> int:
    """How far the root table's address is shifted in its register: satp has a page number."""
    return form.page_bits if form.root_fields[-1].name.endswith(".ppn") else 0


def composed(machine: Machine, cpu: int, name: str, value: int) -> tuple[str, int]:
    """The whole register that a write changes, and its new value.  UserError if a field is too narrow."""
    field = find_field(machine.format, name)
    if field is None or name == owner(name):
        return name, value & WORD_MASK
    if value & WORD_MASK > field.mask:
        bits = f"{field.width} bit{'' if field.width == 1 else 's'}"
        raise UserError(f"Value {value & WORD_MASK:#x} does not fit in the {bits} of ${name}.")
    whole = read(machine, cpu, owner(name)) or 0
    return owner(name), whole & ~(field.mask << field.low) | (value & field.mask) << field.low


def check_write(machine: Machine, cpu: int, name: str, value: int) -> None:
    """UserError if a register cannot have a value, or there is none of that name."""
    form = machine.format
    if name not in names(form):
        raise UserError(f"Register ${name} cannot be set.")
    register, whole = composed(machine, cpu, name, value)
    check_fields(machine, cpu, register, whole)
    if register == form.root_register and not (form.root_fields or form.bounded or form.segments):
        check_root(machine, whole)
    if register == form.root_register and form.root_fields:
        *modes, asid, _ = form.root_fields
        number = whole >> asid.low & asid.mask
        for mode in modes:
            if whole >> mode.low & mode.mask not in (0, mode.initial):
                raise UserError(
                    f"${mode.name} is {mode.initial}, or 0 for Bare: "
                    f"{form.name} is all that this machine translates by."
                )
        if machine.config["tlb.asids"] and number == ZERO_SPACE:
            raise UserError(f"${asid.name} is 0 to {ZERO_SPACE - 1}, not {number}.")


def check_fields(machine: Machine, cpu: int, register: str, whole: int) -> None:
    """UserError if a field of a control register cannot have the value that it would get."""
    for field in (field for field in machine.format.registers if owner(field.name) == register):
        new = whole >> field.low & field.mask
        if field.name == register and whole >> field.low > field.mask:
            raise UserError(f"Value {whole:#x} does not fit in the {field.width} bits of ${register}.")
        if field.fixed and new != read(machine, cpu, field.name):
            raise UserError(f"${field.name} is {1 - new}: {field.fixed}")
        if not field.least <= new <= field.most:
            raise UserError(f"${field.name} is {field.least} to {field.most}, not {new}.")
        if new == field.never:
            raise UserError(f"${field.name} is never {new} ({field.help}).")


def check_root(machine: Machine, value: int) -> None:
    """UserError if a root register that is an address has reserved bits set.

    Those below the table's alignment are ignored, or are the number of the space (SDM 3A, 4.5.2).
    """
    form = machine.format
    keeps = form.root_keeps if machine.config["tlb.asids"] else 0
    top = form.root_mask.bit_length()
    if (value & ~keeps) >> top:
        raise UserError(
            f"${form.root_register} = {value:#x}: bits {63 if not keeps else 62}:{top} are reserved; "
            "the CPU would refuse it."
        )
    if form.root_checked:
        check_root_entries(machine, value & form.root_mask)


def check_root_entries(machine: Machine, root: int) -> None:
    """UserError if an entry of a root table that the CPU checks when it loads it has reserved bits set.

    PAE, SDM 3A, 4.4.1; bits up to MAXPHYADDR are the walk's to find.
    """
    form, level = machine.format, machine.format.levels[0]
    for index, entry in table_entries(machine.k, form, root, 0, 1 << level.bits):
        wrong = entry & WORD_MASK & form.root_checked
        if wrong and form.by_role["valid"].get(entry):
            raise UserError(
                f"{level.name}[{index}] has bit {wrong.bit_length() - 1} set, which is reserved: the CPU "
                f"would refuse ${form.root_register} = {root:#x}."
            )


def write(machine: Machine, cpu: int, name: str, value: int) -> None:
    """Write a register or field, and flush of the CPU's TLB what the manual says.

    UserError as `check_write`.
    """
    check_write(machine, cpu, name, value)
    m, form, row = machine.m, machine.format, cpu * CPU
    register, new = composed(machine, cpu, name, value)
    if register == form.root_register:
        write_root(machine, cpu, new)
    elif register == form.fault_register:
        m.cpu[row + CPU_ADDRESS] = s64(new)
    else:
        fields = [field for field in form.registers if owner(field.name) == register]
        old = m.cpu[row + CONTROLS[fields[0].word]] & WORD_MASK
        new = old & ~own_bits(form, register) & WORD_MASK | new
        m.cpu[row + CONTROLS[fields[0].word]] = s64(new)
        set_allowed(m, cpu, form)
        flushes = [field.flush for field in fields if (old ^ new) >> field.low & field.mask]
        raised = [field.flush for field in fields if new & ~old & field.mask << field.low]
        if FLUSH_ALL in flushes:
            machine.k.tlb_flush(m, cpu, -1, 0)
        elif FLUSH_SPACE in raised:
            machine.k.tlb_flush(m, cpu, m.cpu[row + CPU_ASID], 1)
        machine.k.tlb_suspect(m, cpu, -1, 0)  # entries that stay may disagree with the new tables


def set_window(machine: Machine, cpu: int, opened: bool) -> None:
    """Let a CPU's kernel mode touch user pages, or not, where a register can forbid it, while it serves the
    process that it runs: others have windows of their own, or go by what the register said before.

    UserError if the format has no such register.
    """
    if not machine.format.window:
        raise UserError(f"{machine.format.name} has no register that keeps the kernel from user pages.")
    name, value = machine.format.window
    bit, m = value if opened else 1 - value, machine.m
    before, row = read(machine, cpu, name), m.cpu[cpu * CPU + CPU_PID] * PROCESS
    write(machine, cpu, name, bit)
    if row and not m.process[row + PROCESS_WINDOW]:
        m.cpu[cpu * CPU + CPU_WINDOW] = before
    if row:
        m.process[row + PROCESS_WINDOW] = 1 + bit


def kept(machine: Machine, cpu: int, name: str, saved: int) -> int:
    """A register that had a value in a real computer, now: what of it the machine has may have changed."""
    form = machine.format
    now = read(machine, cpu, name)
    if now is None:
        return saved
    if name == form.root_register:
        mask = form.root_mask if not form.root_fields else WORD_MASK
    elif name == form.fault_register:
        mask = WORD_MASK
    else:
        mask = own_bits(form, name)
    return saved & ~mask & WORD_MASK | now & mask


def load_controls(machine: Machine, cpu: int, values: Mapping[str, int]) -> None:
    """Give the control registers of a CPU the values of a real one, in the bits that the format declares.

    Registers that are not in `values` stay as they are.  Nothing is flushed.
    """
    m, form, row = machine.m, machine.format, cpu * CPU
    for field in form.registers:
        whole = values.get(owner(field.name))
        if whole is not None:
            column = row + CONTROLS[field.word]
            mask = field.mask << field.low
            m.cpu[column] = s64(m.cpu[column] & WORD_MASK & ~mask | whole & mask)
    set_allowed(m, cpu, form)


def write_root(machine: Machine, cpu: int, value: int) -> None:
    """Write the root register of a CPU, so that it uses other tables.

    A register without fields (CR3) flushes from the TLB what it holds of the present address space, but for
    global pages (SDM 3A, 4.10.4.1).  If the machine has address-space numbers (CR4.PCIDE = 1), the value also
    holds one, and a bit of the value may say that nothing is flushed.  A register with fields (RISC-V)
    flushes nothing: software does that by SFENCE.VMA (Privileged, 12.1.11).
    """
    m, form, row = machine.m, machine.format, cpu * CPU
    if not form.root_fields:
        numbers = machine.config["tlb.asids"]
        number = value & (1 << form.root_asid_bits) - 1
        m.cpu[row + CPU_ROOT] = s64(value)
        if form.root_checked:
            machine.k.load_root(m, cpu)
        if numbers and form.root_asid_bits:
            m.cpu[row + CPU_ROOT] = value & form.root_mask
            m.cpu[row + CPU_ASID] = number or m.cpu[row + CPU_ASID]
        if not (numbers and value & form.root_keeps):
            machine.k.tlb_flush(m, cpu, m.cpu[row + CPU_ASID], 1)
        machine.k.tlb_suspect(m, cpu, -1, 0)
        return
    *modes, asid, page = form.root_fields
    if any(not value >> mode.low & mode.mask for mode in modes):
        m.cpu[row + CPU_ROOT] = BARE_ROOT
        return
    m.cpu[row + CPU_ROOT] = s64((value >> page.low & page.mask) << page_shift(form))
    if machine.config["tlb.asids"]:
        m.cpu[row + CPU_ASID] = value >> asid.low & asid.mask or ZERO_SPACE
    machine.k.tlb_suspect(m, cpu, -1, 0)
