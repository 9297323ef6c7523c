"""Running in slices: Ctrl-C, and the way from the interpreted engine to the compiled one."""

from __future__ import annotations

import pytest

from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_END, AT_INTERRUPT
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_program
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine


def preset(name: str) -> Machine:
    machine = Machine(load_config(name))
    boot_program(machine)
    return machine


def timeline(machine: Machine) -> Timeline:
    found = Timeline(machine, Stops())
    found.runner.engine = "interpreted"
    return found


@pytest.mark.long
def test_a_long_run_changes_to_the_compiled_engine_when_it_is_ready(engine: str) -> None:
    if engine == "interpreted":
        pytest.skip("about the compiled engine")
    preset("default").compile()
    line = timeline(preset("default"))
    line.runner.engine, line.runner.patience, line.runner.size = "auto", 0.0, 1000
    assert forward(line).kind == AT_END
    assert line.machine.compiled is not None
    assert line.machine.compiled.full
    plain = timeline(preset("default"))
    forward(plain)
    assert line.machine.digest() == plain.machine.digest()


@pytest.mark.long
def test_without_llvmlite_a_machine_runs_interpreted_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("vmdbg.engine.native.available", lambda: False)
    line = Timeline(preset("default"), Stops(), lambda line, notice=False: said.append(line))
    line.runner.patience, line.runner.size = 0.0, 1000
    assert forward(line).kind == AT_END
    assert len(said) == 1
    assert "llvmlite" in said[0]
    line.runner.engine = "compiled"
    line.restart()
    with pytest.raises(UserError, match="llvmlite"):
        forward(line)


@pytest.mark.long
def test_ctrl_c_stops_between_two_operations() -> None:
    line = timeline(preset("default"))
    run, slices = line.machine.run, []

    def interrupted(limit: int, compiled: bool = False) -> int:
        slices.append(limit)
        if len(slices) == 3:
            line.runner.interrupts.came = True
        return run(limit, compiled)

    line.runner.size = 100
    line.machine.run = interrupted  # type: ignore[method-assign]
    assert forward(line).kind == AT_INTERRUPT
    line.machine.run = run  # type: ignore[method-assign]
    here, digest = line.position, line.machine.digest()
    assert here.events == 0
    assert line.begin < here.operations < 73015
    line.go(line.begin)
    line.go(*here)
    assert line.machine.digest() == digest
    assert forward(line).kind == AT_END
