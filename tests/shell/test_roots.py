"""Trees of tables that belong to no process: the CPU's root register, roots that are named, entries that
are not valid."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

EMPTY = """
[machine]
format = "x86_64"
ram = "4M"
"""
TREE = ("poke 0x9000 0xa007", "poke 0xa000 0xb007", "poke 0xb000 0xc007", "poke 0xc008 0x20007")


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, machine: str = "default") -> None:
        self.out = io.StringIO()
        self.session = make_session(self.out, self.out)
        self.session.target = open_target(self.session, machine, "")

    def run(self, *lines: str) -> str:
        self.out.truncate(0)
        self.out.seek(0)
        for line in lines:
            self.session.interpreter.try_line(line)
        return self.out.getvalue()

    def json(self, line: str) -> Any:
        return json.loads(self.run(line))


@pytest.fixture
def bare(tmp_path) -> Prompt:
    """A machine without a process, in whose memory somebody built tables."""
    (tmp_path / "bare.toml").write_text(EMPTY)
    prompt = Prompt(str(tmp_path / "bare.toml"))
    prompt.run(*TREE)
    return prompt


def test_the_root_register_of_a_machine_without_a_process_is_what_commands_look_at(bare: Prompt) -> None:
    assert bare.run("translate 0x1008").startswith("No process.")
    bare.run("set $cr3 = 0x9000")
    assert bare.json("translate/j 0x1008")["pa"] == 0x20008
    assert bare.json("walk/j 0x1008")["root"] == 0x9000
    assert [row["start"] for row in bare.json("map/j")] == [0x1000]
    assert bare.json("why/j 0x1008 w")["allowed"]
    assert bare.run("tables").startswith("PML4 at 0x9000\n")
    assert [row["pid"] for row in bare.json("info aliases/j 0x1000")] == [None]
    assert bare.run("p $pa(0x1008)", "x/1xb 0x1008") == "$1 = 131080\n0x1008:\t0x00\n"


def test_an_entry_that_is_not_valid_and_not_zero_is_not_empty(bare: Prompt) -> None:
    bare.run(
        "poke 0xc010 0x7e", "poke 0xc018 0x7e", "poke 0xc020 0x7e", "poke 0xc028 0x80", "set $cr3=0x9000"
    )
    said = "PT[2] is not valid (0x000000000000007e)"
    assert bare.run("translate 0x2000") == f"0x2000 -> fault: not-present, {said}\n"
    assert bare.json("walk/j 0x2000")["steps"][-1]["kind"] == "not-valid"
    assert bare.run("translate 0x7000").endswith("PT[7] is empty\n")
    lines = bare.run("tables").splitlines()
    assert lines[-2:] == [
        "        PT[2..4] 0x2000: not valid (0x000000000000007e)",
        "        PT[5] 0x5000: not valid (0x0000000000000080)",
    ]
    assert bare.run("pte 0x7e").startswith("0x000000000000007e at PT: not-valid\n")
    assert bare.json("overhead/j")["levels"][-1]["used"] == 1


def test_a_page_that_was_unmapped_by_hand_is_not_called_untouched() -> None:
    prompt = Prompt()
    prompt.run("poke 0x106020 0x800000000010a066", "tlb flush all")
    assert prompt.run("translate 0x404000").endswith("PT[4] is not valid (0x800000000010a066) (data)\n")


def test_equal_leaves_share_a_line_and_name_one_frame(bare: Prompt) -> None:
    bare.run("poke 0xc010 0x20007", "poke 0xc018 0x20007", "poke 0xc020 0x21007", "poke 0xc028 0x22007")
    bare.run("poke 0xc008 0x20007")
    lines = bare.run("tables -root 0x9000").splitlines()
    assert lines[-2:] == [
        "        PT[1..3] 0x1000: pfn 0x20, 3 x 4 KiB, rwxu",
        "        PT[4..5] 0x4000: pfn 0x21..0x22, 2 x 4 KiB, rwxu",
    ]
    rows = [row for row in bare.json("tables/j -root 0x9000") if row["kind"] == "leaf"]
    assert [(row["count"], row["equal"]) for row in rows] == [(3, True), (2, False)]


def test_functions_take_a_root(bare: Prompt) -> None:
    assert bare.run("p/x $pfn(0x1008, 0x9000)") == "$1 = 0x20\n"
    assert bare.run("p/x $entry(0x1008, 0x9000)") == "$2 = 0xc008\n"
    assert bare.run("p $pa(0x1008, 0x9008)").startswith("A root table is at a multiple of 0x1000, not at")
    assert bare.run("p $pa(1, 2, 3)") == "You must provide one or two arguments for $pa.\n"
    assert bare.run("p $vpn(1, 2)") == "You must provide one argument for $vpn.\n"
