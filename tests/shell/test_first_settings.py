"""Settings before the first boot, dotted names, and names that look like registers."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.shell.test_breakpoints import Prompt

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("more", [[], ["-m", "pressure"], ["-m", "sv39"]])
def test_the_first_machine_boots_with_them(run_vmdbg: Run, more: list[str]) -> None:
    first = ["-iex", "set kernel.policy fifo", "-iex", "set tlb.asids off", "-iex", "show kernel.policy"]
    done = run_vmdbg("-nx", "-batch", *first, *more, "-ex", "show kernel.policy", "-ex", "show tlb.asids")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1]
    assert lines[1].endswith('is "fifo".')
    assert lines[2].endswith("is off.")


def test_a_wrong_value_is_said_and_the_machine_boots_without_it(run_vmdbg: Run) -> None:
    done = run_vmdbg("-nx", "-batch", "-iex", "set kernel.policy nosuch", "-ex", "show kernel.policy")
    assert done.stderr == 'Undefined item: "nosuch".\n'
    assert done.stdout.endswith('is "clock".\n')


def test_values_that_do_not_go_together_refuse_the_boot(run_vmdbg: Run) -> None:
    done = run_vmdbg("-nx", "-batch", "-iex", "set machine.ram 4K", "-m", "default", "-ex", "ps")
    assert done.returncode == 1
    assert "1 frames are too few" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["kernel.policy", "set kernel.policy", "set kernel policy"])
def test_help_of_a_dotted_name_is_its_page(shell_of_machine: Any, name: str) -> None:
    assert shell_of_machine(f"help {name}").startswith(
        "Set page-replacement policy, or a file that has one.\n"
    )


@pytest.fixture
def shell_of_machine() -> Callable[[str], str]:
    """Runs lines on the default machine; what is said."""
    prompt = Prompt(machine="default")
    return lambda line: prompt.run(line) + prompt.err.getvalue()


@pytest.mark.parametrize("name", ["cr5", "rip", "satp", "ttbr0_el1", "rflags", "satp.mode"])
def test_the_name_of_a_register_that_is_not_there(name: str) -> None:
    prompt = Prompt(machine="default")
    register = name.partition(".")[0]
    said = f"warning: This machine has no register {register}; ${register} is "
    assert prompt.error(f"print ${name}").startswith(said + "void.\n")
    if register == name:
        assert prompt.error(f"set ${name} = 1") == said + "now a convenience variable.\n"
        assert prompt.error(f"print ${name}") == ""


@pytest.mark.parametrize("line", ["set $x = 1", "print $nosuch", "print $cr3", "set $cr0.wp = 0", "print $_"])
def test_other_names_do_not_warn(shell_of_machine: Any, line: str) -> None:
    assert "warning" not in shell_of_machine(line)
