"""Compiled code: kept on disk under a key of all that it was made from, never served for anything else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vmdbg.engine import native
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.long,
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
]

SMALL = {
    "machine.ram": 1 << 18,
    "machine.swap.size": 1 << 18,
    "kernel.first_frame": 2,
    "kernel.user_frames": 4,
    "kernel.policy": "fifo",
}
#: What a subprocess does: run a program that evicts, say how the engine came about and what happened.
SCRIPT = """
import json, sys
from array import array
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

options = json.load(sys.stdin)
for other in options.get("before", []):
    Machine(MachineConfig(options["config"] | other)).compile()
machine = Machine(MachineConfig(options["config"]))
rows = array("q")
for page in (0, 1, 2, 3, 0, 4, 0, 1, 5, 0, 2, 0, 3, 4, 0):
    rows.extend((1 | 1 << 8, 0x400000 + page * 4096, page, 0))
rows.extend((16, 0, 0, 0))
spec = ProcessSpec("p", None, -1, [RegionSpec("heap", 0x400000, 6 * 4096, 11)], rows)
machine.load(Program("p", "", [], [spec]))
if options["compiled"]:
    build = machine.build()
    machine.compiled = build.full()
machine.run(100, options["compiled"])
said = {"digest": machine.digest(), "counts": machine.counts()}
if options["compiled"]:
    said |= {"cached": machine.compiled.from_cache, "key": build.key, "trouble": build.trouble}
print(json.dumps(said))
"""


def run(package: Path, cache: Path, *, compiled: bool = True, **options: Any) -> dict[str, Any]:
    """Run SCRIPT with the package in that folder; what it said."""
    config = SMALL | options.pop("config", {})
    environment = {**os.environ, "PYTHONPATH": str(package), "VMDBG_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT],
        input=json.dumps({"config": config, "compiled": compiled, **options}),
        env=environment,
        text=True,
        capture_output=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def happened(said: dict[str, Any]) -> tuple[str, dict[str, int]]:
    return said["digest"], said["counts"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of vmdbg that a test may edit; returns the folder that holds it."""
    shutil.copytree(ROOT / "vmdbg", tmp_path / "copy" / "vmdbg", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def edit(package: Path, file: str, old: str, new: str) -> None:
    path = package / "vmdbg" / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    write(path, text.replace(old, new))


def write(path: Path, text: str) -> None:
    """Give a source its text, and a time of its own.

    Python takes bytecode for that of a source of the same size and the same second.
    """
    later = path.stat().st_mtime_ns + 2_000_000_000
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(later, later))


def test_an_edited_function_is_compiled_again_and_everything_else_comes_from_the_cache(
    package: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = run(package, cache)
    assert not first["cached"]
    again = run(package, cache)
    assert again["cached"]
    assert happened(again) == happened(first) == happened(run(package, cache, compiled=False))

    edit(
        package,
        "kernel/policies/queue.py",
        "frame = m.kernel[KERNEL_OLDEST]",
        "frame = m.kernel[KERNEL_NEWEST]",
    )
    edited = run(package, cache)
    assert not edited["cached"]
    assert edited["key"] != first["key"]
    assert happened(edited) == happened(run(package, cache, compiled=False))
    assert happened(edited) != happened(first)

    edit(
        package,
        "kernel/policies/queue.py",
        "frame = m.kernel[KERNEL_NEWEST]",
        "frame = m.kernel[KERNEL_OLDEST]",
    )
    back = run(package, cache)
    assert back["cached"]
    assert happened(back) == happened(first)


KEY = """
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
print(Machine(load_config("default")).build().key)
"""


def key_of(package: Path) -> str:
    """The name of the default machine's code, as a new process with that package sees it."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-P", "-c", KEY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


#: One edit each of what compiled code is made from: a file, what was there, what is there then.
EDITS = (
    ("hardware/tlb.py", "return (SIZES >> (size << 3)) & 255", "return (SIZES >> (size << 3)) & 127"),
    ("kernel/faults.py", "MAX_FAULTS = ", "MAX_FAULTS = 1 + "),
    ("state/events.py", "AGE = event(", "ELDER = event('elder', 'pfn', '', '', '{pfn:pfn}')\nAGE = event("),
    (
        "state/tables.py",
        "    base    [0:tlb_words]      where CPU 0's rows",
        "    new     a column\n    base    [0:tlb_words]      where CPU 0's rows",
    ),
    ("formats/declared.py", "\n@reads", "\n\n@reads"),
    ("engine/lowering.py", "\nclass Lowering", "\n\nclass Lowering"),
    ("engine/native.py", '"sroa", "simplify_cfg"', '"simplify_cfg", "sroa"'),
    ("engine/language.py", "MOST_ROUNDS = 1 << 25", "MOST_ROUNDS = 1 << 24"),
)


def test_an_edit_of_anything_that_code_is_made_from_gives_it_another_name(package: Path) -> None:
    base = key_of(package)
    assert key_of(package) == base
    for file, old, new in EDITS:
        path = package / "vmdbg" / file
        text = path.read_text("utf-8")
        assert old in text, (file, old)
        write(path, text.replace(old, new, 1))
        assert key_of(package) != base, file
        write(path, text)
        assert key_of(package) == base, file


def test_the_order_of_tables_is_part_of_the_name(package: Path) -> None:
    """Compiled code knows a table by its place."""
    base = key_of(package)
    path = package / "vmdbg" / "state" / "tables.py"
    text = path.read_text("utf-8")
    swapped = re.sub(r"^table\(", "later(", text, flags=re.MULTILINE)
    delayed = (
        "LATER = []\n\n\ndef later(*given, **named):\n    LATER.append((given, named))\n\n\n"
        "def make():\n    LATER.sort(key=lambda one: one[0][0])\n"
        "    for given, named in LATER:\n        table(*given, **named)\n\n\n"
    )
    first = swapped.index("# --- hardware")
    last = swapped.index("#: Extra views of the memory")
    write(path, swapped[:first] + delayed + swapped[first:last] + "make()\n" + swapped[last:])
    assert key_of(package) != base


CHANGING = """
import sys
from vmdbg.engine.sources import SourceError
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

machine = Machine(load_config("pressure").with_({"kernel.policy": "fifo"}))
path, old, new, when = sys.argv[1:]
def edit():
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
if when == "before":
    edit()
build = machine.build()
if when == "after":
    edit()
try:
    build.full()
except SourceError as error:
    print(error)
print(build.key)
"""


def test_hot_source_that_changes_while_vmdbg_runs_is_not_compiled(package: Path, tmp_path: Path) -> None:
    """The interpreted engine has the old one: both are to be the same."""
    cache = tmp_path / "cache"
    file = package / "vmdbg" / "kernel" / "policies" / "queue.py"
    environment = {**os.environ, "PYTHONPATH": str(package), "VMDBG_CACHE": str(cache)}
    old, new = (
        "m.frame[frame * FRAME + FRAME_PREVIOUS] = newest",
        "m.frame[frame * FRAME + FRAME_PREVIOUS] = -1",
    )
    whole = file.read_text("utf-8")
    for when in ("before", "after"):
        write(file, whole)
        command = [sys.executable, "-P", "-c", CHANGING, str(file), old, new, when]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{file} has changed since vmdbg read it: queue_append\n")
    assert os.listdir(cache) == []


@pytest.mark.slow
def test_builds_of_different_processes_live_together_in_one(tmp_path: Path) -> None:
    """Symbols are names: what two processes compiled must not be taken for one another's in a third."""
    other = {"kernel.policy": "clock", "machine.cpus": 2, "machine.payload": False}
    run(ROOT, tmp_path, config=other)
    alone = run(ROOT, tmp_path)
    together = run(ROOT, tmp_path, before=[other])
    assert together["cached"]
    assert happened(together) == happened(alone) == happened(run(ROOT, tmp_path, compiled=False))


def key(**values: object) -> str:
    """The name of the compiled code of a machine."""
    changed = {name.replace("__", "."): value for name, value in values.items()}
    return Machine(MachineConfig(SMALL | changed)).build().key


def test_the_key_is_that_of_what_is_bound() -> None:
    base = key()
    assert key() == base
    assert key(machine__ram=1 << 20, tlb__l1="8x2", kernel__quantum=3, machine__seed=7) == base
    others = [
        key(kernel__policy="clock"),
        key(machine__payload=False),
        key(machine__cpus=2),
        key(machine__cpus=3),
        key(tlb__asids=False),
        key(tlb__l2="off"),
        key(machine__format="sv39"),
        key(machine__format="sv48"),
        key(machine__format="x86_32"),
    ]
    assert len({base, *others}) == len(others) + 1
    assert key(machine__format="sv39-svade") == key(machine__format="sv39")  # a register tells them apart


def test_the_key_is_that_of_options_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    base = key()
    checked = os.environ.get("VMDBG_CHECKED", "0") == "1"
    monkeypatch.setenv("VMDBG_CHECKED", "0" if checked else "1")
    assert key() != base
    monkeypatch.undo()
    assert key() == base
    target = native.target()
    for changed in target:
        monkeypatch.setattr(native, "target", lambda changed=changed: target | {changed: "another"})
        assert key() != base


def test_a_constant_of_a_module_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from vmdbg.kernel import access

    base = key()
    monkeypatch.setattr(access, "MAX_FAULTS", 9)
    assert key() != base


def test_without_a_writable_folder_it_works_too(tmp_path: Path) -> None:
    """A file stands where the cache should be."""
    (tmp_path / "file").write_text("")
    said = run(ROOT, tmp_path / "file" / "cache")
    assert not said["cached"]
    assert "Not a directory" in said["trouble"]
    assert happened(said) == happened(run(ROOT, tmp_path, compiled=False))


def test_builds_from_the_cache_do_not_mix(tmp_path: Path) -> None:
    """Two machines whose code was compiled by other processes run their own code in one process."""
    program = (
        "import sys\n"
        "from vmdbg.machine.config import load_config\n"
        "from vmdbg.inspect.target import boot\n"
        "for policy in sys.argv[1:]:\n"
        "    config = load_config('pressure').with_({'kernel.policy': policy})\n"
        "    one, two = boot(config).machine, boot(config).machine\n"
        "    two.compile()\n"
        "    one.run(4000)\n"
        "    two.run(4000, True)\n"
        "    assert one.digest() == two.digest(), policy\n"
        "    print(policy, two.compiled.from_cache)\n"
    )
    environment = {**os.environ, "VMDBG_CACHE": str(tmp_path)}

    def run(*policies: str) -> str:
        command = [sys.executable, "-c", program, *policies]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert run("fifo") == "fifo False\n"
    assert run("random") == "random False\n"
    assert run("fifo", "random", "fifo") == "fifo True\nrandom True\nfifo True\n"
