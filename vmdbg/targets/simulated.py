"""The simulated machine as a target: what commands ask, as plain data.  All of it is pure."""

from __future__ import annotations

from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Simulated:
    """The simulated machine behind the prompt."""

    name = "simulated"
    capabilities = frozenset({"translate", "tlb", "act", "run", "kernel"})

    def __init__(self, config: MachineConfig) -> None:
        self.machine = Machine(config)
        boot_program(self.machine)

    @property
    def m(self) -> Any:
        """The machine's tables."""
        return self.machine.m


def open_machine(name: str = "default") -> Simulated:
    """Boot the machine of that preset or TOML file."""
    return Simulated(load_config(name))


def boot_program(machine: Machine) -> None:
    """Load the program that the configuration names, run its warm-up, swap out what it names."""
    config = machine.config
    if config["machine.program"]:
        from vmdbg.programs import read_program

        form = machine.format
        machine.load(read_program(config["machine.program"], va_bits=form.va_bits, page_size=form.page_size))
        machine.run(config["machine.warm"])
    for item in config["kernel.swapped"].split():
        pid, _, address = item.partition(":")
        machine.swap_out(int(pid), int(address, 0))
