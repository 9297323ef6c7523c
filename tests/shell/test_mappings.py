"""mmap at the prompt: files, shared memory, what is replaced, what is refused, and the way back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.startup import make_session


class Prompt:
    """A session with the demo, in a folder with a file of 5000 bytes; what it writes."""

    def __init__(self, restricted: bool = False, program: str = "") -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.err, Permissions(restricted))
        self.session.target = open_target(self.session, "", program)

    def __call__(self, *lines: str) -> str:
        for line in lines:
            self.session.interpreter.try_line(line)
        return taken(self.out)

    def json(self, line: str) -> Any:
        return json.loads(self(line))

    def error(self, line: str) -> str:
        """What a line that is refused says; it must change nothing."""
        before = self.session.target.machine.digest()
        assert self(line) == ""
        assert self.session.target.machine.digest() == before
        return taken(self.err).rstrip("\n")


def taken(stream: io.StringIO) -> str:
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "five.bin").write_bytes(b"Hello" * 1000)
    (tmp_path / "secret").write_bytes(b"secret")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def region(prompt: Prompt, start: int) -> dict[str, Any]:
    return next(row for row in prompt.json("map/json") if row["start"] == start)


def test_a_private_file_is_read_copied_and_left_alone(folder: Path) -> None:
    prompt = Prompt()
    prompt("mmap 0x600000 12K rw -file five.bin")
    assert region(prompt, 0x600000)["backing"] == "file five.bin"
    assert region(prompt, 0x600000)["kind"] == "file"
    assert "fault-file" in prompt("read 0x600000")
    assert prompt.json("translate/json 0x600000")["rights"] == "r--u"
    assert "fault-cow" in prompt("write 0x600000 0x41")
    assert prompt.json("translate/json 0x600000")["rights"] == "rw-u"
    assert prompt("read 0x601387 1").startswith("0x601387: 0x6f ")
    assert prompt("read 0x601388 1").startswith("0x601388: 0x00 ")
    told = prompt("fault -n 0x602000")
    assert "SIGBUS" in told
    assert "0x602000 is beyond the end of what region file maps" in told
    assert (folder / "five.bin").read_bytes() == b"Hello" * 1000


def test_the_file_is_what_it_was_when_it_was_mapped(folder: Path) -> None:
    """Undone, redone and visited again after the host's file has gone."""
    prompt = Prompt()
    prompt("mmap 0x600000 4K r -file five.bin")
    (folder / "five.bin").unlink()
    prompt("read 0x600000", "undo", "undo", "redo", "redo")
    assert prompt("read 0x600001").startswith("0x600001: 0x65 ")
    assert prompt.error("mmap 0x700000 4K r -file five.bin") == "five.bin: No such file or directory."


def test_an_offset_is_where_the_region_begins() -> None:
    prompt = Prompt()
    prompt("mmap 0x600000 4K r -file five.bin -offset 4K")
    assert region(prompt, 0x600000)["backing"] == "file five.bin+0x1000"
    assert prompt("read 0x600000").startswith(f"0x600000: {b'Hello'[4096 % 5]:#04x} ")


def test_two_processes_that_name_the_same_share_frames() -> None:
    prompt = Prompt()
    prompt("mmap 0x600000 8K rw -name box", "write 0x600000 7", "spawn other", "process 2")
    prompt("mmap 0x900000 8K rw -name box")
    assert prompt("read 0x900000").startswith("0x900000: 0x07 ")
    rows = prompt.json("rmap/json $pfn(0x900000)")
    assert [(row["pid"], row["va"]) for row in rows] == [(1, 0x600000), (2, 0x900000)]
    assert "; 2 entries = 0x" in prompt("swapout 0x900000")
    assert [row["swapped"] for row in prompt.json("ps/json")] == [8192, 4096]
    assert prompt("read -- 0x900000").startswith("0x900000: 0x07 ")
    assert prompt("check") == "Consistent: nothing disagrees.\n"


def test_shared_memory_without_a_name_is_for_children() -> None:
    prompt = Prompt()
    prompt("mmap 0x600000 4K rw -shared", "write 0x600000 7", "fork 1", "process 2", "write 0x600000 8")
    prompt("process 1")
    assert prompt("read 0x600000").startswith("0x600000: 0x08 ")


def test_a_demo_page_is_shared_by_its_name() -> None:
    prompt = Prompt()
    prompt("spawn other", "process 2", "mmap 0x600000 8K r -name common")
    assert prompt("read 0x600000").startswith("0x600000: 0x55 ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "mmap 0x404000 4K rw",
            "Region 0x404000..0x405000 overlaps another region of process 1.",
        ),
        ("mmap 0x600000 4K r -file nothing", "nothing: No such file or directory."),
        ("mmap 0x600000 4K r -file .", ".: Is a directory."),
        ("mmap 0x600000 4K r -file five.bin -name x", '"-file" and "-name" exclude one another.'),
        ("mmap 0x600000 4K r -offset 4K", '"-offset" needs "-file" or "-name".'),
        (
            "mmap 0x600000 4K r -file five.bin -offset 5",
            "Offset 0x5 is not a multiple of the page size, 0x1000.",
        ),
        ("mmap 0x600000 2M r -page 2M -shared", "Files and shared memory are mapped in base pages."),
        ("mmap 0x600000 64K r -name common", 'The shared memory "common" has 8 KiB, not 64 KiB.'),
        ("mmap 0x600000 4K q", 'Invalid rights "q"; expected letters of rwx, or none.'),
        ("munmap 0x600001 4K", "Range 0x600001, 0x1000 is empty or does not start at a page."),
        ("munmap 0x7f0000001000 4K", "0x7f0000001000 is not a border of the pages of 0x200000 bytes there."),
        ("mprotect 0x600000 4K r", "No region holds 0x600000."),
        ("brk 0x548001", "The heap of process 1 cannot grow over 0x548000."),
        ("brk 0x406000", "The heap of process 1 starts at 0x406000."),
    ],
)
def test_what_is_refused(line: str, message: str) -> None:
    assert Prompt().error(line) == message


@pytest.mark.parametrize("name", ["../secret", "link", "/etc/hostname", "~/x"])
def test_restricted_no_file_outside_the_folder(folder: Path, name: str) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    prompt = Prompt(restricted=True)
    said = prompt.error(f"mmap 0x600000 4K r -file {name}")
    assert "are not allowed in a restricted session." in said or "No such file" in said
    assert prompt("mmap 0x600000 4K r -file five.bin").startswith("Changed: 1 region mapped.")


def test_restricted_programs_read_no_file_outside_their_folder(folder: Path) -> None:
    (folder / "t.vmp").write_text('region file 0 4K r file="../secret"\nread 0')
    with pytest.raises(Exception, match="are not allowed in a restricted session"):
        Prompt(restricted=True, program="t.vmp")
    assert Prompt(program="t.vmp")("read 0").startswith("0x0: 0x73 ")


def test_guards_are_shown_and_stop_an_access() -> None:
    prompt = Prompt()
    prompt("mmap 0x600000 8K none")
    assert (region(prompt, 0x600000)["kind"], region(prompt, 0x600000)["rights"]) == ("guard", "-")
    assert "SIGSEGV (ACCERR)" in prompt("fault -n 0x600000")
    prompt("mprotect 0x601000 4K rw")
    assert [row["kind"] for row in prompt.json("map/json") if row["start"] >> 16 == 0x60] == ["guard", "anon"]
