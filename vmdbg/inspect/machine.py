"""The machine in numbers: what it is made of, its registers, what its memory holds."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.context import MODES, check_cpu, shown_asid
from vmdbg.inspect.notation import code_words
from vmdbg.inspect.processes import frame_states, frames
from vmdbg.inspect.tlb import geometry, page_sizes
from vmdbg.machine.boot import format_of
from vmdbg.machine.config import TLB_SETTINGS
from vmdbg.machine.registers import kept, owner, read
from vmdbg.machine.tlb_arrays import Arrays
from vmdbg.state.tables import (
    CPU,
    CPU_ADDRESS,
    CPU_ASID,
    CPU_CODE,
    CPU_MODE,
    CPU_PID,
    CPU_ROOT,
    KERNEL_CPU,
    KERNEL_SLOT_COUNT,
    SLOT,
)
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from vmdbg.formats.record import Register
    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.machine import Machine


def cpu_in_use(machine: Machine) -> int | None:
    """The CPU that executes; None on a machine that has but one."""
    return int(machine.m.kernel[KERNEL_CPU]) if machine.config["machine.cpus"] > 1 else None


def facts(machine: Machine) -> dict[str, Any]:
    """What JSON shows of a machine; `digest` is a hash of its whole state."""
    config, form, m = machine.config, machine.format, machine.m
    return {
        "machine": config.name,
        "format": form.name,
        "manual": form.manual,
        "levels": [{"level": level.name, "linux": level.linux, "bits": level.bits} for level in form.levels],
        "va_bits": form.va_bits,
        "entry_bytes": form.entry_bytes,
        "page_sizes": [1 << level.shift for level in reversed(form.levels) if level.leaf],
        "software_walk": form.software_walk,
        "ram": config["machine.ram"],
        "cpus": config["machine.cpus"],
        "tlb": [
            {
                "level": name,
                "sets": sets,
                "ways": ways,
                "fetches": fetches,
                "data": data,
                "page_sizes": sizes,
                "reach": [sets * ways * size for size in sizes],
            }
            for (name, sets, ways, fetches, data), sizes in zip(
                geometry(machine), page_sizes(machine), strict=True
            )
        ],
        "replacement": config["tlb.replacement"],
        "inclusive": config["tlb.inclusive"],
        "walk_caches": [
            {"level": row.name, "entries": row.ways} for row in Arrays(config, form).rows if not row.level
        ],
        "swap": config["machine.swap.size"],
        "free_slots": m.kernel[KERNEL_SLOT_COUNT],
        "slots": len(m.slot) // SLOT - 1,
        "policy": config["kernel.policy"],
        "frames": frame_states(machine),
        "payload": config["machine.payload"],
        "program": machine.program.file if machine.program is not None else None,
        "operations": machine.operations,
        "digest": machine.digest(),
    }


def describe(config: MachineConfig, machine: Machine | None = None) -> str:
    """`x86_64, 64 MiB RAM, TLB 64i + 64d + 1536 entries, 64 MiB swap`; a format of the machine's own name
    is left out.  The TLB of a `machine` is as it is now."""
    arrays = {f"L{name[5:]}": config.geometry(name) for name in TLB_SETTINGS}
    if machine is not None:
        arrays = {name: (sets, ways) for name, sets, ways, _, _ in geometry(machine)}
    cached = " + ".join(f"{sets * ways}{name[2:]}" for name, (sets, ways) in arrays.items() if sets)
    named = config["machine.format"].rpartition("/")[2]
    parts = [named] if named.removesuffix(".toml") != config.name else []
    parts.append(f"{format_size(config['machine.ram'])} RAM")
    parts.append(f"TLB {cached} entries" if cached else "no TLB")
    form = format_of(config)
    swap = min(config["machine.swap.size"], (form.slots - 1) << form.page_bits)
    parts.append(f"{format_size(swap)} swap" if swap else "no swap")
    return ", ".join(parts)


def registers(machine: Machine, cpu: int | None = None, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The registers of a CPU, or of all; those with a name, or all.  UserError if there is none."""
    chosen = range(machine.config["machine.cpus"]) if cpu is None else [check_cpu(machine, cpu)]
    rows = [row for number in chosen for row in registers_of(machine, number)]
    for name in names:
        if all(row["register"] != name for row in rows):
            raise UserError(f"Invalid register `{name}'")
    return [row for row in rows if not names or row["register"] in names]


def registers_of(machine: Machine, cpu: int) -> list[dict[str, Any]]:
    """A row for each register of a CPU: name, value, what it means in words."""
    if machine.saved_registers:
        return saved_registers(machine, cpu)
    m, form, row = machine.m, machine.format, cpu * CPU
    code, pid = m.cpu[row + CPU_CODE], m.cpu[row + CPU_PID]
    root = "partition" if form.bounded else "root table"
    if form.segments:
        root = "where segment 0 is"
    of_whom = f"{root} of process {pid}" if pid else "idle" if machine.config["machine.kernel"] else root
    rows = [
        (form.root_register, m.cpu[row + CPU_ROOT], of_whom),
        (form.fault_register, m.cpu[row + CPU_ADDRESS], "address of the last fault"),
        ("error_code", code, code_words(form, code) or "of the last fault"),
        ("asid", shown_asid(m.cpu[row + CPU_ASID]), "address-space number"),
        ("mode", m.cpu[row + CPU_MODE], MODES[m.cpu[row + CPU_MODE] & 1]),
    ]
    if form.root_fields:
        rows[0] = (
            form.root_register,
            read(machine, cpu, form.root_register),
            bits(machine, cpu, form.root_fields),
        )
    for name in dict.fromkeys(owner(register.name) for register in form.registers):
        fields = sorted((found for found in form.registers if owner(found.name) == name), key=_low)
        rows.append((name, read(machine, cpu, name), bits(machine, cpu, fields)))
    return [
        {"cpu": cpu, "register": name, "value": (value or 0) & WORD_MASK, "meaning": text}
        for name, value, text in rows
    ]


def saved_registers(machine: Machine, cpu: int) -> list[dict[str, Any]]:
    """A row for each register that a dump has of a CPU; of control registers the fields that translation
    uses."""
    form, saved = machine.format, machine.saved_registers[cpu]
    rows = []
    for name, value in saved.items():
        fields = [register for register in form.registers if owner(register.name) == name]
        meaning = bits(machine, cpu, fields) if fields else ""
        if name == form.root_register:
            meaning = "root table"
        value = kept(machine, cpu, name, value)
        rows.append({"cpu": cpu, "register": name, "value": value & WORD_MASK, "meaning": meaning})
    return rows


def _low(register: Register) -> int:
    return register.low


def bits(machine: Machine, cpu: int, fields: Iterable[Register]) -> str:
    """The fields of a register that are not 0: `[ pge smep ]`, `[ mode=8 asid=1 ppn=0x80103 ]`; of one
    without fields, what it is."""
    found = []
    for field in fields:
        if field.name == owner(field.name):
            return field.help
        value = read(machine, cpu, field.name)
        if value:
            number = "" if field.width == 1 else f"={value}" if value < 10 else f"={value:#x}"
            found.append(field.name.rpartition(".")[2] + number)
    return f"[ {' '.join(found)} ]" if found else "[ ]"


def frame_summary(machine: Machine) -> str:
    """How many frames there are, and of them in each state."""
    states = frame_states(machine)
    total = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    return f"{sum(states.values())} frames: {total}."


def frame_runs(machine: Machine) -> Iterator[dict[str, Any]]:
    """`frames`, with those joined that follow one another and differ in nothing else."""
    held: dict[str, Any] | None = None
    for row in frames(machine):
        row["frames"] = 1
        if held is not None and follows(held, row):
            held["frames"] += 1
            continue
        if held is not None:
            yield held
        held = row
    if held is not None:
        yield held


def follows(held: dict[str, Any], row: dict[str, Any]) -> bool:
    """Is a frame the next one of a run?  The tail of a large page belongs to its head."""
    if row["pfn"] != held["pfn"] + held["frames"]:
        return False
    if row["state"] == "tail" and held["state"] in ("user", "table"):
        return bool(row["pid"] == held["pid"])
    return (
        all(row[key] == held[key] for key in ("state", "pid", "slot"))
        and not row["maps"]
        and not held["maps"]
    )
