"""Fields that stand at some levels only."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vmdbg.errors import InputError
from vmdbg.formats.toml import load_format
from vmdbg.inspect.context import find_context
from vmdbg.inspect.walk import walk_tables
from vmdbg.machine.check.invariants import check
from vmdbg.shell.boot import open_target
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.startup import make_session
from vmdbg.units import s64

PAE = """
[format]
name = "pae"
va_bits = 32
entry_bytes = 8
levels = [{ name = "PDPT", bits = 2 }, { name = "PD", bits = 9, leaf = true }, { name = "PT", bits = 9 }]
hierarchical = true
table_accessed = true
inverted = ["executable"]
[format.fields]
valid = { low = 0, name = "P" }
writable = { low = 1, name = "RW", levels = ["PD", "PT"] }
user = { low = 2, name = "US", levels = ["PD", "PT"] }
accessed = { low = 5, levels = ["PD", "PT"] }
dirty = 6
huge = { low = 7, name = "PS", levels = ["PD"] }
global = 8
executable = { low = 63, name = "NX", levels = ["PD", "PT"] }
frame = { low = 12, width = 40 }
slot = { low = 12, width = 40 }
slot_mark = 9
[machine]
ram = "4M"
"""


def test_an_entry_has_the_fields_of_its_level(tmp_path: Path) -> None:
    """Intel SDM 3A, 4.4 and tables 4-8 to 4-11: an entry of the PDPT has neither R/W nor U/S, A or XD."""
    path = tmp_path / "pae.toml"
    path.write_text(PAE)
    out, err = io.StringIO(), io.StringIO()
    session = make_session(out, err, Permissions(False))
    session.target = target = open_target(session, str(path), "")
    for line in ("spawn p", "process 1", "mmap 0x8000000 0x2000 rw", "write 0x8000000 0x41"):
        assert session.interpreter.try_line(line), err.getvalue()
    machine = target.machine
    assert check(machine) == []
    steps = walk_tables(machine, find_context(machine).root, 0x8000000).steps
    assert [step.flags for step in steps] == [
        ["P"],
        ["P", "RW", "US", "A"],
        ["P", "RW", "US", "A", "D", "NX"],
    ]
    assert [step.entry & 0xFFF for step in steps] == [0x001, 0x027, 0x067]
    assert steps[-1].rights == 11  # no bit of the PDPTE withholds anything
    for bit in (1, 2, 5, 63):
        machine.k.store(machine.m, steps[0].address, 8, s64(steps[0].entry | 1 << bit))
        changed = walk_tables(machine, find_context(machine).root, 0x8000000).steps
        assert (changed[0].flags, changed[-1].rights) == (["P"], 11)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'levels = ["PD"] }',
            'levels = ["PDPT", "PD"] }',
            r"fields\.huge\.levels: expected just the levels .*, PD$",
        ),
        (
            'levels = ["PD"] }',
            "levels = [] }",
            r"fields\.huge\.levels: expected a list of some of PDPT, PD, PT$",
        ),
        (
            'levels = ["PD"] }',
            'levels = "PD" }',
            r"fields\.huge\.levels: expected a list of some of PDPT, PD, PT$",
        ),
        (
            'levels = ["PD"] }',
            "levels = [[]] }",
            r"fields\.huge\.levels: expected a list of some of PDPT, PD, PT$",
        ),
        (
            '"US", levels = ["PD", "PT"]',
            '"US", levels = ["PT"]',
            r"fields\.user\.levels: expected at least .*, PD, PT$",
        ),
        (
            '"US", levels = ["PD", "PT"]',
            '"US", levels = ["PX"]',
            r"fields\.user\.levels: expected a list of some",
        ),
        ('"P" }', '"P", levels = ["PD", "PT"] }', r"fields\.valid\.levels: only with readable, .*, huge$"),
        (
            "slot_mark = 9",
            'slot_mark = { low = 9, levels = ["PT"] }',
            r"fields\.slot_mark\.levels: only with",
        ),
        (
            'huge = { low = 7, name = "PS", levels = ["PD"] }',
            "readable = 3",
            r"fields\.writable\.levels: not with leaf_by_rights, as rights tell leaves from tables$",
        ),
    ],
)
def test_a_mistake_in_levels_is_told_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "pae.toml"
    text = PAE.replace(old, new)
    assert text != PAE
    if new.startswith("readable"):
        text = text.replace("hierarchical = true", "leaf_by_rights = true").replace('["executable"]', "[]")
    path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        load_format(str(path))
    assert "\n" not in str(raised.value)
    assert raised.value.message.startswith("format.fields.")
