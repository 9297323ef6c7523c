"""Names of registers that CPUs have, whether a machine of ours has them or not.

Who types `$satp` on a machine that has `$cr3`, or `$rip` at all, means a register: it is told that there is
none, instead of being given a variable.  Names that are short enough to be variables ($x1, $a0) are not here.
"""

from __future__ import annotations

import re

NAMES = re.compile(
    # Intel SDM 1, 3.4; 3A, 2.5
    r"cr[0-9]+|dr[0-9]+|[re](?:[abcd]x|[sd]i|[sb]p|ip|flags)|efer|xcr0|pkru|maxphyaddr|[gil]dtr|pcid"
    # RISC-V Privileged, table 5
    r"|satp|sptbr|stvec|sepc|scause|stval|sstatus|sie|sip|mstatus|mepc|mcause|mtval|menvcfg|hgatp|vsatp"
    # Arm ARM D17
    r"|(?:ttbr[01]?|tcr|sctlr|mair|esr|far|vttbr|vbar|elr|spsr)(?:_el[0-3])?"
    # GDB's standard names
    r"|pc|sp|fp|ps|pstate"
)


def is_register_name(name: str) -> bool:
    """Is it the name of a register (or of a field of one) of some CPU?"""
    return NAMES.fullmatch(name.lower().partition(".")[0]) is not None
