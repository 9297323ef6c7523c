"""Formats of one's own at the limits of a TLB key."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from vmdbg.errors import InputError
from vmdbg.formats.toml import load_format
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import ARRAY

FIELDS = """
[format.fields]
valid = 0
readable = 1
writable = 2
executable = 3
user = 4
accessed = 5
dirty = 6
slot_mark = 1
frame = { low = 10, width = 44 }
slot = { low = 10, width = 40 }
"""


def declared(folder: Path, levels: str, bits: int) -> str:
    file = folder / "own.toml"
    head = f'[format]\nname = "own"\nva_bits = {bits}\nentry_bytes = 8\nsign_extended = true\n'
    file.write_text(f"{head}leaf_by_rights = true\nlevels = [{levels}]\n{FIELDS}")
    return str(file)


@pytest.mark.long
def test_five_levels_with_leaves_at_each(tmp_path: Path) -> None:
    name = declared(tmp_path, ", ".join(["{ bits = 9, leaf = true }"] * 5), 57)
    values = {"machine.format": name, "machine.ram": 1 << 19, "kernel.first_frame": 4}
    machine = Machine(MachineConfig(values | {"kernel.policy": "fifo", "kernel.user_frames": 5}))
    rows = array("q")
    for page in (0, 1, 2, 3, 4, 5, 6, 0, 1, 2):
        rows.extend((1 | 8 << 8, (1 << 55) + page * 4096, page, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    regions = [RegionSpec("heap", 1 << 55, 7 << 12, 11)]
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, regions, rows)]))
    for operations in range(1, 11):
        machine.run(operations)
        assert check(machine) == []
    assert machine.counts()["fault-major"] == 3
    m, k = machine.m, machine.k
    assert not any(k.tlb_holds(m, row, 4) for row in range(0, len(m.array), ARRAY))


def test_addresses_of_64_bits(tmp_path: Path) -> None:
    """Pages of 1 MiB leave 44 bits for their numbers."""
    name = declared(tmp_path, "11, 11, 11, 11", 64)
    text = (tmp_path / "own.toml").read_text()
    (tmp_path / "own.toml").write_text(
        text.replace("width = 44", "width = 30").replace("width = 40", "width = 30")
    )
    machine = Machine(
        MachineConfig({"machine.format": name, "machine.ram": 8 << 20, "kernel.first_frame": 0})
    )
    rows = array("q")
    for va in (0, 1 << 62, -(1 << 63), -1):
        rows.extend((1 | 1 << 8, va, 7, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    page = 1 << 20
    starts = (-(1 << 63), -page, 0, 1 << 62)
    regions = [RegionSpec("heap", start, page, 11) for start in starts[2:]]
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, regions, rows)]))
    machine.run(2)
    assert check(machine) == []
    assert machine.counts()["fault-minor"] == 2
    unsigned = (tmp_path / "own.toml").read_text().replace("sign_extended = true", "sign_extended = false")
    (tmp_path / "own.toml").write_text(unsigned)
    with pytest.raises(InputError, match=r"va_bits: expected less than 64 without sign_extended"):
        load_format(name)


def test_frames_that_no_word_of_the_tlb_holds_are_refused(tmp_path: Path) -> None:
    name = declared(tmp_path, "9, 9", 30)
    text = (tmp_path / "own.toml").read_text().replace("low = 10, width = 44", "low = 10, width = 45")
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(InputError, match="a width of at most 44"):
        load_format(name)


def test_more_page_numbers_than_a_key_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 45 index bits"):
        load_format(declared(tmp_path, "18, 18, 18", 57))
