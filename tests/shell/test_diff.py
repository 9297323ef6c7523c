"""`diff` and `Changed:`: every byte, by whomever it was written, and what follows one another as one row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session


class Prompt:
    """A session with a machine, and what it writes."""

    def __init__(self, machine: str = "default") -> None:
        self.out = io.StringIO()
        self.session = make_session(self.out, self.out)
        self.session.target = open_target(self.session, machine, "")

    def run(self, *lines: str) -> str:
        self.out.truncate(0)
        self.out.seek(0)
        for line in lines:
            self.session.interpreter.try_line(line)
        return self.out.getvalue()

    def rows(self, line: str, *sorts: str) -> list[tuple[str, str, str]]:
        rows: list[dict[str, Any]] = json.loads(self.run(line.replace("diff", "diff/json")))
        return [(r["what"], r["before"], r["after"]) for r in rows if not sorts or r["sort"] in sorts]

    def sorts(self, line: str) -> set[str]:
        return {row["sort"] for row in json.loads(self.run(line.replace("diff", "diff/json")))}


@pytest.fixture
def prompt() -> Prompt:
    return Prompt()


def test_a_byte_that_was_written_is_a_difference(prompt: Prompt) -> None:
    assert "Changed: memory: 1 byte (0x10a000).  Time 13:0." in prompt.run("write 0x404000 0x77")
    assert prompt.rows("diff 12", "memory") == [("1 byte (0x10a000)", "0x01", "0x77")]
    assert prompt.rows("diff 12", "time")[0] == ("operations", "12", "13")
    assert "nothing but the time and counts." in prompt.run("write 0x404000 0x77")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("set var {char}0x404000 = 9", ("memory", "1 byte (0x10a000)")),
        ("poke 0x9000 5", ("memory", "1 byte (0x9000)")),  # a frame of nobody
        ("poke 0x106020 0x800000000010a063", ("entry", "1 (demo): 0x404000")),
        ("poke 0x1037f8 0", ("entry", "PML4[255] 0x1037f8")),
        ("poke 0x103ff8 0x1003", ("entry", "PML4[511] 0x103ff8")),  # the kernel's half
        ("set $cr2 = 5", ("cpu", "cpu 0: cr2")),
        ("set $cr4.pge = 0", ("cpu", "cpu 0: cr4")),
        ("mprotect 0x406000 4K r", ("region", "1 (demo): 0x406000..0x407000")),
        ("process 1 -oom 3", ("inside", "process: oom")),
    ],
)
def test_what_no_count_tells_is_a_difference(prompt: Prompt, line: str, said: tuple[str, str]) -> None:
    before = prompt.run("info machine/j")
    prompt.run(line)
    assert json.loads(before)["digest"] != json.loads(prompt.run("info machine/j"))["digest"]
    sort, what = said
    names = [name for name, _, _ in prompt.rows("diff 12", sort)]
    assert what in names


def test_an_access_that_only_moved_tlb_entries_changed_them(prompt: Prompt) -> None:
    prompt.run("tlb resize l1d 2x2")
    assert "Changed: tlb: key, word" in prompt.run("read 0x404000")
    assert "Changed: nothing but the time and counts." in prompt.run("read 0x404000")


@pytest.mark.long
def test_two_processes_after_a_fork_share_their_frames(prompt: Prompt) -> None:
    prompt.run("fork 1")
    assert "memory" not in prompt.sorts("diff process:1 process:2")
    frames = prompt.rows("diff process:1 process:2", "frame")
    assert {(before, after) for _, before, after in frames} == {("table", "-"), ("-", "table")}
    assert len(prompt.rows("diff process:1 process:2")) < 20
    prompt.run("write 0x404001 5")
    assert prompt.rows("diff process:1 process:2", "memory") == [("1 byte (0x404001)", "0x05", "0x00")]
    assert ("pfn 0x10a", "-", "user") in prompt.rows("diff process:1 process:2", "frame")
    assert ("pfn 0x107..0x10b", "user of 1", "user of 1, 2") in prompt.rows("diff 12 13", "frame")


@pytest.mark.long
def test_runs_are_one_row_and_many_scattered_pages_are_no_flood(prompt: Prompt) -> None:
    prompt.run("mmap -populate 0x10000000 8M rw", "munmap 0x7f0000000000 2M")
    rows = prompt.rows("diff 12")
    assert len(rows) < 90
    assert ("pfn 0x200..0x3ff", "user of 1", "-") in rows
    assert not any("tail" in before + after for _, before, after in rows)
    assert sum("pages)" in what for what, _, _ in rows if what.startswith("1 (demo): 0x10")) >= 1
    covered = sum(int(what.rpartition("(")[2].split()[0]) for what, _, _ in rows if what.endswith("pages)"))
    assert covered == 2048


@pytest.mark.long
def test_a_process_then_and_now_by_its_pages(prompt: Prompt) -> None:
    prompt.run("write 0x404010 0x1234 2", "swapout 0x404000", "swapin 0x404000")
    assert ("2 bytes (0x404010..0x404011)", "0x0000", "0x1234") in prompt.rows("diff process:1@12 process:1")
    prompt.run("swapout 0x404000")
    assert ("2 bytes (0x404010..0x404011)", "0x0000", "0x1234") in prompt.rows("diff process:1@12 process:1")


def test_two_trees_of_tables(prompt: Prompt) -> None:
    tree = ("poke 0x9000 0xa007", "poke 0xa000 0xb007", "poke 0xb000 0xc007", "poke 0xc008 0x20007")
    prompt.run(*tree)
    assert prompt.rows("diff root:0x9000 begin", "entry") == [("0x1000", "pfn 0x20, rwxu, P RW US", "-")]
    prompt.run("poke 0xc008 0x20005", "poke/u8 0x20004 7")
    assert prompt.rows("diff root:0x9000@16 root:0x9000") == [
        ("0x1000", "pfn 0x20, rwxu, P RW US", "pfn 0x20, r-xu, P US"),
        ("1 byte (0x1004)", "0x00", "0x07"),
    ]
    assert prompt.run("diff root:0x9000 root:0x9000") == "No difference.\n"
    assert "multiple of 0x1000" in prompt.run("diff root:0x9001 begin")


@pytest.mark.long
def test_a_saved_machine_is_compared_byte_by_byte(prompt: Prompt, tmp_path: Path) -> None:
    file = tmp_path / "saved.vm"
    prompt.run(f"save machine {file}")
    assert prompt.run(f"diff {file}") == "No difference.\n"
    prompt.run("poke/u8 0x9000 5")
    assert prompt.rows(f"diff {file}", "memory") == [("1 byte (0x9000)", "0x00", "0x05")]


def test_an_access_across_two_pages_tells_all_its_bytes(prompt: Prompt) -> None:
    prompt.run("write 0x404ffe 0x1122334455667788 8")
    text = prompt.run("read 0x404ffe 8", "read 0x404ffd 2", "write 0x404ffe 0xaabb 4")
    assert "0x404ffe: 0x1122334455667788  (" in text
    assert "0x404ffd: 0x8800  (" in text
    assert "0x404ffe: 0x55667788 -> 0x0000aabb  (" in text
    assert "memory: 2 bytes (0x10affe..0x10afff) and 2 bytes (0x10c000..0x10c001)" in text
