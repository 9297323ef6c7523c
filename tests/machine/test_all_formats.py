"""Every format with tables boots, runs the program of `pressure`, and passes `check`.

It faults as often as others with pages of that size.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmdbg.formats import NAMES, find
from vmdbg.inspect.target import boot
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import load_config, preset_names

KINDS = ("fault-minor", "fault-major", "swap-out", "swap-in", "evict", "read", "write")
OPERATIONS = 3000
FORMATS = [name for name in NAMES if len(find(name).levels) > 1]
SMALL = [name for name in FORMATS if find(name).page_size == find("x86_64").page_size]


def counts(name: str, folder: Path) -> dict[str, int]:
    """What the first operations of `pressure` count with another format; large pages begin where they can."""
    form = find(name)
    values: dict[str, object] = {
        "machine.format": name,
        "machine.ram": 1024 * form.page_size,
        "machine.swap.size": 16 << 20,
    }
    if name not in SMALL:
        text = Path(load_config("pressure")["machine.program"]).read_text(encoding="utf-8")
        program = folder / "pressure.vmp"
        program.write_text(re.sub(r"0x(\d\d)6000", r"0x\g<1>0000", text))
        values["machine.program"] = str(program)
    config = load_config("pressure").with_({**values, "tlb.asids": True, "kernel.first_frame": 64})
    machine = boot(config).machine
    machine.run(OPERATIONS)
    assert check(machine) == []
    found = machine.counts()
    return {kind: found.get(kind, 0) for kind in KINDS}


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_pressure(name: str, tmp_path: Path) -> None:
    found = counts(name, tmp_path)
    if name in SMALL:
        assert found == counts("x86_64", tmp_path)
    else:
        assert found["fault-minor"] == (3 << 20) // find(name).page_size


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(preset_names()) & set(NAMES)))
def test_a_machine_of_its_name_runs_to_its_end(name: str) -> None:
    machine = boot(load_config(name)).machine
    machine.run(machine.operations + 500)
    assert check(machine) == []
