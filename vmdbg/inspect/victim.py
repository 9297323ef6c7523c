"""What a policy can choose from when memory is short: the pages that may leave."""

from __future__ import annotations

from itertools import islice

from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.frames import FRAME_IS_USER
from vmdbg.kernel.policies import facts_of
from vmdbg.machine.future import accesses
from vmdbg.state.tables import (
    CPU,
    CPU_PID,
    FRAME,
    FRAME_RMAP,
    FRAME_STATE,
    KERNEL_CPU,
    KERNEL_HAND,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    RMAP,
    RMAP_PID,
    RMAP_VA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine

AHEAD = 100_000  # accesses of the program that are looked at for the next use of a page


def candidates(machine: Machine) -> list[dict[str, Any]]:
    """The pages that may leave memory now, in order of frames: frame, pfn, process, address, A, D, hand.

    `next_use` counts the accesses of the process on the CPU until it accesses the page, 1 = the one that it
    makes now; None if it does not among the next AHEAD ones, or if that is not known: `known` tells.
    """
    m, k, form = machine.m, machine.k, machine.format
    uses = next_uses(machine)
    facts = facts_of(machine.config["kernel.policy"])
    hand = m.kernel[KERNEL_HAND] if facts is not None and facts.hand else -1
    found = []
    for frame in range(m.kernel[KERNEL_USER_FIRST], m.kernel[KERNEL_USER_END]):
        if m.frame[frame * FRAME + FRAME_STATE] != FRAME_IS_USER or not k.may_leave(m, frame, 0):
            continue
        first = m.frame[frame * FRAME + FRAME_RMAP]
        va = m.rmap[first * RMAP + RMAP_VA] if first else None
        found.append(
            {
                "frame": frame,
                "pfn": k.frame_address(m, frame) >> form.page_bits,
                "pid": m.rmap[first * RMAP + RMAP_PID],
                "va": va,
                "accessed": bool(k.frame_accessed(m, frame)),
                "dirty": bool(k.frame_dirty(m, frame)),
                "hand": frame == hand,
                "next_use": None if uses is None else uses.get(va),
                "known": uses is not None,
            }
        )
    return found


def next_uses(machine: Machine) -> dict[Any, int] | None:
    """Page address -> in how many accesses the process on the CPU accesses it next.

    None if that cannot be known: there are other processes, or its rows do not say it.
    """
    m = machine.m
    pid = m.cpu[m.kernel[KERNEL_CPU] * CPU + CPU_PID]
    if not pid or len(live_processes(machine.k)) != 1:
        return None
    found: dict[Any, int] = {}
    for place, access in enumerate(islice(accesses(machine, pid), AHEAD), 1):
        if access is None:
            return None
        va, width, _ = access
        for address in (va, va + max(width, 1) - 1):
            found.setdefault(address & -machine.format.page_size, place)
    return found
