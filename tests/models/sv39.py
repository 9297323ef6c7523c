"""RISC-V Privileged Architecture, 12.3.2 ("Virtual Address Translation Process"), Sv39 to Sv57, step by step.

Nothing here comes from the code that is tested.
"""

from __future__ import annotations

from typing import NamedTuple

V, R, W, X, U, G, A, D = (1 << bit for bit in range(8))


class Result(NamedTuple):
    """`outcome`: translated or a kind of fault; `writes`: which entry becomes what."""

    outcome: str
    pa: int = -1
    writes: tuple[int, int] = (0, 0)
    is_global: bool = False


def canonical(va: int, levels: int) -> bool:
    """Bits 63:39 all equal bit 38, 63:48 bit 47, 63:57 bit 56 (12.4.1, 12.5.1, 12.6.1)."""
    top = {3: 38, 4: 47, 5: 56}[levels]
    return -(1 << top) <= va < 1 << top


def translate(
    memory: bytes,
    base: int,
    satp: int,
    va: int,
    access: str,
    user: bool,
    sum_: bool,
    mxr: bool,
    svade: bool,
    levels: int,
) -> Result:
    """What a load `r`, a store `w`, a fetch `x` makes of the tables in `memory`, which starts at `base`."""
    vpn = [va >> 12 + 9 * level & 511 for level in range(levels)]
    a = (satp & (1 << 44) - 1) << 12
    for i in reversed(range(levels)):
        address = a + vpn[i] * 8
        at = address - base
        if not 0 <= at <= len(memory) - 8:
            return Result("bus")
        pte = int.from_bytes(memory[at : at + 8], "little")
        if not pte & V:
            return Result("not-present")
        if pte >> 54 or (pte & W and not pte & R):
            return Result("reserved")
        ppn = pte >> 10 & (1 << 44) - 1
        if pte & (R | X):
            break
        if i == 0 or pte & (U | A | D):
            return Result("reserved")
        a = ppn << 12
    if ppn & (1 << 9 * i) - 1:
        return Result("reserved")  # a misaligned superpage
    allowed = {"r": pte & R or (mxr and pte & X), "w": pte & W, "x": pte & X}[access]
    if user:
        allowed = allowed and pte & U
    elif pte & U:
        allowed = allowed and sum_ and access != "x"
    if not allowed:
        return Result("protection")
    wanted = pte | A | (D if access == "w" else 0)
    if wanted != pte and svade:
        return Result("access-flag")
    return Result("translated", ppn << 12 | va & (1 << 12 + 9 * i) - 1, (address, wanted), bool(pte & G))
