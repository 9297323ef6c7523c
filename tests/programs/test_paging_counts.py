"""Random programs count what an independent model of demand paging counts (tests/models/paging.py).

Each runs to its middle and to its end; there every counter of `info stats`, the frames and slots in use, and
what `ps` says of each process are those of the model.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.models.paging import POLICIES as MODELLED

CHUNK = 30
FIRST_FRAME = 64

# A machine is one of each; the last two memories have no frames of pages' own: tables take what they need.
QUANTA = [0, 1, 3, 7]
MEMORIES = [(4096, 3), (4096, 6), (400, 0), (364, 0)]  # KiB, and user_frames
SLOTS = [10, 40, 300]
MACHINES = list(itertools.product(MODELLED, [True, False], QUANTA, MEMORIES, SLOTS))
STRIDE = 239  # has no factor in common with their number, so that they come well mixed
SHAPES = [[(1, 2), (2, 2)], [(2, 2), (4, 2)], [(4, 1), (2, 4)], [(1, 4)], [(2, 1), (1, 8)]]


def machine(seed: int) -> dict[str, Any]:
    """The machine that the program of this seed runs on."""
    policy, asids, quantum, (ram, users), slots = MACHINES[seed * STRIDE % len(MACHINES)]
    return {
        "policy": policy,
        "asids": asids,
        "numbers": [0, 2, 3][seed // 3 % 3],
        "quantum": quantum,
        "frames": ram // 4 - FIRST_FRAME,
        "kernel_tables": 4 if ram % 2048 else 3,  # its half maps memory in pages of 2 MiB if that fits
        "user_frames": users,
        "slots": slots,
        "zero_drop": seed % 2 == 0,
        "tlb": SHAPES[seed // 4 % len(SHAPES)],
        "stack_pages": 256,
    }


def toml(made: dict[str, Any], name: str) -> str:
    """The same machine as a file."""
    shapes = [f'"{sets}x{ways}"' for sets, ways in made["tlb"]] + ['"off"']
    return f"""
[machine]
format = "x86_64"
ram = "{(made["frames"] + FIRST_FRAME) * 4}K"
swap.size = "{made["slots"] * 4}K"
program = "{name}.vmp"
[tlb]
l1 = {shapes[0]}
l2 = {shapes[1]}
asids = {str(made["asids"]).lower()}
[kernel]
first_frame = {FIRST_FRAME}
user_frames = {made["user_frames"]}
policy = "{made["policy"]}"
quantum = {made["quantum"]}
zero_drop = {str(made["zero_drop"]).lower()}
asids = {made["numbers"]}
"""


def session(name: str, middle: int) -> list[str]:
    """Commands that run a program to both times, and print what is compared, a line each."""
    questions = ["info stats/json", "info machine/json", "ps/json -all", "swap/json"]
    look = [command for question in questions for command in (question, "echo \\n@\\n")]
    return [
        f"machine {name}.toml",
        "handle SIGSEGV nostop noprint",
        "handle SIGKILL nostop noprint",
        f"goto {middle}",
        "echo \\n@\\n",
        *look,
        "continue",
        "echo \\n@\\n",
        *look,
    ]


def counted(answers: list[Any]) -> dict[str, Any]:
    """What the tool says, by the names that the model has."""
    stats, info, processes, slots = answers
    facts: dict[str, Any] = {row["event"]: row["count"] for row in stats}
    facts |= {f"{state} frames": info["frames"][state] for state in ("free", "table", "user")}
    facts["operations"] = info["operations"]
    facts["slots in use"] = info["slots"] - info["free_slots"]
    facts["references of slots"] = sorted(row["refs"] for row in slots)
    for row in processes:
        pages = [row[key] // 4096 for key in ("rss", "swapped", "tables")]
        facts[f"process {row['pid']}"] = [
            *pages,
            row["minor_faults"],
            row["major_faults"],
            row["status"],
        ]
    return facts


def differences(tool: dict[str, Any], model: dict[str, Any]) -> list[str]:
    keys = sorted(tool.keys() | model.keys())
    both = [(key, tool.get(key, 0), model.get(key, 0)) for key in keys]
    return [f"{key}: {ours}, the model says {theirs}" for key, ours, theirs in both if ours != theirs]


def compare(
    seeds: range, paging: ModuleType, programs: ModuleType, run: Callable[..., Any], engine: str, folder: Path
) -> None:
    """Run the programs of the seeds in one session, and hold what they counted against the model."""
    script = ["set confirm off", f"set engine {engine}"]
    expected = []
    for seed in seeds:
        text, processes = programs.program(seed)
        made, name = machine(seed), f"p{seed}"
        (folder / f"{name}.vmp").write_text(text)
        (folder / f"{name}.toml").write_text(toml(made, name))
        whole = paging.Machine(processes, **made)
        whole.run()
        part = paging.Machine(processes, **made)
        part.run(whole.time // 2)
        expected += [part.facts(), whole.facts()]
        script += session(name, whole.time // 2)
    (folder / "all.vmdbg").write_text("\n".join(script) + "\n")
    done: subprocess.CompletedProcess[str] = run(
        "-nx", "-q", "-batch", "--strict", "-x", "all.vmdbg", cwd=folder, timeout=250
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [part.strip() for part in done.stdout.split("\n@\n")]
    for index, model in enumerate(expected):
        start = index * 5 + 1  # before each four answers stands what the run printed
        tool = counted([json.loads(answer) for answer in answers[start : start + 4]])
        seed, where = seeds[index // 2], ["middle", "end"][index % 2]
        found = differences(tool, model)
        assert not found, f"{found}: seed {seed}, {where}, {machine(seed)}"


@pytest.fixture
def check(
    model: Callable[[str], ModuleType], run_vmdbg: Callable[..., Any], tmp_path: Path, engine: str
) -> Callable[[range], None]:
    """Compare the programs of a range of seeds."""
    paging, programs = model("paging"), model("paging_programs")
    return lambda seeds: compare(seeds, paging, programs, run_vmdbg, engine, tmp_path)


def test_some_programs_count_what_the_model_counts(check: Callable[[range], None]) -> None:
    check(range(1000, 1002))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 300, CHUNK))
def test_programs_count_what_the_model_counts(check: Callable[[range], None], first: int) -> None:
    check(range(first, first + CHUNK))
