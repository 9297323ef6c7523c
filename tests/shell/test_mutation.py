"""Lines made from the declarations and then damaged: never a bug, and a refused line changes nothing."""

from __future__ import annotations

import io
import random
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmdbg.machine.config import preset_names
from vmdbg.shell import interpreter
from vmdbg.shell.boot import open_target
from vmdbg.shell.command import FORMAT_LETTERS, Command
from vmdbg.shell.grammar import parse_arguments
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.session import Session
from vmdbg.shell.startup import make_session

# These leave the process or would read lines that are not there.
LEFT_OUT = {"shell", "make", "pipe", "quit", "cd", "source", "define", "document", "while", "if", "commands"}
# What a kind of argument may look like; others are taken for words.
WORDS = {
    "expression": [
        "1",
        "0x401000",
        "$a",
        "$a = 5",
        "1 + 2",
        "$",
        "$1",
        "$cr3",
        '"x"',
        "{1,2}",
        "buf",
        "-1",
        "1/0",
    ],
    "address": [
        "0x401000",
        "0x404010",
        "0x406000",
        "0x7f0000000000",
        "0x40c010",
        "0",
        "0x5000",
        "$a",
        "1 << 47",
    ],
    "physical address": ["0x100000", "0x0", "0x103000", "-8"],
    "number": ["0", "1", "2", "7", "-1", "99999999999999999999", "$a"],
    "size": ["4K", "2M", "1", "0", "64"],
    "process": ["1", "2", "99"],
    "cpu": ["0", "1"],
    "asid": ["0", "1"],
    "access": ["r", "w", "x"],
    "event": ["tlb-hit", "tlb-miss", "fault-minor", "evict"],
    "time": ["0", "1:2", "begin", "end", "+1", "-1"],
    "file": ["nothing.vmdbg", "x.toml", "out.txt"],
    "setting": ["confirm", "history size", "json addresses"],
    "machine": ["tutorial16", "default", "nothing"],
    "command name": ["print", "info", "nothing"],
    "command line": ["print 1", "show confirm", "foo", "walk 0x401000"],
    "setting and command line": ["confirm off -- print 1", "confirm", "foo bar -- x"],
    "stop numbers": ["1", "1-3", "9"],
    "location": ["1", "5", "0x404010", "*0x404010", "+1", "nothing", "main.vmp:3"],
    "definition": ["zz = print", "yy", "xx -a = info"],
    "word": ["a", "one", "-", "zz"],
    "text": ["a", "x y", '"%d\\n", 5', "zz = print", "", "1 2"],
}
LARGE = re.compile(r"\$|0x|[0-9]{4}")
FORMATS = ["", "/x", "/4xg", "/d", "/s", "/zz", "/-3b"]
NOISE = [
    "",
    " ",
    "/",
    "#",
    "'",
    '"',
    "(",
    ")",
    "-",
    "--",
    "$",
    "@",
    "\\",
    "0x",
    "\t",
    "é",
    "-pid",
    "/j",
    "%s",
    ",",
    "=",
    "\x00",
]


# What nobody means: digits that are none, numbers of many digits, what is no text, patterns without end.
HOSTILE = [
    "²",
    "$arg²",
    "9" * 5000,
    "0x" + "f" * 4000,
    "18446744073709551615",
    "-9223372036854775808",
    "\udcff\udcfe",
    "\x1b[2J\x1b]0;x\a",
    "(" * 3000,
    '$_regex("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "(a+)+$")',
    "x{18446744073709551615}",
    "%999999999d%n",
    "@999999999",
    "/18446744073709551615xg",
    "~nobody/..",
    "\u202e",
]
LIMIT = 5  # seconds that a line may take


def make_line(draw: random.Random, command: Command) -> str:
    """A line that fits the declaration."""
    line = command.name
    if command.forms == FORMAT_LETTERS:
        line += draw.choice(FORMATS)
    elif command.forms and draw.random() < 0.3:
        line += "/" + draw.choice(command.forms)
    for option in command.options:
        if draw.random() < 0.15:
            line += f" {option.name}"
            if option.kind is not None:
                line += " " + draw.choice(WORDS.get(option.kind.name, ["x", "1"]))
    for argument in command.arguments:
        if argument.optional and draw.random() < 0.4:
            break
        kind = argument.kind
        words = kind.label.split("|") if kind.name == "choice" else WORDS.get(kind.name, ["x", "1"])
        line += " " + draw.choice(words)
    return line


def damage(draw: random.Random, line: str, noise: list[str]) -> str:
    """The line with something cut, doubled, put in or moved."""
    place = draw.randrange(len(line) + 1)
    what = draw.randrange(4)
    if what == 0:
        return line[:place] + draw.choice(noise) + line[place:]
    if what == 1:
        return line[:place] + line[place + draw.randrange(1, 4) :]
    if what == 2:
        return line[:place] + line[max(0, place - 3) :]
    words = line.split(" ")
    draw.shuffle(words)
    return " ".join(words)


MACHINES = ("default", "tutorial16", "sv39", "x86_32", *sorted({*preset_names()} - {"default", "trace"}))
LINES = 250  # that one session gets


class Bench:
    """A fresh session with a machine, and what happened to lines."""

    def __init__(self, machine: str) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session: Session = make_session(self.out, self.err, Permissions(restricted=True))
        self.session.target = open_target(self.session, machine, "")
        self.session.interpreter.registry.load_all()
        self.parsed = 0

    def state(self) -> tuple[str, dict[str, object]]:
        """What a refused line may not change: the machine and all settings."""
        settings = self.session.settings
        return self.session.target.machine.digest(), {item.name: settings.get(item.name) for item in settings}

    def parse(self, *parameters: Any) -> Any:
        """`parse_arguments`, counting what gets through."""
        found = parse_arguments(*parameters)
        self.parsed += 1
        return found

    def close(self) -> None:
        """What the end of a process would do."""
        self.session.settings.set("logging enabled", False)
        for action in self.session.at_exit:
            action()

    def run(self, line: str) -> str:
        """`worked`, `executed` (and refused) or `refused` before it was executed."""
        before = self.parsed
        try:
            worked = self.session.interpreter.try_line(line)
        except SystemExit:
            return "worked"
        said = self.err.getvalue()
        assert "Internal error" not in said, (line, said)
        assert worked or said.strip(), line
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        return "worked" if worked else "executed" if self.parsed > before else "refused"


def damaged_lines(seed: int, count: int, noise: list[str] = NOISE) -> Counter[str]:
    """Runs so many lines, with that noise in them; how they went."""
    draw = random.Random(seed)
    results: Counter[str] = Counter()
    for number in range(count // LINES):
        bench = Bench(MACHINES[number % len(MACHINES)])
        interpreter.parse_arguments = bench.parse
        try:
            ends = results.total() + LINES
            while results.total() < ends:
                one_line(draw, bench, results, draw.random() < 0.3, noise)
        finally:
            bench.close()
    return results


#: Holds a line that may run for ever; it is taken out when Ctrl-C is pressed, which ends it.
ENDLESS: list[str] = []


def late(number: int, frame: object) -> None:
    """A line that takes so long is a bug; but a program may have no end, and Ctrl-C stops it."""
    if not ENDLESS:
        raise AssertionError(f"a line that takes {LIMIT} seconds")
    ENDLESS.clear()
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    signal.raise_signal(signal.SIGINT)


def one_line(draw: random.Random, bench: Bench, results: Counter[str], look: bool, noise: list[str]) -> None:
    """Runs one line; with `look` the machine and the settings are compared if the line is refused."""
    registry = bench.session.interpreter.registry
    # Runs take their time: one of four is enough.
    moves = ("running", "time") if draw.random() < 0.75 else ()
    command = draw.choice(
        [c for c in registry.commands() if c.name not in LEFT_OUT and c.function and c.group not in moves]
    )
    line = make_line(draw, command)
    if draw.random() < 0.6:
        line = damage(draw, line, noise)
    if any(line.lstrip().startswith(word) for word in ("!", "|", *LEFT_OUT)):
        return
    if command.group in ("running", "time") and LARGE.search(line):
        return  # a large count is legal, and takes its time
    before = bench.state() if look else None
    ENDLESS[:] = [line] if command.group in ("running", "time") else []
    runs = bool(ENDLESS)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    result = bench.run(line)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if runs and not ENDLESS:
        results["interrupted"] += 1
        return
    results[result] += 1
    if before is not None and result != "worked":
        assert bench.state() == before, line


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interpreter, "parse_arguments", parse_arguments)
    before = signal.signal(signal.SIGALRM, late)
    yield tmp_path
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.long
@pytest.mark.usefixtures("empty_folder")
def test_damaged_lines() -> None:
    results = damaged_lines(1, 400)
    assert results["worked"] >= 40
    assert results["worked"] + results["executed"] >= 120


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_many_damaged_lines() -> None:
    results = damaged_lines(2, 10_000)
    assert results["worked"] >= 1000
    assert results["worked"] + results["executed"] >= 4000


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_many_hostile_lines() -> None:
    results = damaged_lines(3, 20_000, HOSTILE)
    assert results["worked"] >= 1000


@pytest.mark.usefixtures("empty_folder")
def test_a_start_that_has_no_program_changes_nothing() -> None:
    Path("bare.toml").write_text('[machine]\nram = "4M"\n')
    bench = Bench("bare.toml")
    try:
        for line in ("spawn one", "process 1", "mmap 0x400000 0x1000 rw"):
            assert bench.run(line) == "worked"
        before = bench.state()
        assert bench.run("start") != "worked"
        assert bench.state() == before
    finally:
        bench.close()
