"""Whatever happens, in whatever order: the machine agrees with itself, and no byte is lost or leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine

#: What is bound when an engine is built; everything else varies from run to run.
BUILDS: dict[str, dict[str, Any]] = {
    "x86_64": {"machine.format": "x86_64", "kernel.policy": "clock", "machine.cpus": 2},
    "x86_32": {"machine.format": "x86_32", "kernel.policy": "lru", "tlb.asids": False, "machine.cpus": 2},
    "sv39": {"machine.format": "sv39", "kernel.policy": "random", "machine.cpus": 3},
    "svade": {"machine.format": "sv39-svade", "kernel.policy": "fifo", "tlb.walk_cache": "L2:1 L1:2"},
    "software": {"machine.format": "tutorial16", "kernel.policy": "clock"},
    "hardware": {"machine.format": "tutorial16-hw", "kernel.policy": "lru", "machine.cpus": 2},
    "own": {"machine.format": "own.toml", "kernel.policy": "fifo", "machine.cpus": 2},
    "large": {"machine.format": "sv39", "kernel.policy": "clock", "machine.cpus": 2, "large": True},
}
FAST = ("x86_64", "software", "own")
OWN = """
[format]
name = "own"
va_bits = 14
entry_bytes = 2
hierarchical = true
levels = [{ name = "A", bits = 2 }, { name = "B", bits = 4, leaf = true }, { name = "C", bits = 3 }]
inverted = ["writable"]
[format.fields]
valid = 15
writable = 14
accessed = 13
dirty = 12
huge = 11
user = 10
frame = { low = 0, width = 9 }
slot_mark = 14
slot = { low = 0, width = 9 }
"""


@st.composite
def settings(draw: st.DrawFn, name: str, folder: Path) -> dict[str, Any]:
    """A small machine of a build."""
    values = dict(BUILDS[name])
    large = values.pop("large", False)
    if name == "own":
        (folder / "own.toml").write_text(OWN)
        values["machine.format"] = str(folder / "own.toml")
    small = name in ("own", "software", "hardware")
    page = 32 if name == "own" else 256 if small else 4096
    frames = 3 * 512 if large else draw(st.sampled_from((40, 64, 64) if not small else (48, 64, 100)))
    values |= {"tlb.l1": "2x2", "tlb.l2": "4x2", "kernel.first_frame": 1, "machine.ram": frames * page}
    values["machine.swap.size"] = draw(st.sampled_from((100, 100, 12, 3, 0))) * page
    values["kernel.min_free"] = draw(st.sampled_from((0, 0, 1, 2)))
    low = draw(st.sampled_from((0, 0, 2, 4)))
    values["kernel.low_free"], values["kernel.high_free"] = low, low + draw(st.integers(0, 3))
    values["kernel.quantum"] = draw(st.sampled_from((0, 0, 1, 3)))
    values["kernel.limit"] = draw(st.sampled_from((0, 0, 0, 6, 14)))
    values["kernel.over_limit"] = draw(st.sampled_from(("kill", "reclaim")))
    values["kernel.stack_limit"] = draw(st.sampled_from((0, 6, 100))) * page
    values["kernel.user_frames"] = draw(st.sampled_from((0, 0, 9, 20))) if not large else 0
    values["machine.seed"] = draw(st.integers(1, 100))
    if values.get("machine.cpus", 1) > 1:
        values["machine.shootdown"] = draw(st.sampled_from(("now", "lazy")))
    if values.get("tlb.asids", True):
        values["kernel.asids"] = draw(st.sampled_from((0, 0, values.get("machine.cpus", 1) + 1)))
    return values


def machine_class(
    lives: ModuleType, name: str, folder: Path, ready: Callable[[Machine], Machine] | None
) -> type[RuleBasedStateMachine]:
    """A state machine of hypothesis for a build; `ready` gives a machine its compiled engine."""

    class Whatever(RuleBasedStateMachine):
        @initialize(values=settings(name, folder))
        def boot(self, values: dict[str, Any]) -> None:
            config = MachineConfig(values)
            compiled = ready(Machine(config)).compiled if ready is not None else None
            base = 0 if name in ("own", "software", "hardware") else 0x400000
            self.lives = lives.Lives(config, base, compiled)
            self.lives.check()

        @rule(
            kind=st.sampled_from(lives.KINDS + ("write", "read") * 3),
            who=st.integers(0, 7),
            where=st.integers(0, 31),
            how=st.integers(1, 255),
        )
        def something(self, kind: str, who: int, where: int, how: int) -> None:
            lives.step(self.lives, kind, who, where, how)

        @rule(go=st.integers(0, 9))
        def to_a_file_and_back(self, go: int) -> None:
            if go == 0:
                self.lives.to_file_and_back(str(folder / "saved"))

    return Whatever


def run(kind: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Runs of so many steps."""
    checks = list(hypothesis.HealthCheck)
    chosen = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
    )
    run_state_machine_as_test(kind, settings=chosen)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(BUILDS))
def test_whatever_happens(name: str, tmp_path: Path, model: Callable[[str], ModuleType]) -> None:
    run(machine_class(model("lives"), name, tmp_path, None), 4 if name in FAST else 2, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUILDS))
def test_whatever_happens_often(name: str, tmp_path: Path, model: Callable[[str], ModuleType]) -> None:
    run(machine_class(model("lives"), name, tmp_path, None), 100, 50)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize("name", FAST)
def test_whatever_happens_compiled(
    name: str,
    tmp_path: Path,
    model: Callable[[str], ModuleType],
    ready: Callable[[Machine], Machine],
    both: None,
) -> None:
    """Each operation is executed by both engines, and has to end in the same state."""
    run(machine_class(model("lives"), name, tmp_path, ready), 100, 50)
