"""The segments of a machine that has them: what their registers say, and why an address lies in none."""

from __future__ import annotations

from vmdbg.inspect.notation import Notation, rights_text
from vmdbg.state.tables import CPU, CPU_CONTROL7, KERNEL_CPU
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


class Segment:
    """A segment of a CPU, or of the one in use: its first address and its length there, its registers.

    `down`: it grows down, and has its last bytes.  `rights` are a nibble."""

    __slots__ = ("base", "down", "limit", "number", "rights", "size", "start")

    def __init__(self, machine: Machine, number: int, root: int, cpu: int | None = None) -> None:
        m, k, form = machine.m, machine.k, machine.format
        cpu = int(m.kernel[KERNEL_CPU]) if cpu is None else cpu
        self.number, self.size = number, 1 << form.segment_shift
        self.start = number << form.segment_shift
        self.base = int(k.segment_base(m, cpu, root, number)) & WORD_MASK
        self.limit = int(k.segment_limit(m, cpu, number))
        self.rights = int(k.segment_rights(m, cpu, self.start))
        self.down = bool(m.cpu[cpu * CPU + CPU_CONTROL7] >> number & 1)

    @property
    def held(self) -> tuple[int, int]:
        """The first of the addresses that it has, and one past the last."""
        end = self.start + self.size
        return (end - self.limit, end) if self.down else (self.start, self.start + self.limit)

    def data(self) -> dict[str, Any]:
        """What JSON shows."""
        first, end = self.held
        return {
            "segment": self.number,
            "base": self.base,
            "limit": self.limit,
            "grows_down": self.down,
            "rights": rights_text(self.rights),
            "start": first,
            "end": end,
        }


def segments(machine: Machine, root: int, cpu: int | None = None) -> list[Segment]:
    """The segments of a CPU, or of the one in use; `root` is the base of the first."""
    return [Segment(machine, number, root, cpu) for number in range(machine.format.segments)]


def outside(machine: Machine, va: int, cpu: int) -> str:
    """Why an address lies in no segment."""
    form, show = machine.format, Notation(machine.format)
    if va >> form.va_bits:
        return f"addresses have {form.va_bits} bits"
    segment = Segment(machine, va >> form.segment_shift, 0, cpu)
    first, end = segment.held
    name = f"segment {segment.number}"
    if not segment.limit:
        return f"{name} is empty"
    way = ", growing down" if segment.down else ""
    return f"{name} is {show.va(first)}..{show.va(end - 1)}{way}"
