"""Two machines side by side, and the ways to translate: what they count, by hand and by a sweep."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.processes import violations
from vmdbg.inspect.target import boot
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.script import Source
from vmdbg.shell.startup import make_session
from vmdbg.sweep.plan import find_setting
from vmdbg.sweep.translation import WAYS, ways_to_translate
from vmdbg.sweep.work import run_point
from vmdbg.views.compare import compare_table, difference, ratio

PRESETS = Path(__file__).resolve().parents[2] / "vmdbg" / "machine" / "presets"
BELADY = (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)
OFF = dict.fromkeys(("tlb.l1", "tlb.l1i", "tlb.l1d", "tlb.l2"), "off")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "belady.lackey"
    path.write_text("".join(f"I  {page:x}000,1\n" for page in BELADY))
    return str(path)


def typed(*lines: str, machine: str = "trace") -> str:
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, machine, "")
    session.settings.attach_later(lambda: MachineSettings(session))
    source = Source("stdin", list(lines))
    session.interpreter.sources.append(source)
    while (line := source.read()) is not None:
        session.interpreter.command_line(line)
    return out.getvalue()


@pytest.mark.long
def test_two_machines_side_by_side(trace: str) -> None:
    said = json.loads(typed("set kernel.policy fifo", f"compare/j user_frames 3 4 {trace}").splitlines()[-1])
    assert (said["setting"], said["values"]) == ("kernel.user_frames", [3, 4])
    assert [row["faults"] for row in said["machines"]] == [9, 10]  # Belady's anomaly
    assert [row["instructions"] for row in said["machines"]] == [12, 12]
    assert (said["differences"]["faults"], said["ratios"]["faults"]) == (1, 1.111)
    assert [row["resident"] for row in said["machines"]] == [3 * 4096, 4 * 4096]
    assert said["differences"]["resident"] == 4096
    text = typed("set kernel.policy fifo", f"compare frames 3 4 {trace}")
    assert "faults" in text
    found = {line.split("  ")[0]: line.split()[1:] for line in text.splitlines()}
    assert found["faults"] == ["9", "10", "+1", "1.111"]
    assert found["resident"] == ["12", "KiB", "16", "KiB", "+4", "KiB", "1.333"]


@pytest.mark.long
def test_options_stand_anywhere_and_oracles_are_marked(trace: str) -> None:
    line = f"frames=3,4 policy=fifo,opt {trace}"
    said = typed(f"sweep -jobs 1 -measure faults {line}")
    assert said == typed(f"sweep frames=3,4 -jobs 1 policy=fifo,opt {trace} -measure faults")
    assert "opt is an oracle: no hardware tells a kernel what that takes." in said
    assert "Unrecognized option at: -foo" in typed(f"sweep -foo {line}")
    assert "Unrecognized option at: -foo" in typed(f"sweep {line} -foo")
    assert "lru is an oracle: no hardware" in typed(f"compare kernel.policy fifo lru {trace} -jobs 1")
    assert "oracle" not in typed(f"compare kernel.policy fifo clock {trace}")
    assert "policy   lru (oracle)" in typed("set kernel.policy lru", "run", "info machine")


def test_what_is_wrong_with_all_machines_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.lackey").write_text(" L 1000,1\nzzz\n")
    for line in ("sweep -jobs 1 frames=3,4", "compare frames 3 4", "compare translation"):
        (said,) = typed(f"{line} {tmp_path / 'bad.lackey'}").splitlines()[-1:]
        assert said.partition("bad.lackey:")[2].startswith('2:1: expected "I  "')


@pytest.mark.long
def test_quotes_and_texts_of_files(trace: str, tmp_path: Path) -> None:
    file = tmp_path / "a b.lackey"
    file.write_bytes(Path(trace).read_bytes())
    said = typed(f"sweep -jobs 1 tlb.walk_cache='PDPT:4 PD:32', '{file}'")
    assert "\nPDPT:4 PD:32       5 " in said
    own = PRESETS.parents[2] / "docs" / "examples" / "mru.py"
    other = tmp_path / "mru.py"
    other.write_bytes(own.read_bytes())
    assert "\nmru.py: 1 + " in typed(f"compare policy fifo {own} {trace}")
    assert f"\n{other} " in typed(f"sweep -jobs 1 policy={own},{other} {trace}")


@pytest.mark.long
def test_a_text_of_many_columns_stays_within_80(trace: str) -> None:
    said = typed(f"sweep -jobs 1 tlb.l1d=16x4,64x4 page=4K,2M policy=fifo,lru frames=2048 {trace}")
    assert "Left out, for the width: swapped out" in said or "Left out, for the width: walks" in said
    assert max(map(len, said.splitlines()[-12:])) <= 80
    assert len(said.splitlines()) >= 10


@pytest.mark.long
def test_a_machine_that_did_not_run_to_the_end_is_not_the_best(trace: str) -> None:
    """With three pages the process is killed at its fourth: cycles of so few accesses are no result."""
    said = typed(f"sweep -jobs 1 kernel.limit=0,3 {trace}")
    assert "it ended after 3 of 12 accesses" in " ".join(said.split())
    assert "\n0: 1 + " in said
    assert "\n3: 1 + " not in said
    exported = typed(f"compare/csv kernel.limit 0 3 {trace}").splitlines()
    assert "error,,it ended after 3 of 12 accesses: no memory,," in exported


@pytest.mark.long
def test_half_a_first_level_is_told(trace: str) -> None:
    """The trace has fetches alone."""
    told = "With tlb.l1d but no tlb.l1i each fetch is an L1 miss."
    assert told in typed(f"sweep -jobs 1 tlb.l1d=16x4 {trace}")
    assert told in typed(f"compare tlb.l1d 16x4 64x4 {trace}")
    assert "L1 miss." not in typed(f"sweep -jobs 1 tlb.l1d=16x4 tlb.l1i=16x4 {trace}")
    assert "L1 miss." not in typed(f"sweep -jobs 1 tlb.l1i=16x4 {trace}")


@pytest.mark.long
def test_the_session_s_own_program(trace: str) -> None:
    for load in (f"file {trace}", f"replay {trace}"):
        said = json.loads(typed(load, "compare/j kernel.policy fifo lru").splitlines()[-1])
        assert [row["accesses"] for row in said["machines"]] == [12, 12]
    assert "Argument required (a program or trace), for none is loaded." in typed("compare policy fifo lru")


@pytest.mark.long
def test_a_setting_for_the_next_run_counts(trace: str) -> None:
    lines = [
        f"file {trace}",
        "start",
        "step 3",
        "set kernel.user_frames 3",
        "compare/j kernel.policy fifo lru",
    ]
    said = json.loads(typed(*lines).splitlines()[-1])
    assert [row["faults"] for row in said["machines"]] == [9, 10]


def test_pages_that_are_there_from_the_start(trace: str) -> None:
    said = json.loads(typed(f"compare/j -resident tlb.l1 off 16x4 {trace}").splitlines()[-1])
    assert [row["faults"] for row in said["machines"]] == [0, 0]
    assert [row["resident"] for row in said["machines"]] == [5 * 4096] * 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("compare", "Expected a setting, two values, and maybe a program or trace."),
        ("compare policy fifo", "Expected a setting, two values, and maybe a program or trace."),
        ("compare policy fifo fifo", "kernel.policy: expected two values, not fifo twice."),
        ("compare nothing 1 2", 'No setting "nothing" of a machine.'),
        ("compare user_frames 3 x", "kernel.user_frames=x: "),
        ("compare tlb.l1 16x4 3x4 {}", "tlb.l1=3x4: tlb.l1: expected SETSxWAYS"),
        ("compare trace.page 4K 3M {}", "trace.page=3M: trace.page: expected base, thp or a page size"),
        ("compare policy 'fifo lru", "A quote is not closed."),
        ("compare policy fifo lru nowhere", "nowhere: No such file or directory."),
        ("compare -jobs 0 policy fifo lru {}", "-jobs: expected a number from 1."),
        ("compare translation nowhere", "nowhere: No such file or directory."),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(line: str, said: str, trace: str) -> None:
    assert said in typed(line.format(trace))


def test_values_with_blanks_stand_in_quotes(trace: str) -> None:
    said = json.loads(typed(f"compare/j tlb.walk_cache '' 'PDPT:4 PD:32' {trace}").splitlines()[-1])
    before, after = (row["entries_read"] for row in said["machines"])
    assert after < before


def test_a_measure_that_one_machine_lacks(trace: str) -> None:
    assert (difference(None, 3), ratio(0, 3), ratio(3, None), difference(1.5, 0.5)) == (
        None,
        None,
        None,
        -1.0,
    )
    config = load_config("trace")
    rows = [{"faults": 1}, {"error": "its process crashed"}]
    text = "\n".join(map(str, compare_table(find_setting("tlb.l1"), ["off", "16x4"], rows).lines()))
    assert "16x4: its process crashed" in text
    assert config["tlb.l1"] == "16x4"


# -- the ways to translate


@pytest.mark.long
def test_what_each_way_costs_by_hand(trace: str) -> None:
    """Twelve fetches of five pages, all in memory at the end; cost.trap 100, cost.memory 30, cost.l1 1, l2 7.

    The kernel reads the entries that are there: of a first touch in a new table 1 2 3 or 4 of them, then the
    access is done with what it has made; a walker reads them again.  Tables are missing at the first page.
    """
    rows = [
        run_point(point.config.values, "trace", trace)
        for point in ways_to_translate(load_config("trace"), trace)
    ]
    assert [row["faults"] for row in rows] == [5] * 4
    assert [row["traps"] for row in rows] == [12, 0, 5, 0]
    first = 1 + 4 * 4  # the first page has no table below the root
    assert [row["entries_read"] for row in rows] == [
        first + 7 * 4,
        first + 5 * 4 + 7 * 4,
        first,
        first + 5 * 4,
    ]
    cycles = [12 * 100 + 45 * 30, 65 * 30, 12 + 5 * 7 + 5 * 100 + 17 * 30, 12 + 10 * 7 + 37 * 30]
    assert [row["cycles_per_access"] for row in rows] == [round(total / 12, 3) for total in cycles]


@pytest.mark.long
def test_the_ways_at_the_prompt(trace: str) -> None:
    rows = json.loads("".join(typed(f"compare translation/j {trace}").splitlines()))
    assert [(row["who"], row["with_tlb"]) for row in rows] == [(way.who, way.tlb) for way in WAYS]
    assert rows[1]["translation"] == round(65 * 30 / 12, 3)
    assert rows[1]["cycles_per_access"] == round(65 * 30 / 12 + 30, 3)
    assert rows[1]["factor"] == round((65 * 30 / 12 + 30) / 30, 3)
    assert [row["hit_rate"] for row in rows] == [None, None, 58.333, 58.333]
    assert "factor" in typed(f"compare translation {trace}")
    assert "\nkernel" in typed("set cost.memory 0", f"compare translation {trace}")


def test_a_machine_without_tables_or_tlb_has_nothing_to_compare(trace: str) -> None:
    with pytest.raises(UserError, match="partitions has no page tables"):
        ways_to_translate(load_config("partitions"), trace)
    with pytest.raises(UserError, match="The machine has no TLB to compare with"):
        ways_to_translate(load_config("trace").with_(OFF), trace)


@pytest.mark.long
@pytest.mark.parametrize("machine", ["pressure", "sv39", "sv39-svade", "x86_32", "tutorial16"])
@pytest.mark.parametrize("tlb", [True, False], ids=["tlb", "no tlb"])
def test_a_kernel_that_translates_runs_any_format(machine: str, tlb: bool) -> None:
    """What the program does, and which faults it has, does not depend on who translates."""
    counts = []
    for who in ("kernel", "walker"):
        values: dict[str, Any] = {
            "tlb.fill": who,
            "machine.warm": 0,
            "kernel.swapped": "",
            **({} if tlb else OFF),
        }
        booted = boot(
            load_config(machine).with_(values), str(PRESETS / f"{machine.split('-', maxsplit=1)[0]}.vmp")
        ).machine
        booted.run(3000)
        assert list(violations(booted, tlb_only=False)) == []
        counts.append(booted.counts())
    kernel, walker = counts
    assert "walk-step" not in kernel
    assert "table-read" not in walker
    names = (
        "fetch",
        "read",
        "write",
        "fault-minor",
        "fault-major",
        "fault-cow",
        "fault-file",
        "evict",
        "exit",
    )
    if tlb or machine != "pressure":  # there CLOCK sees other accessed bits
        assert {name: kernel.get(name) for name in names} == {name: walker.get(name) for name in names}


@pytest.mark.long
def test_without_a_tlb_the_kernel_enters_for_each_access(engine: str, trace: str) -> None:
    config = load_config("trace").with_({**OFF, "tlb.fill": "kernel", "kernel.user_frames": 4})
    machine: Machine = boot(config, trace).machine
    if engine == "compiled":
        machine.compile()
    machine.run(13, engine == "compiled")
    counts = machine.counts()
    assert (counts["trap"], counts["tlb-miss"], counts["fetch"], counts.get("tlb-fill")) == (12, 12, 12, None)
