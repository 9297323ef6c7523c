"""What is looked at, in some lines: a dump, its CPUs, its pieces of memory."""

from __future__ import annotations

from textwrap import wrap

from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.inspect.notation import Notation
    from vmdbg.views.result import Line


WIDTH = 80


def dump_lines(show: Notation, facts: dict[str, Any], banks: bool = False) -> Iterator[Line]:
    """`ELF core, x86_64, 1 CPU, 128 MiB in 2 pieces; cr3 0x1000, kernel, at 0x1000c1.`; with `banks` each
    piece."""
    pieces = len(facts["banks"])
    count, registers = len(facts["cpus"]), facts["cpus"][0]["registers"] or facts["file"] is None
    head = f"{facts['kind'][0].upper()}{facts['kind'][1:]}, {facts['format']}"
    head += " (assumed)" if facts["assumed"] else ""
    head += f", {count} CPU{'' if count == 1 else 's'}" if registers else ""
    head += f", {format_size(facts['size'])}" + (f" in {pieces} pieces" if pieces > 1 else "")
    first = facts["cpus"][0]
    if first["root"] is not None:
        head += f"; {facts['root_register']} {show.pa(first['root'])}"
        head += f", {first['mode']}" if registers else ""
        head += f", at {first['ip']:#x}" if first["ip"] is not None else ""
    yield head + "."
    if facts["no_root"]:
        yield from wrap(facts["no_root"], WIDTH)
    for cpu in facts["cpus"][1:]:
        root = "-" if cpu["root"] is None else show.pa(cpu["root"])
        at = f", at {cpu['ip']:#x}" if cpu["ip"] is not None else ""
        yield f"cpu {cpu['cpu']}: {facts['root_register']} {root}, {cpu['mode']}{at}"
    if banks:
        for bank in facts["banks"]:
            yield f"memory {show.pa(bank['base'])}..{show.pa(bank['end'] - 1)}  {format_size(bank['size'])}"
