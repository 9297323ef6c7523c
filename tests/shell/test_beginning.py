"""The record begins at 0:0, before what boot executed; sums of `info cost`; first tries; functions."""

from __future__ import annotations

import math
import re

import pytest

from tests.shell.test_breakpoints import Prompt
from vmdbg.debugger.machine_scope import FUNCTIONS as OF_MACHINES
from vmdbg.expressions.functions import FUNCTIONS, HELP
from vmdbg.machine.config import preset_names


@pytest.mark.long
@pytest.mark.parametrize(
    "machine", [name for name in preset_names() if name not in ("bare", "pages", "trace")]
)
def test_every_preset_begins_at_zero(machine: str) -> None:
    prompt = Prompt(machine=machine)
    mine = prompt.session.target.machine
    booted, digest = mine.operations, mine.digest()
    prompt.run("goto begin")
    assert mine.operations == 0
    assert not prompt.session.target.machine.counts().get("fault-minor")
    prompt.run("goto end")
    assert (mine.operations, mine.digest()) == (booted, digest)
    prompt.run("start")
    assert mine.operations == 0
    assert prompt.run("when") == "Time 0:0.\n"


def test_going_on_from_the_beginning_comes_to_what_boot_made() -> None:
    """The default machine's boot ends with a page that is swapped out."""
    prompt = Prompt(machine="default")
    machine = prompt.session.target.machine
    booted, digest = machine.operations, machine.digest()
    for ways in (["goto begin", f"goto {booted}"], ["goto begin", f"step {booted}"], ["goto 3", "step 9"]):
        prompt.run(*ways)
        assert machine.digest() == digest
    prompt.run(f"goto {booted - 1}", "stepi 99", "goto 2", *["step"] * (booted - 2))
    prompt.run(f"goto {booted}")
    assert machine.digest() == digest
    prompt.run("step", "reverse-step")
    assert machine.digest() == digest


def test_a_program_that_starts_anew_has_no_page_swapped_out() -> None:
    prompt = Prompt(machine="default")
    prompt.run("start", "step 12")
    assert prompt.run("swap") == "0 of 16384 slots in use.\n"


def test_boot_is_no_change_that_is_lost() -> None:
    prompt = Prompt(machine="default")
    prompt.run("when")
    assert not prompt.session.unsaved
    assert prompt.error("undo") == "Nothing to undo.\n"
    assert "started already" not in prompt.run("start")


def test_start_says_that_it_forgets_the_size_of_a_tlb() -> None:
    prompt = Prompt(machine="default")
    said = prompt.run("tlb resize L1d 8x2", "start")
    assert 'L1d is 16x4 again: "tlb resize" ends with the run, "set tlb.l1d 8x2" does not.\n' in said


def test_costs_end_with_total_and_mean() -> None:
    prompt = Prompt(machine="default")
    prompt.run("step 3")
    _, *costs, total, formula, mean = prompt.run("info cost 12..14").splitlines()
    cycles = [int(line.split()[-2 if "," not in line else -3]) for line in costs]
    each = f"{sum(cycles) / 3:.1f}".removesuffix(".0")
    assert total == f"3 operations: {sum(cycles)} cycles, {each} each; 1 instruction, MPKI 2000.0."
    assert mean.endswith(f" = {sum(cycles) / 3:.3f} cycles an access")
    products = f"{formula} {mean.partition(' = ')[0]}".split("+")
    assert sum(math.prod(map(float, part.split("*"))) for part in products) == pytest.approx(
        sum(cycles) / 3, 1e-5
    )
    assert "operations:" not in prompt.run("info cost 12")


def test_a_hit_counts_at_the_first_try(tmp_path: object) -> None:
    hardware, software = Prompt(machine="x86_32"), Prompt(machine="tutorial16")
    for prompt in (hardware, software):
        prompt.run("start", "continue")
    assert "2 accesses: hit at first try 1 of 2, 1 page fault.\n" in hardware.run("info stats")
    assert "2 TLB misses: 1 at first tries, 1 at retries.\n" in hardware.run("info stats")
    assert "3 accesses: hit at first try 1 of 3, 2 page faults.\n" in software.run("info stats")
    assert "at retries" not in software.run("info stats")


def test_every_function_has_help() -> None:
    assert set(HELP) == {*FUNCTIONS, *OF_MACHINES}
    prompt = Prompt(machine="tutorial16")
    page = prompt.run("help functions")
    assert all(f"${name}(" in page for name in HELP)
    assert prompt.run("help $pa") == prompt.run("help function pa")
    assert prompt.error("help $nosuch") == 'There is no function $nosuch.\nTry "help functions".\n'


def test_counts_of_families() -> None:
    prompt = Prompt(machine="default")
    prompt.run("continue")
    faults = [f'$count("fault-{kind}")' for kind in ("minor", "major", "cow", "file", "access")]
    assert prompt.session.integer('$count("fault")') == prompt.session.integer(" + ".join(faults)) > 0
    assert prompt.session.integer('$count("syscall")') >= prompt.session.integer('$count("exit")') == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("00001000000001001001011001111000", "Numeric constant too large.\nIn binary it is 0b1000"),
        (
            "11110000",
            "Address 0xa98670 does not fit in 16 bits (0x0000..0xffff).\nIn binary it is 0b11110000.\n",
        ),
        ("00001000", "warning: 00001000 is read as octal: 0x200.  In binary it is 0b00001000.\n"),
        ("0b00001000", ""),
        ("1000", ""),
    ],
)
def test_who_writes_bits_is_told_how(text: str, said: str) -> None:
    found = Prompt(machine="tutorial16").error(f"split {text}")
    assert found.startswith(said)
    assert bool(found) == bool(re.search("binary", found))
