"""The pages in which a machine maps traces: the settings trace.page and trace.promote."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.units import format_size, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.formats.record import Format
    from vmdbg.machine.config import MachineConfig


class TracePages:
    """How regions of traces are mapped.

    `size` are the bytes of their pages.  With a `threshold` base pages come first, and a page of `size` bytes
    takes the place of those in its range when so many of them are there; 0: pages of `size` at once.
    """

    __slots__ = ("size", "threshold")

    def __init__(self, size: int, threshold: int = 0) -> None:
        self.size, self.threshold = size, threshold


def trace_pages(config: MachineConfig, form: Format) -> TracePages:
    """The pages of traces on a machine of that configuration and format.  UserError if it has none such."""
    text = config["trace.page"]
    if text == "base":
        return TracePages(form.grain)
    shifts = sorted(level.shift for level in form.levels if level.leaf)
    if text == "thp":
        if len(form.levels) < 2 or not form.levels[-2].leaf:
            raise UserError(f"trace.page thp: {form.name} has no pages of the next larger size.")
        return TracePages(1 << form.levels[-2].shift, config["trace.promote"])
    try:
        size = parse_size(text)
    except UserError:
        size = 0
    if size not in [1 << shift for shift in shifts]:
        sizes = ", ".join(format_size(1 << shift) for shift in shifts)
        raise UserError(
            f'trace.page: expected base, thp or a page size of {form.name}: {sizes}; not "{text}".'
        )
    return TracePages(size)
