"""Instructions and MPKI, where they are shown: a fetch is an instruction, one that straddles pages too."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.script import Source
from vmdbg.shell.startup import make_session

ACCESSES = ("read", "write", "fetch", "modify")
TRACE = "I  00001000,4\n L 00005000,8\nI  00001ffe,4\nI  00002002,4\n S 00005008,8\nI  00003000,1\n"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.lackey"
    path.write_text(TRACE)
    return str(path)


def typed(*lines: str, machine: str = "trace") -> list[str]:
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, machine, "")
    session.settings.attach_later(lambda: MachineSettings(session))
    source = Source("stdin", list(lines))
    session.interpreter.sources.append(source)
    while (line := source.read()) is not None:
        session.interpreter.command_line(line)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("straddle", "faults"), [("off", 4), ("on", 4)])
def test_replay_and_info_stats(trace: str, straddle: str, faults: int) -> None:
    lines = typed(f"set trace.straddle {straddle}", f"replay/j {trace}", "info stats")
    counts = json.loads(next(line for line in lines if line.startswith("{")))
    assert (counts["accesses"], counts["instructions"], counts["faults"]) == (6, 4, faults)
    assert counts["mpki"] == 1000 * counts["tlb_misses"] / 4 == 1000.0
    assert counts["straddling"] == (straddle == "on")
    assert lines[-1] == "4 instructions: 1000.0 TLB misses (MPKI) and 1000.0 page faults for 1000."


def test_a_warm_up_is_made_and_does_not_count(trace: str) -> None:
    whole, *_, rest = [
        json.loads(line)
        for line in typed(
            f"replay/j {trace}", "set trace.warm_up 4", "break-event fault if va == 0x5000",
            f"replay/j {trace}", "replay/j", "delete", f"replay/j {trace}",
        )
        if line.startswith("{")
    ]  # fmt: skip
    assert (rest["accesses"], rest["instructions"], rest["reads"], rest["writes"]) == (2, 1, 0, 1)
    assert (rest["faults"], rest["tlb_misses"], rest["walks"]) == (1, 1, 2)
    assert whole["tlb_hits"] - rest["tlb_hits"] > 0
    assert whole["accesses"] == 6
    assert (
        typed("set trace.warm_up 7", f"replay {trace}")[-1]
        == "The warm-up is 7 accesses, but there are only 6."
    )


@pytest.mark.long
def test_info_cost(trace: str) -> None:
    lines = typed(f"file {trace}", "start", "continue", "goto 6", "info cost 0..5")
    (total,) = [line for line in lines if line.startswith("6 operations: ")]
    assert total.endswith(" each; 4 instructions, MPKI 1000.0.")
    assert lines[-1].endswith(" cycles an access")
    assert all(len(line) <= 80 for line in lines)
    plain = typed(f"file {trace}", "start", "step 6", "info cost 1")
    assert "MPKI" not in plain[-1]


@pytest.mark.long
@pytest.mark.parametrize("machine", ["trace", "tutorial16", "default", "pressure"])
def test_the_sum_of_a_stretch_is_that_of_its_operations(machine: str, trace: str) -> None:
    load = [f"replay {trace}"] if machine == "trace" else ["step 60"]
    first, last = (0, 5) if machine == "trace" else (1, 3) if machine == "tutorial16" else (7, 44)
    lines = typed(
        "set confirm off", *load, f"info cost/j {first}..{last}", f"info cost/j -sum {first}..{last}",
        f"info cost -sum {first}..{last}", machine=machine,
    )  # fmt: skip
    text = "\n".join(lines)
    rows, end = json.JSONDecoder().raw_decode(text, text.index("[{"))
    summed, end = json.JSONDecoder().raw_decode(text, text.index("{", end))
    assert len(rows) == last - first + 1
    assert summed["cycles"] == sum(row["cycles"] for row in rows) > 0
    assert summed["cycles"] == sum(term["cycles"] for term in summed["terms"])
    assert summed["accesses"] == sum(row["operation"].split()[0] in ACCESSES for row in rows)
    assert summed["per_access"] == pytest.approx(summed["cycles"] / summed["accesses"])
    drawn = text[end:].splitlines()[len(summed["terms"]) + 3 :]
    formula, _, mean = " ".join(line.strip() for line in drawn).rpartition(" = ")
    assert mean == f"{summed['per_access']:.3f} cycles an access"
    terms = [math.prod(map(float, term.split(" * "))) for term in formula.split(" + ")]
    assert sum(terms) == pytest.approx(summed["per_access"], rel=1e-4)


def test_a_stretch_that_is_not_there(trace: str) -> None:
    assert typed(f"replay {trace}", "info cost -sum 90..99")[-1] == "The record goes from 0:0 to 7:0."
    assert typed("info cost -sum")[-1] == "The record goes from 0:0 to 0:0."


def test_the_sum_of_the_whole_record_does_not_end_at_now() -> None:
    whole = typed("step 20", "info cost -sum", machine="pressure")[-8:]
    assert "cycles an access" in whole[-1]
    assert typed("step 20", "goto 5", "info cost -sum", machine="pressure")[-8:] == whole


@pytest.mark.long
def test_policy_compare(trace: str) -> None:
    lines = typed(f"policy compare fifo lru -frames 2,8 {trace}")
    assert "4 instructions; faults for 1000 of them (MPKI):" in lines
    assert [line.split() for line in lines[-2:]] == [["2", "1000.0", "1250.0"], ["8", "1000.0", "1000.0"]]
    (said,) = [json.loads(line) for line in typed(f"policy compare/j fifo -frames 8 {trace}")]
    assert (said["instructions"], said["counts"][0]["mpki"]) == (4, 1000.0)
    (none,) = [json.loads(line) for line in typed("policy compare/j fifo -frames 2 1 2 3")]
    assert (none["instructions"], none["counts"][0]["mpki"]) == (0, None)


def test_policy_compare_leaves_accesses_of_the_kernel_out(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    path.write_text(TRACE + "I  ffffffffff600000,3\n")
    said, *lines = typed(f"policy compare fifo lru -frames 2,8 {path}")
    assert said == "1 access of kernel or vsyscall addresses left out."
    path.write_text(TRACE)
    assert typed(f"policy compare fifo lru -frames 2,8 {path}") == lines


@pytest.mark.long
def test_counts_of_processes_and_cpus_add_up() -> None:
    machine = str(Path(__file__).resolve().parents[2] / "docs" / "examples" / "two-cpus.toml")
    lines = typed(
        "continue", "info stats/j", "info stats/j -cpu 0", "info stats/j -cpu 1",
        "info stats/j -pid 1 -cpu 1", "info stats/j -pid 1", "info stats/j -pid 1 -cpu 0",
        "info stats -cpu 2", "info stats -cpu 1",
        machine=machine,
    )  # fmt: skip
    assert "No CPU 2: this machine has 0..1." in lines
    text, at, found = "\n".join(lines), 0, []
    while (at := text.find('[{"event"', at)) >= 0:
        rows, length = json.JSONDecoder().raw_decode(text[at:])
        found.append({row["event"]: row["count"] for row in rows})
        at += length
    whole, first, second, mine_second, mine, mine_first = found
    for sum_of, parts in ((whole, (first, second)), (mine, (mine_first, mine_second))):
        assert sum_of == {kind: sum(part.get(kind, 0) for part in parts) for kind in sum_of}
    assert first != second
    assert "3 TLB misses: 2 at first tries, 1 at retries." in lines
