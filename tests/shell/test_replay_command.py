"""replay and trace, as they are typed: what they print, pipes, Ctrl-C, mistakes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def lackey(count: int, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    lines = [
        b"%s%08x,4\n" % (chance.choice((b"I  ", b" L ", b" S ", b" M ")), chance.randrange(1 << 18) & ~7)
        for _ in range(count)
    ]
    return b"".join(lines)


def batch(run: Run, *lines: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return run("-nx", "-batch", *[part for line in lines for part in ("-ex", line)], **more)


@pytest.mark.long
def test_standard_input(tmp_path: Path, run_vmdbg: Run, user_environment: dict[str, str]) -> None:
    text = lackey(2000).decode()
    (tmp_path / "t.lackey").write_text(text)
    piped = batch(run_vmdbg, "replay -", input=text)
    assert piped.stdout == batch(run_vmdbg, "replay t.lackey").stdout
    assert re.search(r"^accesses +2000$", piped.stdout, re.MULTILINE)
    assert piped.stderr == ""
    for files in ("- t.lackey", "t.lackey -"):
        assert re.search(
            r"^accesses +4000$", batch(run_vmdbg, f"replay {files}", input=text).stdout, re.MULTILINE
        )
    assert "Standard input can be one trace." in batch(run_vmdbg, "replay - -", input=text).stderr
    closed = ["sh", "-c", "exec vmdbg -nx -batch -ex 'replay -' <&-"]
    done = subprocess.run(
        closed, cwd=tmp_path, env=user_environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "standard input: it is closed.\n")
    refused = run_vmdbg("-nx", "-q", input="replay -\n")
    assert 'Standard input has the commands; with "-batch" and "-ex" it can be a trace.' in refused.stderr


@pytest.mark.long
def test_stops_and_going_on(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "t.lackey").write_bytes(b" L 1000,4\n" * 70_000 + b" S 5000,4\n" + b" L 2000,4\n" * 9)
    done = batch(run_vmdbg, "catch write", "replay t.lackey", "when", "reverse-step", "delete", "replay")
    assert "Time 70000:" in done.stdout
    assert re.search(r"^accesses +70010$", done.stdout, re.MULTILINE)
    done = batch(run_vmdbg, "catch write", "replay t.lackey", "check")
    assert done.stderr == ""
    assert "Consistent: nothing disagrees." in done.stdout
    done = batch(run_vmdbg, "replay -count 9 t.lackey", "break 5")
    assert "The lines of a trace that is replayed come and go." in done.stderr
    done = batch(run_vmdbg, "replay -count 1 t.lackey", "start", "break *0x5000", "continue", "when")
    assert done.stderr == ""


@pytest.mark.long
@pytest.mark.parametrize("warm_up", [0, 500])
def test_the_counts_are_the_same_however_the_machine_came_there(
    tmp_path: Path, run_vmdbg: Run, warm_up: int
) -> None:
    (tmp_path / "t.lackey").write_bytes(lackey(2000))
    ways = (
        ["replay/j t.lackey"],
        ["replay -start t.lackey", "continue", "replay/j"],  # at its end
        ["replay -start t.lackey", "step 700", "replay/j"],  # the warm-up went by unnoticed
        ["replay -start t.lackey", "step 100", "replay/j", "replay/j"],
        ["replay -start t.lackey", "continue", "goto 1200", "replay/j"],
    )
    found = []
    for way in ways:
        done = batch(run_vmdbg, f"set trace.warm_up {warm_up}", *way)
        found += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == 6
    assert found == found[:1] * 6
    assert found[0]["accesses"] == 2000 - warm_up
    done = batch(run_vmdbg, "set trace.warm_up 5000", "replay -start t.lackey", "continue", "replay")
    assert done.stderr == "The warm-up is 5000 accesses, but there are only 2000.\n"


def test_several_traces_are_several_processes(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "a.lackey").write_bytes(lackey(100))
    (tmp_path / "b.din").write_bytes(b"2 1000\n1 2000\n" * 40)
    done = batch(run_vmdbg, "set kernel.quantum 10", "replay/json a.lackey b.din", "ps/csv -all")
    counts, _, *rows = done.stdout.splitlines()
    assert json.loads(counts)["accesses"] == 180
    assert [row.split(",")[1] for row in rows] == ["a", "b"]
    done = batch(run_vmdbg, "replay -start a.lackey b.din", "step 101", "step")
    assert [line for line in done.stdout.splitlines() if "process" in line] == [
        "0:0  process 1, a.lackey:1",
        "101:0  process 2, b.din:1",
        "102:0  process 2, b.din:2",
    ]


@pytest.mark.long
def test_a_setting_replays_the_same_traces(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "a.lackey").write_bytes(lackey(1000))
    done = batch(run_vmdbg, "replay/json a.lackey", "set tlb.l1 1x1", "run", "info stats/csv")
    again = batch(run_vmdbg, "set tlb.l1 1x1", "replay/json a.lackey", "info stats/csv")
    assert done.stdout.partition("event,")[2] == again.stdout.partition("event,")[2] != ""


@pytest.mark.long
def test_a_session_that_replays_can_be_saved(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "a b.lackey").write_bytes(lackey(300))
    lines = ["machine trace", 'replay -start -skip 5 "a b.lackey"', "when", "step 100", "save session s"]
    done = batch(run_vmdbg, *lines, "info machine/json")
    assert "Time 0:0." in done.stdout
    again = run_vmdbg("-nx", "-batch", "-x", "s", "-ex", "when", "-ex", "info machine/json")
    assert (done.stderr, again.stderr) == ("", "")
    assert "Time 100:0." in again.stdout
    before, after = (json.loads(each.stdout.splitlines()[-1])["digest"] for each in (done, again))
    assert before == after


@pytest.mark.long
def test_mistakes_change_nothing(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "bad.lackey").write_bytes(lackey(10) + b"I  zz,3\n")
    (tmp_path / "what").write_bytes(b"hello\n")
    before = batch(run_vmdbg, "info machine").stdout
    for command, said in (
        ("replay", "Argument required (trace to replay)."),
        ("replay bad.lackey", "bad.lackey:11:4: expected an address in hex (lackey)"),
        ("replay what", "what: this is no trace that can be read"),
        ("replay gone", "gone: No such file or directory."),
        ("replay -format foo bad.lackey", 'Undefined item: "foo".'),
        ("replay -skip -1 bad.lackey", "Negative count."),
        ("trace info what", "what: this is no trace that can be read"),
        ("trace convert bad.lackey x.csv", "bad.lackey:11:4: expected an address in hex (lackey)"),
        ("trace convert bad.lackey x", "The name of the file does not say its format: give -to NAME."),
    ):
        done = batch(run_vmdbg, command, "info machine")
        assert done.stderr.startswith(said), (command, done.stderr)
        assert done.stdout == before
    done = batch(run_vmdbg, "replay/json -skip-bad bad.lackey")
    assert json.loads(done.stdout)["malformed"] == 1
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.long
def test_every_machine_replays_or_says_why_not(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "t.csv").write_bytes(b"address,op\n0x1000,w\n0x2000,r\n")
    names = ["default", "pages", "pressure", "sv39", "sv39-svade", "tutorial16", "word-table", "x86_32"]
    lines = [line for name in names for line in (f"machine {name}", "replay/json t.csv")]
    done = batch(run_vmdbg, *lines, "machine partitions", "replay t.csv")
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(row["accesses"], row["faults"]) for row in found] == [(2, 2)] * len(names)
    assert done.stderr.startswith("A replay learns only as it goes which memory it needs")


def interrupted(
    folder: Path, environment: dict[str, str], commands: list[str], accesses: int
) -> tuple[list[str], str]:
    """What is printed by commands, of which "echo halted" is one, with a FIFO that gives so many accesses,
    nothing until Ctrl-C, and ten more: the lines until "halted", and the rest."""
    os.mkfifo(folder / "fifo")
    command = ["vmdbg", "-nx", "-q", "-batch", *[part for line in commands for part in ("-ex", line)]]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        with (folder / "fifo").open("wb") as stream:
            stream.write(lackey(accesses))
            stream.flush()
            time.sleep(3)
            run.send_signal(signal.SIGINT)
            lines: list[str] = []
            while "halted\n" not in lines:
                lines.append(run.stdout.readline())
                assert lines[-1], lines
            stream.write(lackey(10, 2))
        return lines, run.stdout.read()


@pytest.mark.long
def test_ctrl_c_while_a_pipe_has_nothing(tmp_path: Path, user_environment: dict[str, str]) -> None:
    """The machine halts between two operations and goes on from there; nothing is lost."""
    asks = ["replay fifo", "echo halted\\n", "when", "step", "replay"]
    lines, rest = interrupted(tmp_path, user_environment, asks, 66_000)
    assert "Program received signal SIGINT, Interrupt.\n" in lines
    assert "Time 65536:0." in rest
    assert re.search(r"^accesses +66010$", rest, re.MULTILINE)


@pytest.mark.long
def test_ctrl_c_before_a_pipe_has_given_a_first_part(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    """What has come is not lost: the machine is there, halted before it, and goes on."""
    asks = ["replay fifo", "echo halted\\n", "when", "step 5", "when", "replay"]
    lines, rest = interrupted(tmp_path, user_environment, asks, 9000)
    assert "0:0  process 1, fifo:1\n" in lines
    assert rest.startswith("Time 0:0.\n")
    assert "\nTime 5:0.\n" in rest
    assert re.search(r"^accesses +9010$", rest, re.MULTILINE)


@pytest.mark.long
def test_left_out_accesses_are_told(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "t.lackey").write_bytes(b" L 1000,8\nI  ffffffffff600000,3\n")
    done = batch(run_vmdbg, "file t.lackey", "continue")
    assert "1 access of kernel or vsyscall addresses left out." in done.stderr
    done = batch(run_vmdbg, "replay t.lackey")
    assert re.search(r"^left out +1$", done.stdout, re.MULTILINE)
