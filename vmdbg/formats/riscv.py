"""RISC-V paging: Privileged Architecture, chapter 12, with Svade and Svadu, Svnapot and Svpbmt."""

from __future__ import annotations

from vmdbg.formats.contract import ACCESS_FETCH, RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.formats.record import Field, Format, Register, bits_between, cut

SUM, MXR = 1 << 18, 1 << 19  # of sstatus
MSTATUS, MPRV, MPP_LOW = 3, 1 << 17, 11  # word of control registers; of mstatus
MACHINE = 3  # MPP

FLAGS = (
    Field("V", 0, "valid", help="valid"),
    Field("R", 1, "readable", help="readable"),
    Field("W", 2, "writable", help="writable"),
    Field("X", 3, "executable", help="executable"),
    Field("U", 4, "user", help="user may access"),
    Field("G", 5, "global", help="global"),
    Field("A", 6, "accessed", help="accessed"),
    Field("D", 7, "dirty", help="dirty"),
)
PBMT_BITS = 2
LATE_FIELDS = (
    Field("mark", 1, "slot_mark", where="s", help="a slot is kept"),
    Field("PBMT", 61, "", PBMT_BITS, help="memory type: 0 as the PMAs say, 1 NC, 2 IO (Svpbmt)"),
    Field("N", 63, "napot", where="l", help="one of sixteen entries for 64 KiB (Svnapot)"),
)


def fields(frame_bits: int) -> tuple[Field, ...]:
    """The fields of all entries, of 8 bytes if their frame has more than 22 bits (Sv32)."""
    late = LATE_FIELDS[:1] if frame_bits <= SV32_FRAME else LATE_FIELDS
    frame = Field("PPN", 10, "frame", frame_bits, help="frame")
    return (*FLAGS, frame, Field("slot", 10, "slot", frame_bits, where="s", help="swap slot"), *late)


SV32_FRAME = 22  # bits of a page number of Sv32
SUM_MXR = (
    Register("sstatus.sum", 0, 18, 1, 0, "the kernel may touch user pages"),
    Register("sstatus.mxr", 0, 19, 1, 0, "what is executable is readable"),
)
MACHINE_STATUS = (
    Register("mstatus.mprv", MSTATUS, 17, 1, 0, "machine mode loads and stores in the mode that MPP says"),
    Register(
        "mstatus.mpp", MSTATUS, MPP_LOW, 2, 0, "0: user, 1: kernel, 3: machine mode", most=MACHINE, never=2
    ),
)
SVNAPOT = Register("isa.svnapot", 2, 0, 1, 0, "N of a leaf means 64 KiB; without, it is reserved", "N")
CAUSES = {  # RISC-V Privileged, table "Supervisor cause register (scause) values after trap"
    13: "load page fault",
    15: "store/AMO page fault",
    12: "instruction page fault",
}
BUS_CAUSES = {5: "load access fault", 7: "store/AMO access fault", 1: "instruction access fault"}
SVPBMT = Register(
    "menvcfg.pbmte", 1, 62, 1, 0, "leaves have a memory type, PBMT; without, it is reserved", "PBMT"
)
HIGH_RESERVED = bits_between(60, 54)
PBMT = bits_between(62, 61)  # 12.8: 3 is reserved, and in a table all but 0 is


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


def machine_mode(control: list[int], access: int) -> int | None:
    """The mode in which machine mode makes an access (Privileged, 3.1.6.3); None: it does not translate."""
    mode = control[MSTATUS] >> MPP_LOW & MACHINE
    if access == ACCESS_FETCH or not control[MSTATUS] & MPRV or mode == MACHINE:
        return None
    return mode


def sv(name: str, levels: int, kernel_base: int, svade: bool = False) -> Format:
    """Sv32, Sv39, Sv48 or Sv57 by its number of levels.

    With `svade` the kernel sets A and D at first, as menvcfg.ADUE is 0 (12.3.2, 3.1.18).
    """
    small = levels == 2
    bits = 32 if small else 12 + 9 * levels
    section = f"12.{levels + 1}"  # Sv32: 12.3, Sv39: 12.4, Sv48: 12.5, Sv57: 12.6
    mode = 1 if small else levels + 5  # 12.1.11, table "Encoding of satp MODE field": 1; 8, 9, 10
    manual = "RISC-V Privileged"
    places = (31, 1, 22, 9, SV32_FRAME) if small else (60, 4, 44, 16, 44)
    updates = Register("menvcfg.adue", 1, 61, 1, int(not svade), "the walker sets A and D (Svadu)", sets="AD")
    return Format(
        name,
        f"{manual}, {section}",
        bits,
        cut(12, *((f"L{level}", 10 if small else 9, True) for level in reversed(range(levels)))),
        4 if small else 8,
        fields(places[4]),
        allowed,
        machine_mode=machine_mode,
        window=("sstatus.sum", 1),
        leaf_by_rights=True,
        reserved=0 if small else HIGH_RESERVED,
        reserved_table=(1 << 4) | (1 << 6) | (1 << 7) | (0 if small else 1 << 63 | PBMT),
        reserved_together=0 if small else PBMT,
        registers=(*SUM_MXR, *MACHINE_STATUS, updates, *(() if small else (SVNAPOT, SVPBMT))),
        root_register="satp",
        root_fields=(  # 12.1.11
            Register("satp.mode", 0, places[0], places[1], mode, f"{mode}: Sv{bits}"),
            Register("satp.asid", 0, places[2], places[3], 0, "address-space number"),
            Register("satp.ppn", 0, 0, places[4], 0, "page number of the root table"),
        ),
        fault_register="stval",
        sign_extended=not small,
        asid_bits=places[3],
        kernel_sets_ad=svade,
        kernel_base=kernel_base,
        code_name="scause",
        machine_code_name="mcause",
        causes=CAUSES,
        bus_causes=BUS_CAUSES,
        rule_texts={
            "r": f"loads need {{bit}} in the leaf ({manual}, 12.3.2)",
            "w": f"stores need {{bit}} in the leaf ({manual}, 12.3.2)",
            "x": f"fetches need {{bit}} in the leaf ({manual}, 12.3.2)",
            "u": f"user accesses need {{bit}} in the leaf ({manual}, 12.3.1)",
            "k": f"the kernel needs {{name}} = 0, or SUM for loads and stores ({manual}, 12.1.1.2)",
            "p": f"every entry of a translation needs {{bit}} ({manual}, 12.3.2)",
            "c": f"bits {{top}} of an address must be equal ({manual}, {section}.1)",
            "z": "W without R, low frame bits of a large page"
            + ("" if small else ", bits {reserved}")
            + f": reserved ({manual}, {section}.1)",
            "a": "without hardware updates {name} = 0, or D = 0 on a store, faults (Svade)",
        },
    )


# The kernel's maps of all memory are where Linux has them (Documentation/arch/riscv/vm-layout.rst).
SV32: Format = sv("sv32", 2, kernel_base=0xC0000000)
SV39: Format = sv("sv39", 3, kernel_base=-0x2A00000000)  # 0xffffffd600000000
SV39_SVADE: Format = sv("sv39-svade", 3, kernel_base=-0x2A00000000, svade=True)
SV48: Format = sv("sv48", 4, kernel_base=-0x508000000000)  # 0xffffaf8000000000
SV57: Format = sv("sv57", 5, kernel_base=-0xA0000000000000)  # 0xff60000000000000
