"""Words that a machine offers to the prompt: completion, and what it says at the start."""

from __future__ import annotations

import os

from vmdbg.inspect.address_space import spaces
from vmdbg.inspect.machine import describe
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.processes import processes
from vmdbg.machine.config import PRESETS, preset_names
from vmdbg.state.events import EVENTS
from vmdbg.state.tables import CPU
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.machine import Machine

EXAMPLE_OFFSET = 0x1234  # of the address that the greeting proposes, from the first region's start


def offered(machine: Machine, what: str) -> list[str]:
    """All words of a sort: `pids cpus asids events machines`."""
    if what == "pids":
        return [str(row["pid"]) for row in processes(machine)]
    if what == "asids":
        return sorted({str(row["asid"]) for row in processes(machine) if row["asid"] is not None})
    if what == "cpus":
        return [str(cpu) for cpu in range(len(machine.m.cpu) // CPU)]
    if what == "events":
        return [event.name for event in EVENTS]
    if what == "machines":
        return preset_names()
    return []


def preset_summary(name: str) -> str:
    """The first line of what a preset's file says of itself."""
    with open(os.path.join(PRESETS, name + ".toml"), encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def greeting(machine: Machine) -> Iterator[str]:
    """The machine in a line, its first process in another."""
    yield f"Machine {machine.config.name}: {describe(machine.config, machine)}."
    rows = processes(machine)
    if not machine.config["machine.kernel"]:
        yield f'No kernel.  Try: load hex, poke, set ${machine.format.root_register}, "help looking"'
        return
    if not rows:
        yield 'No process.  Try: file, "help looking"'
        return
    row = rows[0]
    pages = row["swapped"] // machine.format.page_size
    swapped = f"{pages} page{'s' if pages != 1 else ''} in swap"
    resident = format_size(row["rss"])
    first = next(spaces(machine, row["pid"]), None)
    address = first.start + EXAMPLE_OFFSET % (first.end - first.start) if first is not None else 0
    example = Notation(machine.format).va(address)
    yield f"Process {row['pid']} ({row['name']}): {resident} resident, {swapped}.  Try: map, walk {example}"
