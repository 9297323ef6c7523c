"""A simulated machine with the memory, page tables and registers of a real computer: a copy to work on."""

from __future__ import annotations

from vmdbg import progress
from vmdbg.machine.banks import BANK_GRAIN
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import BANK, BANK_BASE, BANK_OFFSET, BANK_SIZE, CPU, CPU_ASID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.dumps.machine import DumpMachine

PIECE = 1 << 20  # bytes that are copied at once; zeros are left out


def imported(real: DumpMachine) -> Machine:
    """The machine.  UserError if it would have more memory than a simulated one can."""
    m, form = real.m, real.format
    rows = range(0, len(m.bank), BANK)
    banks = sorted((int(m.bank[row + BANK_BASE]), int(m.bank[row + BANK_SIZE])) for row in rows)
    step = max(BANK_GRAIN, form.page_size)
    values = {
        "machine.format": form.name,
        "machine.cpus": real.config["machine.cpus"],
        "machine.banks": " ".join(f"{base:#x}+{size:#x}" for base, size in banks),
        "machine.ram": sum(-(-size // step) * step for _, size in banks),
    }
    machine = Machine(load_config("bare").with_(values))
    copy_memory(real, machine)
    machine.m.cpu[:] = m.cpu[: len(machine.m.cpu)]
    for cpu in range(machine.config["machine.cpus"]):
        machine.m.cpu[cpu * CPU + CPU_ASID] = 1  # nobody gives numbers
    machine.saved_registers, machine.symbols = real.saved_registers, real.symbols
    machine.rooted, machine.no_root = real.rooted, real.no_root
    return machine


def copy_memory(real: DumpMachine, machine: Machine) -> None:
    """Copy all memory that is not zero; each bank is where the same one of the other machine is."""
    m, dirty, zeros = machine.m, machine.recorder, bytes(PIECE)
    total = sum(m.bank[row + BANK_SIZE] for row in range(0, len(m.bank), BANK))
    with progress.task("Importing memory", "B", total) as task:
        done = 0
        for row in range(0, len(m.bank), BANK):
            base, offset = m.bank[row + BANK_BASE], m.bank[row + BANK_OFFSET]
            for first, whole in real.image.extents(base, m.bank[row + BANK_SIZE]):
                for pa in range(first, first + whole, PIECE):
                    piece = real.read_bytes(pa, min(PIECE, first + whole - pa))
                    if not zeros.startswith(piece):
                        start = offset + pa - base
                        m.ram1[start : start + len(piece)] = piece
                        dirty.mark(start, start + len(piece))
                    task.at(done + pa - base)
            done += m.bank[row + BANK_SIZE]
