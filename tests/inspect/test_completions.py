"""What a machine offers to the prompt: its first words, completion, registers by name."""

from __future__ import annotations

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.completions import preset_summary
from vmdbg.inspect.target import Simulated, open_machine
from vmdbg.machine.config import preset_names


def test_the_greeting_names_machine_process_and_a_first_command(demo: Simulated) -> None:
    assert list(demo.greeting()) == [
        "Machine default: x86_64, 64 MiB RAM, TLB 64i + 64d + 1536 entries, 64 MiB swap.",
        "Process 1 (demo): 2080 KiB resident, 1 page in swap.  Try: map, walk 0x401234",
    ]


def test_the_greeting_of_a_machine_without_a_process() -> None:
    assert list(open_machine("trace").greeting())[1] == 'No process.  Try: file, "help looking"'


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_says_what_it_is_and_proposes_a_mapped_address(name: str) -> None:
    assert preset_summary(name).endswith(".")
    target = open_machine(name)
    line = list(target.greeting())[1]
    if "walk" in line:
        assert target.translate(int(line.split()[-1], 16)).region


def test_completion(demo: Simulated) -> None:
    assert demo.complete("pids") == ["1"]
    assert demo.complete("cpus") == ["0"]
    assert demo.complete("asids") == ["1"]
    assert "tlb-miss" in demo.complete("events") == demo.event_kinds
    assert demo.complete("machines") == preset_names()
    assert demo.complete("nothing") == []


def test_registers_by_name(demo: Simulated) -> None:
    (row,) = demo.registers(names=["cr0"])
    assert (row["register"], row["value"], row["meaning"]) == ("cr0", 1 << 16, "[ wp ]")
    assert len(demo.registers()) == 8
    with pytest.raises(UserError, match=r"^Invalid register `rip'$"):
        demo.registers(names=["cr3", "rip"])
