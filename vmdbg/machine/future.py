"""What a program is going to access, for a policy that looks into the future: the table future.

Computed before it runs by stepping through its rows, patterns and loops included, as the run loop will.
"""

from __future__ import annotations

from array import array

from vmdbg.errors import UserError
from vmdbg.kernel.access import BY_KERNEL, CROSSES
from vmdbg.kernel.calls.syscalls import OP_FORK, OP_HANDLER
from vmdbg.kernel.policies import facts_of
from vmdbg.kernel.policies.facts import FUTURE as THE_FUTURE
from vmdbg.kernel.scheduler import (
    OP_EXIT,
    OP_KERNEL,
    OP_KIND,
    OP_LOOP,
    OP_PATTERNED,
    OP_RANGED,
    OP_WIDTH,
    OP_WIDTHS,
)
from vmdbg.machine.verify_program import is_plain, kinds_of
from vmdbg.state.tables import (
    FUTURE,
    FUTURE_NEXT,
    FUTURE_PAGE,
    KERNEL_FUTURE,
    OP,
    OP_VA,
    PROCESS,
    PROCESS_CURSOR,
    PROCESS_END,
    PROCESS_PC,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.config import MachineConfig
    from vmdbg.machine.machine import Machine

NEVER = 1 << 62
MOST_ACCESSES = 1 << 24
BEYOND = 1 << 40  # bytes: more than any page
REFUSED = "kernel.policy {} needs to know all accesses before the program runs: {}."


def looks_ahead(config: MachineConfig) -> bool:
    """Does a machine's policy look into the future?"""
    facts = facts_of(config["kernel.policy"])
    return facts is not None and facts.sees == THE_FUTURE


def check_number(config: MachineConfig, accesses: int) -> None:
    """UserError if a machine's policy cannot look at so many accesses ahead."""
    if accesses > MOST_ACCESSES:
        raise UserError(REFUSED.format(config["kernel.policy"], f"it makes more than {MOST_ACCESSES}"))


def foresee(machine: Machine, pids: list[int]) -> None:
    """Fill the table future with what the program in these processes, just loaded, accesses.

    UserError if its rows do not say it: several processes or CPUs, `fork`, `handler`, or a program before it.
    """
    policy = machine.config["kernel.policy"]
    wrong = ""
    if machine.shape["futures"] > 1:
        wrong = "another program is loaded already"
    elif len(pids) != 1 or machine.config["machine.cpus"] != 1:
        wrong = "one process on one CPU"
    if wrong:
        raise UserError(REFUSED.format(policy, wrong))
    mask = machine.format.page_size - 1
    pages = array("q")
    for access in accesses(machine, pids[0]):
        if access is None:
            raise UserError(REFUSED.format(policy, 'not with "fork" or "handler"'))
        va, width, by_kernel = access
        if by_kernel:
            raise UserError(REFUSED.format(policy, "and the kernel's own are not those of a page"))
        pages.append(va & ~mask)
        if (va & mask) + width > mask + 1:
            pages.append((va & ~mask) + mask + 1)
        check_number(machine.config, len(pages))
    machine.resize("futures", len(pages) + 1)
    m = machine.m
    m.future[FUTURE_PAGE::FUTURE] = pages + array("q", [-1])
    m.future[FUTURE_NEXT::FUTURE] = next_uses(pages) + array("q", [NEVER])
    m.kernel[KERNEL_FUTURE] = 0


def next_uses(pages: array[int]) -> array[int]:
    """For each place of a list the next one that has the same number, NEVER if there is none."""
    later: dict[int, int] = {}
    found = array("q", [NEVER]) * len(pages)
    for place in range(len(pages) - 1, -1, -1):
        page = pages[place]
        found[place] = later.get(page, NEVER)
        later[page] = place
    return found


def width_of(word: int) -> tuple[int, bool]:
    """The width of an access and whether it is the kernel's, as `accesses` has them, by its row's word."""
    width = word >> OP_WIDTH & OP_WIDTHS & ~BY_KERNEL
    return BEYOND if width == CROSSES else width, word & OP_KERNEL != 0


def accesses(machine: Machine, pid: int) -> Iterator[tuple[int, int, bool] | None]:
    """Address and width of each access that a process will make from now on, in order.

    The width is in bytes: 0 in a trace, more than a page where its access goes on in the next page.  Then
    whether the kernel makes it.

    None, and no more, where its rows do not say how it goes on: at `fork` and `handler`.  Nothing has changed
    when it is done or closed.
    """
    m, k, p = machine.m, machine.k, pid * PROCESS
    first, end = m.process[p + PROCESS_PC], m.process[p + PROCESS_END]
    rows = m.op[first * OP : end * OP]
    if is_plain(kinds_of(rows)):
        for word, va in zip(rows[::OP].tolist(), rows[OP_VA::OP].tolist(), strict=True):
            if word & OP_KIND == OP_EXIT:
                return
            yield va, *width_of(word)
        return
    before = m.process[p : p + PROCESS].tolist()
    try:
        while True:
            row = k.next_operation(m, p)
            word, kind = m.op[row * OP], m.op[row * OP] & OP_KIND
            if kind == OP_EXIT:
                return
            if kind in (OP_FORK, OP_HANDLER):
                yield None
                return
            taken = 1
            if kind < OP_LOOP:
                va = m.op[row * OP + OP_VA]
                if word & OP_RANGED:
                    taken = 3 if word & OP_PATTERNED else 2
                    for done in range(m.process[p + PROCESS_CURSOR], m.op[(row + 1) * OP]):
                        m.process[p + PROCESS_CURSOR] = done
                        place = k.range_place(m, p, row, word)
                        yield va + place * m.op[(row + 1) * OP + OP_VA], *width_of(word)
                    m.process[p + PROCESS_CURSOR] = 0
                else:
                    yield va, *width_of(word)
            m.process[p + PROCESS_PC] = row + taken
    finally:
        m.process[p : p + PROCESS] = array("q", before)
