"""find, findp, dump, restore on a machine: what is written is what was read, in one operation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shell.test_breakpoints import Prompt

pytestmark = pytest.mark.long

PROGRAM = "process work\nregion heap 0x400000 1M rw\n" + "write 0x400000 .. 0x4fffff step 4K, 7\nexit\n"


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prompt:
    """A process whose 256 pages are resident, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work.vmp").write_text(PROGRAM)
    made = Prompt(program="work.vmp", machine="")
    made.run("step 256")
    return made


@pytest.mark.parametrize("form", ["", "ihex ", "srec "])
@pytest.mark.parametrize("size", [1, 17, 0x10010, 0x100000])
def test_what_was_dumped_is_restored(prompt: Prompt, form: str, size: int) -> None:
    data = bytes((7 * place + place // 251) & 0xFF for place in range(size))
    start = 0x4FFFFF - size + 1
    Path("in.bin").write_bytes(data)
    assert prompt.run(f"restore in.bin binary {start:#x}").startswith(
        "Restoring binary file in.bin into memory"
    )
    prompt.run(f"dump {form}memory out {start:#x} 0x500000", f"restore zero binary {start:#x}")
    if not form:
        assert Path("out").read_bytes() == data
    Path("zero").write_bytes(bytes(size))
    prompt.run(f"restore zero binary {start:#x}", f"dump memory now {start:#x} 0x500000")
    assert Path("now").read_bytes() == bytes(size)
    prompt.run(
        f"restore out {'' if form else 'binary ' + hex(start)}", f"dump memory now {start:#x} 0x500000"
    )
    assert Path("now").read_bytes() == data


def test_a_restore_is_one_operation_and_can_be_undone(prompt: Prompt) -> None:
    Path("a.hex").write_text(":03000000010203F7\n:03100000010203E7\n:00000001FF\n")
    machine = prompt.session.target.machine
    before, digest = machine.operations, machine.digest()
    assert prompt.run("restore a.hex 0x400000").count("Restoring section") == 2
    assert machine.operations == before + 1
    assert prompt.run("x/3xb 0x401000") == "0x401000:\t0x01\t0x02\t0x03\n"
    prompt.run("undo")
    assert machine.digest() == digest


def test_what_cannot_be_written_leaves_memory_as_it_was(prompt: Prompt) -> None:
    Path("a.bin").write_bytes(b"\xaa" * 8)
    digest = prompt.session.target.machine.digest()
    assert prompt.error("restore a.bin binary 0x4ffffc") == "Cannot access memory at address 0x500000\n"
    assert prompt.session.target.machine.digest() == digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":0300000001020300\n", "a.hex:1: Bad record: its checksum is wrong.\n"),
        (":03000000010203F7\nhello\n", "a.hex:2: Bad record: it is no record.\n"),
        (":04000000010203F6\n", "a.hex:1: Bad record: its length is wrong.\n"),
        (":0g\n", "a.hex:1: Bad record: it is no record.\n"),
        ("S1050000010\n", "a.hex:1: Bad record: it is no record.\n"),
        ("S10600000102\n", "a.hex:1: Bad record: its length is wrong.\n"),
        (":" + "00" * 5000 + "\n", "a.hex:1: Bad record: it is no record.\n"),
        (
            "hello\n",
            """'a.hex' is not an object file: file format not recognized.
Raw bytes: "restore FILE binary ADDRESS".
""",
        ),
    ],
)
def test_damaged_files(prompt: Prompt, text: str, said: str) -> None:
    Path("a.hex").write_text(text)
    digest = prompt.session.target.machine.digest()
    assert prompt.error("restore a.hex 0x400000") == said
    assert prompt.session.target.machine.digest() == digest


def test_addresses_that_a_hex_file_cannot_say(prompt: Prompt) -> None:
    said = "Address 0x100000000 is out of range for Intel Hex files.\n"
    assert prompt.error("dump ihex memory a.hex 0xffffffff 0x100000001") == said
    assert not Path("a.hex").exists()


def test_a_dump_that_fails_leaves_the_old_file(prompt: Prompt) -> None:
    Path("a.bin").write_bytes(b"old")
    prompt.run("dump memory a.bin 0x4f0000 0x600000", "append memory a.bin 0x4f0000 0x600000")
    assert Path("a.bin").read_bytes() == b"old"
    assert sorted(path.name for path in Path().iterdir()) == ["a.bin", "work.vmp"]


def test_find_goes_over_pages_and_says_what_it_could_not_read(prompt: Prompt) -> None:
    prompt.run("set var {long}0x400ffc = 0x1122334455667788")
    found = prompt.run(
        "find/g 0x400000, +0x100000, 0x1122334455667788", "print $_ == 0x400ffc && $numfound == 1"
    )
    assert found == "0x400ffc\n1 pattern found.\n$1 = 1\n"
    assert prompt.run("find 0x4ff000, 0x600000, (char)7") == "0x4ff000\n1 pattern found.\n"
    said = "warning: Unable to access 1048577 bytes of target memory at 0x500000, halting search.\n"
    assert prompt.error("find 0x4ff000, 0x600000, (char)7") == said


def test_findp_searches_frames(prompt: Prompt) -> None:
    prompt.run("set var {long}0x480ff8 = 0x1122334455667788")
    place = prompt.run("findp/g 0, +0x4000000, 0x1122334455667788").split("\n")[0]
    assert int(place, 16) == prompt.session.integer("$pa(0x480ff8)")


def test_the_lines_of_an_address(prompt: Prompt) -> None:
    assert prompt.run("info line *0x402000").startswith('Line 3 of "work.vmp": write 0x400000')
    said = "No line number information available for address 0x700000\n"
    assert prompt.run("info line *0x700000") == said
    assert prompt.run("list *0x402000").startswith("0x402000 is accessed by work.vmp:3.\n1\tprocess work\n")
    assert prompt.error("list *0x700000") == "No source file for address 0x700000.\n"


def test_clear_deletes_the_breakpoints_of_a_place(prompt: Prompt) -> None:
    prompt.run("break 3", "tbreak 3", "break *0x402000", "watch *(char *)0x402000")
    assert prompt.run("clear 3") == "Deleted breakpoints 1 2 \n"
    assert prompt.error("clear 3") == "No breakpoint at 3.\n"
    assert prompt.run("clear *0x402000") == ""
    assert list(prompt.session.stops.by_number) == [4]


def test_mappings_of_a_process(prompt: Prompt) -> None:
    assert "heap" in prompt.run("info proc mappings")
    assert prompt.run("info proc mappings 1") == prompt.run("info proc mappings")
    assert "work" in prompt.run("info proc")
