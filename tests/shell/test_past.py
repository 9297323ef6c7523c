"""Questions to the past, and the text of the program, at the prompt."""

from __future__ import annotations

import io
import json

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, machine: str = "default") -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.target = open_target(self.session, machine, "")

    def run(self, *lines: str) -> str:
        self.out.truncate(0)
        self.out.seek(0)
        for line in lines:
            self.session.interpreter.try_line(line)
        return self.out.getvalue()

    def error(self, line: str) -> str:
        self.err.truncate(0)
        self.err.seek(0)
        self.session.interpreter.try_line(line)
        return self.err.getvalue()


def test_last_write_names_the_operation_and_its_time() -> None:
    prompt = Prompt("tutorial16")
    prompt.run("run")
    prompt.run("goto 3")
    found = json.loads(prompt.run("last write/json 0x0110"))
    assert (found["time"], found["event"], found["line"]) == ("2:11", "write", 6)
    assert (
        prompt.run("last write 0x0110")
        == "2:11  write  0x1110: 0x00 -> 0x17\nby process 1, tutorial16.vmp:6\n"
    )
    assert "not since 0:0" in prompt.run("last write 0x0120")
    assert prompt.run("when") == "Time 3:0.  The record goes from 0:0 to 4:0.\n"


def test_last_map_finds_commands_too() -> None:
    prompt = Prompt()
    prompt.run("step 5", "swapout 0x406000", "step 5")
    text = prompt.run("last map 0x406000")
    assert text.splitlines()[1] == 'by command "swapout 0x406000"'
    assert text.startswith("17:")
    assert prompt.run("when") == "Time 23:0.\n"


def test_an_address_without_a_frame_has_no_last_write() -> None:
    assert Prompt().error("last write 0x5000").startswith("0x5000 is in no frame now.")


def test_events_of_the_past_are_those_that_were() -> None:
    prompt = Prompt("tutorial16")
    rows = json.loads(prompt.run("stepi/json 11"))
    prompt.run("step 3")
    assert json.loads(prompt.run("events/json 0")) == rows
    misses = json.loads(prompt.run("events/json 0..2 tlb-miss"))
    assert [row["time"] for row in misses] == ["0:1", "2:1"]
    assert prompt.error("events 2..1") == "inverted range\n"
    assert prompt.error("events 99").startswith("The record goes from")


@pytest.mark.parametrize(
    "line", ["last write 0x406000", "last map 0x407000", "events", "diff begin", "info cost"]
)
def test_questions_change_nothing(line: str) -> None:
    prompt = Prompt()
    prompt.run("step 30", "stepi 3")
    machine, before = prompt.session.target.machine, prompt.run("when")
    digest = machine.digest()
    assert prompt.error(line) == ""
    assert machine.digest() == digest
    assert prompt.run("when") == before


def test_list_shows_lines_around_the_place_and_goes_on() -> None:
    prompt = Prompt()
    lines = prompt.run("list").splitlines()
    assert lines[5].startswith("32\tread heap + 4K")
    assert len(lines) == 10
    assert prompt.run("list").splitlines()[0].startswith("37\t")
    assert prompt.run("list 1,3").splitlines()[2].startswith("3\tprocess demo")
    assert "out of range; demo.vmp has" in prompt.error("list 999")
    assert prompt.run("info line 32") == 'Line 32 of "demo.vmp": read 0x407000\n'
    assert prompt.run("info line 1") == 'Line 1 of "demo.vmp" has no operation.\n'


BOX = ("mmap 0x600000 8K rw", "write 0x600000 1")


@pytest.mark.parametrize(
    "since",
    [
        ("munmap 0x600000 8K",),
        ("munmap 0x600000 8K", "mmap 0x700000 4K rw -name box", "brk 0x418000"),
        ("munmap 0x600000 8K", "mmap 0x600000 4K rx -name box"),
        ("mprotect 0x600000 8K none",),
        ("spawn other", "kill -y 1", "mmap -pid 2 0x800000 4K rw -name other"),
    ],
)
def test_events_are_told_as_they_were_whatever_came_of_region_table_and_process(
    since: tuple[str, ...],
) -> None:
    prompt = Prompt()
    prompt.run(*BOX)
    asked = ("events/json 13", "events 13", "history page 0x600000 -pid 1", "events fault-minor")
    before = [prompt.run(line) for line in asked[:2]]
    assert "PT[0] 0x10c000: 0x8000000000115007 P RW US NX" in before[1]
    assert "demand-zero, region anon" in before[1]
    prompt.run(*since)
    assert [prompt.run(line) for line in asked[:2]] == before
    assert "demand-zero, region anon" in prompt.run(asked[2])


def test_hits_of_large_pages_are_told_by_the_event(tmp_path) -> None:
    prompt = Prompt()
    prompt.run("read 0x7f0000012345")
    before = prompt.run("events 12")
    assert "-> pfn 0x212" in before
    prompt.run("tlb flush all", "munmap 0x7f0000000000 2M")
    assert prompt.run("events 12") == before


def test_what_was_before_a_tlb_got_other_arrays_is_told_by_the_old_ones() -> None:
    prompt = Prompt()
    prompt.run("read 0x404000")
    before = prompt.run("events 12")
    assert "L1d set 4 way 0" in before
    prompt.run("tlb resize l1d 2x2", "read 0x404000", "read 0x404000")
    assert prompt.run("events 12") == before
    assert "L1d set 0 way 0" in prompt.run("events 15")
    text = prompt.run("events 12..15")
    assert ("tlb-hit     vpn 0x404 -> pfn 0x10a, L1d set 4 way 0" in text, "set 0 way 0" in text) == (
        True,
        True,
    )


def test_a_copied_large_page_is_told_by_frame_numbers() -> None:
    """Frames where memory begins high up: their numbers are not those of the rows of the table."""
    prompt = Prompt("sv39")
    text = prompt.run("mmap -page 2M -populate 0x3000000000 2M rw", "fork", "fault 0x3000000000 w")
    assert "fault-cow" in text
    start = text.index("fault-cow")
    assert "pfn 0x80" in text[start : start + 60], text
