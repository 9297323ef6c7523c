"""What the number says that a CPU reports of a fault: x86's error code, RISC-V's scause, Arm's ESR.

Intel SDM 3A, 4.7 (page faults) and 6.13 (other error codes); RISC-V Privileged, 12.1.8; Arm ARM D17.2.37.
"""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ERROR_CODE, SCAUSE, ESR = "x86", "scause", "esr"
#: Bit, name, what it means if it is 1, and if it is 0 (empty: nothing is said).
X86_BITS = (
    (0, "P", "the translation is there: a right is missing", "an entry is not present"),
    (1, "W", "a write", "no write"),
    (2, "U", "in user mode", "in supervisor mode"),
    (3, "RSVD", "an entry has a reserved bit set", ""),
    (4, "I", "an instruction fetch", ""),
    (5, "PK", "a protection key forbids it", ""),
    (6, "SS", "an access to a shadow stack", ""),
    (7, "HLAT", "the translation by HLAT", ""),
    (15, "SGX", "SGX forbids it", ""),
)
SCAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load access fault",
    6: "store/AMO address misaligned",
    7: "store/AMO access fault",
    8: "environment call from U-mode",
    9: "environment call from S-mode",
    11: "environment call from M-mode",
    12: "instruction page fault",
    13: "load page fault",
    15: "store/AMO page fault",
    18: "software check",
    19: "hardware error",
    20: "instruction guest-page fault",
    21: "load guest-page fault",
    22: "virtual instruction",
    23: "store/AMO guest-page fault",
}
SCAUSE_INTERRUPTS = {
    1: "supervisor software",
    5: "supervisor timer",
    9: "supervisor external",
    13: "counter overflow",
}
CLASSES = {
    0x00: "unknown reason",
    0x01: "trapped WFI or WFE",
    0x07: "trapped access to SVE, SIMD or floating point",
    0x0E: "illegal execution state",
    0x15: "SVC in AArch64",
    0x16: "HVC in AArch64",
    0x17: "SMC in AArch64",
    0x18: "trapped MSR, MRS or system instruction",
    0x20: "instruction abort from a lower exception level",
    0x21: "instruction abort, exception level unchanged",
    0x22: "PC alignment fault",
    0x24: "data abort from a lower exception level",
    0x25: "data abort, exception level unchanged",
    0x26: "SP alignment fault",
    0x2F: "SError interrupt",
    0x30: "breakpoint from a lower exception level",
    0x31: "breakpoint, exception level unchanged",
    0x32: "software step from a lower exception level",
    0x33: "software step, exception level unchanged",
    0x34: "watchpoint from a lower exception level",
    0x35: "watchpoint, exception level unchanged",
    0x3C: "BRK instruction in AArch64",
}
INSTRUCTION_ABORTS, DATA_ABORTS = (0x20, 0x21), (0x24, 0x25)
STATUS_WITH_LEVEL = {
    0: "address size fault",
    1: "translation fault",
    2: "access flag fault",
    3: "permission fault",
}
STATUS = {
    0x10: "synchronous external abort",
    0x11: "tag check fault",
    0x18: "synchronous parity or ECC error",
    0x13: "external abort on a table walk, level -1",
    0x21: "alignment fault",
    0x29: "address size fault, level -1",
    0x2B: "translation fault, level -1",
    0x30: "TLB conflict abort",
    0x31: "unsupported atomic hardware update",
}
PAGE_FAULTS = {1: "x", 5: "r", 7: "w", 12: "x", 13: "r", 15: "w"}  # of scause, access faults among them
WRITES = 1 << 6  # of ESR: WnR
AGREES = "as the tables say"
WHOLE = (1 << 64) - 1
Row = dict[str, "Any"]


def kind_of(format_name: str) -> str:
    """The sort of code that a CPU with page tables of that format reports."""
    if format_name.startswith("sv"):
        return SCAUSE
    return ESR if format_name.startswith("arm") else ERROR_CODE


def decode(code: int, kind: str, narrow: bool = False) -> tuple[str, list[Row]]:
    """A code in a sentence, and its fields: name, bits, value, what it means; `narrow`: of a CPU of 32 bits.
    UserError if it is too wide."""
    if code < 0 or code >> 64:
        raise UserError(f"A code of {kind} has at most 64 bits.")
    if kind == SCAUSE:
        return decode_scause(code, narrow)
    return decode_x86(code) if kind == ERROR_CODE else decode_esr(code)


def field(name: str, bits: str, value: int, meaning: str) -> Row:
    """A row."""
    return {"field": name, "bits": bits, "value": value, "meaning": meaning}


def decode_x86(code: int) -> tuple[str, list[Row]]:
    """The error code of a page fault."""
    rows = [
        field(name, str(bit), code >> bit & 1, yes if code >> bit & 1 else no)
        for bit, name, yes, no in X86_BITS
        if code >> bit & 1 or no
    ]
    what = "fetch" if code & 16 else "write" if code & 2 else "read"
    who = "user" if code & 4 else "kernel"
    if code & 8:
        why = "an entry has a reserved bit set"
    elif code & 32:
        why = "a protection key forbids it"
    elif not code & 1:
        why = "an entry is not present"
    elif code & 16:
        why = "the page may not be executed" + (
            "" if code & 4 else " by the kernel (NX, or SMEP and a user page)"
        )
    elif code & 4:
        why = "the page is the kernel's" + (" or read-only" if code & 2 else "")
    else:
        why = "the page is read-only, and CR0.WP = 1" if code & 2 else "a user page, and SMAP"
    rest = code & ~sum(1 << bit for bit, *_ in X86_BITS)
    if rest:
        rows.append(field("other", "-", rest, "bits that an error code of a page fault does not have"))
    return f"Page fault of a {who} {what}: {why}.", rows


def decode_scause(code: int, narrow: bool) -> tuple[str, list[Row]]:
    """scause of 64 bits; of 32 if it is `narrow`, or bit 31 alone says that it is an interrupt."""
    top = 31 if code >> 31 == 1 or (narrow and not code >> 32) else 63
    interrupt, number = code >> top & 1, code & (1 << top) - 1
    names = SCAUSE_INTERRUPTS if interrupt else SCAUSES
    meaning = names.get(number, "reserved, or of the platform")
    rows = [
        field("interrupt", str(top), interrupt, "an interrupt" if interrupt else "an exception"),
        field("code", f"{top - 1}:0", number, meaning),
    ]
    return f"{'Interrupt' if interrupt else 'Exception'} {number}: {meaning}.", rows


def decode_esr(code: int) -> tuple[str, list[Row]]:
    """ESR_ELx: the class, and of aborts the fault status with its level."""
    number, syndrome = code >> 26 & 63, code & 0x1FFFFFF
    name = CLASSES.get(number, "reserved, or not of a fault")
    rows = [
        field("EC", "31:26", number, name),
        field("IL", "25", code >> 25 & 1, f"an instruction of {32 if code >> 25 & 1 else 16} bits"),
        field("ISS", "24:0", syndrome, ""),
    ]
    if number not in (*INSTRUCTION_ABORTS, *DATA_ABORTS):
        return f"{name[0].upper()}{name[1:]}.", rows
    status = syndrome & 63
    text = STATUS.get(status, "reserved")
    if status >> 2 in STATUS_WITH_LEVEL:
        text = f"{STATUS_WITH_LEVEL[status >> 2]}, level {status & 3}"
    elif 0x14 <= status <= 0x17:
        text = f"external abort on a table walk, level {status & 3}"
    rows.append(field("IFSC" if number in INSTRUCTION_ABORTS else "DFSC", "5:0", status, text))
    write = number in DATA_ABORTS and syndrome >> 6 & 1
    if number in DATA_ABORTS:
        rows.append(field("WnR", "6", syndrome >> 6 & 1, "a write" if write else "a read"))
    rows.append(field("S1PTW", "7", syndrome >> 7 & 1, "on a walk of stage 1" if syndrome >> 7 & 1 else ""))
    rows.append(
        field("FnV", "10", syndrome >> 10 & 1, "FAR is not valid" if syndrome >> 10 & 1 else "FAR is valid")
    )
    access = "fetch" if number in INSTRUCTION_ABORTS else "write" if write else "read"
    return f"{name[0].upper()}{name[1:]}: {access}, {text}.", rows


class Reported:
    """What a CPU has reported of a page fault: the access, `r`, `w` or `x`, the mode if the code says it
    (1: the kernel's), and `mask`, the bits of the code that follow from the tables."""

    __slots__ = ("access", "code", "mask", "mode", "sentence")

    def __init__(self, code: int, access: str, mode: int | None, mask: int, sentence: str) -> None:
        self.code, self.access, self.mode, self.mask, self.sentence = code, access, mode, mask, sentence


def reported_fault(code: int, kind: str) -> Reported:
    """What a code says of an access.  UserError if it is not that of a page fault."""
    sentence, _ = decode(code, kind)
    if kind == ERROR_CODE and not code >> 16:
        access = "x" if code & 16 else "w" if code & 2 else "r"
        return Reported(code, access, 0 if code & 4 else 1, 0x3F, sentence)
    if kind == SCAUSE and code in PAGE_FAULTS:
        return Reported(code, PAGE_FAULTS[code], None, WHOLE, sentence)
    number = code >> 26 & 63
    if kind == ESR and number in (*INSTRUCTION_ABORTS, *DATA_ABORTS):
        access = "x" if number in INSTRUCTION_ABORTS else "w" if code & WRITES else "r"
        return Reported(code, access, number & 1, 63 << 26 | WRITES | 63, sentence)
    raise UserError(f"-e {code:#x}: not the code of a page fault.", sentence)


def agreement(reported: Reported, code: int | None) -> str:
    """Whether the tables say what the CPU has reported: `code` is theirs, None if they allow the access."""
    if code is None:
        return "but the tables allow it now"
    if (code ^ reported.code) & reported.mask:
        return f"but the tables say {code:#x}"
    return AGREES
