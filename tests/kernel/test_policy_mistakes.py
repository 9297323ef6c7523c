"""Mistakes of a user's policy that show when it runs: one line with its place, and nothing has changed.

In both engines, in the same words.
"""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from vmdbg.debugger.time.ended import ended_since
from vmdbg.errors import InputError
from vmdbg.kernel.faults import CAUSE_MEMORY, CAUSE_POLICY
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import KERNEL_HAND
from vmdbg.views.event_table import cause_text

pytestmark = pytest.mark.long

START, PAGE = 0x400000, 4096
HEAD = """
from vmdbg.engine import reads, writes
from vmdbg.hardware.memory import load
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.policies.queue import oldest_that_leaves, queue_append, queue_remove
from vmdbg.state.tables import FRAME, FRAME_NEXT, KERNEL_HAND, KERNEL_NEWEST

LEVELS = 77

@reads
def second(m, table, at):
    return table[at]

@writes
def victim(m, pid):
    frame = m.kernel[KERNEL_NEWEST]
"""
FIRST = HEAD.count("\n") + 1  # line of what a test says
SECOND = HEAD[: HEAD.index("return table")].count("\n") + 1


def machine_of(tmp_path: Path, body: str, slots: int = 40) -> Machine:
    file = tmp_path / "policy.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()) + "    return -1\n")
    machine = Machine(
        MachineConfig(
            {
                "machine.ram": 1 << 20,
                "machine.swap.size": slots * PAGE,
                "kernel.zero_drop": slots > 0,
                "kernel.first_frame": 3,
                "kernel.user_frames": 3,
                "kernel.policy": str(file),
            }
        )
    )
    rows = array("q")
    for page in range(9):
        rows.extend((1 << 8, START + page * PAGE, 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, 24 * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec]))
    return machine


def told(machine: Machine, tier: str) -> InputError:
    """What running it says; the machine is as before."""
    if tier != "interpreted":
        machine.compiled = machine.build().quick() if tier == "quick" else machine.compile()
    before = machine.digest(), machine.counts(), machine.operations
    with pytest.raises(InputError) as raised:
        machine.run(100, tier != "interpreted")
    assert (machine.digest(), machine.counts(), machine.operations) == before
    assert check(machine) == []
    return raised.value


#: What a policy says, and the line of the file and the words that are told.
MISTAKES = {
    "x = m.frame[1 << 40]": (FIRST, "m.frame[1099511627776] is out of range, in victim"),
    "x = m.frame[-1]": (FIRST, "m.frame[-1] is out of range, in victim"),
    "x = 1\nif x:\n  m.frame[-16 + FRAME_NEXT] += 1": (FIRST + 2, "] is out of range, in victim"),
    "x = second(m, m.slot, -5)": (SECOND, "m.slot[-5] is out of range, in second"),
    "x = may_leave(m, 1 << 30, pid)": (FIRST, "] is out of range, in may_leave"),
    "x = may_leave(m, -1, pid)": (FIRST, "] is out of range, in may_leave"),
    "queue_remove(m, 256)": (FIRST, "] is out of range, in queue_remove"),
    "m.kernel[KERNEL_NEWEST] = 1 << 33\nqueue_append(m, 5)": (
        FIRST + 1,
        "] is out of range, in mark_frame",
    ),
    "x = 5 // (pid - pid)": (FIRST, "division by zero, in victim"),
    "x = 3\nx %= pid": (FIRST + 1, "division by zero, in victim"),
    "while m.frame[frame << 8] < 9:\n  frame += 1": (FIRST, "] is out of range, in victim"),
}
FULL = ("x = m.frame[-1]", "x = may_leave(m, -1, pid)")  # also in full code, which takes a second


@pytest.mark.parametrize("body", MISTAKES)
def test_it_is_told_with_its_line_and_nothing_has_run(tmp_path: Path, body: str, engine: str) -> None:
    line, words = MISTAKES[body]
    mistakes = [told(machine_of(tmp_path, body), "interpreted")]
    if engine == "compiled":
        mistakes += [
            told(machine_of(tmp_path, body), tier) for tier in ("quick", "full")[: 1 + (body in FULL)]
        ]
    for mistake in mistakes:
        assert mistake.line == line
        assert mistake.message.endswith(words)
    assert len({str(mistake) for mistake in mistakes}) == 1


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loops end after 1000 rounds; no code of such loops is kept."""
    monkeypatch.setattr("vmdbg.engine.lowering.MOST_ROUNDS", 1000)
    monkeypatch.setattr("vmdbg.engine.checked.MOST_ROUNDS", 1000)
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("while True:\n  pid += 1", FIRST),
        ("while pid < 1:\n  while pid < 1:\n    continue", FIRST + 1),
        ("x = 0\nwhile x <= 1000:\n  x += 1", FIRST + 1),
    ],
)
def test_a_loop_without_end_ends(tmp_path: Path, few_rounds: None, body: str, line: int, engine: str) -> None:
    mistake = told(machine_of(tmp_path, body), "interpreted" if engine == "interpreted" else "quick")
    assert mistake.line == line
    assert mistake.message == "a loop of more than 1000 rounds, in victim"


def test_a_loop_of_vmdbgs_ends_too(
    tmp_path: Path, few_rounds: None, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that is put into the queue twice is followed by itself."""
    monkeypatch.setenv("VMDBG_CHECKED", "0")  # a build checked as a whole counts rounds of users' loops alone
    body = "queue_append(m, 5)\nqueue_append(m, 5)\nx = oldest_that_leaves(m, 77)"
    for tier in ("interpreted",) if engine == "interpreted" else ("interpreted", "quick"):
        mistake = told(machine_of(tmp_path, body), tier)
        assert mistake.line == FIRST + 2
        assert mistake.message == "a loop of more than 1000 rounds, in oldest_that_leaves"


def test_the_rounds_of_each_call_are_counted_alone(tmp_path: Path, few_rounds: None, engine: str) -> None:
    wait, look = (
        "x = 0\nwhile x < 900:\n  x += 1\n",
        "while x < 990 and not may_leave(m, 1155 - x, pid):\n  x += 1\n",
    )
    ends = set()
    for tier in ("interpreted",) if engine == "interpreted" else ("interpreted", "quick"):
        machine = machine_of(tmp_path, wait + look + "return 1155 - x")
        if tier == "quick":
            machine.compiled = machine.build().quick()
        machine.run(100, tier == "quick")
        assert machine.counts()["evict"] == 6
        ends.add(machine.digest())
    assert len(ends) == 1


def test_an_answer_that_is_no_frame_counts_as_none(tmp_path: Path, engine: str) -> None:
    """Also one that is a frame's number when it has wrapped around."""
    code = None
    for answer in (-1, -(1 << 62), 256, 1 << 40, (1 << 59) + 5, (1 << 60) + 5, (1 << 63) - 1):
        machine = machine_of(tmp_path, "return m.kernel[KERNEL_HAND]")
        machine.m.kernel[KERNEL_HAND] = answer
        if engine == "compiled":
            machine.compiled = code = code or machine.build().quick()
        machine.run(100, engine == "compiled")
        assert machine.counts()["oom"] == 1
        assert check(machine) == []


def test_a_name_of_the_files_own_is_not_that_of_the_format(tmp_path: Path, engine: str) -> None:
    """LEVELS is a constant of formats."""
    digests = set()
    for value in ("LEVELS", "77"):
        machine = machine_of(tmp_path, f"m.kernel[KERNEL_HAND] = {value}")
        if engine == "compiled":
            machine.compiled = machine.build().quick()
        machine.run(100, engine == "compiled")
        digests.add(machine.m.kernel[KERNEL_HAND])
    assert digests == {77}


def test_a_kill_for_a_policy_that_names_no_page_is_told_as_that(tmp_path: Path, engine: str) -> None:
    """Without swap nothing can leave, whatever the policy names."""
    for slots, cause in ((40, CAUSE_POLICY), (0, CAUSE_MEMORY)):
        machine = machine_of(tmp_path, "return 0", slots)
        if engine == "compiled":
            machine.compiled = machine.build().quick()
        machine.run(100, engine == "compiled")
        (ended,) = ended_since(machine, [1])
        assert (ended.cause, ended.status) == (cause, 137)
        assert ("names no page" in cause_text(ended)) == (cause == CAUSE_POLICY)
