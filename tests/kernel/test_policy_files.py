"""A page-replacement policy in a file of the user's: its rules, and that it does what it says."""

from __future__ import annotations

import subprocess
from array import array
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.engine import link
from vmdbg.errors import InputError, UserError
from vmdbg.kernel.policies import bindings
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import PROCESS, PROCESS_PC

MRU = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mru.py"
START, PAGE = 0x400000, 4096
HEAD = "from vmdbg.engine import reads, writes\n"


def machine_of(policy: str | Path, frames: int = 3, slots: int = 40) -> Machine:
    values = {
        "machine.ram": 1 << 20,
        "machine.swap.size": slots * PAGE,
        "kernel.first_frame": 3,
        "kernel.user_frames": frames,
        "kernel.policy": str(policy),
    }
    return Machine(MachineConfig(values))


def read_pages(machine: Machine, pages: list[int]) -> None:
    rows = array("q")
    for page in pages:
        rows.extend((1 << 8, START + page * PAGE, 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, 24 * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec]))


def mru_faults(pages: list[int], frames: int) -> int:
    """The model: of the pages in memory the one that was used last goes."""
    held: list[int] = []  # in the order of their last use
    faults = 0
    for page in pages:
        if page in held:
            held.remove(page)
        else:
            faults += 1
            if len(held) == frames:
                held.pop()
        held.append(page)
    return faults


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(60), deadline=None)
@hypothesis.given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 6))
def test_the_example_is_mru(pages: list[int], frames: int) -> None:
    machine = machine_of(MRU, frames)
    read_pages(machine, pages)
    machine.run(len(pages))
    counts = machine.counts()
    assert counts["fault-minor"] + counts.get("fault-major", 0) == mru_faults(pages, frames)
    assert check(machine) == []


@pytest.mark.engine
@pytest.mark.slow
def test_both_engines_run_the_file(ready: Callable[[Machine], Machine], both: None) -> None:
    ends = []
    for compiled in (False, True):
        machine = machine_of(MRU, 5)
        read_pages(machine, [n * 7 % 24 for n in range(400)])
        (ready(machine) if compiled else machine).run(400, compiled)
        ends.append((machine.digest(), machine.counts()))
    assert ends[0] == ends[1]


VICTIM = "@reads\ndef victim(m, pid):\n    {}\n    return -1\n"


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x = 1\n", 0, "victim"),
        ("def victim(m, pid):\n    return -1\n", 1, "marked"),
        (HEAD + "@reads\ndef victim(m):\n    return -1\n", 3, r"expected victim\(m, pid\)"),
        (HEAD + "@reads\ndef victim(m, pid=print()):\n    return -1\n", 3, "plain parameters"),
        (HEAD + "@reads\ndef victim(m, pid: print()):\n    return -1\n", 3, "plain parameters"),
        (HEAD + "@reads(cold=print())\ndef victim(m, pid):\n    return -1\n", 3, "cold=True"),
        ("import os\n" + HEAD + VICTIM.format("pass"), 1, "consists of"),
        ("from os import path\n" + HEAD + VICTIM.format("pass"), 1, "from vmdbg alone"),
        ("print('hello')\n", 1, "consists of"),
        ("X = [1]\n", 1, "only ints"),
        ("from vmdbg.kernel.frames import nothing\n" + HEAD + VICTIM.format("pass"), 1, "cannot import"),
        (HEAD + VICTIM.format("open('x')"), 4, "a call of no hot function"),
        (HEAD + VICTIM.format("m.kernel[0] = 1"), 4, "a reader writes"),
        (HEAD + VICTIM.format("x = m.frmae[0]"), 4, r"no table m\.frmae"),
        (HEAD + VICTIM.format("x = FRAME"), 4, 'no name "FRAME"'),
        (HEAD + VICTIM.format("x = 1 << pid"), 4, "a shift by pid"),
        (HEAD + VICTIM.format("x = 1 / 2"), 4, "Div"),
        (
            HEAD + VICTIM.format("pass") + "@reads\ndef age(m, frame):\n    return 1\n",
            7,
            "choose another name",
        ),
        (HEAD + VICTIM.format("pass") + "@writes\ndef emit(m):\n    return 1\n", 7, "choose another name"),
        (HEAD + VICTIM.format("pass") + VICTIM.format("pass"), 7, "choose another name"),
        (HEAD + VICTIM.format("m = 1"), 4, "m is the machine"),
        (HEAD + VICTIM.format("x = len(m.frame, 1)"), 4, "len takes 1 arguments, not 2"),
        (
            "from vmdbg.kernel.evictable import may_leave\n" + HEAD + VICTIM.format("x = may_leave(m, 1)"),
            5,
            "takes 3",
        ),
        (
            "from vmdbg.kernel.evictable import may_leave\n"
            + HEAD
            + VICTIM.format("x = may_leave(m, m, pid)"),
            5,
            "m is the machine, no number",
        ),
        (
            "from vmdbg.kernel.evictable import may_leave\n"
            + HEAD
            + VICTIM.format("x = may_leave(pid, 1, m)"),
            5,
            "the first argument of may_leave is m",
        ),
        (HEAD + VICTIM.format("x = m + 1"), 4, "m is the machine, no number"),
        (HEAD + VICTIM.format("x = int(m)"), 4, "m is the machine, no number"),
        (HEAD + VICTIM.format("pass") + "@reads\ndef f(x, m):\n    return 1\n", 7, "and the first parameter"),
        (HEAD + VICTIM.format("if pid:\n        return"), 3, "nothing on others"),
        (HEAD + "@reads\ndef victim(m, pid):\n    if pid:\n        return 1\n", 3, "nothing on others"),
        (HEAD + "@reads\ndef victim(m, pid):\n    pass\n", 3, "has to return a frame"),
        (HEAD + VICTIM.format("x = 1 << (pid & 127)"), 4, "a shift by pid & 127, which may"),
        (HEAD + VICTIM.format("x = 1 << (pid & 63) + 1"), 4, "a shift by"),
        (HEAD + VICTIM.format("x = 1 << 3 - (pid & 7)"), 4, "a shift by"),
        (HEAD + "K = 64\n" + VICTIM.format("x = pid >> K"), 5, "a shift by K"),
        (HEAD + "K = 3\n" + VICTIM.format("x = pid >> K - 5"), 5, "a shift by K - 5"),
        (HEAD + VICTIM.format("K = 70\n    x = pid >> K"), 5, "a shift by K"),
        (HEAD + VICTIM.format("x = 1 << 64"), 4, "a shift by 64"),
        (HEAD + VICTIM.format("x = m"), 4, "m is the machine, no number"),
        (HEAD + VICTIM.format("x = m.frame"), 4, r"a table is no number: m\.frame"),
        (HEAD + VICTIM.format("x = y = 1"), 4, "several names that get one value"),
        (
            HEAD + VICTIM.format("while pid:\n        pid -= 1\n    else:\n        pid = 2"),
            4,
            "an else of a while",
        ),
        (HEAD + VICTIM.format("x = 1 << 62 << 1 | 0x10000000000000000"), 4, "more than 64 bits"),
        (HEAD + VICTIM.format("return victim(m, pid)"), 4, "it calls itself, by way of victim"),
        (
            HEAD
            + VICTIM.format("return other(m, pid)")
            + "@reads\ndef other(m, n):\n    return victim(m, n)\n",
            4,
            "it calls itself, by way of other",
        ),
        (
            HEAD + "from vmdbg.kernel.reclaim import make_room\n@writes\ndef victim(m, pid):\n"
            "    return make_room(m, pid)\n",
            5,
            "it calls itself, by way of make_room",
        ),
        (
            HEAD + VICTIM.format("pass") + "@writes\ndef policy_use(m, frame):\n    m.tlb[0] = 1\n",
            8,
            r"not to m\.tlb",
        ),
        (HEAD + "age = 3\n" + VICTIM.format("pass"), 2, "there is a function age; choose another name"),
        (HEAD + VICTIM.format("break"), 4, "not Python: 'break' outside loop"),
        (HEAD + VICTIM.format("x = " + "-" * 100_000 + "1"), 0, "nested too deeply|not Python"),
        (HEAD + VICTIM.format("x = " + "1 + " * 100_000 + "1"), 0, "nested too deeply|not Python"),
        ("def victim(:\n", 1, "not Python"),
        ("\0", 0, "not Python"),
    ],
)
def test_a_file_that_breaks_a_rule(tmp_path: Path, source: str, line: int, message: str) -> None:
    file = tmp_path / "policy.py"
    file.write_text(source)
    before = dict(link.FUNCTIONS)
    with pytest.raises(InputError, match=message) as raised:
        bindings(str(file))
    if line:
        assert raised.value.line == line
    assert link.FUNCTIONS.keys() >= before.keys()
    assert machine_of("fifo").digest()


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"No such file"):
        machine_of("/nowhere/policy.py")


def test_an_answer_that_cannot_leave_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "zero.py"
    for answer in ("0", "-5", "1 << 50", "pid"):
        file.write_text(HEAD + VICTIM.format(f"return {answer}"))
        machine = machine_of(file)
        read_pages(machine, list(range(9)))
        machine.run(100)
        assert machine.counts()["oom"] == 1
        assert check(machine) == []


@pytest.mark.parametrize(
    "line", ["x = m.frame[1 << 40]", "x = may_leave(m, 1 << 40, pid)", "x = maps_frame(m, 1 << 62, pid)"]
)
def test_a_mistake_at_run_time_is_told_with_its_line_and_nothing_has_run(tmp_path: Path, line: str) -> None:
    """The policy's own, or that of what it calls with such a number."""
    file = tmp_path / "wild.py"
    file.write_text(HEAD + VICTIM.format(line))
    machine = machine_of(file)
    read_pages(machine, list(range(9)))
    digest = machine.digest()
    with pytest.raises(InputError, match=r"wild\.py:4: "):
        machine.run(100)
    assert machine.digest() == digest


def test_two_files_do_not_mix(tmp_path: Path) -> None:
    """Functions of a file are known to its machine alone, and names may be the same in two files."""
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    body = "@reads\ndef chosen(m):\n    return {}\n\n@reads\ndef victim(m, pid):\n    return chosen(m)\n"
    first.write_text(HEAD + body.format(1))
    second.write_text(HEAD + body.format(2))
    machines = [machine_of(first), machine_of(second)]
    assert [machine.k.victim(machine.m, 0) for machine in machines] == [1, 2]
    assert "chosen" not in link.FUNCTIONS


def test_a_machine_file_names_it_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "policy.py").write_bytes(MRU.read_bytes())
    (tmp_path / "own.toml").write_text('[kernel]\npolicy = "policy.py"\n')
    assert load_config(str(tmp_path / "own.toml"))["kernel.policy"] == str(tmp_path / "policy.py")
    (tmp_path / "bad.toml").write_text('[kernel]\npolicy = "nothing"\n')
    with pytest.raises(InputError, match=r"kernel\.policy: expected one of .*clock, .*, or a \.py file"):
        load_config(str(tmp_path / "bad.toml"))


def test_a_saved_machine_has_it_again(tmp_path: Path) -> None:
    machine = machine_of(MRU)
    read_pages(machine, list(range(9)))
    machine.run(5)
    save_machine(machine, str(tmp_path / "machine"))
    again = load_machine(str(tmp_path / "machine"))
    again.run(9)
    machine.run(9)
    assert again.digest() == machine.digest()


@pytest.mark.long
def test_restricted_sessions_have_none(
    tmp_path: Path, run_vmdbg: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Not by `set`, not in a machine of the folder, not in a saved one."""
    (tmp_path / "policy.py").write_bytes(MRU.read_bytes())
    (tmp_path / "own.toml").write_text('[kernel]\npolicy = "policy.py"\n')
    save_machine(machine_of(tmp_path / "policy.py"), str(tmp_path / "saved"))
    for line in ("set kernel.policy policy.py", "machine own.toml", "load machine saved"):
        done = run_vmdbg("-nx", "-batch", "--strict", "--restricted", "-ex", line, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not allowed in a restricted session" in done.stderr


def test_a_mistake_of_vmdbg_itself_is_not_blamed_on_the_file() -> None:
    machine = machine_of(MRU)
    read_pages(machine, [0, 1])
    machine.m.process[PROCESS + PROCESS_PC] = 1 << 40
    with pytest.raises(IndexError):
        machine.run(2)
