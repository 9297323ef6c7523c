"""AArch64 stage 1 translation at EL1 and EL0: Arm Architecture Reference Manual (DDI 0487), chapter D8.

Two root tables: TTBR0_EL1 translates addresses whose top bits are 0, TTBR1_EL1 those whose top bits are 1.
The granule is 4, 16 or 64 KiB, addresses have 48 bits or, with FEAT_LPA2 or FEAT_LPA and FEAT_LVA, 52.
"""

from __future__ import annotations

from vmdbg.formats.arm_entries import (
    ABOVE_0_EXTERNAL,
    ABOVE_0_SIZE,
    ABOVE_0_TRANSLATION,
    DBM,
    FUNCTIONS,
    HA,
    HD,
    HPD0,
    HPD1,
    INSTRUCTION_ABORT,
    PAN,
    PSTATE,
    SCTLR,
    SIZES,
    TABLE_BITS,
    TCR,
    TTBR1,
    WXN,
)
from vmdbg.formats.contract import ALL_RIGHTS, RIGHT_OTHER, RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.record import Field, Format, Register, bits_between, cut


def code_text(code: int) -> str:
    """The syndrome in words: `data abort from EL0, write, permission fault at level 3`."""
    kind, status = code >> 26 & 63, code & 63
    if kind & ~5 != INSTRUCTION_ABORT:
        return ""
    names = ("address size", "translation", "access flag", "permission", "", "external abort on a walk")
    above = {ABOVE_0_TRANSLATION: 1, ABOVE_0_SIZE: 0, ABOVE_0_EXTERNAL: 5}
    what, level = (above[status], -1) if status in above else (status >> 2, status & 3)
    aborted = "data" if kind & 4 else "instruction"
    text = f"{aborted} abort from EL{kind & 1}, " + ("write, " if code >> 6 & 1 else "")
    return f"{text}{names[what]}{'' if what == 5 else ' fault'} at level {level}"


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
    return {
        "ignored": dirty | (TABLE_BITS if tcr & HPD0 else 0),
        "ignored_high": dirty | (TABLE_BITS if tcr & HPD1 else 0),
        "reserved": bits_between(47, output_bits(control)),
    }


def output_bits(control: list[int]) -> int:
    """The bits of an output address."""
    return SIZES[min(control[TCR] >> 32 & 7, len(SIZES) - 1)]


def masks_lpa(control: list[int]) -> dict[str, int]:
    """`masks`, where bits 15:12 are bits 51:48 of the address."""
    return masks(control) | {"reserved": bits_between(47, output_bits(control)) | high_bits(control, 12, 48)}


def masks_lpa2(control: list[int]) -> dict[str, int]:
    """`masks`, where bits 9:8 are bits 51:50 of the address."""
    return masks(control) | {"reserved": bits_between(49, output_bits(control)) | high_bits(control, 8, 50)}


def high_bits(control: list[int], low: int, first: int) -> int:
    """The bits from `low` on of entries that stand for bits of an address, `first` to 51, beyond its size."""
    return bits_between(low + 51 - first, low + max(output_bits(control) - first, 0))


def reach(control: list[int]) -> tuple[int, int, int]:
    """Bits of addresses that TTBR0 translates and TTBR1, 0 for none (EPD); and of which halves the top byte
    is ignored (D8.2.4, D8.2.5, D8.9.1)."""
    tcr = control[TCR]
    low = 0 if tcr >> 7 & 1 else 64 - (tcr & 63)
    high = 0 if tcr >> 23 & 1 else 64 - (tcr >> 16 & 63)
    return low, high, tcr >> 37 & 3


def address_fields(page_bits: int, wide: str = "") -> tuple[Field, ...]:
    """Where an entry has its address; `wide`: of 52 bits, with 51:48 or 51:50 below the others (D8.3.1)."""
    if not wide:
        shareable = Field("SH", 8, where="lh", width=2, help="shareability")
        return shareable, Field("PA", page_bits, "frame", 48 - page_bits, help="address of the page or table")
    if wide == LPA:
        shareable = Field("SH", 8, where="lh", width=2, help="shareability")
        low = Field("PA", page_bits, "frame", 48 - page_bits, help="bits 47:16 of the address")
        return shareable, low, Field("PAhigh", 12, "frame_high", 4, help="bits 51:48 of the address")
    low = Field("PA", page_bits, "frame", 50 - page_bits, help=f"bits 49:{page_bits} of the address")
    return low, Field("PAhigh", 8, "frame_high", 2, help="bits 51:50 of the address, in the place of SH")


def fields(page_bits: int, wide: str = "") -> tuple[Field, ...]:
    """The fields of all entries; those of tables alone are the rights of all that is below."""
    return (
        Field("V", 0, "valid", help="valid"),
        Field("T", 1, help="a table, or at the last level a page; clear: a block"),
        Field("Attr", 2, where="lh", width=3, help="index of the memory type"),
        Field("NS", 5, where="lh", help="not secure"),
        Field("AP1", 6, "user", where="lh", help="EL0 may access"),
        Field("AP2", 7, "writable", where="lh", help="may not be written, unless DBM is set"),
        *address_fields(page_bits, wide),
        Field("AF", 10, "accessed", where="lh", help="access flag"),
        Field("nG", 11, "global", where="lh", help="not global"),
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
LPA, LPA2 = "FEAT_LPA", "FEAT_LPA2"  # what gives addresses of 52 bits: a granule of 64 KiB, the others
MASKS = {"": masks, LPA: masks_lpa, LPA2: masks_lpa2}
GRANULES = {12: (0, 2), 14: (2, 1), 16: (1, 3)}  # TG0 and TG1 by the bits of a page (D24.2.178)


def registers(page_bits: int, wide: str = "") -> tuple[Register, ...]:
    """TCR_EL1, SCTLR_EL1 and PSTATE as far as they say what tables mean; TTBR1_EL1."""
    only = f"a granule of {1 << page_bits - 10} KiB is all that this machine knows."
    tg0, tg1 = GRANULES[page_bits]
    least, size = (12, 6) if wide else (16, 5)
    sizes = " ".join(str(bits) for bits in SIZES[: size + 1])
    ds = "addresses of 52 bits are all that this machine knows; without, SH stands where their top bits do."
    shared = Register("tcr_el1.ds", TCR, 59, 1, 1, "entries hold 52 bits of an address", fixed=ds)
    return (
        Register("tcr_el1.t0sz", TCR, 0, 6, least, "64 - bits of addresses by TTBR0", least=least, most=39),
        Register("tcr_el1.epd0", TCR, 7, 1, 0, "TTBR0 translates nothing"),
        Register("tcr_el1.tg0", TCR, 14, 2, tg0, "granule of TTBR0", fixed=only),
        Register("tcr_el1.t1sz", TCR, 16, 6, least, "64 - bits of addresses by TTBR1", least=least, most=39),
        Register("tcr_el1.epd1", TCR, 23, 1, 0, "TTBR1 translates nothing"),
        Register("tcr_el1.tg1", TCR, 30, 2, tg1, "granule of TTBR1", fixed=only),
        Register("tcr_el1.ips", TCR, 32, 3, size, f"bits of output addresses: {sizes}", most=size),
        Register("tcr_el1.tbi0", TCR, 37, 1, 0, "the top byte of low addresses is ignored"),
        Register("tcr_el1.tbi1", TCR, 38, 1, 0, "the top byte of high addresses is ignored"),
        Register("tcr_el1.ha", TCR, 39, 1, 1, "the walker sets AF", sets="A"),
        Register("tcr_el1.hd", TCR, 40, 1, 1, "the walker clears AP2 of pages with DBM, on a write"),
        Register("tcr_el1.hpd0", TCR, 41, 1, 0, "rights in tables below TTBR0 are ignored"),
        Register("tcr_el1.hpd1", TCR, 42, 1, 0, "rights in tables below TTBR1 are ignored"),
        *((shared,) if wide == LPA2 else ()),
        Register("sctlr_el1.wxn", SCTLR, 19, 1, 0, "what may be written is not executed"),
        Register("pstate.pan", PSTATE, 22, 1, 0, "EL1 does not touch what EL0 may access"),
        Register("ttbr1_el1", TTBR1, 0, 64, 0, "root table of high addresses"),
    )


def arm64(name: str, page_bits: int, *levels: tuple[str, int, bool], wide: str = "") -> Format:
    """Addresses of 48 or, `wide`, 52 bits below each of two root tables, cut by a granule."""
    first, bits = 4 - len(levels), 52 if wide else 48
    return Format(
        name=name,
        manual=f"{MANUAL}, D8.2",
        va_bits=bits + 1,  # both halves
        levels=cut(page_bits, *levels),
        entry_bytes=8,
        fields=fields(page_bits, wide),
        allowed=allowed,
        inverted=("writable", "executable", "table_writable", "table_user", "table_executable"),
        hierarchical=True,
        registers=registers(page_bits, wide),
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
        kernel_base=-(1 << bits),  # as Linux (Documentation/arch/arm64/memory.rst)
        masks_more=MASKS[wide],
        ignores_more=True,
        reach=reach,
        window=("pstate.pan", 0),
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
ARM64_LPA2: Format = arm64(
    "arm64_lpa2", 12, ("L-1", 4, False), ("L0", 9, True), ("L1", 9, True), ("L2", 9, True), ("L3", 9, True),
    wide=LPA2,
)  # fmt: skip
ARM64_16K_LPA2: Format = arm64(
    "arm64_16k_lpa2", 14, ("L0", 5, False), ("L1", 11, True), ("L2", 11, True), ("L3", 11, True), wide=LPA2
)
ARM64_64K_LPA: Format = arm64(
    "arm64_64k_lpa", 16, ("L1", 10, True), ("L2", 13, True), ("L3", 13, True), wide=LPA
)
