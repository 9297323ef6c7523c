"""What a machine offers to the prompt: its first words, completion, registers by name."""

from __future__ import annotations

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.completions import greeting, offered, preset_summary
from vmdbg.inspect.context import find_context
from vmdbg.inspect.machine import registers
from vmdbg.inspect.target import Target, boot_named
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import READ
from vmdbg.machine.config import preset_names
from vmdbg.state.events import EVENTS


def test_the_greeting_names_machine_process_and_a_first_command(demo: Target) -> None:
    assert list(greeting(demo.machine)) == [
        "Machine default: x86_64, 64 MiB RAM, TLB 64i + 64d + 1536 entries, 64 MiB swap.",
        "Process 1 (demo): 2080 KiB resident, 1 page in swap.  Try: map, walk 0x401234",
    ]


def test_the_greeting_of_a_machine_without_a_process() -> None:
    assert list(greeting(boot_named("trace").machine))[1] == 'No process.  Try: file, "help looking"'


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_says_what_it_is_and_proposes_a_mapped_address(name: str) -> None:
    assert preset_summary(name).endswith(".")
    target = boot_named(name)
    line = list(greeting(target.machine))[1]
    if "walk" in line:
        assert translate(target.machine, find_context(target.machine), int(line.split()[-1], 16), READ).region


def test_completion(demo: Target) -> None:
    assert offered(demo.machine, "pids") == ["1"]
    assert offered(demo.machine, "cpus") == ["0"]
    assert offered(demo.machine, "asids") == ["1"]
    assert "tlb-miss" in offered(demo.machine, "events") == [event.name for event in EVENTS]
    assert offered(demo.machine, "machines") == preset_names()
    assert offered(demo.machine, "nothing") == []


def test_registers_by_name(demo: Target) -> None:
    (row,) = registers(demo.machine, names=["cr0"])
    assert (row["register"], row["value"], row["meaning"]) == ("cr0", 1 << 16, "[ wp ]")
    assert len(registers(demo.machine)) == 11
    with pytest.raises(UserError, match=r"^Invalid register `rip'$"):
        registers(demo.machine, names=["cr3", "rip"])
