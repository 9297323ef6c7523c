"""Whatever happens to a machine: two states of it differ exactly if their digests do."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from vmdbg.inspect.diff_facts import State
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import STATE, TABLES
from vmdbg.views.diff import difference_table

pytestmark = pytest.mark.long

BUILDS: dict[str, dict[str, Any]] = {
    "x86_64": {"machine.format": "x86_64", "kernel.policy": "clock", "machine.cpus": 2},
    "sv39": {"machine.format": "sv39", "kernel.policy": "lru", "tlb.walk_cache": "L2:1 L1:2"},
    "software": {"machine.format": "tutorial16", "kernel.policy": "fifo", "tlb.asids": False},
}
#: Tables of which any word may be anything: no other table's rows are found by them.
FREE = ("ram1", "swap8", "file8", "count", "op")
#: Columns of the others that may be.
WILD = {
    "cpu": ("quantum", "control0", "control3", "address", "code"),
    "process": ("rss", "minor", "pc", "oom", "loop3", "name1"),
    "frame": ("previous", "slot"),
    "region": ("limit", "last"),
    "slot": ("va", "next"),
    "kernel": ("random", "hand", "oldest", "quantum", "generation"),
    "array": ("random", "present"),
    "tlb": ("word",),
}
KEPT = 2  # states that are compared with


def settings(name: str, draw: st.DrawFn) -> dict[str, Any]:
    """A small machine of a build."""
    page = 256 if name == "software" else 4096
    return BUILDS[name] | {
        "tlb.l1": "2x2",
        "tlb.l2": "4x2",
        "kernel.first_frame": 1,
        "machine.ram": 64 * page,
        "machine.swap.size": draw(st.sampled_from((60, 4))) * page,
        "kernel.quantum": draw(st.sampled_from((0, 2))),
        "machine.seed": draw(st.integers(1, 100)),
    }


def spoil(machine: Machine, seed: int) -> None:
    """Change one bit of the machine's state, somewhere."""
    draw = random.Random(seed)
    name = draw.choice((*FREE, *WILD))
    table = TABLES[name]
    buffer = memoryview(machine.buffers[name]).cast("B")
    rows = len(buffer) // (8 * table.width)
    if not len(buffer) or (name in WILD and not rows):
        return
    if name in WILD:
        column = list(table.columns).index(draw.choice(WILD[name]))
        row = draw.randrange(min(rows, 40))
        at = 8 * (row * table.width + column) + draw.randrange(3)
        if name == "frame":
            machine.k.mark_frame(machine.m, row)
    else:
        at = draw.randrange(len(buffer))
    buffer[at] ^= 1 << draw.randrange(8)
    if name == "ram1":
        machine.recorder.mark(at, at + 1)
    elif name in ("swap8", "file8"):
        marks = machine.buffers["swapdirty" if name == "swap8" else "filedirty"]
        marks[at // machine.recorder.chunk_size(name)] = 1


def machine_class(
    lives: ModuleType, name: str, ready: Callable[[Machine], Machine] | None
) -> type[RuleBasedStateMachine]:
    """A state machine of hypothesis for a build; `ready` gives a machine its compiled engine."""

    class Differing(RuleBasedStateMachine):
        @initialize(data=st.data())
        def boot(self, data: st.DataObject) -> None:
            config = MachineConfig(settings(name, data.draw))
            compiled = ready(Machine(config)).compiled if ready is not None else None
            self.lives = lives.Lives(config, 0 if name == "software" else 0x400000, compiled)
            self.kept: list[tuple[State, str]] = []
            self.compare()

        def compare(self) -> None:
            """The state as it is against those that were kept, in either direction."""
            machine = self.lives.machine
            now, digest = State(machine), machine.digest()
            for place, (before, known) in enumerate(self.kept):
                rows = list(difference_table(*((before, now) if place else (now, before))).rows)
                assert bool(rows) == (known != digest), rows or "no row, but other digests"
                assert all(len(row) == 4 and all(row[:2]) for row in rows)
            self.kept = [*self.kept[-KEPT:], (now, digest)]

        @rule(
            kind=st.sampled_from(lives.KINDS),
            who=st.integers(0, 7),
            where=st.integers(0, 31),
            how=st.integers(1, 255),
        )
        def something(self, kind: str, who: int, where: int, how: int) -> None:
            lives.step(self.lives, kind, who, where, how)
            self.compare()

        @rule(seed=st.integers(0, 1 << 30), back=st.booleans())
        def one_bit(self, seed: int, back: bool) -> None:
            """Anything is a difference; once it is undone, there is none."""
            machine = self.lives.machine
            before = machine.snapshot()
            if back:
                held = State(machine), machine.digest()
            spoil(machine, seed)
            self.compare()
            machine.restore(before)
            if back:
                self.kept.append(held)
                self.compare()

    return Differing


def run(kind: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Runs of so many steps."""
    chosen = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(kind, settings=chosen)


def compiled_for(engine: str, ready: Callable[[Machine], Machine]) -> Callable[[Machine], Machine] | None:
    """What gives a machine its compiled engine, if that is asked for."""
    return ready if engine == "compiled" else None


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_no_difference_exactly_if_the_digests_are_equal(
    engine: str, name: str, model: Callable[[str], ModuleType], ready: Callable[[Machine], Machine]
) -> None:
    run(machine_class(model("lives"), name, compiled_for(engine, ready)), 4, 20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(BUILDS))
def test_no_difference_exactly_if_the_digests_are_equal_often(
    engine: str, name: str, model: Callable[[str], ModuleType], ready: Callable[[Machine], Machine]
) -> None:
    run(machine_class(model("lives"), name, compiled_for(engine, ready)), 300, 50)


def test_every_table_of_the_state_is_compared() -> None:
    from vmdbg.machine.diff import CONTENT, row_tables

    state = {name for name, table in TABLES.items() if table.group == STATE}
    assert {*CONTENT, *row_tables()} == state


def test_saved_machines_of_other_formats_say_so(tmp_path: Path) -> None:
    states = [State(Machine(MachineConfig(dict(BUILDS[name])))) for name in ("x86_64", "sv39")]
    rows = list(difference_table(*states).rows)
    assert rows[0] == ["machine", "format", "x86_64", "sv39"]
