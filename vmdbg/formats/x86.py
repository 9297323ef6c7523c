"""x86 paging: Intel SDM 3A, chapter 4 (tables 4-4 to 4-20: the formats of the entries)."""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import LEVELS, RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.dataclass import replace
from vmdbg.formats.record import FLUSH_ALL, FLUSH_SPACE, Field, Format, Register, bits_between, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CR0, CR4, EFER, PKRU, EFLAGS, MAXPHYADDR = range(6)  # words of control registers
WP, SMEP, SMAP, PKE, NXE, AC = 1 << 16, 1 << 20, 1 << 21, 1 << 22, 1 << 11, 1 << 18
KEYS = 16


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Which rights nibbles a read, a write, a fetch of `mode` is allowed on: three 16-bit sets.

    SDM 3A, 4.6.1, with CR0.WP, CR4.SMEP, CR4.SMAP and EFLAGS.AC, IA32_EFER.NXE.
    """
    cr0, cr4, efer, flags = (control[word] for word in (CR0, CR4, EFER, EFLAGS))
    sets = [0, 0, 0]
    for rights in range(16):
        user_page, executable = bool(rights & RIGHT_U), rights & RIGHT_X or not efer & NXE
        if mode == 0:
            r, w, x = user_page, user_page and rights & RIGHT_W, user_page and executable
        else:
            touch = not (user_page and cr4 & SMAP and not flags & AC)
            r, w = touch, touch and (rights & RIGHT_W or not cr0 & WP)
            x = executable and not (user_page and cr4 & SMEP)
        for place, ok in enumerate((r and rights & RIGHT_R, w and rights & RIGHT_R, x and rights & RIGHT_R)):
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


def keys(control: list[int], mode: int) -> tuple[int, int]:
    """Which protection keys forbid reads and writes of user pages: AD and WD of PKRU (SDM 3A, 4.6.2)."""
    if not control[CR4] & PKE:
        return 0, 0
    rights, reads_, writes_ = control[PKRU], 0, 0
    for key in range(KEYS):
        access_disabled, write_disabled = rights >> 2 * key & 1, rights >> 2 * key + 1 & 1
        reads_ |= access_disabled << key
        if access_disabled or (write_disabled and (mode == 0 or control[CR0] & WP)):
            writes_ |= 1 << key
    return reads_, writes_


def beyond_memory(control: list[int]) -> dict[str, int]:
    """Bits 51:MAXPHYADDR of every entry are reserved (SDM 3A, 4.1.4 and 4.7)."""
    return {"reserved": bits_between(51, control[MAXPHYADDR])}


def beyond_pse36(control: list[int]) -> dict[str, int]:
    """Of a PDE that maps 4 MiB, bits 20:13 are bits 39:32 of the address as far as there is such memory."""
    return {"reserved_large": bits_between(20, max(control[MAXPHYADDR], 32) - 32 + 13)}


@reads(fills=True)
def leaf_frame(entry, depth):
    """PSE-36: bits 20:13 of a PDE that maps 4 MiB are bits 39:32 of the address (SDM 3A, table 4-4)."""
    if depth == LEVELS - 1:
        return entry & 0xFFFFF000
    return (entry & 0xFFC00000) | (((entry >> 13) & 255) << 32)


def fields(frame_bits: int, large: tuple[str, ...], rights: tuple[str, ...] = ()) -> tuple[Field, ...]:
    """The fields of all entries; entries of the levels `large` may map a page, those of `rights` (none: all)
    have RW, US and A."""
    return (
        Field("P", 0, "valid", help="present"),
        Field("RW", 1, "writable", help="writable", levels=rights),
        Field("US", 2, "user", help="user may access", levels=rights),
        Field("PWT", 3, help="write-through"),
        Field("PCD", 4, help="cache disabled"),
        Field("A", 5, "accessed", help="accessed", levels=rights),
        Field("D", 6, "dirty", where="lh", help="dirty"),
        Field("PS", 7, "huge", where="h", help="page size: this entry maps a page", levels=large),
        Field("PAT", 7, where="l", help="page attribute table"),
        Field("G", 8, "global", where="lh", help="global"),
        Field("PFN", 12, "frame", frame_bits, help="frame"),
        Field("slot", 12, "slot", frame_bits, where="s", help="swap slot"),
        Field("mark", 9, "slot_mark", where="s", help="a slot is kept"),
    )


def physical(initial: int, most: int) -> Register:
    """The pseudo register that says how many bits physical addresses have."""
    return Register(
        "maxphyaddr", MAXPHYADDR, 0, 6, initial, "bits of a physical address", least=32, most=most
    )


ONLY = "{} is all that this machine translates by."
PAE = Register("cr4.pae", CR4, 5, 1, 1, "entries of 8 bytes", fixed=ONLY.format("PAE"))
REGISTERS = (
    Register("cr0.wp", CR0, 16, 1, 1, "supervisor writes need RW"),
    Register("cr4.pge", CR4, 7, 1, 1, "pages may be global", ignores="G", flush=FLUSH_ALL),
    Register(
        "cr4.smep", CR4, 20, 1, 1, "the kernel does not execute user pages", flush=FLUSH_SPACE, reports="I"
    ),
    Register("cr4.smap", CR4, 21, 1, 0, "the kernel does not touch user pages, unless EFLAGS.AC is set"),
    Register("eflags.ac", EFLAGS, 18, 1, 0, "SMAP is suspended"),
)
#: CR4.PAE = 1 (entries of 8 bytes) and NXE = 1 make I/D of an error code mean something (SDM 3A, 4.7).
EFER_NXE = Register("efer.nxe", EFER, 11, 1, 1, "NX is a right; without, it is reserved", "NX", reports="I")
RULES = {
    "w": "writes need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "x": "fetches need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "u": "user accesses need {bit} in every entry (Intel SDM 3A, 4.6.1)",
    "k": "with SMEP or SMAP the kernel needs {name} = 0 in some entry (Intel SDM 3A, 4.6.1)",
    "y": "data accesses to a user page need a key, {name}, that PKRU does not forbid (Intel SDM 3A, 4.6.2)",
    "p": "every entry of a translation needs {bit} (Intel SDM 3A, 4.5.4)",
    "z": "reserved bits must be 0, such as low frame bits of a large page (Intel SDM 3A, 4.7)",
    "c": "bits {top} of an address must be equal (Intel SDM 1, 3.3.7.1)",
}
COMMON: dict[str, Any] = {
    "allowed": allowed,
    "huge_free": 1,  # bit 12 of a large leaf is PAT (SDM 3A, tables 4-4, 4-9, 4-16 and 4-18)
    "hierarchical": True,
    "table_accessed": True,
    "root_register": "cr3",
    "fault_register": "cr2",
    "rule_texts": RULES,
    "window": ("eflags.ac", 1),
}


def long_mode(name: str, section: str, kernel_base: int, *levels: tuple[str, int, bool]) -> Format:
    """4-level or 5-level paging; PCIDs by CR4.PCIDE, protection keys by CR4.PKE."""
    modes = (
        PAE,
        Register("cr4.la57", CR4, 12, 1, len(levels) - 4, "five levels", fixed=ONLY.format(name)),
        Register("cr4.pcide", CR4, 17, 1, 1, "spaces have numbers", setting="tlb.asids",
                 fixed="the setting tlb.asids decides, when the machine boots."),
        Register("cr4.pke", CR4, 22, 1, 0, "keys of user pages forbid what PKRU says"),
        Register("pkru", PKRU, 0, 32, 0, "rights of the protection keys: AD and WD of each"),
    )  # fmt: skip
    large = tuple(name for name, _, leaf in levels[:-1] if leaf)
    return Format(
        name=name,
        manual=f"Intel SDM 3A, {section}",
        va_bits=12 + 9 * len(levels),
        levels=cut(12, *levels),
        entry_bytes=8,
        fields=(
            *fields(40, large),
            Field("PK", 59, "key", 4, where="lh", help="protection key"),
            Field("NX", 63, "executable", help="no execute (XD)"),
        ),
        inverted=("executable",),
        registers=(*REGISTERS, *modes, EFER_NXE, physical(52, 52)),
        sign_extended=True,
        asid_bits=12,
        root_asid_bits=12,  # SDM 3A, 4.5.2 and table 4-13; SDM 2B, MOV to CR3
        root_keeps=1 << 63,
        kernel_base=kernel_base,
        keys=keys,
        masks_more=beyond_memory,
        address_fault="#GP",
        **COMMON,
    )


FOUR = (("PML4", 9, False), ("PDPT", 9, True), ("PD", 9, True), ("PT", 9, True))
# The kernel's maps of all memory are where Linux has them (Documentation/arch/x86/x86_64/mm.rst).
X86_64: Format = long_mode("x86_64", "4.5", -0x778000000000, *FOUR)  # 0xffff888000000000
X86_64_LA57: Format = long_mode("x86_64_la57", "4.5", -0xEF000000000000, ("PML5", 9, False), *FOUR)

X86_PAE: Format = Format(
    name="x86_pae",
    manual="Intel SDM 3A, 4.4",
    va_bits=32,
    levels=cut(12, ("PDPT", 2, False), ("PD", 9, True), ("PT", 9, True)),
    entry_bytes=8,
    fields=(
        *fields(40, ("PD",), ("PD", "PT")),
        Field("NX", 63, "executable", help="no execute (XD)", levels=("PD", "PT")),
    ),
    inverted=("executable",),
    plain_levels=("PDPT",),
    reserved=bits_between(62, 52),  # tables 4-8 to 4-11
    reserved_root=1 << 63,  # a walk finds what MOV to CR3 would refuse
    registers=(*REGISTERS, PAE, EFER_NXE, physical(52, 52)),
    root_low=5,  # table 4-7
    root_bits=32,
    root_checked=0b1_1100_0110 | bits_between(63, 52),  # table 4-8; not bit 5, A: QEMU sets it
    kernel_base=0xC0000000,
    masks_more=beyond_memory,
    **COMMON,
)

X86_32: Format = Format(
    name="x86_32",
    manual="Intel SDM 3A, 4.3",
    va_bits=32,
    levels=cut(12, ("PD", 10, True), ("PT", 10, True)),
    entry_bytes=4,
    fields=fields(20, ("PD",)),
    registers=(
        *(replace(r, initial=0) if r.name == "cr4.smep" else r for r in REGISTERS),
        Register("cr4.pse", CR4, 4, 1, 1, "there are pages of 4 MiB", ignores="PS", flush=FLUSH_ALL),
        replace(PAE, initial=0, fixed=ONLY.format("x86_32")),
        physical(40, 40),
    ),
    kernel_base=0xC0000000,
    functions=(leaf_frame,),
    masks_more=beyond_pse36,
    **COMMON | {"huge_free": 0x1FF},  # and bits 20:13 are address bits 39:32: PSE-36
)
