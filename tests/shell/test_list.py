"""list, info line, info symbol, info source: as GDB's, on programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

PROGRAM = """# one
let buf = 0x404000
process first
region data buf 16K rw
handler mend

write buf, 1
write buf + 8, 1
read buf
read buf
mend:
  return
process second limit=5
region data buf 16K rw
again: read buf
loop 3
  read buf
  read buf + 1 .. buf + 4
  mmap 0x600000, 4M, rx page=2M populate
end
munmap 0x600000, 8K
brk 0x700000
exit 3
"""
LAST = 23


class Prompt:
    """A session with the program, and what it writes."""

    def __init__(self, folder: Path) -> None:
        path = folder / "work.vmp"
        path.write_text(PROGRAM)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err)
        self.session.target = open_target(self.session, "", str(path))
        self.session.settings.attach_later(lambda: MachineSettings(self.session))

    def run(self, *lines: str) -> str:
        for stream in (self.out, self.err):
            stream.truncate(0)
            stream.seek(0)
        for line in lines:
            self.session.interpreter.try_line(line)
        return self.out.getvalue() + self.err.getvalue()

    def numbers(self, *lines: str) -> tuple[int, int]:
        """The first and the last line that were listed."""
        shown = self.run(*lines).splitlines()
        assert all(
            text.split("\t")[1:] in ([], [PROGRAM.splitlines()[int(text.split()[0]) - 1]]) for text in shown
        )
        return int(shown[0].split()[0]), int(shown[-1].split()[0])


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    return Prompt(tmp_path)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("", (1, 10)),
        ("10", (5, 14)),
        ("0", (1, 10)),
        ("2", (1, 10)),
        (str(LAST), (18, LAST)),
        ("3,7", (3, 7)),
        ("3,", (3, 12)),
        (",12", (3, 12)),
        (",4", (1, 4)),
        ("20,", (20, LAST)),
        ("18,400", (18, LAST)),
        ("2,+3", (2, 5)),
        ("mend", (6, 15)),
        ("again", (10, 19)),
        ("again,again", (15, 15)),
        ("buf", (1, 10)),
        ("second", (8, 17)),
        ("work.vmp:12", (7, 16)),
        ("work.vmp:again", (10, 19)),
        ("5+5", (5, 14)),
        ("+3", (1, 10)),
    ],
)
def test_forms_of_list(prompt: Prompt, where: str, shown: tuple[int, int]) -> None:
    assert prompt.numbers(f"list {where}") == shown


def test_list_goes_on_and_back(prompt: Prompt) -> None:
    assert prompt.numbers("list 10") == (5, 14)
    assert prompt.numbers("list") == (15, LAST)
    assert prompt.run("list") == f"Line number {LAST + 1} out of range; work.vmp has {LAST} lines.\n"
    assert prompt.numbers("list 10") == (5, 14)
    assert prompt.numbers("list -") == (1, 4)
    assert prompt.run("list -") == "Already at the start of work.vmp.\n"
    assert prompt.numbers("list") == (5, 14)
    assert prompt.numbers("list +3") == (13, 22)
    assert prompt.numbers("list 10") == (5, 14)
    assert prompt.numbers("list -3") == (7, 16)
    assert prompt.numbers("set listsize 3", "list 10") == (9, 11)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("list 100", f"Line number 95 out of range; work.vmp has {LAST} lines."),
        ("list 10,5", "inverted range"),
        ("list nosuch", 'No symbol "nosuch" in current context.'),
        ("list other.vmp:3", "No source file named other.vmp."),
        ("list ork.vmp:3", "No source file named ork.vmp."),
        ("info line 99", 'Line number 99 is out of range for "work.vmp".'),
        ("info symbol", "Argument required (address)."),
        ("info symbol 5", "No symbol matches 5."),
    ],
)
def test_mistakes(prompt: Prompt, line: str, message: str) -> None:
    assert prompt.run(line) == message + "\n"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("info line 7", 'Line 7 of "work.vmp": write 0x404000, 0x1'),
        ("info line mend", 'Line 11 of "work.vmp" has no operation.'),
        ("info line again", 'Line 15 of "work.vmp": read 0x404000'),
        ("info line 18", 'Line 18 of "work.vmp": read 0x404001'),
        ("info line 19", 'Line 19 of "work.vmp": mmap 0x600000, 4M, rx page=2M populate'),
        ("info line 21", 'Line 21 of "work.vmp": munmap 0x600000, 8K'),
        ("info line 22", 'Line 22 of "work.vmp": brk 0x700000'),
        ("info line 23", 'Line 23 of "work.vmp": exit 3'),
        ("info symbol buf", "buf in region data"),
        ("info symbol buf+8", "buf + 8 in region data"),
        ('p $sym("buf")', "$1 = 4210688"),
        ("break buf+8", "Breakpoint 1 at 0x404008"),
        ("break again", "Breakpoint 1 at work.vmp:15"),
    ],
)
def test_what_is_known_of_lines_and_names(prompt: Prompt, line: str, text: str) -> None:
    assert prompt.run(line) == text + "\n"


def test_info_source(prompt: Prompt) -> None:
    assert prompt.run("info source").splitlines()[2:] == [
        f"Contains {LAST} lines.",
        f"Processes: first (lines 3 to 12), second (lines 13 to {LAST}).",
        "Symbols: 1; labels: mend, again.",
    ]
    assert json.loads(prompt.run("info source/j"))["processes"][1]["last_line"] == LAST


def test_names_are_kept_in_a_saved_machine(prompt: Prompt, tmp_path: Path) -> None:
    prompt.run(f"save machine {tmp_path}/m", f"load machine {tmp_path}/m")
    assert prompt.numbers("list mend") == (6, 15)
    assert prompt.run("info symbol buf+8") == "buf + 8 in region data\n"


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("list m", ["list mend"]),
        ("list 3,a", ["list 3,again"]),
        ("break b", ["break buf"]),
        ("info line s", ["info line second"]),
        ("info symbol b", ["info symbol buf"]),
    ],
)
def test_names_of_the_program_are_completed(prompt: Prompt, typed: str, lines: list[str]) -> None:
    assert prompt.run(f"complete {typed}").splitlines() == lines


def test_without_a_text_there_is_no_source(prompt: Prompt) -> None:
    prompt.session.target.machine.program.source_lines.clear()
    assert prompt.run("info source") == "No current source file.\n"
    assert prompt.run("list") == 'No symbol table is loaded.  Use the "file" command.\n'
