"""Formats of one's own that have directories laid out in another way, or pages below a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmdbg.debugger.bare_accesses import bare_access
from vmdbg.errors import UserError
from vmdbg.formats.toml import load_format
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import CPU_ROOT


@pytest.mark.parametrize(
    ("level", "mistake"),
    [
        ("{ bits = 5, fields = { valid = 0 } }", "fields: expected valid and frame"),
        ("{ bits = 5, fields = { valid = 0, frame = { low = 1, width = 6 } } }", "a width of at least 7"),
        (
            "{ bits = 5, fields = { valid = 3, frame = { low = 1, width = 7 } } }",
            "frame: overlaps another field",
        ),
        ("{ bits = 5, leaf = true, fields = { valid = 0 } }", "not where entries may map a page"),
        (
            '{ name = "L0", bits = 5, fields = { valid = 0, frame = { low = 1, width = 7 } } }',
            "names that differ",
        ),
    ],
)
def test_a_level_with_other_fields_is_refused_by_key(level: str, mistake: str, tmp_path: Path) -> None:
    fields = "valid = 7\nframe = { low = 0, width = 7 }\n" + ("huge = 6\n" if "leaf" in level else "")
    fields = fields.replace("width = 7", "width = 6") if "leaf" in level else fields
    (tmp_path / "f.toml").write_text(
        f"[format]\nva_bits = 15\nentry_bytes = 1\nlevels = [{level}, 5]\n[format.fields]\n{fields}"
    )
    with pytest.raises(UserError, match=mistake):
        load_format(str(tmp_path / "f.toml"))


def test_pages_of_two_bytes_need_a_machine_without_a_kernel(tmp_path: Path) -> None:
    """An access of four bytes has three parts; a store marks what it changed, so that it can be undone."""
    path = tmp_path / "two.toml"
    path.write_text(
        "[format]\nva_bits = 6\nentry_bytes = 1\nlevels = [3, 2]\n[format.fields]\nvalid = 7\n"
        "frame = { low = 0, width = 6 }\n[machine]\nkernel = false\nram = 128\nswap.size = 0\n"
        '[tlb]\nl1 = "2x2"\nl2 = "off"\n'
    )
    with pytest.raises(UserError, match="a kernel needs pages of 8 bytes or more"):
        Machine(load_config(str(path)).with_({"machine.kernel": True}))
    machine = Machine(load_config(str(path)))
    machine.m.ram1[0x10], machine.m.ram1[0x18:0x1B] = 0x8C, b"\x81\x83\x82"
    machine.m.cpu[CPU_ROOT] = 0x10
    done = bare_access(machine, 1, 0, 4)
    assert (done.fault, done.value) == (None, 0)
    before = machine.snapshot()
    assert bare_access(machine, 1, 1, 4, 0x44332211).fault is None
    assert bytes(machine.m.ram1[2:8]) == b"\0\x11\x44\0\x22\x33"
    machine.restore(before)
    assert not any(machine.m.ram1[:8])
    assert bare_access(machine, 3, 0, 4).fault is not None
