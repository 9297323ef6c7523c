"""RISC-V paging: Privileged Architecture, chapter 12 (Sv39: 12.4), with and without Svade."""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.declared import declare
from vmdbg.formats.record import Field, Format, Level, Register

SUM, MXR = 1 << 18, 1 << 19  # of sstatus

FIELDS = (
    Field("V", 0, help="valid"),
    Field("R", 1, help="readable"),
    Field("W", 2, help="writable"),
    Field("X", 3, help="executable"),
    Field("U", 4, help="user may access"),
    Field("G", 5, help="global"),
    Field("A", 6, help="accessed"),
    Field("D", 7, help="dirty"),
    Field("PPN", 10, 44, help="frame"),
    Field("slot", 10, 44, where="s", help="swap slot"),
    Field("mark", 1, where="s", help="a slot is kept"),
)
REGISTERS = (
    Register("sstatus.sum", 0, 18, 1, 0, "the kernel may touch user pages"),
    Register("sstatus.mxr", 0, 19, 1, 0, "what is executable is readable"),
)
CAUSES = {  # RISC-V Privileged, table "Supervisor cause register (scause) values after trap"
    12: "instruction page fault",
    13: "load page fault",
    15: "store/AMO page fault",
}
SATP = (  # RISC-V Privileged, 12.1.11
    Register("satp.mode", 0, 60, 4, 8, "8: Sv39"),
    Register("satp.asid", 0, 44, 16, 0, "address-space number"),
    Register("satp.ppn", 0, 0, 44, 0, "page number of the root table"),
)
RULES = {
    "r": ("R", "loads need R = 1 in the leaf (RISC-V Privileged, 12.3.2)"),
    "w": ("W", "stores need W = 1 in the leaf (RISC-V Privileged, 12.3.2)"),
    "x": ("X", "fetches need X = 1 in the leaf (RISC-V Privileged, 12.3.2)"),
    "u": ("U", "user accesses need U = 1 in the leaf (RISC-V Privileged, 12.3.1)"),
    "k": ("U", "the kernel needs U = 0, or SUM for loads and stores (RISC-V Privileged, 12.1.1.2)"),
    "p": ("V", "every entry of a translation needs V = 1 (RISC-V Privileged, 12.3.2)"),
    "c": ("", "bits 63:38 of an address must be equal (RISC-V Privileged, 12.4.1)"),
    "z": (
        "",
        "W without R, low frame bits of a large page, bits 63:54: reserved (RISC-V Privileged, 12.4.1)",
    ),
    "a": ("A", "without hardware updates A = 0, or D = 0 on a store, faults (Svade)"),
}
HIGH_RESERVED = -1 << 54  # N, PBMT and 60:54: reserved without their extensions


def allowed(control: list[int], mode: int) -> tuple[int, int, int]:
    """Which rights nibbles a load, a store, a fetch of `mode` is allowed on (RISC-V Privileged, 12.3.1)."""
    sets = [0, 0, 0]
    for rights in range(16):
        user_page = bool(rights & RIGHT_U)
        readable = rights & RIGHT_R or (control[0] & MXR and rights & RIGHT_X)
        data = user_page if mode == 0 else (not user_page or control[0] & SUM)
        fetch = user_page if mode == 0 else not user_page
        answers = (data and readable, data and rights & RIGHT_W, fetch and rights & RIGHT_X)
        for place, ok in enumerate(answers):
            sets[place] |= bool(ok) << rights
    return sets[0], sets[1], sets[2]


def sv39(name: str, svade: bool) -> Format:
    """Three levels, 39 bits; with Svade the kernel sets A and D."""
    return declare(
        name,
        "RISC-V Privileged, 12.4",
        (
            Level("L2", "pgd", 30, 9, leaf=True),
            Level("L1", "pmd", 21, 9, leaf=True),
            Level("L0", "pte", 12, 9, leaf=True),
        ),
        39,
        8,
        FIELDS,
        {
            "valid": "V",
            "readable": "R",
            "writable": "W",
            "executable": "X",
            "user": "U",
            "global": "G",
            "accessed": "A",
            "dirty": "D",
            "frame": "PPN",
            "slot_mark": "mark",
        },
        allowed,
        leaf_by_rights=True,
        reserved=HIGH_RESERVED,
        reserved_table=(1 << 4) | (1 << 6) | (1 << 7),
        code_style=1,
        registers=REGISTERS,
        root_register="satp",
        root_fields=SATP,
        fault_register="stval",
        sign_extended=True,
        kernel_sets_ad=svade,
        kernel_base=-0x2A00000000,  # 0xffffffd600000000, as Linux's linear map of Sv39
        code_name="scause",
        causes=CAUSES,
        rules=RULES,
    )


SV39 = sv39("sv39", svade=False)
SV39_SVADE = sv39("sv39-svade", svade=True)
