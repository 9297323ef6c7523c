"""RISC-V Privileged Architecture, 12.3.2 ("Virtual Address Translation Process"), Sv32 to Sv57, step by step.

With Svnapot (12.7), Svpbmt (12.8), Svade and Svadu.  Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from typing import NamedTuple

V, R, W, X, U, G, A, D = (1 << bit for bit in range(8))
N = 1 << 63
CAUSES = {"r": 13, "w": 15, "x": 12}  # page faults
ACCESS_CAUSES = {"r": 5, "w": 7, "x": 1}  # access faults


class Rules(NamedTuple):
    """Number of levels, and what registers and extensions say."""

    levels: int
    sum_: bool = False
    mxr: bool = False
    adue: bool = True
    svnapot: bool = False
    svpbmt: bool = False


class Result(NamedTuple):
    """`outcome`: translated or a kind of fault, with `cause`; `writes`: which entry becomes what."""

    outcome: str
    cause: int = 0
    pa: int = -1
    writes: tuple[int, int] = (0, 0)
    is_global: bool = False


def canonical(va: int, levels: int) -> bool:
    """Bits 63:39 all equal bit 38, 63:48 bit 47, 63:57 bit 56 (12.4.1, 12.5.1, 12.6.1)."""
    if levels == 2:
        return True
    top = {3: 38, 4: 47, 5: 56}[levels]
    return -(1 << top) <= va < 1 << top


def translate(memory: bytes, base: int, root: int, va: int, access: str, user: bool, rules: Rules) -> Result:
    """What a load `r`, a store `w`, a fetch `x` makes of the tables in `memory`, which starts at `base`."""
    small = rules.levels == 2
    size, bits, ppn_bits = (4, 10, 22) if small else (8, 9, 44)
    vpn = [va >> 12 + bits * level & (1 << bits) - 1 for level in range(rules.levels)]
    a = root

    def fault(kind: str) -> Result:
        return Result(kind, (ACCESS_CAUSES if kind == "bus" else CAUSES)[access])

    for i in reversed(range(rules.levels)):
        address = a + vpn[i] * size
        at = address - base
        if not 0 <= at <= len(memory) - size:
            return fault("bus")
        pte = int.from_bytes(memory[at : at + size], "little")
        if not pte & V:
            return fault("not-present")
        napot = bool(pte & N)
        pbmt = pte >> 61 & 3
        if (
            pbmt == 3
            or (pbmt and not rules.svpbmt)
            or pte >> 54 & 0x7F
            or (napot and not rules.svnapot)
            or (pte & W and not pte & R)
        ):
            return fault("reserved")
        ppn = pte >> 10 & (1 << ppn_bits) - 1
        if pte & (R | X):
            break
        if i == 0 or pte & (U | A | D) or napot or pbmt:
            return fault("reserved")
        a = ppn << 12
    if ppn & (1 << bits * i) - 1:
        return fault("reserved")  # a misaligned superpage
    if napot and (i or ppn & 15 != 8):
        return fault("reserved")
    allowed = {"r": pte & R or (rules.mxr and pte & X), "w": pte & W, "x": pte & X}[access]
    if user:
        allowed = allowed and pte & U
    elif pte & U:
        allowed = allowed and rules.sum_ and access != "x"
    if not allowed:
        return fault("protection")
    wanted = pte | A | (D if access == "w" else 0)
    if wanted != pte and not rules.adue:
        return fault("access-flag")
    if napot:
        ppn = ppn & ~15 | vpn[0] & 15
    return Result(
        "translated", 0, ppn << 12 | va & (1 << 12 + bits * i) - 1, (address, wanted), bool(pte & G)
    )
