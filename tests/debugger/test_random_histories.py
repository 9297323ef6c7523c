"""Random histories: positions in random order, acting commands, undo, redo and branches between.

Whatever was at a position of a branch is there again, in both engines, and both end alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.time.forward import events_from_here, forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.errors import UserError
from vmdbg.kernel.calls import processes
from vmdbg.machine.check.invariants import check
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import PROCESS, PROCESS_PC

from .test_random_machines import make

pytestmark = pytest.mark.long

STEPS = 24
#: Machines that differ in nothing that is bound when the engine is built: one compilation serves them.
ONE_BUILD = {
    "machine.cpus": 2,
    "machine.swap.size": 4096,
    "kernel.user_frames": 4,
    "kernel.policy": "clock",
    "tlb.asids": True,
}


def fork(machine: Machine) -> None:
    alive = processes.live_processes(machine.k)
    if not alive:
        raise UserError("Nobody is left.")
    pid = alive[0]
    machine.make_room_for_system_call(pid)
    row = machine.m.process[pid * PROCESS + PROCESS_PC]
    processes.fork(machine.k, machine.format, pid, machine.config["tlb.asids"], row)


def acts(draw: random.Random) -> tuple[str, Callable[[Machine], Any]]:
    """A command that changes the machine."""
    va = 256 * draw.randint(0, 8) + draw.randint(0, 255)
    return draw.choice([
        ("write", lambda machine: accesses.access(machine, va, 1, 1, 9)),
        ("read", lambda machine: accesses.access(machine, va, 0)),
        ("swapout", lambda machine: accesses.swap_out_pages(machine, 2)),
        ("flush", lambda machine: accesses.flush(machine, None, everything=True)),
        ("fork", fork),
    ])  # fmt: skip


def play(seed: int, engine: str, fixed: bool) -> list[str]:
    """Play a random history; its digests.  Asserts that what is known of a place is there again."""
    line = make(seed, ONE_BUILD if fixed else {})
    if engine == "compiled":
        line.machine.compile()
    line.runner.engine = engine
    draw = random.Random(seed + 1000)
    known = {(1, line.position): line.machine.digest()}
    seen = []
    for _ in range(STEPS):
        step(line, draw, known)
        place = (line.branches.current.number, line.position)
        digest = line.machine.digest()
        assert known.setdefault(place, digest) == digest, place
        seen.append(digest)
        if not line.inside:
            assert check(line.machine) == []
    for (branch, place), digest in sorted(known.items(), key=lambda item: draw.random()):
        if branch in line.branches.by_number:
            line.switch(branch)
            if place.operations <= line.end:
                line.go(*place)
                assert line.machine.digest() == digest, (branch, place)
    return seen


def step(line: Timeline, draw: random.Random, known: dict[Any, str]) -> None:
    """Do one of the things that a timeline can."""
    current = line.branches.current.number
    choice = draw.choice(["event", "operation", "go", "go", "act", "act", "undo", "redo", "branch"])
    try:
        if choice == "event":
            list(events_from_here(line, draw.randint(1, 9)))
        elif choice == "operation":
            forward(line, line.machine.operations + draw.randint(1, 5))
        elif choice == "go":
            places = [place for number, place in known if number == current and place[0] <= line.end]
            line.go(*draw.choice(sorted(places)))
        elif choice == "act":
            name, function = acts(draw)
            line.act(name, function)
            forget(line, known, line.position.operations - 1)
        elif choice == "undo":
            line.undo()
            forget(line, known, line.position.operations)
        elif choice == "redo":
            line.redo()
            forget(line, known, line.actions[-1].time if line.actions else 0)
        else:
            line.switch(draw.choice(sorted(line.branches.by_number)))
    except UserError:
        return


def forget(line: Timeline, known: dict[Any, str], last: int) -> None:
    """After a change of a branch without a future what was beyond it is no longer known."""
    current = line.branches.current.number
    for number, place in list(known):
        if number == current and place > (last, 0):
            del known[number, place]


@pytest.mark.parametrize("seed", range(25))
def test_what_was_is_there_again(seed: int) -> None:
    play(seed, "interpreted", fixed=False)


@pytest.mark.parametrize("seed", range(8))
def test_both_engines_tell_the_same_history(seed: int, engine: str) -> None:
    if engine != "compiled":
        pytest.skip("about the compiled engine")
    assert play(seed, "compiled", fixed=True) == play(seed, "interpreted", fixed=True)
