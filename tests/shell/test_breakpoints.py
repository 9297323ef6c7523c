"""break, tbreak, until, conditions, commands: at the prompt."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

PROGRAM = """process work
region heap 0x0 4K rw
write 0x10, 1
loop 3
  read 0x10
  write 0x100 .. 0x400 step 0x100, 7
end
exit
"""


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, program: str = "", machine: str = "tutorial16") -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.target = open_target(self.session, machine, program)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))

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

    def times(self, line: str = "continue") -> list[str]:
        """Where `continue` stops, up to the end."""
        found = []
        while "exited" not in self.run(line):
            found.append(str(self.session.timeline.position))
            assert len(found) < 50
        return found


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    path = tmp_path / "work.vmp"
    path.write_text(PROGRAM)
    return Prompt(str(path))


def test_a_line_stops_before_each_of_its_operations(prompt: Prompt) -> None:
    assert prompt.run("break 5") == "Breakpoint 1 at work.vmp:5\n"
    assert prompt.run("run") == "\nBreakpoint 1, work.vmp:5\n1:0  process 1, work.vmp:5\n5       read 0x10\n"
    assert prompt.times() == ["5:0", "9:0"]


def test_the_first_line_stops_a_run_but_not_a_continue(prompt: Prompt) -> None:
    prompt.run("break 3")
    assert "0:0  process 1, work.vmp:3" in prompt.run("run")
    assert "exited normally" in prompt.run("continue")
    prompt.run("start")
    assert "exited normally" in prompt.run("continue")


def test_a_line_without_operations_is_the_next_one(prompt: Prompt) -> None:
    assert prompt.run("break 4") == "Breakpoint 1 at work.vmp:5\n"
    assert prompt.error("break 99") == 'No line 99 in file "work.vmp".\n'
    assert prompt.run("tbreak 8") == "Temporary breakpoint 2 at work.vmp:8\n"
    prompt.run("delete 1")
    assert "13:0  process 1, work.vmp:8\n8       exit" in prompt.run("run")
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"


def test_an_address_stops_before_what_touches_it(prompt: Prompt) -> None:
    prompt.run("break *0x200")
    prompt.run("run")
    assert ["3:0", *prompt.times()] == ["3:0", "7:0", "11:0"]


def test_system_calls_have_lines_too(prompt: Prompt) -> None:
    prompt.run("break 8")
    assert "13:0  process 1, work.vmp:8" in prompt.run("run")


def test_stops_never_change_the_end(prompt: Prompt) -> None:
    prompt.run("run")
    plain = prompt.session.target.machine.digest()
    prompt.run("break 5", "break *0x100 if $_operations == 6", "run")
    prompt.times()
    assert prompt.session.target.machine.digest() == plain


def test_a_condition_decides_and_can_be_taken_off(prompt: Prompt) -> None:
    prompt.run("break 5 if $_operations > 4")
    prompt.run("run")
    assert str(prompt.session.timeline.position) == "5:0"
    assert "\tstop only if $_operations > 4\n" in prompt.run("info breakpoints")
    assert prompt.run("condition 1") == "Breakpoint 1 now unconditional.\n"
    prompt.run("condition 1 $_operations == 9")
    assert prompt.times() == ["9:0"]
    assert prompt.error("condition 9 1") == "No breakpoint number 9.\n"


def test_a_condition_knows_the_events_arguments(prompt: Prompt) -> None:
    prompt.run("catch tlb-miss if $_va == 0x300")
    prompt.run("run")
    assert str(prompt.session.timeline.position) == "4:1"
    assert prompt.run("print $_event") == '$1 = "tlb-miss"\n'


def test_a_wrong_condition_makes_no_stop(prompt: Prompt) -> None:
    assert prompt.error("break 5 if 1 +") != ""
    assert prompt.error("catch trap if $root = 3") == "A condition cannot change the machine.\n"
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"
    prompt.run("delete", "break 5 if 1/0", "run")
    assert "Error in testing condition for breakpoint" in prompt.err.getvalue()


def test_commands_run_after_the_stop_and_may_continue(prompt: Prompt) -> None:
    script = ["break 5", "commands", "silent", "print $_operations", "continue", "end", "run"]
    prompt.out.truncate(0)
    prompt.session.interpreter.run_lines("script", script)
    lines = prompt.out.getvalue().splitlines()
    assert [line for line in lines if line.startswith("$")] == ["$1 = 1", "$2 = 5", "$3 = 9"]
    assert lines[-1] == "[Process 1 (work) exited normally]"
    assert "\n        print $_operations\n" in prompt.run("info breakpoints")


def test_until_goes_to_a_later_line_once(prompt: Prompt) -> None:
    prompt.run("start", "step")
    assert prompt.run("until 8") == "13:0  process 1, work.vmp:8\n8       exit\n"
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"
    assert prompt.run("break 5") == "Breakpoint 1 at work.vmp:5\n"


def test_breakpoints_go_along_to_another_boot(prompt: Prompt, tmp_path: Path) -> None:
    prompt.run("break 5", "step", "set kernel.policy fifo")
    assert "1:0  process 1, work.vmp:5" in prompt.run("run")
    assert prompt.session.target.machine.config["kernel.policy"] == "fifo"
    short = tmp_path / "short.vmp"
    short.write_text("process short\nregion heap 0x0 4K rw\nread 0x10\n")
    prompt.run(f"file {short}")
    assert prompt.error("run") == 'Breakpoint 1 disabled: No line 5 in file "short.vmp".\n'


def test_going_back_to_a_breakpoint(prompt: Prompt) -> None:
    prompt.run("run", "goto 13", "break 5")
    found = []
    while "No more reverse-execution history" not in prompt.run("reverse-continue"):
        found.append(str(prompt.session.timeline.position))
    assert found == ["9:0", "5:0", "1:0"]
