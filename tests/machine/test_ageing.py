"""No byte is lost, whatever comes between a write and the swap area: ageing, mprotect, fork, files."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine

pytestmark = pytest.mark.long

BUILDS: dict[str, dict[str, Any]] = {
    "x86_64": {"machine.format": "x86_64", "kernel.policy": "clock", "machine.cpus": 2},
    "sv39": {"machine.format": "sv39", "kernel.policy": "clock-cached"},
    "svade": {"machine.format": "sv39-svade", "kernel.policy": "clock"},
    "software": {"machine.format": "tutorial16", "kernel.policy": "clock"},
}


@st.composite
def settings(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A small machine of a build."""
    page = 256 if name == "software" else 4096
    values = {**BUILDS[name], "tlb.l1": "2x2", "tlb.l2": "off", "kernel.first_frame": 1}
    values["machine.ram"] = 64 * page
    values["machine.swap.size"] = draw(st.sampled_from((60, 60, 8))) * page
    values["kernel.user_frames"] = draw(st.sampled_from((0, 0, 4, 7)))
    return values


def machine_class(
    ageing: ModuleType, name: str, ready: Callable[[Machine], Machine] | None
) -> type[RuleBasedStateMachine]:
    """A state machine of hypothesis for a build; `ready` gives a machine its compiled engine."""

    class PagesThatAge(RuleBasedStateMachine):
        @initialize(values=settings(name))
        def boot(self, values: dict[str, Any]) -> None:
            config = MachineConfig(values)
            compiled = ready(Machine(config)).compiled if ready is not None else None
            self.ageing = ageing.Ageing(config, 0 if name == "software" else 0x400000, compiled)
            self.ageing.check()

        @rule(
            kind=st.sampled_from(ageing.KINDS + ageing.MORE * 3),
            who=st.sampled_from((0, 0, 0, 1, 2)),
            where=st.sampled_from(ageing.PLACES),
            how=st.integers(1, 255),
        )
        def something(self, kind: str, who: int, where: int, how: int) -> None:
            ageing.step(self.ageing, kind, who, where, how)

    return PagesThatAge


def run(kind: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Runs of so many steps."""
    chosen = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(kind, settings=chosen)


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_no_byte_is_lost(name: str, model: Callable[[str], ModuleType]) -> None:
    run(machine_class(model("ageing"), name, None), 3, 50)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUILDS))
def test_no_byte_is_lost_often(name: str, model: Callable[[str], ModuleType]) -> None:
    run(machine_class(model("ageing"), name, None), 300, 50)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize("name", ["x86_64", "software"])
def test_no_byte_is_lost_compiled(
    name: str,
    model: Callable[[str], ModuleType],
    ready: Callable[[Machine], Machine],
    both: None,
) -> None:
    """Each operation is executed by both engines, and has to end in the same state."""
    run(machine_class(model("ageing"), name, ready), 300, 50)
