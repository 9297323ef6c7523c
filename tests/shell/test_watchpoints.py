"""watch, rwatch, awatch: entries, memory through any alias, frames, slots."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

PROGRAM = """process work
region heap 0x0 4K rw
write 0x10, 1
read 0x10
write 0x10, 1
write 0x0f, 0x0302, 2
read 0x20
exit
"""


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, machine: str, program: str = "") -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.target = open_target(self.session, machine, program)

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

    def where(self) -> str:
        return str(self.session.timeline.position)


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    path = tmp_path / "work.vmp"
    path.write_text(PROGRAM)
    found = Prompt("tutorial16", str(path))
    found.run("step")
    return found


def test_memory_stops_where_its_value_changes_forwards_and_back(prompt: Prompt) -> None:
    assert prompt.run("watch 0x10") == "Watchpoint 1: 0x0010\n"
    text = prompt.run("continue")
    assert text.startswith("\nWatchpoint 1: 0x0010\n\nOld value = 0x1\nNew value = 0x3\n3:2")
    assert "exited normally" in prompt.run("continue")
    text = prompt.run("reverse-continue")
    assert "Old value = 0x3\nNew value = 0x1\n3:1  " in text
    assert "Old value = 0x1\nNew value = 0x0\n0:10  " in prompt.run("reverse-continue")


def test_reading_and_touching(prompt: Prompt) -> None:
    prompt.run("rwatch 0x10")
    assert "Value = 0x1\n1:2" in prompt.run("continue")
    prompt.run("delete", "awatch -width 2 0x0f")
    places = []
    while "exited" not in prompt.run("continue"):
        places.append(prompt.where())
    assert places == ["2:2", "3:2"]


def test_physical_memory_is_watched_through_every_alias(prompt: Prompt) -> None:
    assert prompt.run("watch -phys 0x1010") == "Watchpoint 1: -phys 0x1010\n"
    prompt.run("continue")
    assert prompt.where() == "3:2"
    assert prompt.error("watch 0x123456").startswith("Address 0x123456 does not fit")
    assert prompt.error("watch").startswith("Argument required")


def test_an_entry_stops_at_the_kernels_write_and_where_a_walk_sets_bits() -> None:
    prompt = Prompt("default")
    assert prompt.run("watch -entry 0x408000") == "Watchpoint 1: entry of 0x408000 (PT[8], 0x106040)\n"
    text = prompt.run("continue")
    assert "Old value = 0x0000000000000000  empty\nNew value = 0x" in text
    assert text.splitlines()[4].endswith("P RW US NX")
    text = prompt.run("continue")
    assert text.splitlines()[3].endswith("P RW US NX")
    assert text.splitlines()[4].endswith("P RW US A D NX  (+A +D)")
    prompt.run("finish", "delete", "watch -entry 0x408000")
    assert prompt.run("swapout 0x408000") != ""
    text = prompt.run("reverse-continue")
    assert text.splitlines()[3].endswith("P RW US A D NX")
    assert text.splitlines()[4].endswith("P RW US NX  (-A -D)")


def test_slots_and_frames() -> None:
    prompt = Prompt("default")
    prompt.run("watch -slot 1")
    assert "swap-in: slot 1 -> pfn 0x10c" in prompt.run("continue")
    prompt.run("delete", "goto 12", "watch -frame 0x10c")
    assert "swap-in: slot 1 -> pfn 0x10c" in prompt.run("continue")


def test_a_condition_on_a_watchpoint(prompt: Prompt) -> None:
    prompt.run("awatch 0x10 if $_operations == 2")
    prompt.run("continue")
    assert prompt.where() == "2:2"
    assert "\tstop only if $_operations == 2\n" in prompt.run("info watchpoints")


@pytest.mark.slow
def test_many_events_that_are_no_stop_are_passed_quickly_going_back() -> None:
    prompt = Prompt("default")
    prompt.run("step 20", "watch -width 8 0x404008", "goto 30000")
    assert "Old value = 0x1\nNew value = 0x0" in prompt.run("reverse-continue")


SWAPPING = """process a
region heap 0x0 4K rw
loop 3
  modify 0x10, 5
  write 0x300, 1
end
write 0x10, 7, 2
exit

process b
region heap 0x0 4K rw
loop 4
  write 0x10, 9
end
exit
"""


def test_a_virtual_address_is_followed_from_frame_to_frame(tmp_path: Path) -> None:
    path = tmp_path / "swapping.vmp"
    path.write_text(SWAPPING)
    prompt = Prompt("tutorial16", str(path))
    prompt.run("goto 1", "swapout 0x10", "goto 4", "swapout 0x10", "goto 0")
    # Nothing is mapped there yet.
    assert prompt.run("watch *(short *)0x10") == "Watchpoint 1: *(short *)0x10\n"
    seen = []
    while "Watchpoint 1" in (text := prompt.run("continue")):
        old, new = (part.split()[-1] for part in text.splitlines() if "value" in part)
        line = prompt.session.timeline
        seen.append((line.position.operations, old, new, line.location.pid))
    assert [place[1:] for place in seen] == [("0x0", "0x5", 1), ("0x5", "0x7", 1)]
    back = []
    prompt.run("goto end")
    while "Watchpoint 1" in prompt.run("reverse-continue"):
        back.append(prompt.session.timeline.position.operations)
    assert back == [place[0] for place in reversed(seen)]


def test_an_expression_is_watched_as_wide_as_it_is() -> None:
    prompt = Prompt("tutorial16")
    prompt.run("start")
    assert prompt.run("awatch *(long *)0x0") == "Access (read/write) watchpoint 1: *(long *)0x0\n"
    assert prompt.error("watch {char[16]}0x0") == "A watchpoint has 1 to 8 bytes, not 16.\n"
    assert "New value = 0x2a" in prompt.run("continue")
