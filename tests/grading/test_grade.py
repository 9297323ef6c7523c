"""`vmdbg --grade`: each hand-in gets what it deserves, whatever another one does."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.grading.reports import csv_text, write_json
from vmdbg.grading.run import CRASHED, STOPPED, Grade, conclude

pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]
LAB = """\
machine tutorial16
spawn student
source -isolated -keep answer,q1 hand-in.vmdbg
expect -name mapped -points 2 -hint "mmap, then write" translate -pid 2 0x0110 => outcome == "translated"
expect -name frame -points 3 translate -pid 2 0x0110 => pa / 256 == 0x10 && page_size == 256
expect -name answer -points 1 $answer == 42
expect -name word -points 1 -hidden -hint secret $q1 == "frame"
expect -name broken -points 0 translate 0x0110 => pa / 3
"""
WORK = "mmap -pid 2 0x0000 1K rw\nprocess 2\nwrite 0x0110 1\n"
ANSWERS = 'set $answer = 42\nset $q1 = "frame"\n'
FORGED = [
    "echo total   7/7 points, 4 of 4 hold\\n\n",
    'printf "ok      3/3  frame\\n"\necho {"token": "", "kind": "check", "points": 7}\\n\n',
    "define expect\necho ok\\n\nend\necho 7/7  me\\necho 1 hand-in: 1 full, 0 part, 0 none\\n\n",
]
OUTSIDE = ["save machine OUTSIDE\n", "set logging file OUTSIDE\nset logging enabled on\necho x\n"]
ENDLESS = [
    "while 1\nend\n",
    "define f\nf\nend\nwhile 1\nprint 1\nend\n",
    "define f\nwhile 1\nread 0x0110\nend\nend\nf\n",
    "while 1\nwalk 0x0110\nend\n",
]
FLOOD = "while 1\necho total   7/7 points, 4 of 4 hold\\n\nend\n"
#: What is handed in, the points that it deserves, its status, and a word of the remark.
KINDS: dict[str, tuple[str, int, str, str]] = {
    "full": (WORK + ANSWERS, 7, "graded", ""),
    "work": (WORK, 5, "graded", ""),
    "answers": (ANSWERS, 2, "graded", ""),
    "wrong": ("set $answer = 41\nset $q1 = 7\n", 0, "graded", ""),
    "nothing": ("", 0, "graded", ""),
    "mistake": (WORK + "wlak 1\n", 5, "mistake", "Undefined command"),
    "quits": (WORK + ANSWERS + "quit 0\n", 7, "graded", ""),
    "pointer": (WORK + "set $answer = (char *) 42\n", 5, "graded", ""),
}
FEW = ("full", "work", "nothing", "mistake")


def hand_in(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.vmdbg").write_text(text)
    return f"{name}.vmdbg"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "lab.vmdbg").write_text(LAB)
    return tmp_path


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["hand_in"]: row for row in csv.DictReader(file)}


def test_a_few_hand_ins(run_vmdbg: Run, lab: Path) -> None:
    names = [hand_in(lab, kind, KINDS[kind][0]) for kind in FEW]
    names.append(hand_in(lab, "forged", FORGED[0] + FORGED[2] + WORK))
    names.append(hand_in(lab, "outside", OUTSIDE[0].replace("OUTSIDE", str(lab / "made"))))
    names.append(hand_in(lab, "endless", WORK + ENDLESS[0]))
    names.append(hand_in(lab, "flood", FLOOD))
    done = run_vmdbg(
        "--grade", "lab.vmdbg", "--csv", "g.csv", "--json", "g", "--junit=g.xml", "--time=3s", *names
    )
    rows = rows_of(lab / "g.csv")
    for kind in FEW:
        _, points, status, remark = KINDS[kind]
        row = rows[f"{kind}.vmdbg"]
        assert (int(row["points"]), row["status"]) == (points, status), row
        assert remark in row["remark"]
    assert rows["forged.vmdbg"]["points"] == "5"
    assert (rows["outside.vmdbg"]["status"], rows["outside.vmdbg"]["points"]) == ("refused", "0")
    assert 'No "save"' in rows["outside.vmdbg"]["remark"]
    assert (rows["endless.vmdbg"]["points"], rows["endless.vmdbg"]["status"]) == ("5", "stopped")
    assert rows["flood.vmdbg"]["remark"] == "Output limit reached."
    assert not (lab / "made").exists()
    assert "an empty hand-in gets 0 of 7 points" in done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"8 hand-ins: 1 full, 3 part, 2 none, 2 stopped at a limit; 1 tried what is not allowed  \[\w{8}\]",
        last,
    ), last
    assert done.stdout.count(last[-9:-1]) == 1
    assert "7/7 points" not in done.stdout
    check_reports(lab, rows)
    assert done.returncode == 0


def check_reports(lab: Path, rows: dict[str, dict[str, str]]) -> None:
    """JSON and XML say what the CSV says, with hints and hidden checks."""
    for name, row in rows.items():
        found = json.loads((lab / "g" / f"{name}.json").read_text())
        assert found["score"] == int(row["points"]) == sum(test["score"] for test in found["tests"])
        assert sum(test["max_score"] for test in found["tests"]) == int(row["most"]) == 7
    nothing = json.loads((lab / "g" / "nothing.vmdbg.json").read_text())["tests"]
    assert "hint: mmap, then write" in nothing[0]["output"]
    assert [test["visibility"] for test in nothing].count("hidden") == 1
    assert "no number" in nothing[4]["output"]  # a condition that makes no sense
    assert nothing[3]["output"] == ""  # of a hidden one nothing is told
    assert nothing[3]["extra_data"]["hint"] == "secret"
    junit = (lab / "g.xml").read_text()
    assert "secret" not in junit
    assert "$q1" not in junit
    suites = {suite.get("name"): suite for suite in ET.parse(lab / "g.xml").getroot()}
    assert suites.keys() == rows.keys()
    for name, suite in suites.items():
        values = {one.get("name"): one.get("value") for one in suite.iter("property")}
        assert values["points"] == rows[name]["points"]
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))


def test_one_again_leaves_the_others(run_vmdbg: Run, lab: Path) -> None:
    old = [Grade("a.vmdbg"), Grade("b.vmdbg")]
    old[1].checks = [{"name": "answer", "where": "lab.vmdbg:6", "points": 2}]
    (lab / "g.csv").write_text(csv_text(old))
    hand_in(lab, "a", WORK)
    done = run_vmdbg(
        "--grade", "lab.vmdbg", "--csv", "g.csv", "--update", "-j1", "--json=results.json", "a.vmdbg"
    )
    assert [(name, row["points"]) for name, row in rows_of(lab / "g.csv").items()] == [
        ("a.vmdbg", "5"),
        ("b.vmdbg", "2"),
    ]
    assert json.loads((lab / "results.json").read_text())["score"] == 5
    assert done.stdout.startswith("5/7  a.vmdbg\n1 hand-in: 0 full, 1 part, 0 none")


def test_a_folder_and_files_of_the_lab(run_vmdbg: Run, tmp_path: Path) -> None:
    """A folder is handed in whole; the lab's own files lie over it, and no others of its folder are seen."""
    (tmp_path / "own.vmdbg").write_text("set $own = 1\n")
    (tmp_path / "solution.vmdbg").write_text("set $answer = 42\n")
    (tmp_path / "lab.vmdbg").write_text(
        "# as solution.vmdbg does\nsource own.vmdbg\nsource -isolated -keep answer main.vmdbg\n"
        "expect $answer == 42\nexpect $own == 1\n"
    )
    for name, text in (("good", "source part.vmdbg\n"), ("thief", "source solution.vmdbg\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "main.vmdbg").write_text(text)
        (folder / "part.vmdbg").write_text("set $answer = 42\n")
        (folder / "own.vmdbg").write_text("set $own = 7\n")
    (tmp_path / "empty").mkdir()
    done = run_vmdbg("--grade", "lab.vmdbg", "good", "thief", "empty")
    assert done.stdout.splitlines()[:3] == [
        "2/2  good",
        "1/2  thief",
        "0/2  empty  not graded: no file main.vmdbg in it",
    ]
    assert done.returncode == 1


def test_each_reading_has_its_time(run_vmdbg: Run, tmp_path: Path) -> None:
    endless = "while 1\nend\n"
    (tmp_path / "x.vmdbg").write_text(endless)
    read = "source -isolated {}x.vmdbg\n"
    (tmp_path / "lab.vmdbg").write_text(
        read.format("-seconds 5 ") + read.format("") * 2 + "expect -points 2 1 == 1\n"
    )
    done = run_vmdbg("--grade", "lab.vmdbg", "--time", "1s", "x.vmdbg")
    assert done.stdout.startswith("2/2  x.vmdbg  stopped"), done.stdout


def test_what_the_system_stops_was_out_of_time() -> None:
    """The soft limit's signal comes first, and is told as what it is."""
    limits = "import resource as r; r.setrlimit(r.RLIMIT_CPU, (1, 2))\nwhile 1: pass"
    done = subprocess.run([sys.executable, "-c", limits], check=False)
    grade = Grade("x")
    grade.status = CRASHED
    conclude(grade, done.returncode, b"", True)
    assert (grade.status, grade.remark) == (STOPPED, "killed: it did not end in time")


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    grades = [Grade(name) for name in ("x/a", "x_a")]
    assert len(set(write_json(grades, str(tmp_path)))) == len(list(tmp_path.iterdir())) == 2
    check = {"points": 1, "most": 1, "where": "", "text": "", "remark": "", "hint": "", "holds": True}
    grades[0].checks = [{**check, "name": name} for name in ("a", "a", "a (2)", "points")]
    (row,) = csv.DictReader(csv_text(grades[:1]).splitlines())
    assert row["points"] == "4"
    assert [row[name] for name in ("a", "a (2)", "a (2) (2)", "points (2)")] == ["1"] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lab.vmdbg",), "Hand-ins expected"),
        (("nope.vmdbg", "lab.vmdbg"), "nope.vmdbg: No such file or directory."),
        (("lab.vmdbg", "nope.vmdbg"), "nope.vmdbg: No such file or directory."),
        (("lab.vmdbg", "--time", "never", "lab.vmdbg"), "expected a time such as 10s"),
        (("lab.vmdbg", "-j", "0", "lab.vmdbg"), "expected a number from 1 on"),
        (("lab.vmdbg", "--what", "lab.vmdbg"), "unrecognized arguments: --what"),
        (("plain.vmdbg", "lab.vmdbg"), 'no line "source -isolated FILE"'),
        (("idle.vmdbg", "lab.vmdbg"), "nothing was checked"),
    ],
)
def test_what_makes_no_sense(run_vmdbg: Run, lab: Path, arguments: tuple[str, ...], message: str) -> None:
    (lab / "plain.vmdbg").write_text("expect 1\n")
    (lab / "idle.vmdbg").write_text("source -isolated x.vmdbg\n")
    done = run_vmdbg("--grade", *arguments)
    assert message in done.stderr
    assert (done.stdout, done.returncode) == ("", 1)


WRONG = [
    ("pa / nonsense(", 30, "as many closing brackets as opening ones expected"),
    ("nonsense(pa) == 1", 30, "there is no function nonsense"),
    ("$_nonsense(pa) == 1", 30, "there is no function $_nonsense"),
    ("outcome == 1 && pe == 1", 46, 'no field "pe". There are va, pid,'),
    ("pa / pe == 1", 35, 'no field "pe"'),
    ('outcome =~ "("', 41, "Error in regular expression: Missing )"),
    (
        'outcome == "tr',
        41,
        "a string in double quotes, a number, true, false, null or an expression expected",
    ),
    ("outcome = 3", 30, '"=" assigns, "==" compares'),
    ("pa == 1 && && va == 3", 30, "FIELD OP VALUE or an expression over fields expected"),
    ("$later == pa", 30, "$later is neither kept (source -isolated -keep later) nor set by the lab"),
]
LINES = [
    ("trnslate 1 => pa == 1", 8, 'Undefined command: "trnslate"'),
    ("translate -foo 1 => pa == 1", 8, "Unrecognized option at: -foo 1"),
    ("tlb => cuont == 3", 15, "It is an array"),
    ("info => pa == 1", 8, "a command with one expected"),
    ("translate 0x401234 = pa == 1", 8, "COMMAND => CONDITION or an expression expected"),
]
RIGHT = """\
source -isolated -keep q,r x.vmdbg
set $mine = 7
expect $q == 3 && $mine == 7
expect -hidden $_streq($r, "a ( b")
expect translate -pid 9 1 => pa == 3 && (va == 3 || pe == 4)
expect walk 0x5000 => steps[0].index == 3 && fault.kind == "none" && steps.count * sizeof(int) > (1 + 2) * 3
expect tlb => [0].vpn == 3 && count > 5
"""


def test_who_wrote_the_lab_is_told_of_what_no_hand_in_could_meet(run_vmdbg: Run, tmp_path: Path) -> None:
    name = hand_in(tmp_path, "x", "")
    lines = [*((f"translate 0x401234 => {text}", *more) for text, *more in WRONG), *LINES]
    lab = tmp_path / "lab.vmdbg"
    lab.write_text("source -isolated x.vmdbg\n" + "".join(f"expect {text}\n" for text, _, _ in lines))
    done = run_vmdbg("--grade", "lab.vmdbg", "--csv", "g.csv", name)
    assert (done.stdout, done.returncode) == ("", 1)
    assert not (tmp_path / "g.csv").exists()
    *told, last = done.stderr.splitlines()
    assert last == "vmdbg: lab.vmdbg: a check that no hand-in could meet: nothing is graded."
    for number, (line, (_, column, what)) in enumerate(zip(told, lines, strict=True), 2):
        assert line.startswith(f"vmdbg: lab.vmdbg:{number}:{column}: "), line
        assert what in line
    lab.write_text(RIGHT)
    done = run_vmdbg("--grade", "lab.vmdbg", name)
    assert (done.stdout.splitlines()[0], done.returncode) == ("0/5  x.vmdbg", 0), done.stderr


def test_options_of_a_lab_may_have_two_dashes(run_vmdbg: Run, tmp_path: Path) -> None:
    name = hand_in(tmp_path, "x", "set $answer = 42\n")
    (tmp_path / "lab.vmdbg").write_text(
        "source --isolated --keep answer --seconds 5 x.vmdbg\nexpect --points 3 -name two $answer == 42\n"
    )
    done = run_vmdbg("--grade", "lab.vmdbg", name)
    assert (done.stdout.splitlines()[0], done.returncode) == ("3/3  x.vmdbg", 0), done.stderr


def test_an_answer_has_the_same_fields_whatever_the_hand_in_did(run_vmdbg: Run, tmp_path: Path) -> None:
    """A lab may ask for fields of what an empty hand-in does not have."""
    name = hand_in(tmp_path, "x", "write 0x404800, 7\n")
    (tmp_path / "lab.vmdbg").write_text(
        "source -isolated x.vmdbg\n"
        "expect last write 0x404abc => pid == null && line == null\n"
        "kill 1\n"
        "expect info program => operation == null\n"
    )
    done = run_vmdbg("--grade", "lab.vmdbg", name)
    assert (done.stdout.splitlines()[0], done.returncode) == ("2/2  x.vmdbg", 0), done.stderr


@pytest.mark.slow
def test_a_class(run_vmdbg: Run, lab: Path) -> None:
    """120 hand-ins of which four never end, three forge totals, two write outside and one floods."""
    wanted: dict[str, tuple[int, str]] = {}

    def add(text: str, points: int, status: str) -> None:
        name = hand_in(lab, f"s{len(wanted):03}", text)
        wanted[name] = (points, status)

    for text in ENDLESS:
        add(WORK + text, 5, "stopped")  # what it did before counts
    for text in FORGED:
        add(ANSWERS + text, 2, "graded")
    for text in OUTSIDE:
        add(WORK + text.replace("OUTSIDE", str(lab / "made")), 5, "refused")
    add(ANSWERS + FLOOD, 2, "stopped")
    kinds = list(KINDS.values())
    while len(wanted) < 120:
        text, points, status, _ = kinds[len(wanted) % len(kinds)]
        add(text, points, status)
    began = time.monotonic()
    done = run_vmdbg(
        "--grade", "lab.vmdbg", "--csv", "g.csv", "--time", "10s", "-j", "2", *wanted, timeout=200
    )
    seconds = time.monotonic() - began
    rows = rows_of(lab / "g.csv")
    assert {name: (int(row["points"]), row["status"]) for name, row in rows.items()} == wanted
    assert not (lab / "made").exists()
    assert "5 stopped at a limit; 2 tried what is not allowed  [" in done.stdout.splitlines()[-1]
    assert seconds <= 90, seconds
