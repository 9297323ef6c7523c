"""x86 paging: Intel SDM 3A, chapter 4 (tables 4-4 to 4-7 and 4-14 to 4-20: the formats of the entries)."""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.dataclass import replace
from vmdbg.formats.record import FLUSH_ALL, FLUSH_SPACE, Field, Format, Register, cut

WP, SMEP, SMAP, NXE = 1 << 16, 1 << 20, 1 << 21, 1 << 11


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Which rights nibbles a read, a write, a fetch of `mode` is allowed on: three 16-bit sets.

    SDM 3A, 4.6.1, with CR0.WP, CR4.SMEP, CR4.SMAP (EFLAGS.AC clear), IA32_EFER.NXE.
    """
    cr0, cr4, efer = control[:3]
    sets = [0, 0, 0]
    for rights in range(16):
        user_page, executable = bool(rights & RIGHT_U), rights & RIGHT_X or not efer & NXE
        if mode == 0:
            r, w, x = user_page, user_page and rights & RIGHT_W, user_page and executable
        else:
            touch = not (user_page and cr4 & SMAP)
            r, w = touch, touch and (rights & RIGHT_W or not cr0 & WP)
            x = executable and not (user_page and cr4 & SMEP)
        for place, ok in enumerate((r and rights & RIGHT_R, w and rights & RIGHT_R, x and rights & RIGHT_R)):
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


def fields(frame_bits: int, *large: str) -> tuple[Field, ...]:
    """The fields of all entries; entries of the levels `large` may map a page."""
    return (
        Field("P", 0, "valid", help="present"),
        Field("RW", 1, "writable", help="writable"),
        Field("US", 2, "user", help="user may access"),
        Field("PWT", 3, help="write-through"),
        Field("PCD", 4, help="cache disabled"),
        Field("A", 5, "accessed", help="accessed"),
        Field("D", 6, "dirty", where="lh", help="dirty"),
        Field("PS", 7, "huge", where="h", help="page size: this entry maps a page", levels=large),
        Field("PAT", 7, where="l", help="page attribute table"),
        Field("G", 8, "global", where="lh", help="global"),
        Field("PFN", 12, "frame", frame_bits, help="frame"),
        Field("slot", 12, "slot", frame_bits, where="s", help="swap slot"),
        Field("mark", 9, "slot_mark", where="s", help="a slot is kept"),
    )


REGISTERS = (
    Register("cr0.wp", 0, 16, 1, 1, "supervisor writes need RW"),
    Register("cr4.pge", 1, 7, 1, 1, "pages may be global", ignores="G", flush=FLUSH_ALL),
    Register(
        "cr4.smep", 1, 20, 1, 1, "the kernel does not execute user pages", flush=FLUSH_SPACE, reports="I"
    ),
    Register("cr4.smap", 1, 21, 1, 0, "the kernel does not touch user pages"),
)
#: CR4.PAE = 1 (entries of 8 bytes) and NXE = 1 make I/D of an error code mean something (SDM 3A, 4.7).
EFER_NXE = Register("efer.nxe", 2, 11, 1, 1, "NX is a right; without, it is reserved", "NX", reports="I")
RULES = {
    "w": "writes need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "x": "fetches need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "u": "user accesses need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "k": "with SMEP or SMAP the kernel needs {name} = 0 in some entry (Intel SDM 3A, 4.6.1)",
    "p": "every entry of a translation needs {bit} (Intel SDM 3A, 4.5.4)",
    "z": "reserved bits must be 0, such as low frame bits of a large page (Intel SDM 3A, 4.7)",
    "c": "bits {top} of an address must be equal (Intel SDM 1, 3.3.7.1)",
}

X86_64: Format = Format(
    name="x86_64",
    manual="Intel SDM 3A, 4.5",
    va_bits=48,
    levels=cut(12, ("PML4", 9, False), ("PDPT", 9, True), ("PD", 9, True), ("PT", 9, True)),
    entry_bytes=8,
    fields=(*fields(40, "PDPT", "PD"), Field("NX", 63, "executable", help="no execute (XD)")),
    allowed=allowed,
    inverted=("executable",),
    huge_free=1,  # bit 12 of a large leaf is PAT (SDM tables 4-16 and 4-18)
    hierarchical=True,
    table_accessed=True,
    registers=(*REGISTERS, EFER_NXE),
    root_register="cr3",
    fault_register="cr2",
    sign_extended=True,
    asid_bits=12,
    root_asid_bits=12,  # SDM 3A, 4.5.2 and table 4-13; SDM 2B, MOV to CR3
    root_keeps=1 << 63,
    kernel_base=-0x778000000000,  # 0xffff888000000000, as Linux (Documentation/arch/x86/x86_64/mm.rst)
    rule_texts=RULES,
    address_fault="#GP",
)

X86_32: Format = Format(
    name="x86_32",
    manual="Intel SDM 3A, 4.3",
    va_bits=32,
    levels=cut(12, ("PD", 10, True), ("PT", 10, True)),
    entry_bytes=4,
    fields=fields(20, "PD"),
    allowed=allowed,
    huge_free=1,  # bit 12 of a 4 MiB leaf is PAT (table 4-4)
    hierarchical=True,
    table_accessed=True,
    registers=tuple(replace(r, initial=0) if r.name == "cr4.smep" else r for r in REGISTERS),
    root_register="cr3",
    fault_register="cr2",
    kernel_base=0xC0000000,
    rule_texts=RULES,
)
