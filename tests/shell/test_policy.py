"""policy table, policy compare, info replacements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmdbg.inspect.target import boot
from vmdbg.kernel.policies import POLICIES
from vmdbg.machine.config import load_config
from vmdbg.shell.boot import open_target

SILBERSCHATZ = "7 0 1 2 0 3 0 4 2 3 0 3 2 1 2 0 1 7 0 1"
BELADY = "1 2 3 4 1 2 5 1 2 3 4 5"
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
NOTE = "lru, opt are oracles: no hardware tells a kernel what that takes."


def test_the_textbooks_table(shell: Any) -> None:
    assert shell.run(f"policy table clock -frames 3 {SILBERSCHATZ}").splitlines() == [
        "page    7  0  1  2  0  3  0  4  2  3  0  3  2  1  2  0  1  7  0  1",
        "frame 0 7* 7* 7* 2* 2* 2* 2* 4* 4* 4* 4  3* 3* 3  3  0* 0* 0  0* 0*",
        "frame 1 .  0* 0* 0  0* 0  0* 0  2* 2* 2  2  2* 1* 1* 1* 1* 7* 7* 7*",
        "frame 2 .  .  1* 1  1  3* 3* 3  3  3* 0* 0* 0* 0  2* 2* 2* 2  2  1*",
        "hand    0  0  0  1  1  0  0  1  2  2  0  1  1  2  0  1  1  2  2  0",
        "fault   F  F  F  F     F     F  F     F  F     F  F  F     F     F",
        "14 faults in 20 references (70 %).  FIFO 15, LRU 12, OPT 9.",
        NOTE,
    ]


def test_victims_and_hits_are_drawn_when_asked_for(shell: Any) -> None:
    lines = shell.run("policy table/v fifo -frames 2 0x10 2 3, 2 0x10").splitlines()
    assert lines[:6] == [
        "page    0x10 2    3    2    0x10",
        "frame 0 0x10 0x10 3    3    3",
        "frame 1 .    2    2    2    0x10",
        "fault   F    F    F         F",
        "out               0x10      2",
        "hit                    H",
    ]


def test_a_long_string_is_cut_at_the_screen(shell: Any) -> None:
    text = shell.run(f"policy table lru -frames 3 {' '.join([BELADY] * 5)}")
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("frame 2") == 2


@pytest.mark.parametrize("policy", POLICIES)
def test_the_json_form_adds_up(shell: Any, policy: str) -> None:
    data = json.loads(shell.run(f"policy table/json {policy} -frames 3 {SILBERSCHATZ}"))
    faults = sum(step["fault"] for step in data["steps"])
    assert data["faults"] == faults
    assert data["hits"] == 20 - faults
    assert sum(step["victim"] is not None for step in data["steps"]) == faults - 3
    assert all(step["page"] in step["frames"] for step in data["steps"])
    assert data["oracle"] == (policy in ("arc", "lfu", "lru", "opt", "s3-fifo"))


def test_beladys_anomaly_and_thrashing_are_said(shell: Any) -> None:
    assert shell.run(f"policy compare fifo lru clock opt -frames 3,4,5 {BELADY}").splitlines() == [
        "frames  fifo  lru  clock  opt   faults",
        "     3     9   10      9    7",
        "     4    10    8     10    6   fifo, clock: more frames, more faults (Belady)",
        "     5     5    5      5    5",
        NOTE,
    ]
    text = shell.run(f"policy compare fifo lru -frames 2 {'1 2 3 ' * 8}")
    assert "fifo, lru: thrashing" in text


@pytest.mark.long
def test_a_trace_is_compared(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "here" / "short.lackey").write_text("".join(f" L {n % 5:x}000,4\n" for n in range(40)))
    data = json.loads(shell.run("policy compare/json lru opt -frames 4,5 short.lackey"))
    assert [(row["frames"], row["policy"], row["faults"]) for row in data["counts"]] == [
        (4, "lru", 40),
        (4, "opt", 13),
        (5, "lru", 5),
        (5, "opt", 5),
    ]
    assert data["oracles"] == ["lru", "opt"]
    rows = shell.run("policy compare/csv lru opt -frames 4,5 short.lackey").splitlines()
    assert rows == ["frames,lru,opt,remark", "4,40,13,lru: thrashing", "5,5,5,"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("policy table nonsense -frames 3 1 2", 'Undefined policy: "nonsense".'),
        ("policy table fifo 1 2", "Argument required (-frames N)."),
        ("policy table fifo -frames 3", "Argument required (pages)."),
        ("policy table fifo -frames 0 1 2", "0 frames: expected 1 to 65536."),
        ("policy table fifo -frames x 1", "-frames: expected a number of frames"),
        ("policy table fifo lru -frames 3 1", "Expected one policy, one number of frames"),
        ("policy compare lru -frames 3,99999999999 1 2", "99999999999 frames: expected 1 to 65536."),
        ("policy compare lru -frames 0,3 1 2", "0 frames: expected 1 to 65536."),
        ("policy table clock -frames 99999999999 1 2", "99999999999 frames: expected 1 to 65536."),
        ("policy compare fifo foo -frames 3 1 2", 'Undefined policy: "foo".'),
        ("policy compare fifo foo -frames 3 short.lackey", 'Undefined policy: "foo".'),
        ("policy compare -frames 3 1 2", "Argument required (a policy)."),
        ("policy compare -frames 3 short.lackey", "Argument required (a policy)."),
        ("policy table lru -frames 3 7;0;1", '"7;0;1" is no page: expected a number, decimal'),
        ("policy table lru -frames 3 1 two 3", '"two" is no page: expected a number, decimal'),
        ("policy compare fifo -frames 3 absent.lackey", "absent.lackey: No such file or directory."),
    ],
)
def test_mistakes_are_named(shell: Any, line: str, said: str) -> None:
    assert said in shell.errors(line)


@pytest.mark.long
def test_replacements_of_the_record(make_shell: Any) -> None:
    shell = make_shell(target=False)
    shell.session.target = open_target(shell.session, "pressure", "")
    assert shell.run("info replacements") == "No page has left memory.\n"
    shell.run("step 3000")
    rows = json.loads(shell.run("info replacements/json"))
    assert len(rows) == shell.session.machine.counts()["evict"]
    assert {row["how"] for row in rows} <= {"written", "dropped"}
    first = rows[0]
    assert first["pid"] == 1
    assert first["page_in"] is not None
    assert first["page_in"] != first["page_out"]


def test_why_the_victim(make_shell: Any) -> None:
    shell = make_shell(target=False)
    config = load_config("default").with_({"kernel.user_frames": 3, "kernel.policy": "clock"})
    shell.session.target = boot(config, str(EXAMPLES / "belady.vmp"))
    shell.run("step 5")
    lines = shell.run("why victim").splitlines()
    assert lines[0] == "4:8  frame 0x3ffe (page 0x402000, A 0, D 1), by clock"
    assert lines[1].startswith("rule   the first one behind the hand")
    rows = json.loads(shell.run("why victim/json"))["candidates"]
    # The string goes on 1 2 5 1 2 3 4 5; pages 4, 2, 3 are in memory.
    assert [(row["va"] >> 12 & 15, row["age"], row["next_use"]) for row in rows] == [
        (4, 1, 7),
        (2, 3, 2),
        (3, 2, 6),
    ]
    assert [row["taken"] for row in rows] == [False, True, False]
    assert "<- taken; OPT would take frame 0x3ffd" in lines[4]
    shell.run("goto 4")
    lines = shell.run("why victim").splitlines()
    assert lines[2] == "steps  A of 0x3ffd, 0x3ffe, 0x3fff cleared; 0x3ffd taken"
    assert [line.split("  ")[-1].strip() for line in lines[4:]] == [
        "<- taken; OPT would take frame 0x3fff",
        "A cleared",
        "A cleared",
    ]
    found = json.loads(shell.run("why victim/json"))
    assert (found["cleared"], found["policy"], found["oracle"]) == ([0x3FFD, 0x3FFE, 0x3FFF], "clock", False)
    digest = shell.session.machine.digest()
    shell.run("why victim")
    assert shell.session.machine.digest() == digest


def test_letters_are_pages_too(shell: Any) -> None:
    lines = shell.run("policy table lru -frames 3 A B C D A B E A B C D p1").splitlines()
    assert lines[0] == "page    A  B  C  D  A  B  E  A  B  C  D  p1"
    assert lines[4] == "fault   F  F  F  F  F  F  F        F  F  F"
    assert lines[5] == "10 faults in 12 references (83.3 %).  FIFO 10, OPT 8."
    data = json.loads(shell.run("policy table/json fifo -frames 2 a A 0x41 65 a"))
    assert [step["page"] for step in data["steps"]] == ["a", "A", "0x41", "0x41", "a"]
    assert data["faults"] == 4
    assert shell.run("policy compare fifo -frames 1 A").splitlines()[1].split() == ["1", "1"]


def test_the_most_frames_have_room(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "here" / "short.lackey").write_text("".join(f" L {n % 5:x}000,4\n" for n in range(40)))
    for pages in ("1 2 3 1 2 4", "short.lackey"):
        text = shell.run(f"policy compare/csv lru -frames 6000,8000,65536 {pages}")
        faults = "4" if " " in pages else "5"
        assert [row.split(",")[:2] for row in text.splitlines()[1:]] == [
            ["6000", faults],
            ["8000", faults],
            ["65536", faults],
        ]


def test_what_a_killed_process_did_not_run_is_no_count(shell: Any, tmp_path: Path) -> None:
    own = "from vmdbg.engine import reads\n@reads\ndef victim(m, pid):\n    return 0\n"
    (tmp_path / "here" / "own.py").write_text(own)
    (tmp_path / "here" / "short.lackey").write_text("".join(f" L {n % 5:x}000,4\n" for n in range(40)))
    why = "references: the policy names no page that can leave."
    for line, done in (
        ("policy table own.py -frames 3 1 2 3 1 4 5", "3 frames: it ended after 4 of 6"),
        ("policy compare lru own.py -frames 3 1 2 3 1 4 5", "3 frames: it ended after 4 of 6"),
        ("policy compare own.py -frames 1 short.lackey", "1 frame: it ended after 1 of 40"),
    ):
        assert shell.errors(line) == f"own.py, {done} {why}\n"
    assert "own.py" in shell.run("policy compare own.py lru -frames 5 short.lackey")


def test_reference_bits_are_drawn_for_policies_that_look_at_them(shell: Any) -> None:
    drawn = {
        name: shell.run(f"policy table {name} -frames 3 7 0 1 2").splitlines()
        for name in (*POLICIES, *(str(EXAMPLES / f"{own}.py") for own in ("mru", "nru", "second-chance")))
    }
    with_bits = {Path(name).stem for name, lines in drawn.items() if "*" in lines[1]}
    assert with_bits == {"aging", "clock", "clock-cached", "two-list", "wsclock", "nru", "second-chance"}
    assert {name for name, lines in drawn.items() if lines[4].startswith("hand")} == {
        "clock",
        "clock-cached",
        "wsclock",
    }
    assert drawn["aging"][1:4] == [
        "frame 0 7* 7* 7* 2*",
        "frame 1 .  0* 0* 0",
        "frame 2 .  .  1* 1",
    ]


def test_a_hand_at_a_frame_that_is_not_drawn_is_told(make_shell: Any) -> None:
    """Of a process at its limit, which has few of the machine's frames."""
    shell = make_shell(target=False)
    settings = {"kernel.limit": 3, "kernel.over_limit": "reclaim", "kernel.policy": "clock"}
    config = load_config("default").with_(settings)
    shell.session.target = boot(config, str(EXAMPLES / "belady.vmp"))
    shell.run("step 12")
    lines = shell.run("policy table 3..5").splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["0x107", "0x108", "0x109"]
    assert lines[4].split() == ["hand", "0x108", "0x109", "0x10a"]
    data = json.loads(shell.run("policy table/json 3..5"))
    assert data["pfns"] == [0x107, 0x108, 0x109]
    assert [step["hand"] for step in data["steps"]] == [0x108, 0x109, 0x10A]


def test_many_policies_are_compared_within_the_screen(shell: Any) -> None:
    line = f"policy compare {' '.join(POLICIES)} -frames 1,3 {SILBERSCHATZ}"
    lines = shell.run(line).splitlines()
    header = shell.run(line.replace("compare", "compare/csv")).splitlines()[0]
    assert header == f"frames,{','.join(POLICIES)},remark"
    assert max(map(len, lines[:-1])) <= 80
    heads = [row.split()[1:-1] for row in lines if row.startswith("frames")]
    assert [name for head in heads for name in head] == list(POLICIES)
    assert lines[:4] == [
        "frames  aging  arc  clock  clock-cached  fifo   faults",
        "     1     20   20     20            20    20   aging, arc, clock, clock-cached,",
        "                                                fifo: thrashing",
        "     3     12   13     14            15    15",
    ]


@pytest.mark.long
def test_swap_has_room_for_every_page_of_a_trace(shell: Any, tmp_path: Path) -> None:
    """The preset has 262143 slots."""
    pages = 263_000
    (tmp_path / "here" / "wide.trace").write_text("".join(f"R {n << 12:#x}\n" for n in range(1, pages + 1)))
    assert shell.run("policy compare/csv fifo -frames 2 wide.trace").splitlines()[1] == f"2,{pages},"
