"""Page-walk caches save reads of entries and change nothing else, as long as the kernel invalidates."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.formats import NAMES, find
from vmdbg.machine.check.invariants import check
from vmdbg.machine.machine import Machine

#: Formats with caches of their tables, but for the last level's.
CACHES = {
    name: " ".join(f"{level.name}:{1 + place % 2}" for place, level in enumerate(find(name).levels[-4:-1]))
    for name in NAMES
    if len(find(name).levels) > 1
}
SAME = ("ram1", "cpu", "kernel", "frame", "rmap", "region", "process", "slot", "swap8")


def told(machine: Machine) -> dict[str, int]:
    """The events, but for reads of entries and those of the caches."""
    left_out = ("walk-step", "walk-cache-hit", "walk-cache-flush")
    return {name: count for name, count in machine.counts().items() if name not in left_out}


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(40), deadline=None)
@hypothesis.given(st.data())
def test_a_machine_without_them_does_the_same(
    model: Callable[[str], ModuleType], data: st.DataObject
) -> None:
    machines = model("machines")
    walking = {name: build for name, build in machines.BUILDS.items() if build.fill != "kernel"}
    builds = sorted(name for name, build in walking.items() if build.format in CACHES)
    build = machines.BUILDS[data.draw(st.sampled_from(builds))]
    case = data.draw(machines.cases(build))
    runs = []
    for caches in ("", CACHES[build.format]):
        config = case.config.with_({"tlb.walk_cache": caches})
        machine = machines.Case(config, case.program, case.turned).boot()
        machine.run(400)
        assert check(machine) == []
        runs.append(machine)
    without, with_them = runs
    assert told(with_them) == told(without)
    assert [bytes(with_them.buffers[name]) == bytes(without.buffers[name]) for name in SAME] == [True] * len(
        SAME
    )
    hits, steps = with_them.counts().get("walk-cache-hit", 0), "walk-step"
    assert with_them.counts().get(steps, 0) + hits <= without.counts().get(steps, 0)
