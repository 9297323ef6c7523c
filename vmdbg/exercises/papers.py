"""Machines that fit on paper: their memory is drawn from a seed, and is printed on the sheet.

`two-levels` is a machine as OSTEP's paging exercises have it (128 pages of 32 bytes, a directory, tables of
one-byte entries), `one-level` one as CS:APP's (14-bit addresses, pages of 64 bytes, a TLB of four sets of
four ways).
"""

from __future__ import annotations

import os
from random import Random

from vmdbg.debugger.accesses import put_translation
from vmdbg.exercises.of_machine import Source
from vmdbg.hardware.tlb import WORD_PFN
from vmdbg.inspect.context import find_context
from vmdbg.inspect.tlb import cached_entries
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

FOLDER = os.path.dirname(os.path.abspath(__file__))
TWO_LEVELS, ONE_LEVEL = "two-levels", "one-level"
VALID, INVALID = 0x80, 0x7F
TABLES = 10  # of a directory on paper


def on_paper(kind: str, seed: int) -> Source:
    """A machine on paper, the same for the same seed."""
    rng = Random(f"{kind} {seed}")
    return two_levels(rng) if kind == TWO_LEVELS else one_level(rng)


def machine_of(kind: str) -> Machine:
    """An empty machine of that kind."""
    return Machine(load_config(os.path.join(FOLDER, kind + ".toml")))


def fill(machine: Machine, start: int, values: list[int]) -> None:
    """Puts bytes into memory."""
    for place, value in enumerate(values):
        machine.k.store(machine.m, start + place, 1, value)


def two_levels(rng: Random) -> Source:
    """Memory of 128 pages: a directory, some tables, and data that look like neither."""
    machine = machine_of(TWO_LEVELS)
    form = machine.format
    size, count = form.page_size, machine.config["machine.ram"] // form.page_size
    slots = size // form.entry_bytes
    frames = list(range(count))
    rng.shuffle(frames)
    root = frames.pop()
    tables = [frames.pop() for _ in range(TABLES)]
    for frame in frames:
        fill(machine, frame * size, [rng.randrange(slots) for _ in range(size)])
    directory = [INVALID] * slots
    for index, table in zip(rng.sample(range(slots), TABLES), tables, strict=True):
        directory[index] = VALID | table
        entries = [INVALID] * slots
        for place in rng.sample(range(slots), rng.randrange(4, 12)):
            entries[place] = VALID | rng.choice(frames)
        fill(machine, table * size, entries)
    fill(machine, root * size, directory)

    def listing(wanted: list[int]) -> list[str]:
        return page_rows(
            machine, sorted({*wanted, *(rng.randrange(count) for _ in wanted)}) if wanted else None
        )

    return Source(machine, find_context(machine, root=root * size), TWO_LEVELS, listing)


def page_rows(machine: Machine, frames: list[int] | None) -> list[str]:
    """Frames as OSTEP prints them, `page  12: 1b 1d 05 ...`; None: all."""
    size = machine.format.page_size
    count = machine.config["machine.ram"] // size
    rows = []
    for frame in range(count) if frames is None else frames:
        data = [int(machine.k.load(machine.m, frame * size + place, 1)) & 0xFF for place in range(size)]
        rows.append(f"page {frame:3}: " + " ".join(f"{byte:02x}" for byte in data))
    return rows


def one_level(rng: Random) -> Source:
    """A page table of 256 entries, of which a few are valid, and a TLB with some of them."""
    machine = machine_of(ONE_LEVEL)
    form = machine.format
    count = 1 << form.levels[0].bits
    table = [0] * count
    near = rng.sample(range(32), 18)  # the page table that is printed shows the first pages
    for page in near:
        table[page] = VALID | rng.randrange(4, 64)
    fill(machine, 0, table)
    names = machine.format.page_shifts
    for page in rng.sample(near, 10):
        put_translation(
            machine, 0, page << form.page_bits, names[0], (table[page] & 63) << WORD_PFN | 15, None
        )

    def listing(wanted: list[int]) -> list[str]:
        return [*table_rows(table), *tlb_rows(machine)]

    context = find_context(machine, root=0)
    context.asid = find_context(machine).asid
    return Source(machine, context, ONE_LEVEL, listing)


def table_rows(table: list[int]) -> list[str]:
    """The first pages of a page table as CS:APP prints them: VPN, PPN, valid."""
    rows = ["VPN PPN Valid   VPN PPN Valid   VPN PPN Valid   VPN PPN Valid"]
    for first in range(8):
        cells = []
        for page in range(first, 32, 8):
            entry = table[page]
            cells.append(f" {page:02x}  {f'{entry & 63:02x}' if entry else ' -'}   {int(entry >= VALID)}  ")
        rows.append("    ".join(cells).rstrip())
    return rows


def tlb_rows(machine: Machine) -> list[str]:
    """The TLB as CS:APP prints it: for each set tag, PPN and valid of each way."""
    sets, ways = 4, 4
    held = {(found.set, found.way): found for found in cached_entries(machine)}
    rows = ["", "Set  " + "   ".join(["Tag PPN Valid"] * ways)]
    for number in range(sets):
        cells = []
        for way in range(ways):
            found = held.get((number, way))
            cells.append(f" {found.vpn // sets:02x}  {found.pfn:02x}   1  " if found else "  -   -   0  ")
        rows.append(f"{number:3}  " + "   ".join(cells).rstrip())
    return rows
