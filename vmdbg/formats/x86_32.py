"""x86 paging with 32 bits and two levels: Intel SDM 3A, 4.3 (table 4-5: PDE, 4 MiB page; 4-6; 4-7)."""

from __future__ import annotations

from vmdbg.formats.declared import declare
from vmdbg.formats.record import Field, Level, Register
from vmdbg.formats.x86 import CODE_BITS, X86_64, allowed, silent

FIELDS = (
    Field("P", 0, help="present"),
    Field("RW", 1, help="writable"),
    Field("US", 2, help="user may access"),
    Field("PWT", 3, help="write-through"),
    Field("PCD", 4, help="cache disabled"),
    Field("A", 5, help="accessed"),
    Field("D", 6, where="lh", help="dirty"),
    Field("PS", 7, where="h", help="page size: this entry maps a page"),
    Field("PAT", 7, where="l", help="page attribute table"),
    Field("G", 8, where="lh", help="global"),
    Field("PFN", 12, 20, help="frame"),
    Field("slot", 12, 20, where="s", help="swap slot"),
    Field("mark", 9, where="s", help="a slot is kept"),
)

X86_32 = declare(
    "x86_32",
    "Intel SDM 3A, 4.3",
    (Level("PD", "pgd", 22, 10, leaf=True), Level("PT", "pte", 12, 10, leaf=True)),
    32,
    4,
    FIELDS,
    {
        "valid": "P",
        "writable": "RW",
        "user": "US",
        "accessed": "A",
        "dirty": "D",
        "global": "G",
        "huge": "PS",
        "frame": "PFN",
        "slot_mark": "mark",
    },
    allowed,
    huge_free=1,  # bit 12 of a 4 MiB leaf is PAT
    hierarchical=True,
    table_accessed=True,
    table_rights=True,
    registers=tuple(
        Register(
            r.name,
            r.word,
            r.low,
            r.width,
            0 if r.name == "cr4.smep" else r.initial,
            r.help,
            ignores=r.ignores,
            flush=r.flush,
        )
        for r in X86_64.registers
        if r.name != "efer.nxe"
    ),
    root_register="cr3",
    fault_register="cr2",
    kernel_base=0xC0000000,
    code_bits=CODE_BITS,
    silent=silent,  # there is no EFER: SMEP alone decides
    rules={key: rule for key, rule in X86_64.rules.items() if key != "x"},
)
