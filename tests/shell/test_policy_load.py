"""policy load: a policy of one's own, edited and loaded again, in both engines; and what it may call."""

from __future__ import annotations

import importlib
import json
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg.engine import build
from vmdbg.inspect.target import boot
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.shell.boot import MachineSettings

DOCS = Path(__file__).resolve().parents[2] / "docs"
STRING = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1]
FRAMES, START, PAGE = 3, 0x400000, 4096
FIFO = '''"""The page that came first."""
from vmdbg.engine import reads, writes
from vmdbg.kernel.policies.queue import oldest_that_leaves, queue_append, queue_remove

@writes
def policy_load(m, frame):
    queue_append(m, frame)

@writes
def policy_unload(m, frame):
    queue_remove(m, frame)

@reads
def victim(m, pid):
    return oldest_that_leaves(m, pid)
'''
OWN = {
    "fifo": FIFO,
    "second-chance": (DOCS / "examples" / "second-chance.py").read_text(),
    "nru": (DOCS / "examples" / "nru.py").read_text(),
}


def nru(references: list[tuple[int, bool]], frames: int) -> int:
    """Not recently used over a dictionary: page -> [frame, accessed, dirty]; faults."""
    held: dict[int, list[int]] = {}
    faults = 0
    for page, written in references:
        if page not in held:
            faults += 1
            frame = len(held)
            if frame == frames:
                gone = min(held, key=lambda each: (2 * held[each][1] + held[each][2], held[each][0]))
                frame = held.pop(gone)[0]
                for bits in held.values():
                    bits[1] = 0
            held[page] = [frame, 0, 0]
        held[page][1] = 1
        held[page][2] |= written
    return faults


@pytest.fixture(scope="session")
def expected(model: Callable[[str], ModuleType]) -> dict[str, int]:
    """The faults of each policy on the string, by models of their own."""
    models: Any = model("replacement").MODELS
    references = [(page, False) for page in STRING]
    return {
        "fifo": len(models["fifo"](references, FRAMES)),
        "second-chance": len(models["clock"](references, FRAMES)),
        "nru": nru(references, FRAMES),
    }


@pytest.fixture
def shell(make_shell: Any) -> Any:
    """A session at a machine with three frames and a program that reads the string."""
    made = make_shell(target=False)
    reads = "".join(f"read {START + page * PAGE:#x}\n" for page in STRING)
    Path("string.vmp").write_text(f"process p\nregion heap {START:#x} 64K rw\n{reads}")
    config = load_config("default").with_({"kernel.user_frames": FRAMES, "kernel.swapped": ""})
    made.session.target = boot(config, "string.vmp")
    return made


def faults(machine: Machine) -> int:
    counts = machine.counts()
    return counts.get("fault-minor", 0) + counts.get("fault-major", 0)


def edit_and_reload(shell: Any, expected: dict[str, int], compiled: bool, names: tuple[str, ...]) -> None:
    """Load a file, run, edit it, load it again, run, for each of some texts."""
    effects = []
    for name in names:
        Path("own.py").write_text(OWN[name])
        said = json.loads(shell.run("policy load/json own.py"))
        effects.append((said["again"], said["effect"]))
        shell.run("run")
        assert faults(shell.session.machine) == expected[name], name
        code = shell.session.machine.compiled
        assert (code is not None and code.full) == compiled
        assert check(shell.session.machine) == []
    assert effects == [(False, "now"), *[(True, "run")] * (len(names) - 1)]
    assert shell.err() == ""
    assert len(set(expected.values())) == 3


def test_an_edited_policy_is_loaded_again(shell: Any, expected: dict[str, int]) -> None:
    shell.run("set engine interpreted")
    edit_and_reload(shell, expected, False, ("fifo", "nru", "second-chance"))


@pytest.mark.long
def test_an_edited_policy_is_compiled_again(shell: Any, expected: dict[str, int], both: None) -> None:
    """The first text comes back, with the code that was made of it."""
    shell.run("set engine compiled")
    edit_and_reload(shell, expected, True, ("fifo", "nru", "fifo"))


@pytest.mark.slow
def test_two_policies_by_turns_from_the_cache(
    shell: Any, expected: dict[str, int], both: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own counts, also where its code was not made but found."""
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    for name in ("fifo", "nru"):
        Path(f"{name}.py").write_text(OWN[name])
    shell.run("set engine compiled")
    for turn in range(3):
        for name in ("fifo", "nru"):
            shell.run(f"policy load {name}.py", "run")
            machine = shell.session.machine
            assert faults(machine) == expected[name]
            assert machine.compiled.from_cache == (turn > 0)
        monkeypatch.setattr(build, "_builds", {})  # as in another process
    assert shell.err() == ""


def test_a_setting_with_the_same_file_reads_its_new_text(shell: Any, expected: dict[str, int]) -> None:
    shell.session.settings.attach_later(lambda: MachineSettings(shell.session))
    for name in ("fifo", "nru"):
        Path("own.py").write_text(OWN[name])
        shell.run("set kernel.policy own.py", "run")
        assert faults(shell.session.machine) == expected[name], name
    Path("own.py").write_text("junk(")
    assert "own.py:1:5: not Python" in shell.errors("set kernel.policy own.py")
    shell.run("run")
    assert faults(shell.session.machine) == expected["nru"]


def test_what_is_said(shell: Any) -> None:
    Path("own.py").write_text(FIFO)
    assert shell.errors("policy load") == "Argument required (a .py file with a policy).\n"
    assert shell.run("policy load own.py").splitlines() == [
        "own.py: The page that came first.",
        "own.py is loaded (policy_load, policy_unload, victim): it has taken effect.",
    ]
    assert (
        shell.run("policy load")
        == "own.py has not changed (policy_load, policy_unload, victim): nothing to do.\n"
    )
    shell.run("step 3")
    Path("own.py").write_text(FIFO.partition("\n")[2])
    again = (
        'own.py is loaded again (policy_load, policy_unload, victim): it takes effect at the next "run".\n'
    )
    assert shell.run("policy load") == again


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            FIFO.replace("return oldest", "x = 1 / 2\n    return oldest"),
            "own.py:15: victim: the operator Div",
        ),
        (FIFO.replace("return oldest", "return newest"), "own.py:15: victim: a call of no hot function"),
        (FIFO.replace("(m, pid):", "(m):"), "own.py:14: expected victim(m, pid)"),
        (FIFO + "x = (\n", "own.py:16:5: not Python: '(' was never closed"),
        (FIFO.replace(" queue_append,", " append,"), "own.py:3: cannot import name 'append'"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_policy_stays(
    shell: Any, expected: dict[str, int], text: str, said: str
) -> None:
    Path("own.py").write_text(FIFO)
    shell.run("policy load own.py", "step 9")
    digest = shell.session.machine.digest()
    Path("own.py").write_text(text)
    told = shell.errors("policy load own.py")
    assert said in told
    assert told.count("\n") == 1
    assert shell.session.machine.digest() == digest
    shell.run("run")
    assert faults(shell.session.machine) == expected["fifo"]


def test_what_is_no_policy_is_refused(shell: Any, make_shell: Any) -> None:
    Path("own.txt").write_text(FIFO)
    Path("own.py").write_text(FIFO)
    assert shell.errors("policy load own.txt") == "own.txt: expected a .py file with a policy.\n"
    assert "none.py: No such file or directory." in shell.errors("policy load none.py")
    Path("lab.vmdbg").write_text("policy load own.py\n")
    assert "keeps the machine that it was given" in shell.errors("source -isolated lab.vmdbg")
    restricted = make_shell(restricted=True, target=False)
    restricted.session.target = boot(load_config("default"), "string.vmp")
    assert "not allowed in a restricted session" in restricted.errors("policy load own.py")


# -- what a policy may call


def helpers() -> dict[str, str]:
    """The table of docs/policies.md: call -> module."""
    page = (DOCS / "policies.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+\([^`]*\))` \| `(vmdbg\.[\w.]+)` \|", page, re.MULTILINE)
    assert len(found) > 10
    return dict(found)


ALL_CALLS = """
from vmdbg.shell.startup import attach_machine_settings
from vmdbg.state.tables import FRAME, FRAME_RMAP, KERNEL_RANDOM, RMAP, RMAP_ENTRY

@writes
def policy_load(m, frame):
    queue_append(m, frame)

@writes
def policy_unload(m, frame):
    queue_remove(m, frame)

@writes
def victim(m, pid):
    frame = oldest_that_leaves(m, pid)
    if frame < 0:
        return frame
    state = m.kernel[KERNEL_RANDOM]
    address = m.rmap[m.frame[frame * FRAME + FRAME_RMAP] * RMAP + RMAP_ENTRY]
    entry = load_entry(m, address)
    queue_remove(m, frame)
    queue_append(m, frame)
"""


def machine_with(policy: Path) -> Machine:
    values = {
        "machine.ram": 1 << 20, "machine.swap.size": 40 * PAGE, "kernel.first_frame": 3,
        "kernel.user_frames": FRAMES, "kernel.policy": str(policy),
    }  # fmt: skip
    machine = Machine(MachineConfig(values))
    rows = array("q")
    for place, page in enumerate(STRING * 3):
        rows.extend((place % 3 == 0, START + page * PAGE, 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    region = RegionSpec("heap", START, 24 * PAGE, 15)
    machine.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], rows)]))
    return machine


@pytest.mark.long
def test_what_the_page_says_may_be_called_in_both_engines(tmp_path: Path, both: None) -> None:
    calls = helpers()
    lines = ["from vmdbg.engine import reads, writes\n"]
    for call, module in calls.items():
        name = call.partition("(")[0]
        assert callable(getattr(importlib.import_module(module), name))
        lines.append(f"from {module} import {name}\n")
    told = [call for call in calls if not call.startswith(("queue_append", "queue_remove"))]
    body = "".join(f"    {call}\n" for call in told) + "    return oldest_that_leaves(m, pid)\n"
    file = tmp_path / "calls.py"
    file.write_text("".join(lines) + ALL_CALLS + body)
    machines = machine_with(file), machine_with(file)
    machines[1].compile()
    for machine, compiled in zip(machines, (False, True), strict=True):
        machine.run(1000, compiled)
        assert check(machine) == []
    assert machines[0].digest() == machines[1].digest()
    assert machines[0].counts()["age"] > 0


def test_nru_knows_what_is_written(tmp_path: Path) -> None:
    machine = machine_with(DOCS / "examples" / "nru.py")
    machine.run(1000)
    references = [(page, place % 3 == 0) for place, page in enumerate(STRING * 3)]
    assert faults(machine) == nru(references, FRAMES)
