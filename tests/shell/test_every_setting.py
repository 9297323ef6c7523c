"""Each setting that is declared changes something that is seen; one that nobody reads fails here."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from vmdbg.debugger.settings import SHELL_SETTINGS
from vmdbg.debugger.styles import ROLES
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot
from vmdbg.machine.config import SETTINGS, load_config
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.history import expand, load_history, save_history
from vmdbg.shell.report import report
from vmdbg.shell.script import Source
from vmdbg.shell.startup import folder_init, make_session

pytestmark = pytest.mark.long

LOGGED = ["set logging enabled on", "p 1", "set logging enabled off"]
PAGED = ["set height 6", "help running"]
#: Name to a value and what is typed after it, or only a value where every observation will do.
SHELL: dict[str, tuple[str, list[str]]] = {
    "confirm": ("off", ["kill 1"]),
    "pagination": ("off", PAGED),
    "height": ("6", ["help running"]),
    "width": ("20", PAGED),
    "verbose": ("on", []),
    "trace-commands": ("on", ["p 1"]),
    "max-user-call-depth": ("1", ["define f", "g", "end", "define g", "p 1", "end", "f"]),
    "listsize": ("3", ["list 9"]),
    "history save": ("on", ["p 1"]),
    "history size": ("2", ["p 1", "p 2", "p 3", "history"]),
    "history filename": ("other", ["set history save on"]),
    "history expansion": ("on", ["p 1", "!!"]),
    "history remove-duplicates": ("unlimited", ["p 1", "p 2", "p 1", "history"]),
    "style enabled": ("off", ["list 9"]),
    "style sources": ("off", ["list 9"]),
    "style theme": ("dark", ["list 9"]),
    "logging enabled": ("on", ["p 1"]),
    "logging file": ("other", LOGGED),
    "logging overwrite": ("on", LOGGED),
    "logging redirect": ("on", LOGGED),
    "print elements": ("3", ['p "abcdef"']),
    "print repeats": ("2", ["p {1, 1, 1, 1}"]),
    "print symbol": ("off", ["p/a 0x406008"]),
    "print array": ("on", ["p {1, 2}"]),
    "print null-stop": ("on", ['p "a\\0b"']),
    "print pretty": ("on", ["translate/j 0x401000"]),
    "input-radix": ("16", ["p 10"]),
    "output-radix": ("16", ["p 10"]),
    "json addresses": ("hex", ["translate/j 0x401000"]),
    "json indent": ("4", ["translate/j 0x401000"]),
    "auto-load safe-path": ("/", []),
    "engine": ("interpreted", []),
    "exceptions verbose": ("on", []),
}
#: What only a process shows: a prompt that is piped to; a line that is typed.
OUTSIDE = {"prompt", "editing", "editing-mode", "tui mouse-events"}

PROGRAM = """process work
region heap 0x400000 64K rw
region anon 0x800000 8M rw
write 0x400000 .. 0x40ffff step 4K, 1
read 0x400000 .. 0x40ffff step 4K
read 0x900000 .. 0x90ffff step 4K
write 0x800000 .. 0x8fffff step 4K, 1
fork
read 0x400000 .. 0x40ffff step 4K
munmap 0x400000, 32K
exit
process other
region heap 0x400000 64K rw
write 0x400000 .. 0x40ffff step 4K, 1
exit
"""
TRACE = " L 00400000,1\n S 00401fff,2\nI  00402000,4\n"
LOOKING = [
    "start",
    "continue",
    "goto end",
    "info machine/json",
    "info stats",
    "tlb",
    "swap",
    "info cost 0..40",
    "info registers",
    "info frames",
    "ps -all",
]
#: Name to the value, the machine, and settings that come before it.
MACHINE: dict[str, tuple[str, str, list[str]]] = {}


class Seen:
    """A session whose settings are set as they are typed; all that it wrote and did."""

    def __init__(self, folder: Path, machine: str = "", program: str = "") -> None:
        self.out = io.StringIO()
        self.session = make_session(self.out, self.out, color="always")
        self.session.output.pager = self.ask
        self.session.target = open_target(self.session, machine, program)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))
        load_history(self.session)

    def ask(self) -> str:
        self.out.write("--more--")
        return ""

    def type(self, lines: list[str]) -> None:
        interpreter, source = self.session.interpreter, Source("stdin", lines)
        interpreter.sources.append(source)
        while (line := source.read()) is not None:
            try:
                line, _ = expand(self.session, line)
            except UserError as error:
                self.session.output.error(str(error))
            interpreter.remember(line)
            interpreter.command_line(line)
        interpreter.sources.pop()


def seen_by_shell(folder: Path, lines: list[str], probe: list[str]) -> str:
    """What a session writes, with what it leaves in its folder."""
    for path in folder.iterdir():
        path.unlink()
    (folder / "vmdbg.txt").write_text("old\n")
    (folder / ".vmdbginit").write_text("")
    shown = Seen(folder)
    shown.type(lines)
    shown.out.truncate(0)
    shown.out.seek(0)
    shown.type(probe)
    session = shown.session
    session.output.lines([(role, role)] for role in ROLES)
    session.timeline.runner.say_trouble(SimpleNamespace(trouble="why nothing is cached"))
    session.output.line(folder_init(session))
    session.output.line(session.timeline.runner.engine)
    report(session, RuntimeError("a bug"))
    save_history(session)
    session.settings.set("logging enabled", False)
    files = {path.name: path.read_text() for path in sorted(folder.iterdir())}
    files = {name: re.sub(r"(?m)^set .*\n", "", text) for name, text in files.items()}
    return re.sub(r"vmdbg-bug-\w+", "vmdbg-bug", f"{shown.out.getvalue()}{files}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and a home without anything."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VMDBGHISTSIZE", raising=False)
    return here


def of_role(name: str) -> str:
    """Another value for a setting of a role."""
    return {"foreground": "red", "background": "red", "intensity": "dim"}[name.rsplit(maxsplit=1)[-1]]


@pytest.mark.parametrize("name", [s.name for s in SHELL_SETTINGS if s.name not in OUTSIDE])
def test_a_setting_of_the_shell_is_seen(name: str, folder: Path) -> None:
    value, probe = SHELL[name] if name in SHELL else (of_role(name), [])
    before = seen_by_shell(folder, [], probe)
    assert seen_by_shell(folder, [f"set {name} {value}"], probe) != before


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_used(role: str) -> None:
    root = Path(__file__).parent.parent.parent / "vmdbg"
    sources = (p.read_text() for p in root.rglob("*.py") if p.name != "styles.py")
    assert any(f'"{role}"' in text for text in sources)


def test_the_prompt_is_seen(run_vmdbg: Callable[..., CompletedProcess[str]]) -> None:
    said = run_vmdbg("-nx", "-q", input="set prompt xy\\ \np 1\n").stdout
    assert "xy $1 = 1" in said


@cache
def seen_first(machine: str, first: tuple[str, ...]) -> str:
    """As `seen_of_machine` in the working folder, once for each beginning."""
    return seen_of_machine(Path.cwd(), machine, list(first))


def seen_of_machine(folder: Path, machine: str, lines: list[str]) -> str:
    """What a program does on a machine with these settings."""
    (folder / "work.vmp").write_text(PROGRAM)
    (folder / "work.lackey").write_text(TRACE)
    shown = Seen(folder, machine, "" if machine else "work.vmp")
    shown.type(lines)
    shown.out.truncate(0)
    shown.out.seek(0)
    shown.type([*LOOKING, *["replay work.lackey"] * ("file work.lackey" in lines)])
    return f"{shown.out.getvalue()}{sorted(path.name for path in folder.iterdir())}"


#: Memory that runs short, of few frames to look for a victim in.
SHORT = ["set machine.ram 2M", "set kernel.limit 9", "set kernel.over_limit reclaim"]
MACHINE |= {
    "machine.format": ("sv39", "", []),
    "machine.page_size": ("2K", "word-table", []),
    "machine.ram": ("32M", "", []),
    "machine.ram_base": ("0x80000000", "", ["set machine.format sv39"]),
    "machine.banks": ("0x0+0x10000 0x40000+0x8000", "bare", []),
    "machine.cpus": ("2", "", []),
    "machine.shootdown": ("lazy", "", ["set machine.cpus 2"]),
    "machine.forget": ("1", "", ["set machine.cpus 2"]),
    "machine.kernel": ("on", "bare", []),
    "machine.payload": ("off", "", []),
    "machine.swap.size": ("32M", "", []),
    "machine.swap.file": ("swap.bin", "", []),
    "machine.seed": ("7", "", ["set tlb.replacement random", "set tlb.l1 2x2", "set tlb.l2 off"]),
    "machine.program": ("other.vmp", "", []),
    "tlb.l1": ("2x2", "", []),
    "tlb.l1i": ("2x2", "", []),
    "tlb.l1d": ("2x2", "", []),
    "tlb.l2": ("2x2", "", []),
    "tlb.l1_pages": ("2M", "", ["set tlb.l1 4x4"]),
    "tlb.l1i_pages": ("2M", "", ["set tlb.l1i 2x2", "set tlb.l1d 2x2"]),
    "tlb.l1d_pages": ("2M", "", ["set tlb.l1i 2x2", "set tlb.l1d 2x2"]),
    "tlb.l2_pages": ("2M", "", []),
    "tlb.inclusive": ("on", "", ["set tlb.l2 2x2"]),
    "tlb.replacement": ("fifo", "", ["set tlb.l1 1x4", "set tlb.l2 1x8"]),
    "tlb.walk_cache": ("PD:4", "", []),
    "tlb.asids": ("off", "", []),
    "kernel.policy": ("fifo", "", SHORT),
    "kernel.tau": ("1", "", ["set kernel.policy wsclock", *SHORT]),
    "kernel.first_frame": ("300", "", []),
    "kernel.user_frames": ("40", "", []),
    "kernel.table_frames": ("40", "", ["set kernel.user_frames 400"]),
    "kernel.quantum": ("2", "", []),
    "kernel.limit": ("9", "", []),
    "kernel.over_limit": ("reclaim", "", ["set machine.ram 2M", "set kernel.limit 9"]),
    "kernel.asids": ("2", "", ["set kernel.quantum 5"]),
    "kernel.min_free": ("30", "", ["set machine.ram 1280K"]),
    "kernel.low_free": ("30", "", ["set machine.ram 1280K", "set kernel.high_free 40"]),
    "kernel.high_free": ("40", "", ["set machine.ram 1280K", "set kernel.low_free 30"]),
    "kernel.zero_drop": ("off", "", SHORT),
    "kernel.stack_limit": ("4K", "default", []),
    "tlb.fill": ("kernel", "", []),
    "trace.page": ("2M", "", ["file work.lackey"]),
    "trace.promote": ("2", "", ["file work.lackey", "set trace.page thp"]),
    "trace.resident": ("on", "", ["file work.lackey"]),
    "trace.warm_up": ("5", "", ["file work.lackey"]),
    "trace.straddle": ("on", "", ["file work.lackey"]),
    "cost.l1": ("2", "", []),
    "cost.l2": ("2", "", []),
    "cost.memory": ("2", "", []),
    "cost.trap": ("2", "", []),
    "cost.minor": ("2", "", []),
    "cost.major": ("2", "", SHORT),
}


#: What boot leaves, which a run from the beginning does not have.
BOOT = ({"kernel.swapped": ""}, {"kernel.swapped": "", "machine.warm": 3}, {})


def test_what_boot_leaves_is_seen() -> None:
    assert len({boot(load_config("default").with_(values)).machine.digest() for values in BOOT}) == 3


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if setting.name not in BOOT[1]])
def test_a_setting_of_the_machine_is_seen(name: str, folder: Path) -> None:
    value, machine, first = MACHINE[name]
    (folder / "other.vmp").write_text(PROGRAM.replace("64K", "128K"))
    before = seen_first(machine, tuple(first))
    after = seen_of_machine(folder, machine, [*first, f"set {name} {value}"])
    assert after != before
