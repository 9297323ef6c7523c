"""The segments of a machine that has them: what their registers say, and why an address lies in none."""

from __future__ import annotations

from vmdbg.inspect.notation import Notation
from vmdbg.state.tables import CPU, CPU_CONTROL7, KERNEL_CPU
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine


class Segment:
    """A segment of the CPU in use: its first address and its length there, its registers; `down`: it grows
    down, and has its last bytes."""

    __slots__ = ("base", "down", "limit", "number", "size", "start")

    def __init__(self, machine: Machine, number: int, root: int) -> None:
        m, k, form = machine.m, machine.k, machine.format
        cpu = m.kernel[KERNEL_CPU]
        self.number, self.size = number, form.page_size
        self.start = number << form.page_bits
        self.base = int(k.segment_base(m, cpu, root, number)) & WORD_MASK
        self.limit = int(k.segment_limit(m, cpu, number))
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
            "start": first,
            "end": end,
        }


def segments(machine: Machine, root: int) -> list[Segment]:
    """The segments of the CPU in use; `root` is the base of the first."""
    return [Segment(machine, number, root) for number in range(machine.format.segments)]


def outside(machine: Machine, va: int) -> str:
    """Why an address lies in no segment."""
    form, show = machine.format, Notation(machine.format)
    if va >> form.va_bits:
        return f"addresses have {form.va_bits} bits"
    segment = Segment(machine, va >> form.page_bits, 0)
    first, end = segment.held
    name = f"segment {segment.number}"
    if not segment.limit:
        return f"{name} is empty"
    way = ", growing down" if segment.down else ""
    return f"{name} is {show.va(first)}..{show.va(end - 1)}{way}"
