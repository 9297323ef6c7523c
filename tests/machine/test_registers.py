"""Control registers: what a write changes in rights, reserved bits, global entries, and what it flushes."""

from __future__ import annotations

import pytest

from vmdbg.errors import UserError
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.inspect.target import boot, boot_named
from vmdbg.inspect.walk import walk_tables
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import names, read, write
from vmdbg.state.tables import (
    CONTROL_FAULT,
    CONTROL_STEPS,
    CPU_ASID,
    CPU_MODE,
    CPU_ROOT,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    TLB,
    TLB_KEY,
)
from vmdbg.units import s64

KERNEL = -0x777FFFEF8000  # of the default machine: physical 0x108000 in the direct map
TEXT, DATA = 0x401000, 0x404000


@pytest.fixture
def x86() -> Machine:
    return boot_named().machine


def open_without_numbers() -> Machine:
    """The default machine without PCIDs (CR4.PCIDE = 0)."""
    return boot(load_config("default").with_({"tlb.asids": False})).machine


@pytest.fixture
def sv39() -> Machine:
    return boot_named("sv39").machine


def keys(machine: Machine) -> set[int]:
    return {key for key in machine.m.tlb[TLB_KEY::TLB] if key >= 0}


def outcome(machine: Machine, va: int, how: str) -> str:
    if machine.k.translate(machine.m, 0, va, "rwx".index(how)) >= 0:
        return "translated"
    return FAULT_KINDS[machine.m.control[CONTROL_FAULT]]


def touch_kernel(machine: Machine) -> None:
    """Let the TLB hold a page of the kernel half."""
    machine.m.cpu[CPU_MODE] = 1
    write(machine, 0, "cr0.wp", 1)  # rights are derived anew
    assert outcome(machine, KERNEL, "r") == "translated"
    machine.m.cpu[CPU_MODE] = 0
    write(machine, 0, "cr0.wp", 1)


def is_global(key: int) -> bool:
    return key >> 2 & 0xFFFF == 0


def test_names_are_those_of_the_manuals(x86: Machine, sv39: Machine) -> None:
    assert {"cr0", "cr0.wp", "cr3", "cr2", "cr4", "cr4.pge", "cr4.smep", "cr4.smap", "efer.nxe"} <= set(
        names(x86.format)
    )
    wanted = {"satp", "satp.mode", "satp.asid", "satp.ppn", "sstatus", "sstatus.sum", "sstatus.mxr", "stval"}
    wanted |= {"menvcfg", "menvcfg.adue", "isa", "isa.svnapot", "menvcfg.pbmte"}
    wanted |= {"mstatus", "mstatus.mprv", "mstatus.mpp"}
    assert wanted == set(names(sv39.format))
    assert read(x86, 0, "cr4") == 1 << 5 | 1 << 7 | 1 << 17 | 1 << 20  # PAE PGE PCIDE SMEP
    assert read(x86, 0, "efer") == 1 << 11
    assert read(x86, 0, "satp") is None


@pytest.mark.long
def test_without_nxe_bit_63_is_reserved(x86: Machine) -> None:
    before = keys(x86)
    write(x86, 0, "efer.nxe", 0)
    assert keys(x86) == before  # nothing is flushed: what is cached goes on to be used
    assert outcome(x86, DATA, "r") == "translated"
    x86.k.tlb_flush(x86.m, 0, -1, 0)
    memory = bytes(x86.m.ram1)
    assert outcome(x86, DATA, "r") == "reserved"
    assert bytes(x86.m.ram1) == memory  # no A bit was set
    assert outcome(x86, TEXT, "r") == "translated"
    assert check(x86) == []
    write(x86, 0, "efer.nxe", 1)
    assert outcome(x86, DATA, "r") == "translated"
    assert outcome(x86, DATA, "x") == "protection"


def test_pge_decides_about_global_entries_and_flushes_them(x86: Machine) -> None:
    touch_kernel(x86)
    assert any(is_global(key) for key in keys(x86))
    write(x86, 0, "cr4.pge", 0)
    assert keys(x86) == set()
    touch_kernel(x86)
    assert keys(x86)
    assert not any(is_global(key) for key in keys(x86))
    assert check(x86) == []
    write(x86, 0, "cr4.pge", 1)
    assert keys(x86) == set()


def test_smep_flushes_the_space_when_it_is_set(x86: Machine) -> None:
    touch_kernel(x86)
    held = keys(x86)
    write(x86, 0, "cr4.smep", 0)
    assert keys(x86) == held
    write(x86, 0, "cr4", 1 << 5 | 1 << 7 | 1 << 17 | 1 << 20)
    assert keys(x86) == {key for key in held if is_global(key)}


def test_bits_of_cr3_below_the_page_are_no_address() -> None:
    x86 = open_without_numbers()
    root = x86.m.cpu[CPU_ROOT]
    write(x86, 0, "cr3", root | 0x18)  # PWT, PCD
    assert read(x86, 0, "cr3") == root | 0x18
    assert outcome(x86, DATA, "r") == "translated"
    assert x86.k.access(x86.m, 0, 1, 0x40A000, 1, 1, 5) == 0  # a fault is served


def test_satp_is_mode_number_and_page(sv39: Machine) -> None:
    root = sv39.m.cpu[CPU_ROOT]
    assert read(sv39, 0, "satp") == 8 << 60 | 1 << 44 | root >> 12
    assert [read(sv39, 0, f"satp.{name}") for name in ("mode", "asid", "ppn")] == [8, 1, root >> 12]
    held = keys(sv39)
    write(sv39, 0, "satp.asid", 9)
    assert keys(sv39) == held  # RISC-V: only SFENCE.VMA invalidates
    assert sv39.m.cpu[CPU_ASID] == 9
    write(sv39, 0, "satp", 8 << 60 | 5 << 44 | 0x80200)
    assert (sv39.m.cpu[CPU_ASID], sv39.m.cpu[CPU_ROOT]) == (5, 0x80200000)


def test_address_space_number_0_is_one_as_any(sv39: Machine) -> None:
    """RISC-V Privileged, 12.1.11: ASID 0 is legal, and its translations are no global ones."""
    write(sv39, 0, "satp.asid", 0)
    assert read(sv39, 0, "satp.asid") == 0
    before = keys(sv39)
    assert outcome(sv39, DATA, "r") == "translated"
    (fresh,) = keys(sv39) - before
    write(sv39, 0, "satp.asid", 7)
    assert outcome(sv39, DATA, "r") == "translated"
    assert len(keys(sv39) - before - {fresh}) == 1  # it was no hit
    write(sv39, 0, "satp.asid", 0)
    held = keys(sv39)
    assert outcome(sv39, DATA, "r") == "translated"
    assert keys(sv39) == held


def test_bare_does_not_translate(sv39: Machine) -> None:
    """RISC-V Privileged, 12.1.11: MODE = 0 is Bare, no translation and no protection."""
    before = read(sv39, 0, "satp")
    assert before is not None
    write(sv39, 0, "satp.mode", 0)
    assert read(sv39, 0, "satp") == 0
    assert [sv39.k.translate(sv39.m, 0, 0x80001234, access) for access in range(3)] == [0x80001234] * 3
    with pytest.raises(UserError, match=r"\$satp\.mode is 0 \(Bare\): virtual addresses are physical ones"):
        walk_tables(sv39, sv39.m.cpu[CPU_ROOT], 0x80001234)
    write(sv39, 0, "satp", before)
    assert outcome(sv39, DATA, "r") == "translated"


def test_adue_decides_who_sets_a_and_d(sv39: Machine) -> None:
    """RISC-V Privileged, 3.1.18: with menvcfg.ADUE = 0 as with Svade, a fault instead of an update."""
    heap = 0x40A000
    write(sv39, 0, "menvcfg.adue", 0)
    assert outcome(sv39, heap, "w") == "not-present"
    assert sv39.k.access(sv39.m, 0, 1, heap, 1, 1, 5) == 0
    assert outcome(sv39, heap, "w") == "translated"  # the kernel has set both
    row = (sv39.m.control[CONTROL_STEPS] - 1) * PATH
    sv39.k.walk(sv39.m, sv39.m.cpu[CPU_ROOT], heap)
    address, entry = sv39.m.path[row + PATH_ADDRESS], sv39.m.path[row + PATH_ENTRY]
    sv39.k.store(sv39.m, address, 8, entry & ~0xC0)
    sv39.k.tlb_flush(sv39.m, 0, -1, 0)
    assert [outcome(sv39, heap, how) for how in "rw"] == ["access-flag"] * 2
    write(sv39, 0, "menvcfg.adue", 1)
    assert outcome(sv39, heap, "w") == "translated"
    assert sv39.k.load(sv39.m, address, 8) & 0xC0 == 0xC0


def test_svnapot_maps_64_kib_by_16_entries(sv39: Machine) -> None:
    """RISC-V Privileged, 12.7: N and ppn[0] = xxxx1000; the low bits of the frame are those of the page."""
    m, k, heap = sv39.m, sv39.k, 0x410000
    k.access(m, 0, 1, 0x40F000, 1, 1, 5)
    k.walk(m, m.cpu[CPU_ROOT], heap)
    first = m.path[(m.control[CONTROL_STEPS] - 1) * PATH + PATH_ADDRESS]
    for page in range(16):
        k.store(m, first + 8 * page, 8, s64(1 << 63 | (0x80200 | 8) << 10 | 0xD7))
    assert outcome(sv39, heap, "r") == "reserved"
    write(sv39, 0, "isa.svnapot", 1)
    assert [k.translate(m, 0, heap + 0x1234 * page, 0) for page in range(14)] == [
        0x80200000 + 0x1234 * page for page in range(14)
    ]
    k.store(m, first, 8, s64(1 << 63 | (0x80200 | 4) << 10 | 0xD7))
    k.tlb_flush(m, 0, -1, 0)
    assert outcome(sv39, heap, "r") == "reserved"


def test_sum_and_mxr(sv39: Machine) -> None:
    m = sv39.m
    m.cpu[CPU_MODE] = 1
    write(sv39, 0, "sstatus", 0)
    assert outcome(sv39, DATA, "r") == "protection"
    write(sv39, 0, "sstatus.sum", 1)
    assert outcome(sv39, DATA, "r") == "translated"
    assert outcome(sv39, TEXT, "x") == "protection"  # whatever SUM says
    m.cpu[CPU_MODE] = 0
    sv39.k.walk(m, m.cpu[CPU_ROOT], TEXT)
    leaf = (m.control[CONTROL_STEPS] - 1) * PATH
    sv39.k.store(m, m.path[leaf + PATH_ADDRESS], 8, m.path[leaf + PATH_ENTRY] & ~2)  # executable alone
    sv39.k.tlb_flush(m, 0, -1, 0)
    write(sv39, 0, "sstatus.mxr", 0)
    assert outcome(sv39, TEXT, "r") == "protection"
    write(sv39, 0, "sstatus.mxr", 1)
    assert outcome(sv39, TEXT, "r") == "translated"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("satp.mode", 9, r"^\$satp\.mode is 8, or 0 for Bare: sv39 is all that this machine"),
        ("satp", 9 << 60 | 1 << 44, r"^\$satp\.mode is 8, or 0 "),
        ("satp.asid", 65535, r"^\$satp\.asid is 0 to 65534, not 65535\.$"),
        ("satp.ppn", 1 << 44, r"^Value 0x100000000000 does not fit in the 44 bits of \$satp\.ppn\.$"),
        ("sstatus.sum", 2, r"^Value 0x2 does not fit in the 1 bit of \$sstatus\.sum\.$"),
        ("cr3", 0, r"^Register \$cr3 cannot be set\.$"),
    ],
)
def test_what_cannot_be_is_refused(sv39: Machine, name: str, value: int, said: str) -> None:
    before = sv39.digest()
    with pytest.raises(UserError, match=said):
        write(sv39, 0, name, value)
    assert sv39.digest() == before


def test_the_root_register_refuses_reserved_bits(x86: Machine) -> None:
    """SDM 3A, table 4-12: bits 63:MAXPHYADDR must be 0; bit 63 of a MOV with PCIDs says: flush nothing."""
    root = read(x86, 0, "cr3")
    assert root is not None
    for value in (1 << 52 | root, 1 << 62 | root, 0xFFF0000000000000 | root):
        with pytest.raises(UserError, match=r"bits 62:52 are reserved"):
            write(x86, 0, "cr3", value)
    held = keys(x86)
    write(x86, 0, "cr3", 1 << 63 | root)
    assert read(x86, 0, "cr3") == root
    assert keys(x86) == held
    write(x86, 0, "cr3", root)
    assert all(is_global(key) for key in keys(x86))
    assert check(x86) == []


def test_with_pcids_the_root_register_takes_the_number_of_the_space(x86: Machine) -> None:
    root = read(x86, 0, "cr3")
    assert root is not None
    write(x86, 0, "cr3", root | 5)
    assert (read(x86, 0, "cr3"), x86.m.cpu[CPU_ASID]) == (root, 5)


def test_without_pcids_low_bits_are_ignored_and_bit_63_is_reserved() -> None:
    machine = open_without_numbers()
    root = read(machine, 0, "cr3")
    assert root is not None
    write(machine, 0, "cr3", root | 0xFFF)
    assert (read(machine, 0, "cr3"), machine.m.cpu[CPU_ASID]) == (root | 0xFFF, 1)
    assert check(machine) == []
    with pytest.raises(UserError, match=r"bits 63:52 are reserved"):
        write(machine, 0, "cr3", 1 << 63 | root)
    assert read(machine, 0, "cr3") == root | 0xFFF


@pytest.mark.parametrize(
    ("preset", "name", "value", "said"),
    [
        ("default", "cr4.pae", 0, r"\$cr4\.pae is 1: PAE is all that this machine translates by"),
        ("default", "cr4.la57", 1, r"\$cr4\.la57 is 0: x86_64 is all that"),
        ("default", "cr4.pcide", 0, r"\$cr4\.pcide is 1: the setting tlb\.asids decides"),
        ("default", "cr4", 1 << 7, r"\$cr4\.pae is 1: "),
        ("default", "maxphyaddr", 53, r"\$maxphyaddr is 32 to 52, not 53"),
        ("default", "pkru", 1 << 32, r"does not fit in the 32 bits of \$pkru"),
        ("x86_32", "cr4.pae", 1, r"\$cr4\.pae is 0: x86_32 is all that"),
        ("x86_pae", "cr3", 1 << 32, r"bits 63:32 are reserved"),
    ],
)
def test_registers_of_x86_have_limits(preset: str, name: str, value: int, said: str) -> None:
    """SDM 3A, 4.1.1 and 4.5.2: paging modes cannot be left by these; a MOV of them is #GP."""
    machine = boot_named(preset).machine
    before = machine.digest()
    with pytest.raises(UserError, match=said):
        write(machine, 0, name, value)
    assert machine.digest() == before


def test_pae_loads_only_entries_without_reserved_bits() -> None:
    """SDM 3A, 4.4.1: MOV to CR3 checks the four PDPTEs.  A in one of them is let pass: QEMU sets it."""
    machine = boot_named("x86_pae").machine
    k, m, root = machine.k, machine.m, 0x200020
    for bit in (1, 2, 6, 7, 8, 52, 63):
        k.store(m, root + 16, 8, s64(1 | 1 << bit))
        with pytest.raises(UserError, match=rf"PDPT\[2\] has bit {bit} set, which is reserved"):
            write(machine, 0, "cr3", root)
    for entry in (1 << 63, 0x5000 | 0x39, 0x5000 | 0xE01):
        k.store(m, root + 16, 8, s64(entry))
        write(machine, 0, "cr3", root)
    assert read(machine, 0, "cr3") == root


def test_pae_uses_the_entries_that_it_loaded() -> None:
    """SDM 3A, 4.4.1: a PDPTE that changes in memory counts from the next MOV to CR3 on."""
    machine = boot_named("x86_pae").machine
    k, m = machine.k, machine.m
    root = read(machine, 0, "cr3")
    assert root is not None
    k.tlb_flush(m, 0, -1, 0)
    held = k.load(m, root, 8)
    k.store(m, root, 8, 0)
    assert outcome(machine, 0x8049678, "r") == "translated"
    assert any("entry 0 of its root table changed" in found.message for found in check(machine))
    write(machine, 0, "cr3", root)
    assert outcome(machine, 0x8049678, "r") == "not-present"
    k.store(m, root, 8, held)
    write(machine, 0, "cr3", root)
    assert outcome(machine, 0x8049678, "r") == "translated"
    assert check(machine) == []


@pytest.mark.parametrize(("name", "value"), [("x86_32", 1 << 32), ("tutorial16", 1 << 16)])
def test_narrower_roots_have_narrower_registers(name: str, value: int) -> None:
    machine = boot_named(name).machine
    with pytest.raises(UserError, match="are reserved"):
        write(machine, 0, machine.format.root_register, value)


@pytest.mark.parametrize("name", ["machine.ram", "machine.swap.size"])
def test_memory_that_is_no_number_of_pages_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} 0x100001 is no multiple of a page, 0x1000"):
        Machine(MachineConfig({name: (1 << 20) + 1}))
