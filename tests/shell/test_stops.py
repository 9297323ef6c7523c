"""Stops as GDB's fingers expect them: its texts, counts, lists, commands; several reasons for one stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_breakpoints import PROGRAM, Prompt

LABELLED = """process work
let buf = 0x100
region heap 0x0 4K rw
write 0x10, 1
again: read buf
write buf+8, 7
exit
"""


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    path = tmp_path / "work.vmp"
    path.write_text(PROGRAM)
    return Prompt(str(path))


def stopped(prompt: Prompt, line: str = "continue") -> str:
    prompt.run(line)
    return str(prompt.session.timeline.position)


# -- where


def test_labels_symbols_files_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "labelled.vmp"
    path.write_text(LABELLED)
    prompt = Prompt(str(path))
    assert prompt.run("break again") == "Breakpoint 1 at labelled.vmp:5\n"
    assert prompt.run("break labelled.vmp:6") == "Breakpoint 2 at labelled.vmp:6\n"
    assert prompt.run("break buf+8") == "Breakpoint 3 at 0x0108\n"
    assert prompt.run("tbreak *0x10") == "Temporary breakpoint 4 at 0x0010\n"
    assert prompt.error("break other.vmp:6") == "No source file named other.vmp.\n"
    assert prompt.error("break nothing") == 'No symbol "nothing" in current context.\n'
    assert [stopped(prompt, "run"), stopped(prompt), stopped(prompt)] == ["0:0", "1:0", "2:0"]
    text = prompt.run("info breakpoints")
    assert "4" not in [line.split()[0] for line in text.splitlines()[1:]]
    assert "3       breakpoint     keep y   0x0108" in text


def test_info_breakpoints_lists_those_that_are_named(prompt: Prompt) -> None:
    prompt.run("break 5", "tbreak 6", "break *0x10")
    listed = json.loads(prompt.run("info breakpoints/j 1 3-4"))
    assert [row["number"] for row in listed] == [1, 3]
    assert prompt.run("info breakpoints 5") == "No breakpoint or watchpoint matching '5'.\n"


def test_all_stops_that_hold_are_named_and_counted(prompt: Prompt) -> None:
    prompt.run("break 5", "break *0x10 if $_operations == 1", "tbreak 5")
    assert prompt.run("run") == (
        "\nBreakpoint 1, work.vmp:5\n\nBreakpoint 2, 0x0010\n\nTemporary breakpoint 3, work.vmp:5\n"
        "1:0  process 1, work.vmp:5\n5       read 0x10\n"
    )
    assert [row["hits"] for row in json.loads(prompt.run("info breakpoints/j"))] == [1, 1]


def test_a_step_that_lands_on_a_breakpoint_says_so(prompt: Prompt) -> None:
    prompt.run("break 5", "start")
    assert prompt.run("step").startswith("\nBreakpoint 1, work.vmp:5\n1:0")
    assert stopped(prompt) == "5:0"


def test_the_place_of_others_is_noted(prompt: Prompt) -> None:
    prompt.run("break 5")
    assert prompt.run("break 5") == "Note: breakpoint 1 also set at work.vmp:5.\nBreakpoint 2 at work.vmp:5\n"
    prompt.run("disable 2")
    assert prompt.run("tbreak 5").startswith(
        "Note: breakpoints 1 and 2 (disabled) also set at work.vmp:5.\nTemporary breakpoint 3"
    )


# -- how often


def test_enable_once_count_and_delete(prompt: Prompt) -> None:
    prompt.run("break 6", "enable once 1", "run")
    assert "1       breakpoint     dis  n" in prompt.run("info breakpoints")
    prompt.run("enable count 2 1")
    assert "\tdisable after next 2 hits\n" in prompt.run("info breakpoints")
    assert [stopped(prompt), stopped(prompt)] == ["3:0", "4:0"]
    assert "dis  n" in prompt.run("info breakpoints")
    prompt.run("enable delete 1")
    assert stopped(prompt) == "6:0"
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"
    assert prompt.error("enable once") == "Argument required (one or more breakpoint numbers).\n"
    assert prompt.error("enable count") == "Argument required (hit count).\n"
    assert prompt.error("enable count 1") == "Argument required (one or more breakpoint numbers).\n"


def test_ignore_counts_crossings_whose_condition_held(prompt: Prompt) -> None:
    prompt.run("break 6 if $_operations > 2")
    assert prompt.run("ignore 1 1") == "Will ignore next crossing of breakpoint 1.\n"
    assert prompt.run("ignore 1 2") == "Will ignore next 2 crossings of breakpoint 1.\n"
    assert "\tignore next 2 hits\n" in prompt.run("info breakpoints")
    assert stopped(prompt, "run") == "6:0"
    assert "\tbreakpoint already hit 3 times\n" in prompt.run("info breakpoints")
    assert prompt.run("ignore 1 0") == "Will stop next time breakpoint 1 is reached.\n"
    assert prompt.error("ignore 1") == "Second argument (specified ignore-count) is missing.\n"


def test_continue_with_a_count(prompt: Prompt) -> None:
    prompt.run("break 6", "run")
    text = prompt.run("continue 3")
    assert text.startswith("Will ignore next 2 crossings of breakpoint 1.  Continuing.\n")
    assert "6:0" in text
    prompt.run("delete", "start")
    prompt.session.last_stop = None
    assert prompt.run("continue 2").startswith("Not stopped at any breakpoint; argument ignored.\n")


# -- events


def test_catch_takes_groups_arguments_and_names_of_signals(prompt: Prompt) -> None:
    assert prompt.run("catch fault") == "Catchpoint 1 (fault)\n"
    assert prompt.run("tcatch tlb-miss 0x310") == "Temporary catchpoint 2 (tlb-miss 0x0300..0x0400)\n"
    assert prompt.run("catch frame-free 16..18 -pid 1") == "Catchpoint 3 (frame-free 0x10..0x12)\n"
    assert prompt.run("catch signal SIGSEGV") == "Catchpoint 4 (signal SIGSEGV)\n"
    assert prompt.error("catch signal SIGFOO") == "Unknown signal name 'SIGFOO'.\n"
    assert prompt.error("catch foo").startswith('Undefined catch command: "foo".  Try "help catch".\n')
    assert prompt.error("catch").startswith("Argument required")
    assert prompt.error("catch tlb-miss 5..5") == "inverted range\n"
    assert prompt.error("catch tlb-miss -pid") == "-pid requires an argument\n"
    prompt.run("delete 1")
    assert [stopped(prompt, "run"), stopped(prompt), stopped(prompt)] == ["4:1", "13:4", "13:7"]


def test_the_events_arguments_are_known_to_conditions_by_name(prompt: Prompt) -> None:
    prompt.run("catch tlb-miss if va == 0x300 && pid == 1", "catch frame-alloc if pfn > 0x11")
    assert [stopped(prompt, "run"), stopped(prompt)] == ["3:5", "4:1"]
    assert prompt.run("print $_va") == "$1 = 768\n"
    prompt.run("delete", "catch tlb-miss if va == 0x300 && pid == 2", "catch tlb-hit if asid == 1")
    assert "exited normally" in prompt.run("run")


def test_dprintf_prints_and_goes_on(prompt: Prompt) -> None:
    assert prompt.run('dprintf 5,"at %d\\n", $_operations') == "Dprintf 1 at work.vmp:5\n"
    assert '        printf "at %d\\n", $_operations\n' in prompt.run("info breakpoints")
    assert prompt.run("run") == "at 1\nat 5\nat 9\n[Process 1 (work) exited normally]\n"
    assert prompt.error("dprintf") == "Format string required\n"
    assert prompt.error("dprintf 5") == "Format string required\n"
    assert prompt.error("dprintf 5,x") == "Bad format string\n"


def test_advance_until_and_finish(prompt: Prompt) -> None:
    prompt.run("start")
    assert prompt.error("advance") == "Argument required (a location).\n"
    assert prompt.error("until 99") == 'No line 99 in file "work.vmp".\n'
    assert prompt.run("advance 6").startswith("2:0")
    assert prompt.run("stepi 3") != ""
    assert prompt.run("finish").startswith("3:0")
    assert prompt.run("until").startswith("13:0")
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"


# -- going back


def test_marks_ranges_and_events_are_found_going_back(prompt: Prompt) -> None:
    prompt.run("run", "goto end", "break 5", "break *0x200", "catch fault-minor")
    found = []
    while "No more reverse-execution history" not in (text := prompt.run("reverse-continue")):
        found.append((str(prompt.session.timeline.position), text.split()[0]))
    assert found == [
        ("11:0", "Breakpoint"), ("9:0", "Breakpoint"), ("7:0", "Breakpoint"), ("5:0", "Breakpoint"),
        ("4:6", "Catchpoint"), ("3:6", "Catchpoint"), ("3:0", "Breakpoint"), ("2:6", "Catchpoint"),
        ("1:0", "Breakpoint"), ("0:6", "Catchpoint"),
    ]  # fmt: skip


def test_stops_cost_the_machine_nothing(prompt: Prompt) -> None:
    prompt.run("goto end", "run")
    plain = prompt.session.target.machine.digest()
    prompt.run("break 5", "break *0x200", "watch 0x100", 'dprintf 6,"%d", 1', "catch fault", "run")
    prompt.times()
    assert prompt.session.target.machine.digest() == plain
    machine = prompt.session.target.machine
    assert (machine.saved_words, any(machine.m.mask)) == ({}, False)
