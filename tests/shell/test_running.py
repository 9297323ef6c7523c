"""Running, stopping, acting at the prompt; Ctrl-C and the compiler in the background as processes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pexpect
import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

LONG = """process long
region heap 0x400000 64K rw
loop 100000000
  read 0x400000 .. 0x404000 step 64
end
"""


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, machine: str = "tutorial16", program: str = "") -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.target = open_target(self.session, machine, program)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))

    def run(self, *lines: str) -> str:
        """What the lines write on stdout."""
        self.out.seek(0)
        self.out.truncate()
        for line in lines:
            self.session.interpreter.try_line(line)
        return self.out.getvalue()

    def error(self, line: str) -> str:
        """What a line writes on stderr."""
        self.err.seek(0)
        self.err.truncate()
        self.session.interpreter.try_line(line)
        return self.err.getvalue()

    def json(self, line: str) -> object:
        return json.loads(self.run(line))

    def digest(self) -> str:
        return self.session.target.machine.digest()


def test_run_goes_to_the_end_and_says_how_the_process_ended() -> None:
    prompt = Prompt()
    assert prompt.run("run") == "[Process 1 (tutorial16) exited normally]\n"
    assert prompt.run("print $_exitcode") == "$1 = 0\n"
    for line in ("step", "stepi", "continue", "next", "finish"):
        assert prompt.error(line) == "The program is not being run.\n"
    assert prompt.run("info program") == "The program being debugged is not being run.\n"


def test_run_again_starts_from_the_beginning() -> None:
    prompt = Prompt()
    prompt.run("step 2")
    assert "Start it from the beginning? (y or n)" in prompt.run("start")
    assert prompt.run("when") == "Time 0:0.\n"


def test_continue_with_a_number_ignores_crossings() -> None:
    prompt = Prompt()
    prompt.run("catch write", "continue")
    text = prompt.run("continue 2")
    assert text.splitlines()[0] == "Will ignore next 1 crossing of breakpoint 1.  Continuing."
    assert "exited normally" in text


def test_hook_stop_displays_and_commands_at_a_stop() -> None:
    prompt = Prompt()
    script = ["define hook-stop", "echo hook\\n", "end", "catch trap", "display 1 + 1", "continue"]
    prompt.out.truncate(0)
    prompt.session.interpreter.run_lines("script", script)
    lines = prompt.out.getvalue().splitlines()
    assert lines.index("hook") < next(at for at, line in enumerate(lines) if line.startswith("Catchpoint 1,"))
    assert lines[-1] == "1: 1 + 1 = 2"


def test_delete_disable_enable_take_numbers_and_ranges() -> None:
    prompt = Prompt()
    prompt.run("catch trap", "catch write", "catch read", "tcatch exit")
    prompt.run("disable 1-2", "delete 3")
    rows = prompt.json("info breakpoints/json")
    assert [(row["number"], row["enabled"], row["disposition"]) for row in rows] == [
        (1, False, "keep"),
        (2, False, "keep"),
        (4, True, "del"),
    ]
    assert prompt.run("delete 9") == "No breakpoint number 9.\n"
    assert prompt.error("delete 3-1") == "inverted range\n"
    assert prompt.error("ignore 9 1") == "No breakpoint number 9.\n"
    prompt.run("enable", "delete")
    assert prompt.run("info breakpoints") == "No breakpoints or watchpoints.\n"
    assert prompt.run("catch trap", "print $bpnum") == "Catchpoint 5 (trap)\n$1 = 5\n"


def test_catch_knows_its_events() -> None:
    assert prompt_error("catch tlb-mis") == ""
    assert prompt_error("catch tlbmiss").startswith(
        'Undefined catch command: "tlbmiss".  Try "help catch".\nDid you mean "tlb-miss"?'
    )
    assert prompt_error("catch").startswith("Argument required")


def prompt_error(line: str) -> str:
    return Prompt().error(line)


def test_events_as_json_have_addresses_and_costs() -> None:
    rows = Prompt().json("stepi/json 11")
    assert [row["event"] for row in rows][:2] == ["tlb-miss", "trap"]
    assert rows[5]["arguments"] == {"address": 0x800, "old": 0, "new": 0x10D7}
    assert sum(row["cycles"] or 0 for row in rows) == 1162
    assert rows[10]["time"] == "0:11"


def test_fault_as_json() -> None:
    prompt = Prompt()
    data = prompt.json("fault/json 0x0110 w")
    assert (data["outcome"], data["served"], data["pa"]) == ("translated", "fault-minor", 0x1010)
    assert data["time"] == "1:0"
    gone = prompt.json("fault/json -n 0xff00")
    assert (gone["outcome"], gone["signal"], gone["predicted"]) == ("killed", "SIGSEGV", True)
    assert prompt.run("when") == "Time 1:0.\n"


@pytest.mark.parametrize(
    "line",
    [
        "swapout 0x406000",
        "swapout 2 pages",
        "swapout -pid 1",
        "swapin 0x407000",
        "fault 0x408000 w",
        "fault 0x5000",
        "read 0x407000 8",
        "write 0x404000 1 8",
        "tlb flush",
        "tlb flush 0x404000",
        "tlb flush all",
        "tlb flush global",
        "tlb flush asid 1",
        "print $cr3 = 0x1000",
        "set var {char}0x404000 = 5",
    ],
)
def test_undo_of_each_acting_command_restores_the_digest(line: str) -> None:
    prompt = Prompt("default")
    before = prompt.digest()
    assert prompt.error(line) == ""
    assert prompt.digest() != before
    assert prompt.run("when") == "Time 13:0.\n"
    assert prompt.run("undo").endswith("Time 12:0.\n")
    assert prompt.digest() == before


@pytest.mark.parametrize(
    "line",
    [
        "swapout 0x5000",
        "swapin 0x404000",
        "swapout 0 pages",
        "read 0x404000 3",
        "write 0x404000 0x100",
        "fault zzz",
        "tlb flush asid",
        "goto 999999999",
        "goto nowhere",
        "catch nothing",
        "step -1",
        "file /nowhere/at/all.vmp",
        "set tlb.l1 3x3",
        "restart 7",
    ],
)
def test_a_refused_command_is_one_line_and_changes_nothing(line: str) -> None:
    prompt = Prompt("default")
    before = prompt.digest()
    assert prompt.error(line).count("\n") in (1, 2)
    assert prompt.digest() == before
    assert prompt.run("when") == "Time 12:0.\n"


def test_fault_asks_before_it_kills() -> None:
    prompt = Prompt("default")
    asked = []
    prompt.session.ask = lambda question: asked.append(question) or "n"
    assert prompt.error("fault 0x5000") == "Not confirmed.\n"
    assert "killed by SIGSEGV (MAPERR)" in asked[0]
    assert prompt.run("when") == "Time 12:0.\n"


def test_a_signal_stops_and_continue_lets_it_kill(tmp_path: Path) -> None:
    program = tmp_path / "bad.vmp"
    program.write_text("process bad\nregion heap 0x0 4K rw\nread 0xf000\n")
    prompt = Prompt("tutorial16", str(program))
    text = prompt.run("run")
    assert "Process 1 received signal SIGSEGV, Segmentation fault.\n" in text
    assert "0:4  process 1, bad.vmp:3\n3       read 0xf000\n" in text
    assert prompt.run("continue") == ("Process 1 (bad) terminated with signal SIGSEGV, Segmentation fault.\n")


def test_file_loads_a_program_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.vmp", tmp_path / "bad.vmp"
    good.write_text("process good\nregion heap 0x0 4K rw\nwrite 0x10, 3\n")
    bad.write_text("process bad\nwirte 0x10, 3\n")
    prompt = Prompt()
    prompt.run("step")
    before = prompt.digest()
    assert "bad.vmp:2:1" in prompt.error(f"file {bad}")
    assert prompt.digest() == before
    prompt.run(f"file {good}")
    assert prompt.run("start") == "0:0  process 1, good.vmp:3\n3       write 0x10, 3\n"


def test_settings_of_the_machine_boot_it_again_at_the_next_run() -> None:
    prompt = Prompt()
    prompt.run("step")
    assert prompt.run("set kernel.policy fifo") == 'kernel.policy takes effect at the next "run".\n'
    assert prompt.session.target.machine.config["kernel.policy"] == "clock"
    prompt.run("run")
    assert prompt.session.target.machine.config["kernel.policy"] == "fifo"


def test_settings_apply_at_once_before_anything_has_happened_and_costs_always() -> None:
    prompt = Prompt()
    assert prompt.run("set kernel.policy fifo") == ""
    assert prompt.session.target.machine.config["kernel.policy"] == "fifo"
    prompt.run("step")
    assert prompt.run("set cost.trap 7") == ""
    assert prompt.json("info cost/json 0")[0]["trap"] == 7


@pytest.mark.long
def test_both_engines_end_the_same(engine: str) -> None:
    prompt, plain = Prompt("default"), Prompt("default")
    plain.run("set engine interpreted", "run")
    prompt.run(f"set engine {engine}", "run")
    assert prompt.digest() == plain.digest()


def test_info_program_as_json() -> None:
    prompt = Prompt()
    prompt.run("step")
    data = prompt.json("info program/json")
    assert (data["time"], data["pid"], data["line"]) == ("1:0", 1, 5)


# -- as processes


@pytest.mark.long
def test_ctrl_c_stops_a_run_between_two_operations(user_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "long.vmp").write_text(LONG)
    child = pexpect.spawn(
        str(tmp_path / "bin" / "vmdbg"),
        ["-nx", "-q", "long.vmp"],
        env={**user_environment, "TERM": "dumb"},
        cwd=str(tmp_path),
        timeout=60,
        encoding="utf-8",
    )
    try:
        child.expect(r"\(vmdbg\)")
        child.send("set engine interpreted\r")
        child.expect(r"\(vmdbg\) .*\(vmdbg\)")
        child.send("continue\r")
        child.expect("continue")
        while cpu_time(child.pid) < 1.0:
            assert child.isalive()
        child.sendintr()
        child.expect("Program received signal SIGINT, Interrupt.")
        child.expect(r"(\d+):0  process 1, long.vmp:4")
        assert int(child.match[1]) > 0
        child.expect(r"\(vmdbg\)")
        child.send("stepi\r")
        child.expect("tlb-hit")
        child.sendeof()
    finally:
        child.close(force=True)


def cpu_time(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
