"""AArch64 stage 1 translation at EL1 and EL0: Arm Architecture Reference Manual (DDI 0487), chapter D8.

Two root tables: TTBR0_EL1 translates addresses whose top bits are 0, TTBR1_EL1 those whose top bits are 1.
The granule is 4, 16 or 64 KiB.  The kernel marks pages as Linux does (arch/arm64/include/asm/pgtable.h): a
page that may be written has DBM, and is clean while AP[2] is set; bit 55 says that a page that may not be
written is dirty.
"""

from __future__ import annotations

from vmdbg.engine import reads
from vmdbg.formats.contract import (
    ACCESS_FETCH,
    ACCESS_WRITE,
    ALL_RIGHTS,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    FAULT_AD,
    FAULT_BUS,
    FAULT_NON_CANONICAL,
    FAULT_PROTECTION,
    FAULT_RESERVED,
    LEVELS,
    RIGHT_OTHER,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.formats.declared import HUGE_DEPTHS, SLOT_MARK
from vmdbg.formats.record import Field, Format, Register, bits_between, cut

VALID, PAGE = 1, 2  # bit 1: a table, or at the last level a page; clear: a block
AP1, AP2 = 1 << 6, 1 << 7  # EL0 may access; nobody may write
SHAREABLE, AF, NG = 3 << 8, 1 << 10, 1 << 11
DBM, PXN, UXN, DIRTY = 1 << 51, 1 << 53, 1 << 54, 1 << 55
PXN_TABLE, UXN_TABLE, AP_TABLE_EL0, AP_TABLE_WRITE = 1 << 59, 1 << 60, 1 << 61, 1 << 62
TABLE_BITS = bits_between(63, 59)  # of a table: NSTable, APTable, UXNTable, PXNTable
FIRST_LEVEL = 0  # number of the level of the root table; bound for each format
TCR, SCTLR, PSTATE, TTBR1 = 0, 1, 2, 6  # words of control registers
HA, HD, HPD0, HPD1 = 1 << 39, 1 << 40, 1 << 41, 1 << 42
WXN, PAN = 1 << 19, 1 << 22
DATA_ABORT, INSTRUCTION_ABORT, SAME_LEVEL, LONG = 0x24, 0x20, 1, 1 << 25
SIZES = (32, 36, 40, 42, 44, 48)  # bits of an output address, by TCR_EL1.IPS


@reads(fills=True)
def classify(entry, depth):
    """D8.3.1: what the manual reserves is an invalid descriptor."""
    if entry & VALID == 0:
        if entry & SLOT_MARK:
            return ENTRY_SWAPPED
        return ENTRY_EMPTY
    if depth == LEVELS - 1:
        if entry & PAGE:
            return ENTRY_LEAF
        return ENTRY_EMPTY
    if entry & PAGE:
        return ENTRY_TABLE
    if (HUGE_DEPTHS >> (depth & 63)) & 1:
        return ENTRY_LEAF
    return ENTRY_EMPTY


@reads(fills=True)
def combine(rights, entry, kind, depth):
    """D8.4.  So far X is EL0's right and RIGHT_OTHER says that EL1 has none; of a page, X is the right of the
    level that the page belongs to, RIGHT_OTHER says that the other one has none."""
    if kind > ENTRY_LEAF:
        return 0
    if kind == ENTRY_TABLE:
        if entry & AP_TABLE_WRITE:
            rights &= ~RIGHT_W
        if entry & AP_TABLE_EL0:
            rights &= ~RIGHT_U
        if entry & UXN_TABLE:
            rights &= ~RIGHT_X
        if entry & PXN_TABLE:
            rights |= RIGHT_OTHER
        return rights
    if entry & AP2 and entry & DBM == 0:
        rights &= ~RIGHT_W
    if entry & AP1 == 0:
        rights &= ~RIGHT_U
    never = 0  # EL0 executes it never: 1; EL1: 2
    if rights & RIGHT_X == 0 or entry & UXN:
        never = 1
    if rights & RIGHT_OTHER or entry & PXN:
        never |= 2
    own = 2
    if rights & RIGHT_U:
        own = 1
    rights &= ~(RIGHT_X | RIGHT_OTHER)
    if never & own == 0:
        rights |= RIGHT_X
    if never & ~own:
        rights |= RIGHT_OTHER
    return rights


@reads(fills=True)
def touched(entry, dirty):
    """What hardware does (D8.5.4: AF, and AP[2] of a page with DBM), or the kernel in its place."""
    if dirty:
        if entry & DBM:
            entry &= ~AP2
        elif entry & AP2:
            entry |= DIRTY
    return entry | AF


@reads(fills=True)
def touched_table(entry, depth):
    return entry


@reads(fills=True)
def is_dirty(entry):
    if entry & AP2 == 0 or entry & DIRTY:
        return 1
    return 0


@reads(fills=True)
def is_global(entry):
    if entry & NG:
        return 0
    return 1


@reads(fills=True)
def cleaned(entry):
    if entry & AP2 == 0:
        entry |= AP2 | DBM
    return entry & ~DIRTY


@reads(fills=True)
def protected(entry):
    if entry & AP2 == 0:
        entry |= DIRTY
    return (entry | AP2) & ~DBM


@reads(fills=True)
def globalized(entry):
    return entry & ~NG


@reads(fills=True)
def make_leaf(address, rights, depth):
    entry = address | VALID | SHAREABLE | NG | AP2 | UXN | PXN
    if depth == LEVELS - 1:
        entry |= PAGE
    if rights & (RIGHT_R | RIGHT_W | RIGHT_X) == 0:
        return entry  # nothing allowed: a page that is the kernel's
    if rights & RIGHT_W:
        entry |= DBM
    if rights & RIGHT_U:
        entry |= AP1
        if rights & RIGHT_X:
            entry &= ~UXN
    elif rights & RIGHT_X:
        entry &= ~PXN
    return entry


@reads(fills=True)
def make_table(address, depth):
    return address | VALID | PAGE


@reads(fills=True)
def fault_code(fault, access, mode, depth):
    """ESR_EL1 (D24.2.40): the class, and of its syndrome the status code with the level, and WnR."""
    level = depth + FIRST_LEVEL
    status = 0b000100 | level  # translation fault
    if fault == FAULT_NON_CANONICAL:
        status = 0b000100
    elif fault == FAULT_AD:
        status = 0b001000 | level
    elif fault == FAULT_PROTECTION:
        status = 0b001100 | level
    elif fault == FAULT_RESERVED:
        status = level  # address size fault
    elif fault == FAULT_BUS:
        status = 0b010100 | level  # external abort on a translation table walk
    kind = DATA_ABORT
    if access == ACCESS_FETCH:
        kind = INSTRUCTION_ABORT
    if mode:
        kind |= SAME_LEVEL
    if access == ACCESS_WRITE:
        status |= 1 << 6
    return (kind << 26) | LONG | status


FUNCTIONS = (
    classify, combine, touched, touched_table, is_dirty, is_global, cleaned, protected, globalized, make_leaf,
    make_table, fault_code,
)  # fmt: skip


def code_text(code: int) -> str:
    """The syndrome in words: `data abort from EL0, write, permission fault at level 3`."""
    kind, status = code >> 26 & 63, code & 63
    if kind & ~5 != INSTRUCTION_ABORT:
        return ""
    names = ("address size", "translation", "access flag", "permission", "", "external abort on a walk")
    aborted = "data" if kind & 4 else "instruction"
    text = f"{aborted} abort from EL{kind & 1}, " + ("write, " if code >> 6 & 1 else "")
    return f"{text}{names[status >> 2]}{'' if status >> 2 == 5 else ' fault'} at level {status & 3}"


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Which rights a read, a write, a fetch at EL0 (mode 0) or EL1 is allowed on: three 32-bit sets.

    D8.4.1 with SCTLR_EL1.WXN and PSTATE.PAN.  What EL0 may write, EL1 never executes.
    """
    pan, wxn = control[PSTATE] & PAN, control[SCTLR] & WXN
    sets = [0, 0, 0]
    for rights in range(2 * (ALL_RIGHTS + 1)):
        user_page, writable = bool(rights & RIGHT_U), bool(rights & RIGHT_W)
        own, other = bool(rights & RIGHT_X), not rights & RIGHT_OTHER
        if mode == 0:
            touch, fetch = user_page, own if user_page else other
            fetch = fetch and not (wxn and user_page and writable)
        else:
            touch, fetch = not (pan and user_page), other if user_page else own
            fetch = fetch and not (user_page and writable) and not (wxn and writable)
        answers = (touch and rights & RIGHT_R, touch and rights & RIGHT_R and writable, fetch)
        for place, ok in enumerate(answers):
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


def masks(control: list[int]) -> dict[str, int]:
    """HPD takes rights out of tables, DBM needs HD and HA, and output addresses end where IPS says."""
    tcr = control[TCR]
    dirty = 0 if tcr & HD and tcr & HA else DBM
    size = SIZES[min(tcr >> 32 & 7, len(SIZES) - 1)]
    return {
        "ignored": dirty | (TABLE_BITS if tcr & HPD0 else 0),
        "ignored_high": dirty | (TABLE_BITS if tcr & HPD1 else 0),
        "reserved": bits_between(47, size),
    }


def reach(control: list[int]) -> tuple[int, int, int]:
    """Bits of addresses that TTBR0 translates and TTBR1, 0 for none (EPD); and of which halves the top byte
    is ignored (D8.2.4, D8.2.5, D8.9.1)."""
    tcr = control[TCR]
    low = 0 if tcr >> 7 & 1 else 64 - (tcr & 63)
    high = 0 if tcr >> 23 & 1 else 64 - (tcr >> 16 & 63)
    return low, high, tcr >> 37 & 3


def fields(page_bits: int) -> tuple[Field, ...]:
    """The fields of all entries; those of tables alone are the rights of all that is below."""
    return (
        Field("V", 0, "valid", help="valid"),
        Field("T", 1, help="a table, or at the last level a page; clear: a block"),
        Field("Attr", 2, where="lh", width=3, help="index of the memory type"),
        Field("NS", 5, where="lh", help="not secure"),
        Field("AP1", 6, "user", where="lh", help="EL0 may access"),
        Field("AP2", 7, "writable", where="lh", help="may not be written, unless DBM is set"),
        Field("SH", 8, where="lh", width=2, help="shareability"),
        Field("AF", 10, "accessed", where="lh", help="access flag"),
        Field("nG", 11, "global", where="lh", help="not global"),
        Field("PA", page_bits, "frame", 48 - page_bits, help="address of the page or table"),
        Field("DBM", 51, where="lh", help="may be written; AP2 clear says that it was"),
        Field("Cont", 52, where="lh", help="hint: one of several entries that are alike"),
        Field("PXN", 53, where="lh", help="EL1 may not execute"),
        Field("UXN", 54, "executable", where="lh", help="EL0 may not execute"),
        Field("dirty", 55, where="lh", help="of the kernel: dirty, though it may not be written"),
        Field("PXNTable", 59, where="t", help="EL1 may execute nothing below"),
        Field("UXNTable", 60, "table_executable", where="t", help="EL0 may execute nothing below"),
        Field("APTable0", 61, "table_user", where="t", help="EL0 may access nothing below"),
        Field("APTable1", 62, "table_writable", where="t", help="nothing below may be written"),
        Field("NSTable", 63, where="t", help="not secure below"),
        Field("slot", 12, "slot", 36, where="s", help="swap slot"),
        Field("mark", 2, "slot_mark", where="s", help="a slot is kept"),
    )


MANUAL = "Arm ARM"
GRANULES = {12: (0, 2), 14: (2, 1), 16: (1, 3)}  # TG0 and TG1 by the bits of a page (D24.2.178)


def registers(page_bits: int) -> tuple[Register, ...]:
    """TCR_EL1, SCTLR_EL1 and PSTATE as far as they say what tables mean; TTBR1_EL1."""
    only = f"a granule of {1 << page_bits - 10} KiB is all that this machine knows."
    tg0, tg1 = GRANULES[page_bits]
    return (
        Register("tcr_el1.t0sz", TCR, 0, 6, 16, "64 - bits of addresses by TTBR0", least=16, most=39),
        Register("tcr_el1.epd0", TCR, 7, 1, 0, "TTBR0 translates nothing"),
        Register("tcr_el1.tg0", TCR, 14, 2, tg0, "granule of TTBR0", fixed=only),
        Register("tcr_el1.t1sz", TCR, 16, 6, 16, "64 - bits of addresses by TTBR1", least=16, most=39),
        Register("tcr_el1.epd1", TCR, 23, 1, 0, "TTBR1 translates nothing"),
        Register("tcr_el1.tg1", TCR, 30, 2, tg1, "granule of TTBR1", fixed=only),
        Register("tcr_el1.ips", TCR, 32, 3, 5, "bits of output addresses: 32 36 40 42 44 48", most=5),
        Register("tcr_el1.tbi0", TCR, 37, 1, 0, "the top byte of low addresses is ignored"),
        Register("tcr_el1.tbi1", TCR, 38, 1, 0, "the top byte of high addresses is ignored"),
        Register("tcr_el1.ha", TCR, 39, 1, 1, "the walker sets AF", sets="A"),
        Register("tcr_el1.hd", TCR, 40, 1, 1, "the walker clears AP2 of pages with DBM, on a write"),
        Register("tcr_el1.hpd0", TCR, 41, 1, 0, "rights in tables below TTBR0 are ignored"),
        Register("tcr_el1.hpd1", TCR, 42, 1, 0, "rights in tables below TTBR1 are ignored"),
        Register("sctlr_el1.wxn", SCTLR, 19, 1, 0, "what may be written is not executed"),
        Register("pstate.pan", PSTATE, 22, 1, 0, "EL1 does not touch what EL0 may access"),
        Register("ttbr1_el1", TTBR1, 0, 64, 0, "root table of high addresses"),
    )


def arm64(name: str, page_bits: int, *levels: tuple[str, int, bool]) -> Format:
    """Addresses of 48 bits below each of two root tables, cut by a granule."""
    first = 4 - len(levels)
    return Format(
        name=name,
        manual=f"{MANUAL}, D8.2",
        va_bits=49,  # both halves
        levels=cut(page_bits, *levels),
        entry_bytes=8,
        fields=fields(page_bits),
        allowed=allowed,
        inverted=("writable", "executable", "table_writable", "table_user", "table_executable"),
        hierarchical=True,
        registers=registers(page_bits),
        root_register="ttbr0_el1",
        root_fields=(
            Register("ttbr0_el1.asid", 0, 48, 16, 0, "address-space number"),
            Register("ttbr0_el1.baddr", 0, 0, 48, 0, "address of the root table"),
        ),
        root_low=6,
        root_bits=48,
        fault_register="far_el1",
        sign_extended=True,
        split=True,
        ad_first=True,
        first_level=first,
        rights_bits=5,
        kernel_base=-(1 << 48),  # as Linux (Documentation/arch/arm64/memory.rst)
        masks_more=masks,
        ignores_more=True,
        reach=reach,
        code_name="ESR",
        code_bits=(),
        code_text=code_text,
        functions=FUNCTIONS,
        rule_texts={
            "w": "writes need AP[2] = 0 or DBM, and no APTable against it, in every entry (Arm ARM, D8.4.1)",
            "x": "fetches at EL0 need UXN = 0, at EL1 PXN = 0, in every entry (Arm ARM, D8.4.1)",
            "u": "accesses at EL0 need AP[1] = 1, and no APTable against it (Arm ARM, D8.4.1)",
            "k": "EL1 with PAN needs AP[1] = 0; what EL0 may write it never executes (Arm ARM, D8.4.1)",
            "p": "every descriptor of a translation needs {bit} and a type of its level (Arm ARM, D8.3.1)",
            "c": "bits {top} of an address must be equal, as far as TCR_EL1 says (Arm ARM, D8.2.4)",
            "z": "output addresses end where TCR_EL1.IPS says (Arm ARM, D8.2.2)",
            "a": "without TCR_EL1.HA {name} = 0 faults (Arm ARM, D8.5.1)",
        },
    )


ARM64: Format = arm64("arm64", 12, ("L0", 9, False), ("L1", 9, True), ("L2", 9, True), ("L3", 9, True))
ARM64_16K: Format = arm64(
    "arm64_16k", 14, ("L0", 1, False), ("L1", 11, False), ("L2", 11, True), ("L3", 11, True)
)
ARM64_64K: Format = arm64("arm64_64k", 16, ("L1", 6, False), ("L2", 13, True), ("L3", 13, True))
