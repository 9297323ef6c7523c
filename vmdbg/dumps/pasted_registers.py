"""Registers as monitors print them: `info registers` of QEMU (x86, RISC-V, Arm), `r`, `sreg`, `creg` of
Bochs.

Text may be pasted with the prompts around it; what is no register is skipped.
"""

from __future__ import annotations

import re

from vmdbg.dumps.elf_core import MOST_CPUS, segment
from vmdbg.errors import InputError

MOST_TEXT = 1 << 20
CPU_LINE = re.compile(r"^\s*(?:CPU\s*#?\s*(\d+)|\(\d+\).*CPU\s*(\d+)|CPU(\d+))\s*:?\s*$", re.IGNORECASE)
HEX = r"(?:0x)?([0-9a-fA-F]{1,16}(?:[_:][0-9a-fA-F]{8})?)"
#: `CS =0008 0000000000000000 ffffffff 00af9a00 DPL=0`, `GDT=     000000000010014c 0000000f`: QEMU.
SEGMENT = re.compile(
    r"^\s*(ES|CS|SS|DS|FS|GS|LDT|TR)\s*=\s*([0-9a-f]{4}) ([0-9a-f]+) ([0-9a-f]{8}) ([0-9a-f]{8})"
)
TABLE = re.compile(r"^\s*(GDT|IDT)\s*=\s+([0-9a-f]+) ([0-9a-f]{8})\b")
#: `gdtr:base=0x0000000000000000, limit=0x30`, `cs:0x0008, dh=0x00209900, dl=0x00000000`: Bochs.
BOCHS_TABLE = re.compile(r"^\s*([gi]dtr):\s*base=0x([0-9a-f]+), limit=0x([0-9a-f]+)", re.IGNORECASE)
BOCHS_SEGMENT = re.compile(
    r"^\s*(es|cs|ss|ds|fs|gs|ldtr|tr):\s*(?:s=)?0x([0-9a-f]+), dh=0x([0-9a-f]+), dl=0x([0-9a-f]+)",
    re.IGNORECASE,
)
NAMES = (
    r"r(?:ax|bx|cx|dx|si|di|bp|sp|ip|[89]|1[0-5]|fl(?:ags)?)|e(?:ax|bx|cx|dx|si|di|bp|sp|ip|fl(?:ags)?)"
    r"|cr[02348]|efer|cpl|satp|[sm](?:status|epc|cause|tval|tvec)|pc|sp|x\d{1,2}(?:/\w+)?|pstate|lr"
    r"|(?:ttbr[01]|tcr|sctlr|mair|esr|far|elr|vbar|spsr)_el[123]"
)
VALUE = re.compile(rf"\b({NAMES})\s*[:=]?\s*(?:page fault laddr=)?{HEX}(?![0-9a-zA-Z_])", re.IGNORECASE)
RENAMED = {"rfl": "rflags", "efl": "eflags", "ldt": "ldtr", "gdt": "gdtr", "idt": "idtr"}


def pasted_registers(text: str, file: str = "") -> list[dict[str, int]]:
    """The registers of each CPU, by the names of the manual in small letters.  InputError if there are
    none."""
    if len(text) > MOST_TEXT:
        raise InputError(f"expected the text of registers, at most {MOST_TEXT >> 20} MiB", file)
    cpus: list[dict[str, int]] = [{}]
    for line in text.splitlines():
        number = CPU_LINE.match(line)
        if number is not None:
            if cpus[-1] and len(cpus) < MOST_CPUS:
                cpus.append({})
            continue
        read_line(line, cpus[-1])
    found = [completed(cpu) for cpu in cpus if cpu]
    if not found:
        raise InputError(
            'no register found; expected the output of "info registers" or of Bochs\'s "r"', file
        )
    return found


def completed(cpu: dict[str, int]) -> dict[str, int]:
    """With the names that RISC-V registers have besides: sstatus is a part of mstatus (Privileged, 12.1.1),
    x2 is the stack pointer."""
    for name, other in (("sstatus", "mstatus"), ("sp", "x2")):
        if other in cpu and "satp" in cpu:
            cpu.setdefault(name, cpu[other])
    return cpu


def read_line(line: str, cpu: dict[str, int]) -> None:
    """The registers of one line."""
    found = SEGMENT.match(line)
    if found is not None:
        name = found[1].lower()
        base, limit, flags = (int(found[place], 16) for place in (3, 4, 5))
        cpu |= segment(RENAMED.get(name, name), int(found[2], 16), base, limit, flags)
        return
    found = TABLE.match(line) or BOCHS_TABLE.match(line)
    if found is not None:
        name = found[1].lower()
        cpu |= segment(RENAMED.get(name, name), 0, int(found[2], 16), int(found[3], 16))
        return
    found = BOCHS_SEGMENT.match(line)
    if found is not None:
        high, low = int(found[3], 16), int(found[4], 16)
        base = (high & 0xFF000000) | (high & 0xFF) << 16 | low >> 16  # SDM 3A, figure 3-8
        limit = (high & 0xF0000) | low & 0xFFFF
        limit = limit << 12 | 0xFFF if high & 1 << 23 else limit
        cpu |= segment(found[1].lower(), int(found[2], 16), base, limit, high)
        return
    for name, digits in VALUE.findall(line):
        key = name.lower().partition("/")[0]
        cpu[RENAMED.get(key, key)] = int(re.sub("[_:]", "", digits), 16)
