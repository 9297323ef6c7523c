"""Tables inside pages that are written by hand, made from the declarations."""

from __future__ import annotations

from vmdbg import formats
from vmdbg.hardware import replacement
from vmdbg.kernel import policies
from vmdbg.programs.operations import operations_table
from vmdbg.programs.traces.catalog import FORMATS
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def formats_table() -> str:
    """The formats as Markdown."""
    rows = ["| name | levels | pages | manual |", "| --- | --- | --- | --- |"]
    for name in formats.NAMES:
        form = formats.find(name)
        names = " ".join(level.name for level in form.levels)
        cut = "/".join(str(bits) for bits in [*(level.bits for level in form.levels), form.page_bits])
        sizes = ", ".join(format_size(1 << level.shift) for level in reversed(form.levels) if level.leaf)
        levels = f"{names} ({cut})"
        if form.software_walk:
            levels += ", the kernel fills the TLB"
        if form.kernel_sets_ad:
            levels += ", the kernel sets A and D"
        if form.bounded:
            levels, sizes = "none: base and bounds", f"partitions of {sizes}"
        rows.append(f"| `{name}` | {levels} | {sizes} | {form.manual} |")
    return "\n".join(rows) + "\n"


def policies_table() -> str:
    """The policies of page replacement as Markdown."""
    rows = ["| policy | the page that leaves | looks at | keeps |", "| --- | --- | --- | --- |"]
    for name in policies.POLICIES:
        facts = policies.facts_of(name)
        assert facts is not None
        sees = f"{facts.sees} (an oracle)" if facts.oracle else facts.sees
        rows.append(f"| `{name}` | {facts.leaves} | {sees} | {facts.kept} |")
    return "\n".join(rows) + "\n"


def replacement_table() -> str:
    """The replacement policies of TLBs as Markdown."""
    rows = ["| policy | a full set makes room by giving up |", "| --- | --- |"]
    rows += [f"| `{name}` | {replacement.facts_of(name).leaves} |" for name in replacement.REPLACEMENTS]
    return "\n".join(rows) + "\n"


def traces_table() -> str:
    """The formats of traces as Markdown."""
    rows = ["| name | is | a record | defined in |", "| --- | --- | --- | --- |"]
    rows += [f"| `{form.name}` | {form.summary} | `{form.sample}` | {form.source} |" for form in FORMATS]
    return "\n".join(row.replace("*", "\\*") for row in rows) + "\n"


#: Page -> what its tables are made from -> the table.
TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "programs.md": {"vmdbg/programs/operations.py": operations_table},
    "formats.md": {"vmdbg/formats": formats_table},
    "policies.md": {"vmdbg/kernel/policies": policies_table},
    "traces.md": {"vmdbg/programs/traces/formats": traces_table},
    "hardware.md": {"vmdbg/hardware/replacement": replacement_table},
}
