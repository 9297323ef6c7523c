"""The command `vm` of the user's own GDB: the child alone, and under a real GDB with a guest of QEMU."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dumps.test_live import LOOKING, REGISTERS, memory_of
from tests.models import qemu, qmp_peer
from tests.models.dumps import P, U, W, core
from vmdbg.errors import UserError
from vmdbg.library import gdb_file
from vmdbg.library.gdb_child import Gdb, Served

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"


class StandIn(Gdb):
    """Answers as the plug-in does, of a computer made by hand."""

    def __init__(self, computer: qmp_peer.Computer) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.computer = computer
        self.names: dict[str, int] = {}
        self.asked: list[str] = []
        self.refuses = ""

    def ask(self, what: str, **arguments: Any) -> Any:
        self.asked.append(what)
        if what == self.refuses:
            raise UserError("GDB: Cannot execute this command while the target is running.")
        if what == "monitor":
            line = arguments["line"]
            return "refused\r\n" if line.startswith("pmemsave") else self.computer.monitor(line)
        if what == "memory":
            return self.computer.memory[arguments["pa"] : arguments["pa"] + arguments["size"]].hex()
        if what == "cpu":
            return {"number": 0, "architecture": "i386:x86-64"}
        if what == "symbol":
            return self.names.get(arguments["name"])
        if what == "registers":
            return []
        assert what == "place"
        return next((name for name, address in self.names.items() if address == arguments["address"]), "")


def line(text: str, stop: int = 0) -> dict[str, Any]:
    return {"line": text, "stop": stop, "width": 0, "color": False}


@pytest.fixture
def served() -> Served:
    return Served(StandIn(qmp_peer.Computer(memory_of().bytes, dict(REGISTERS))))


def test_looking_is_as_on_a_dump(shell: Any, served: Served) -> None:
    gdb: Any = served.gdb
    regs = shell.file("regs", qmp_peer.monitor(REGISTERS))
    shell.type(f"target dump {shell.file('d.core', core([(0, bytes(gdb.computer.memory))]))} -regs {regs}")
    for text in LOOKING:
        answer = served.answer(line(text))
        assert answer["text"] + answer.get("error", "") == shell.type(text)
    before = len(gdb.asked)
    served.answer(line("walk 0x401234"))
    assert "memory" not in gdb.asked[before:], "memory is kept while the guest stands"


def test_what_the_guest_has_done_is_seen(served: Served) -> None:
    gdb: Any = served.gdb
    assert "-> 0x81000" in served.answer(line("translate 0x401000"))["text"]
    tables = memory_of()
    tables.map(0x401000, 0x82000, P | W | U)
    gdb.computer.memory = tables.bytes
    assert "-> 0x82000" in served.answer(line("translate 0x401000", 1))["text"], "GDB let it run"
    tables.map(0x401000, 0x83000, P | W | U)
    gdb.computer.registers["rip"] = 0x402000
    assert "-> 0x83000" in served.answer(line("translate 0x401000", 1))["text"], "the monitor changed it"


def test_names_are_gdbs(served: Served) -> None:
    served.gdb.names = {"start": 0x401000}  # type: ignore[attr-defined]
    assert "-> 0x81000" in served.answer(line("translate &start"))["text"]
    assert "<start>" in served.answer(line("x/2gx start"))["text"]
    assert 'No symbol "nothing"' in served.answer(line("translate &nothing"))["error"]


def test_what_does_not_work_is_said(served: Served) -> None:
    answer = served.answer(line("continue"))
    assert not answer["worked"]
    assert "goes on by GDB itself" in answer["error"]
    served.gdb.refuses = "monitor"  # type: ignore[attr-defined]
    answer = served.answer(line("map", 1))
    assert not answer["worked"]
    assert "while the target is running" in answer["error"]
    served.gdb.refuses = ""  # type: ignore[attr-defined]
    assert "rwxk" in served.answer(line("map", 2))["text"]


def test_a_copy_is_kept_until_gdb_is_wanted_again(served: Served) -> None:
    served.answer(line("import"))
    assert "0x81000" in served.answer(line("poke 0x81000 7", 1))["text"]
    assert "QEMU guest" in served.answer(line("target gdb", 1))["text"]
    assert "0x1122334455667788" in served.answer(line("xp/1gx 0x81000", 1))["text"]


def test_words_that_may_follow(served: Served) -> None:
    assert {"translate", "trace"} <= set(served.answer({"complete": "tra", "word": "tra"})["words"])
    assert "-merge" in served.answer({"complete": "map -m", "word": "-m"})["words"]
    assert "merge" in served.answer({"complete": "map -m", "word": "m"})["words"]


@pytest.mark.long
def test_the_child_speaks_a_line_of_json_for_a_line() -> None:
    """What else is written does not get between the messages; the end of input ends it."""
    command = gdb_file.child_command()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(line("shell echo between")) + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"ask": "cpu"}
        child.stdin.write(json.dumps({"error": "no thread"}) + "\n")
        child.stdin.close()
        answer = json.loads(child.stdout.readline())
        assert (answer["worked"], answer["error"]) == (False, "GDB: no thread\n")
        assert child.wait() == 0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


ENDS = """
python
def error_of(line):
    try:
        gdb.execute(line)
    except gdb.error as error:
        print("error:", error)
{older}
end
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("gdb") and qemu.there()), reason="gdb or QEMU is not installed")
@pytest.mark.parametrize("older", [False, True], ids=["packets", "maintenance"])
def test_under_a_real_gdb(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool) -> None:
    """The guest of the page about guests; what `vm` says is what `target qemu` says.  GDB keeps its own view:
    afterwards its addresses are virtual, as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    subprocess.run([sys.executable, EXAMPLES / "make_guest.py"], check=True)
    plugin, port = gdb_file.write_plugin(), free_port()
    looking = ["info target", "check cpu", "why $rip x", "map", "walk/j 0xffffffffc0101000", "tables"]
    # An older GDB has no send_packet: `hasattr` says so.
    text = "import vmdbg_gdb_plugin" if not older else (
        "import builtins, sys\nimport vmdbg_gdb_plugin as plugin\n"
        "plugin.hasattr = lambda one, name: name != 'send_packet' and builtins.hasattr(one, name)"
    )  # fmt: skip
    script = [
        "set pagination off", f"source {plugin}", ENDS.format(older=text),
        'python error_of("vm map")', f"target remote localhost:{port}", "vm info target", "continue",
        *(f"echo ==\\n\nvm {one}" for one in looking), "echo ==\\n\n",
        'python error_of("vm continue")', 'python error_of("vm nonsense")', "x/1gx 0x110000",
        'python error_of("x/1gx 0xffffffff80101000")',
    ]  # fmt: skip
    (tmp_path / "script.gdb").write_text("\n".join(script))
    with subprocess.Popen(
        [qemu.PROGRAM, "-nodefaults", "-display", "none", "-m", "16M", "-no-reboot", "-no-shutdown", "-S",
         "-drive", "file=boot.img,format=raw,if=floppy", "-device",
         "loader,file=tables.bin,addr=0x110000,force-raw=on", "-gdb", f"tcp:localhost:{port}",
         "-qmp", "unix:qmp,server=on,wait=off"]
    ) as guest:  # fmt: skip
        try:
            while not os.path.exists("qmp"):
                assert guest.poll() is None
            done = subprocess.run(
                ["gdb", "-nx", "-batch", "-x", "script.gdb"],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
            begin, *parts, rest = done.stdout.split("==\n")
            assert "vm looks at a guest: connect" in begin, done
            assert "Paging is off" in begin
            assert 'error: "continue": a guest goes on by GDB itself' in rest
            assert 'error: Undefined command: "nonsense"' in rest
            assert "0x110000:\t0x0000000000111023" in rest
            assert "error: Cannot access memory at address 0xffffffff80101000" in rest
            shell.type("target qemu qmp")
            for one, part in zip(looking, parts, strict=True):
                assert part == shell.type(one), one
        finally:
            guest.kill()
