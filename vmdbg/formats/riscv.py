"""RISC-V paging of 64 bits: Privileged Architecture, chapter 12, with and without Svade."""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.record import Field, Format, Register, cut

SUM, MXR = 1 << 18, 1 << 19  # of sstatus

FIELDS = (
    Field("V", 0, "valid", help="valid"),
    Field("R", 1, "readable", help="readable"),
    Field("W", 2, "writable", help="writable"),
    Field("X", 3, "executable", help="executable"),
    Field("U", 4, "user", help="user may access"),
    Field("G", 5, "global", help="global"),
    Field("A", 6, "accessed", help="accessed"),
    Field("D", 7, "dirty", help="dirty"),
    Field("PPN", 10, "frame", 44, help="frame"),
    Field("slot", 10, "slot", 44, where="s", help="swap slot"),
    Field("mark", 1, "slot_mark", where="s", help="a slot is kept"),
)
REGISTERS = (
    Register("sstatus.sum", 0, 18, 1, 0, "the kernel may touch user pages"),
    Register("sstatus.mxr", 0, 19, 1, 0, "what is executable is readable"),
)
CAUSES = {  # RISC-V Privileged, table "Supervisor cause register (scause) values after trap"
    13: "load page fault",
    15: "store/AMO page fault",
    12: "instruction page fault",
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


def sv(name: str, levels: int, kernel_base: int, svade: bool = False) -> Format:
    """Sv39, Sv48 or Sv57 by its number of levels; with Svade the kernel sets A and D."""
    bits = 12 + 9 * levels
    section = f"12.{levels + 1}"  # Sv39: 12.4, Sv48: 12.5, Sv57: 12.6
    mode = levels + 5  # 12.1.11, table "Encoding of satp MODE field": 8, 9, 10
    manual = "RISC-V Privileged"
    return Format(
        name,
        f"{manual}, {section}",
        bits,
        cut(12, *((f"L{level}", 9, True) for level in reversed(range(levels)))),
        8,
        FIELDS,
        allowed,
        leaf_by_rights=True,
        reserved=HIGH_RESERVED,
        reserved_table=(1 << 4) | (1 << 6) | (1 << 7),
        registers=REGISTERS,
        root_register="satp",
        root_fields=(  # 12.1.11
            Register("satp.mode", 0, 60, 4, mode, f"{mode}: Sv{bits}"),
            Register("satp.asid", 0, 44, 16, 0, "address-space number"),
            Register("satp.ppn", 0, 0, 44, 0, "page number of the root table"),
        ),
        fault_register="stval",
        sign_extended=True,
        kernel_sets_ad=svade,
        kernel_base=kernel_base,
        code_name="scause",
        causes=CAUSES,
        rule_texts={
            "r": f"loads need {{bit}} in the leaf ({manual}, 12.3.2)",
            "w": f"stores need {{bit}} in the leaf ({manual}, 12.3.2)",
            "x": f"fetches need {{bit}} in the leaf ({manual}, 12.3.2)",
            "u": f"user accesses need {{bit}} in the leaf ({manual}, 12.3.1)",
            "k": f"the kernel needs {{name}} = 0, or SUM for loads and stores ({manual}, 12.1.1.2)",
            "p": f"every entry of a translation needs {{bit}} ({manual}, 12.3.2)",
            "c": f"bits {{top}} of an address must be equal ({manual}, {section}.1)",
            "z": "W without R, low frame bits of a large page, "
            f"bits {{reserved}}: reserved ({manual}, {section}.1)",
            "a": "without hardware updates {name} = 0, or D = 0 on a store, faults (Svade)",
        },
    )


# The kernel's maps of all memory are where Linux has them (Documentation/arch/riscv/vm-layout.rst).
SV39: Format = sv("sv39", 3, kernel_base=-0x2A00000000)  # 0xffffffd600000000
SV39_SVADE: Format = sv("sv39-svade", 3, kernel_base=-0x2A00000000, svade=True)
SV48: Format = sv("sv48", 4, kernel_base=-0x508000000000)  # 0xffffaf8000000000
