"""Random machines and programs: every instant of a run can be gone to, in any order."""

from __future__ import annotations

import random
from array import array

import pytest

from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import events_from_here, forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.kernel.policies import POLICIES, facts_of
from vmdbg.kernel.policies.facts import FUTURE
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

pytestmark = pytest.mark.long

#: Policies that do not have to know the program.
ANY_PROGRAM = [name for name in POLICIES if facts_of(name).sees != FUTURE]  # type: ignore[union-attr]


def make(seed: int, fixed: dict[str, object] | None = None) -> Timeline:
    """A small machine under pressure with one to three processes: swapping, killing, taking turns.

    `fixed` are settings that are not drawn.
    """
    draw = random.Random(seed)
    values = {
        "machine.program": "",
        "machine.cpus": draw.choice([1, 2, 3]),
        "machine.swap.size": draw.choice([512, 1024, 4096]),
        "kernel.quantum": draw.choice([0, 1, 3]),
        "kernel.limit": 0,
        "kernel.user_frames": draw.choice([2, 4, 8]),
        "kernel.policy": draw.choice(ANY_PROGRAM),
        "tlb.asids": draw.choice([True, False]),
    }
    preset = draw.choice(["tutorial16", "tutorial16-hw"])
    machine = Machine(load_config("tutorial16" if fixed else preset).with_(values | (fixed or {})))
    specs = []
    for number in range(draw.choice([1, 2, 3])):
        rows = array("q")
        for _ in range(draw.randint(2, 12)):
            va = 256 * draw.randint(0, 9) + draw.randint(0, 255)
            rows.extend([draw.choice([0, 1, 2, 3]) | 1 << 8, va, draw.randint(0, 99), 0])
        rows.extend([16, 0, 0, 0])
        specs.append(ProcessSpec(f"p{number}", None, -1, [RegionSpec("heap", 0, 0x900, 15)], rows))
    machine.load(Program("test", "test.vmp", [], specs))
    line = Timeline(machine, Stops())
    line.stops.signals.enabled = False
    line.branch.checkpoints.spacing = draw.choice([1, 3, 7])
    return line


@pytest.mark.parametrize("seed", range(30))
def test_every_instant_is_there_in_any_order(seed: int) -> None:
    stepped, other = make(seed), make(seed)
    digests = {stepped.position: stepped.machine.digest()}
    while list(events_from_here(stepped, 1)):
        digests[stepped.position] = stepped.machine.digest()
    forward(other)
    assert (other.position, other.machine.digest()) == (stepped.position, stepped.machine.digest())
    places = list(digests)
    random.Random(seed).shuffle(places)
    for place in places[:20]:
        other.go(*place)
        assert other.machine.digest() == digests[place]
