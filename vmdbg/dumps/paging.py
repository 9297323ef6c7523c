"""What the registers of a real CPU say of its paging: on or off, the format of the tables, their root."""

from __future__ import annotations

from vmdbg.formats import NAMES

PE, PG, PAE, LA57, LMA = 1, 1 << 31, 1 << 5, 1 << 12, 1 << 10  # CR0, CR4, IA32_EFER
CODE64 = 1 << 21  # of a descriptor of code: L (SDM 3A, 5.2.1)
VIRTUAL_8086 = 1 << 17  # of EFLAGS
SATP_MODES = {8: "sv39", 9: "sv48", 10: "sv57"}  # RISC-V Privileged, 12.1.11
#: By TCR_EL1.TG0; where addresses may have 52 bits.
GRANULES = {0: "arm64", 1: "arm64_64k", 2: "arm64_16k"}
WIDE_GRANULES = {0: "arm64_lpa2", 1: "arm64_64k_lpa", 2: "arm64_16k_lpa2"}
DS, IPS_52 = 1 << 59, 6  # of TCR_EL1
HIGH_ROOT = 0x3C  # of TTBR with 52-bit addresses: bits 51:48 of the root table's (Arm ARM, D8.3.2)
KEEP = 'With "-no-reboot -no-shutdown" QEMU stops at a triple fault and keeps the registers of that moment.'
#: What a dump is taken for if nothing says what it is.
ASSUMED = "x86_64"
OF_PROCESSOR = {"x86_64": "x86_64", "x86": "x86_32", "riscv": "sv39", "riscv32": "sv32", "aarch64": "arm64"}


class Paging:
    """`format` is empty where the registers do not tell; `root` None, too.  `off` says why no tables are
    used, empty if they are."""

    __slots__ = ("format", "off", "root")

    def __init__(self, format: str = "", root: int | None = None, off: str = "") -> None:
        self.format, self.root, self.off = format, root, off


def paging_of(cpu: dict[str, int], processor: str) -> Paging:
    """What a CPU's registers say; `processor` as in `Image`, or empty."""
    if "cr3" in cpu and "cr0" in cpu:
        return x86_paging(cpu, processor)
    if "satp" in cpu:
        return riscv_paging(cpu["satp"], processor)
    if "ttbr0_el1" in cpu:
        return arm_paging(cpu)
    return Paging()


def arm_paging(cpu: dict[str, int]) -> Paging:
    """Arm ARM D17.2: SCTLR_EL1.M turns translation on, TCR_EL1.TG0 is the granule; TTBR0_EL1 has the root.

    Entries hold 52 bits of an address with DS, with 64 KiB where the processor has FEAT_LPA: if IPS says so.
    """
    tcr = cpu.get("tcr_el1", 0)
    granule = tcr >> 14 & 3
    wide = tcr >> 32 & 7 == IPS_52 if granule == 1 else tcr & DS
    form = (WIDE_GRANULES if wide else GRANULES).get(granule, "")
    if not cpu.get("sctlr_el1", 1) & 1:
        return Paging(form, None, "Paging is off (SCTLR_EL1.M = 0).")
    if wide and any(cpu.get(name, 0) & HIGH_ROOT for name in ("ttbr0_el1", "ttbr1_el1")):
        return Paging(form, None, "A root table lies above 2^48 (TTBR bits 5:2), where vmdbg does not look.")
    return Paging(form, cpu["ttbr0_el1"] & (1 << 48) - 2)  # bit 0 is CnP


def x86_paging(cpu: dict[str, int], processor: str) -> Paging:
    """Intel SDM 3A, 4.1.1: the four paging modes."""
    form = x86_format(cpu, processor)
    if not cpu["cr0"] & PG:
        return Paging(form, None, f"Paging is off (CR0 = {cpu['cr0']:#x}: PG = 0).")
    if not cpu["cr3"]:
        return Paging(form, None, "Paging is on, but CR3 is 0.")
    return Paging(form, cpu["cr3"])


def x86_format(cpu: dict[str, int], processor: str) -> str:
    """The format by CR4 and by whether the CPU is in long mode.

    QEMU's notes have no EFER; it makes the core one of x86-64 exactly if the first CPU is in long mode.
    """
    cr4 = cpu.get("cr4", 0)
    if "efer" in cpu:
        long = bool(cpu["efer"] & LMA)
    else:
        wide = bool(cpu.get("cs.flags", 0) & CODE64) or any(
            cpu.get(name, 0) >> 32 for name in ("rip", "rsp", "gdtr", "idtr")
        )
        long = processor == "x86_64" or (not processor and wide)
    if long and (cr4 & PAE or not cpu["cr0"] & PG):
        return "x86_64_la57" if cr4 & LA57 else "x86_64"
    return "x86_pae" if cr4 & PAE else "x86_32"


def riscv_paging(satp: int, processor: str) -> Paging:
    """RISC-V Privileged, 12.1.11: MODE and PPN of satp."""
    if processor == "riscv32":
        mode, page = satp >> 31, satp & (1 << 22) - 1
        return (
            Paging("sv32", page << 12) if mode else Paging("sv32", None, "Paging is off (satp.MODE is Bare).")
        )
    mode, page = satp >> 60 & 15, satp & (1 << 44) - 1
    if not mode:
        return Paging("", None, f"Paging is off (satp = {satp:#x}: MODE is Bare).")
    return Paging(
        SATP_MODES.get(mode, ""), page << 12, "" if mode in SATP_MODES else f"satp.MODE {mode} is unknown."
    )


def is_kernel(cpu: dict[str, int]) -> bool:
    """Does the CPU run in the kernel's mode, as far as its registers tell?"""
    if "mode" in cpu:  # of a simulated CPU
        return bool(cpu["mode"])
    if "priv" in cpu:  # RISC-V, as gdb stubs name it: 0 is U
        return bool(cpu["priv"] & 3)
    if "cs" in cpu:
        if not cpu.get("cr0", PE) & PE:
            return True
        if cpu.get("eflags", cpu.get("rflags", 0)) & VIRTUAL_8086:
            return False
        return cpu["cs"] & 3 != 3
    if "pstate" in cpu:
        return bool(cpu["pstate"] & 0xC)
    return True


def default_format(processor: str) -> str:
    """The format that dumps of a processor most often have."""
    found = OF_PROCESSOR.get(processor, ASSUMED)
    return found if found in NAMES else ASSUMED
