"""Who translates: one program on machines that differ only in that."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.machine.boot import format_of
from vmdbg.machine.config import TLB_SETTINGS
from vmdbg.sweep.plan import Point, identity, point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.config import MachineConfig


class Way:
    """A way to translate: `who` is the kernel or a walker; `tlb`: is there one that keeps what was found?"""

    __slots__ = ("tlb", "who")

    def __init__(self, who: str, tlb: bool) -> None:
        self.who, self.tlb = who, tlb


WAYS = (Way("kernel", False), Way("walker", False), Way("kernel", True), Way("walker", True))


def ways_to_translate(base: MachineConfig, program: str) -> list[Point]:
    """The machine of that configuration in each of the WAYS.  UserError if it has no tables, or no TLB."""
    form = format_of(base)
    if form.bounded:
        raise UserError(f"{form.name} has no page tables: there is nothing to translate with.")
    if all(base[name] == "off" for name in TLB_SETTINGS):
        raise UserError("The machine has no TLB to compare with.", 'For one: "set tlb.l1 16x4".')
    known = identity(program)
    found = []
    for way in WAYS:
        values: dict[str, object] = {"tlb.fill": way.who, "tlb.walk_cache": ""}
        if not way.tlb:
            values |= dict.fromkeys(TLB_SETTINGS, "off")
        elif way.who == "walker":
            values["tlb.walk_cache"] = base["tlb.walk_cache"]
        found.append(point(base, values, known))
    return found
