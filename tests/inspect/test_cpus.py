"""What is said of one of several CPUs goes by its registers: as of a machine that has that CPU alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from vmdbg.debugger.machine_scope import MachineScope
from vmdbg.errors import UserError
from vmdbg.formats import find
from vmdbg.formats.contract import ALL_RIGHTS, RIGHT_X
from vmdbg.formats.record import Format
from vmdbg.inspect.address_space import runs
from vmdbg.inspect.context import find_context
from vmdbg.inspect.page_tables import entry_runs, table_costs, valid_entries
from vmdbg.inspect.tlb import cached_entries
from vmdbg.inspect.translate import translate, walk, walk_data
from vmdbg.inspect.walk import walk_tables
from vmdbg.inspect.why import why
from vmdbg.machine.check.survey import Survey
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import write
from vmdbg.programs.vmp import parse_vmp
from vmdbg.state.tables import KERNEL_CPU, PROCESS, PROCESS_ROOT
from vmdbg.units import WORD_MASK, s64

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FRAMES = 16
FORMATS = [
    "arm64", "arm64_64k_lpa", "x86_32", "x86_pae", "x86_64", "sv39", "sv32",
    "segments.toml", "paged-segments.toml",
]  # fmt: skip


def booted(name: str, cpus: int) -> Machine:
    """A machine without a kernel and with some frames."""
    if name.endswith(".toml"):
        return Machine(load_config(str(EXAMPLES / name)).with_({"machine.cpus": cpus}))
    values = {"machine.cpus": cpus, "machine.format": name}
    values["machine.ram"] = FRAMES * find(name).page_size
    return Machine(load_config("bare").with_(values))


def used(form: Format, depth: int) -> tuple[int, ...]:
    """The indexes in a table at which something is."""
    last = (1 << form.levels[depth].bits) - 1
    return tuple(sorted({0, min(1, last), last - 1, last}))


def fill(rng: random.Random, machine: Machine) -> bytes:
    """Memory in which each page is a table with some tables and leaves below it, some of them odd."""
    form, k, m = machine.format, machine.k, machine.m
    if form.bounded:
        return rng.randbytes(len(m.ram1))
    base, pages = machine.config["machine.ram_base"], len(m.ram1) // form.page_size
    m.ram1[:] = bytes(len(m.ram1))
    for page in range(pages):
        depth = page % len(form.levels)
        for index in used(form, depth):
            frame = base + rng.randrange(pages) * form.page_size
            entry = k.make_table(frame, depth)
            if depth == len(form.levels) - 1 or (form.levels[depth].leaf and rng.random() < 0.3):
                entry = k.make_leaf(frame, rng.choice((ALL_RIGHTS, rng.randrange(ALL_RIGHTS + 1))), depth)
            if rng.random() < 0.3:
                entry ^= 1 << rng.randrange(8 * form.entry_bytes)
            address = base + page * form.page_size + index * form.entry_bytes
            if k.ram_offset(m, address, form.entry_bytes) >= 0:
                k.store_entry(m, address, s64(entry))
    return bytes(m.ram1)


def draw_address(rng: random.Random, form: Format) -> int:
    """One by indexes that are in use, or any."""
    if form.bounded or rng.random() < 0.2:
        return rng.getrandbits(rng.choice((12, form.va_bits, 64)))
    va = rng.getrandbits(form.page_bits) | sum(
        rng.choice(used(form, depth)) << level.shift for depth, level in enumerate(form.levels)
    )
    return form.signed(va) & WORD_MASK


def draw_registers(rng: random.Random, machine: Machine) -> list[tuple[str, int]]:
    """A value for each register, some of them as they were."""
    form, found = machine.format, []
    base, pages = machine.config["machine.ram_base"], len(machine.m.ram1) // form.page_size
    root = base + rng.randrange(max(pages, 1)) * form.page_size
    if form.root_fields and form.root_register == "satp":
        root = form.root_fields[0].initial << form.root_fields[0].low | root >> form.page_bits
    found.append((form.root_register, root))
    for register in form.registers:
        if register.name.startswith("ttbr1"):
            found.append((register.name, base + rng.randrange(pages) * form.page_size))
        elif rng.random() < 0.6:
            most = min(register.most, register.mask, 1 << 12)
            found.append((register.name, rng.randint(min(register.least, most), most)))
    return found


def told(machine: Machine, cpu: int, va: int, access: int, mode: int | None) -> list[Any]:
    """What is said of a CPU and an address."""
    context = find_context(machine, cpu=cpu, mode=mode)
    verdict = why(machine, context, va, access)
    walked, found = walk(machine, context, va)
    registers = [(register.name, value) for register, value in verdict.registers]
    return [
        translate(machine, context, va, access).data(), walk_data(machine, walked, found),
        verdict.rules, verdict.sentences, verdict.values, verdict.canonical, registers,
    ]  # fmt: skip


def told_of_all(machine: Machine, cpu: int) -> list[Any]:
    """What is said of all that a CPU's tables map."""
    root = find_context(machine, cpu=cpu).root
    found: list[Any] = [
        [(run.start, run.end, run.pa, run.rights) for run in runs(machine, root, merge=True, cpu=cpu)]
    ]
    if not machine.format.bounded:
        found += [
            [(run.va, run.entry, run.rights, run.count) for run in entry_runs(machine, root, cpu)],
            [(cost.tables, cost.used) for cost in table_costs(machine, root, False, cpu)],
            list(valid_entries(machine, root, cpu)),
        ]
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_cpu_that_is_not_in_use(name: str) -> None:
    pair, alone = booted(name, 2), booted(name, 1)
    form = pair.format
    faults = set()
    for seed in range(12):
        rng = random.Random(seed)
        memory = fill(rng, pair)
        pair.m.ram1[:] = alone.m.ram1[:] = memory
        for register, value in draw_registers(rng, pair):
            try:
                write(alone, 0, register, value)
            except UserError:
                continue
            write(pair, 1, register, value)
        for register, value in draw_registers(rng, pair):
            try:
                write(pair, 0, register, value)
            except UserError:
                continue
        state = pair.digest()
        for _ in range(12):
            va = draw_address(rng, form)
            access, mode = rng.randrange(3), rng.choice((None, 0, 1))
            one, other = told(pair, 1, va, access, mode), told(alone, 0, va, access, mode)
            assert one == other, (seed, hex(va), access, mode)
            faults.add(one[0]["fault"] and one[0]["fault"]["kind"])
        if not seed:
            assert told_of_all(pair, 1) == told_of_all(alone, 0)
        assert pair.digest() == state
    assert len(faults) > 1


def test_base_and_bounds(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    text = '[format]\nscheme = "base-and-bounds"\npartition = "4K"\nva_bits = 16\n'
    path.write_text(
        text
        + '[machine]\nkernel = false\nram = "64K"\nswap.size = 0\ncpus = 2\n[tlb]\nl1 = "off"\nl2 = "off"\n'
    )
    machine = Machine(load_config(str(path)))
    for cpu, base, bound in ((0, 0x1000, 0x100), (1, 0x2000, 0x200)):
        write(machine, cpu, "base", base)
        write(machine, cpu, "bound", bound)
    found = [translate(machine, find_context(machine, cpu=cpu), 0x180, 0) for cpu in (0, 1)]
    assert [one.pa for one in found] == [None, 0x2180]
    assert found[0].fault is not None
    assert found[0].fault.reason == "the bound is 0x100"
    context = find_context(machine, cpu=1)
    walked, outcome = walk(machine, context, 0x180)
    assert walk_data(machine, walked, outcome)["bound"] == 0x200


def test_check_judges_each_tlb_by_its_cpu() -> None:
    """One CPU ignores the rights of tables (TCR_EL1.HPD0), the other does not: no entry is stale."""
    text = "region heap 0x400000 4K rwx\nloop 20\nread 0x400000\nend\n"
    values = {"machine.format": "arm64", "machine.ram": 1 << 26, "machine.cpus": 2}
    machine = Machine(MachineConfig(values))
    for _ in range(2):
        machine.load(parse_vmp(text.encode(), "p.vmp", va_bits=49, page_size=4096))
    machine.run(4)
    k, m = machine.k, machine.m
    for pid in (1, 2):
        step = walk_tables(machine, m.process[pid * PROCESS + PROCESS_ROOT], 0x400000).steps[-2]
        k.store_entry(m, step.address, s64(step.entry | 1 << 60))  # UXNTable
    write(machine, 1, "tcr_el1.hpd0", 1)
    for cpu in (0, 1):
        k.tlb_flush(m, cpu, -1, 0)
    machine.run(12)
    held = {cached.cpu: cached.rights for cached in cached_entries(machine) if cached.va == 0x400000}
    assert [held[cpu] & RIGHT_X for cpu in (0, 1)] == [0, RIGHT_X]
    assert [stale.kind for stale in Survey(machine).stale()] == []


def test_memory_is_read_as_the_cpu_does_whose_process_it_is() -> None:
    """The kernel's turn is CPU 1's, which is idle and reaches less; the process runs on CPU 0."""
    text = "region heap 0x40000000000 4K rw\nwrite 0x40000000000, 7\nloop 9\nread 0x40000000000\nend\n"
    values = {"machine.format": "arm64", "machine.ram": 1 << 26, "machine.cpus": 2}
    machine = Machine(MachineConfig(values))
    machine.load(parse_vmp(text.encode(), "p.vmp", va_bits=49, page_size=4096))
    machine.run(2)
    write(machine, 1, "tcr_el1.t0sz", 30)
    assert machine.m.kernel[KERNEL_CPU] == 1
    scope = MachineScope(machine, lambda _, action: action())
    assert scope.read_memory(0x40000000000, 1) == b"\7"
    scope.write_memory(0x40000000000, b"\11")
    assert scope.read_memory(0x40000000000, 2) == b"\11\0"
