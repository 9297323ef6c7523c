"""docs/json.md says what the JSON of every command has: no key more, none less; and what others rely on."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from vmdbg.machine.config import load_config, preset_names
from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session

PAGE = Path(__file__).parent.parent.parent / "docs" / "json.md"
TRACE = PAGE.parent.parent / "tests" / "data" / "ls.lackey.xz"
KEY = re.compile(r"`(\w+)`")
# What has to be done before a command has something to show, and what it is asked.
BEFORE = {
    "check cpu": [f"target dump {PAGE} -regs {PAGE.parent / 'examples' / 'registers.txt'}"],  # any bytes do
    "info replacements": ["swapout 0x404000"],
    "why victim": ["swapout 0x404000"],
    "check": ["poke $pte_address 0"],
    "tlb check": ["poke $pte_address 0"],
    "rmap": ["fork 1"],
    "diff": ["write 0x408000 1"],
    "events": ["write 0x408000 1"],
    "history page": ["write 0x408000 1"],
    "history frame": ["swapout 0x406000"],
    "history slot": ["swapin 0x407000"],
    "last map": ["write 0x408000 1"],
    "last write": ["write 0x408000 1"],
    "info cost": ["write 0x408000 1"],
    "info breakpoints": ["catch swap-in"],
    "info checkpoints": ["checkpoint"],
    "info display": ["display 1"],
    "info watchpoints": ["watch *(char *)0x404000"],
}
ARGUMENTS = {
    "print": "1",
    "quiz": "translate -seed 7 -n 2",
    "calc levels": "48 4K 8",
    "calc reach": "16x4 4K",
    "calc eat": "-memory 100ns -hit 98% -tlb 1ns",
    "calc table": "32 4K 4",
    "policy load": str(PAGE.parent / "examples" / "mru.py"),
    "policy table": "clock -frames 3 7 0 1 2 0 3 0 4",
    "policy compare": "fifo opt -frames 3,4 1 2 3 4 1 2 5 1 2 3 4 5",
    "code": "0x15",
    "translate": "0x401234",
    "walk": "0x401234",
    "split": "0x401234",
    "why": "0x401234 w",
    "fault": "0x401234",
    "read": "0x401234",
    "write": "0x404000 1",
    "fetch": "0x401234",
    "tlb lookup": "0x401234",
    "info aliases": "0x401234",
    "pte": "0x108025",
    "diff": "12",
    "events": "12",
    "history page": "0x408000",
    "history frame": "0x10b",
    "history slot": "1",
    "last map": "0x408000",
    "last write": "0x408000",
    "info cost": "12",
    "show": "confirm",
    "compare": f"kernel.policy fifo lru {PAGE.parent / 'examples' / 'belady.vmp'}",
    "compare translation": f"{PAGE.parent / 'examples' / 'belady.vmp'}",
    "sweep": f"-jobs 1 policy=fifo {PAGE.parent / 'examples' / 'belady.vmp'}",
    "replay": f"-count 1000 {TRACE}",
    "trace info": str(TRACE),
    "trace curve": f"-frames 8 {TRACE}",
    "trace reuse": str(TRACE),
    "trace workingset": f"-every 100000 {TRACE}",
}


def sections() -> dict[str, str]:
    """Command -> what the page says of it; a heading may name several."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        name: text for head, _, text in (part.partition("\n") for part in parts) for name in head.split(", ")
    }


def documented(text: str) -> set[str]:
    """The keys in the first column of a section's table."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in KEY.findall(row.split("|")[1])}


class Shell:
    """A session at a machine, whose lines are typed."""

    def __init__(self, machine: str = "default") -> None:
        self.stream = io.StringIO()
        self.session = make_session(self.stream, self.stream)
        self.session.target = open_target(self.session, machine, "")

    def type(self, line: str) -> str:
        self.session.interpreter.remember(line)
        self.session.interpreter.command_line(line)
        self.session.output.flush()
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def json(self, line: str) -> Any:
        text = self.type(line)
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise AssertionError(f"{line}: {text}") from None


@pytest.fixture
def shell() -> Shell:
    return Shell()


def with_json(shell: Shell) -> list[str]:
    """The names of all commands that have /json."""
    registry = shell.session.interpreter.registry
    registry.load_all()
    return sorted(command.name for command in registry.commands() if "json" in command.forms)


AWKWARD = {
    "before the first operation": ["start"],
    "after the last one": ["continue"],
    "without a process": ["kill 1"],
    "before the record": ["step 5", "goto begin"],
    "without a kernel": ["machine bare"],
    "with bases and bounds": ["machine partitions"],
}


@pytest.mark.long
@pytest.mark.parametrize("moment", AWKWARD)
def test_every_command_has_an_answer_at_every_moment(moment: str) -> None:
    """With and without its argument, as text: an answer or a refusal, no internal error."""
    shell = Shell()
    shell.type("set confirm off")
    for line in AWKWARD[moment]:
        shell.type(line)
    dear = {"compare", "compare translation", "sweep", "replay", "policy load", "read", "write", "fetch"}
    for name in with_json(shell):
        if name not in dear and not name.startswith("trace "):
            for line in {name, f"{name} {ARGUMENTS.get(name, '')}".strip()}:
                assert "Internal error" not in shell.type(line), line


def test_every_command_with_json_is_in_the_page(shell: Shell) -> None:
    assert set(with_json(shell)) - set(sections()) == set()


@pytest.mark.parametrize("command", sorted(sections()))
def test_the_page_has_the_keys_of_a_command(shell: Shell, command: str) -> None:
    entry = shell.json("walk/j 0x404000")["steps"][-1]["entry_address"]
    for line in BEFORE.get(command, []):
        shell.type(line.replace("$pte_address", str(entry)))
    data = shell.json(f"{command}/json {ARGUMENTS.get(command, '')}".rstrip())
    row = data[0] if isinstance(data, list) else data
    assert isinstance(row, dict)
    text = sections()[command]
    assert documented(text) == set(row)
    for value in row.values():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and command not in ("info machine", "sweep"):
            named = set(KEY.findall(text)) | set(KEY.findall(sections()["translate"]))
            assert {key for key in inner if key.islower()} <= named | set(KEY.findall(sections()["tlb"]))


# What programs outside may rely on: keys at least these, with values of these types.

NOTHING = type(None)
RIGHTS = re.compile(r"-|(?!---)[r-][w-][x-][uk]")
OUTCOME = {
    "va": int, "pid": int, "outcome": str, "pa": (int, NOTHING), "page_size": (int, NOTHING), "rights": str,
    "fault": (dict, NOTHING),
}  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "translate": {**OUTCOME, "via": str, "stale": bool, "walk_cache": (str, NOTHING)},
    "walk": {**OUTCOME, "format": str, "root": int, "steps": list},
    "why": {**OUTCOME, "allowed": bool, "decides": (dict, NOTHING), "edits": list},
    "split": {"va": int, "indexes": list, "offset": int, "page_size": int},
    "map": {
        "start": int, "end": int, "rights": str, "page_size": int, "kind": str, "backing": str,
        "resident": int, "swapped": int,
    },
    "tlb": {
        "cpu": int, "level": str, "set": int, "way": int, "vpn": int, "pfn": int, "page_size": int,
        "asid": (int, NOTHING), "global": bool, "rights": str, "dirty": bool, "stale": bool,
    },
    "ps": {
        "pid": int, "name": str, "state": str, "asid": int, "root": int, "rss": int, "swapped": int,
        "tables": int, "minor_faults": int, "major_faults": int,
    },
    "info machine": {"digest": str},
}  # fmt: skip
FAULT = {
    "kind": str, "level": (str, NOTHING), "index": (int, NOTHING), "code": int, "slot": (int, NOTHING),
    "reason": str,
}  # fmt: skip
STEP = {
    "level": str, "index": int, "entry_address": int, "entry": int, "kind": str, "flags": list, "rights": str,
}  # fmt: skip
STEP_KINDS = {"table", "leaf", "empty", "swapped", "reserved"}
FAULT_KINDS = {"not-present", "protection", "reserved", "non-canonical", "bounds", "bus"}
ADDRESSES = {
    "default": ["0x401234", "0x401234 w", "0x5000", "0x407abc", "0x800000000000", "0x7f0000012345"],
    "pages": ["0x7f0012345678"],
    "sv39": ["0x401234", "0x407abc", "0x8000000000"],
    "x86_32": ["0x08049678", "0x08050000", "0xc0000000"],
    "tutorial16": ["0x0110"],
    "tutorial16-hw": ["0x0110"],
    "word-table": ["0x8", "0x100"],
    "partitions": ["0x10", "0x7fffffff"],
}


def fits(row: dict[str, Any], schema: dict[str, Any]) -> None:
    """A row has these keys, with values of these types, and its words are those of the contract."""
    assert set(schema) <= set(row)
    for key, kinds in schema.items():
        assert isinstance(row[key], kinds), (key, row[key])
        assert not isinstance(row[key], bool) or kinds is bool, key
        assert not isinstance(row[key], int) or row[key] >= 0, key
    if "rights" in schema:
        assert RIGHTS.fullmatch(row["rights"]), row["rights"]


@pytest.mark.parametrize("machine", [name for name in preset_names() if load_config(name)["machine.program"]])
def test_an_address_in_the_json_that_others_rely_on(machine: str) -> None:
    shell = Shell(machine)
    for address in ADDRESSES.get(machine, ["0x401234", "0x5000"]):
        for command in ("translate", "walk", "why"):
            if command == "walk" and " " in address:
                continue
            row = shell.json(f"{command}/j {address}")
            fits(row, SCHEMAS[command])
            assert row["outcome"] == ("fault" if row["fault"] else "translated")
            assert (row["pa"] is None) == (row["fault"] is not None)
            if row["fault"]:
                fits(row["fault"], FAULT)
                assert row["fault"]["kind"] in FAULT_KINDS
            for step in row["steps"] if command == "walk" else []:
                fits(step, STEP)
                assert step["kind"] in STEP_KINDS
        parts = shell.json(f"split/j {address.split()[0]}")
        fits(parts, SCHEMAS["split"])
        for index in parts["indexes"]:
            fits(index, {"level": str, "bits": int, "value": int})


@pytest.mark.parametrize("machine", sorted(ADDRESSES))
@pytest.mark.parametrize("command", ["map", "tlb", "ps"])
def test_a_list_in_the_json_that_others_rely_on(machine: str, command: str) -> None:
    shell = Shell(machine)
    rows = shell.json(f"{command}/j")
    assert isinstance(rows, list)
    for row in rows:
        fits(row, SCHEMAS[command])
    assert rows or command == "tlb"


def test_numbers_of_pages_count_base_pages(shell: Shell) -> None:
    row = next(row for row in shell.json("tlb/j") if row["page_size"] > 4096)
    assert row["pfn"] * 4096 == shell.json("walk/j 0x7f0000000000")["pa"]
    assert row["vpn"] == 0x7F0000000000 >> 12


def test_the_digest_is_hexadecimal_and_follows_the_machine(shell: Shell) -> None:
    before = shell.json("info machine/j")["digest"]
    assert re.fullmatch(r"[0-9a-f]{16,}", before)
    shell.type("walk 0x401234")
    assert shell.json("info machine/j")["digest"] == before
    shell.type("write 0x408000 1")
    assert shell.json("info machine/j")["digest"] != before


def test_addresses_in_hex_if_asked(shell: Shell) -> None:
    shell.type("set json addresses hex")
    row = shell.json("walk/j 0x401234")
    assert (row["va"], row["pa"][:2], row["steps"][0]["entry"][:2]) == ("0x401234", "0x", "0x")
    assert isinstance(row["page_size"], int)
