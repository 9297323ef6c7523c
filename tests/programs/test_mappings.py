"""Files and shared memory in programs: what the options mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.kernel.calls.processes import put_on_cpu
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.vmp import parse_vmp
from vmdbg.shell.permissions import Permissions
from vmdbg.state.tables import FRAME, FRAME_MAPS

PAGE = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "five.bin").write_bytes(b"Hello" * 1000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a # b").write_bytes(b"x")
    return tmp_path


def boot(folder: Path, text: str) -> Machine:
    path = folder / "t.vmp"
    path.write_text(text)
    machine = Machine(MachineConfig())
    machine.load(read_program(str(path), va_bits=48, page_size=PAGE))
    return machine


def byte(machine: Machine, pid: int, va: int) -> int:
    frame = machine.find_page(pid, va)
    assert frame >= 0
    return int(machine.m.ram1[frame * PAGE + va % PAGE])


def test_processes_that_name_the_same_get_the_same_frame(folder: Path) -> None:
    machine = boot(
        folder,
        "process a\nregion shared 64K 8K rw shared=box\nwrite 64K, 7\nloop\nread 64K\nend\n"
        "process b\nregion data 1M 4K r shared=box\nread 1M\nloop\nread 1M\nend",
    )
    machine.run(1)
    put_on_cpu(machine.k, 0, 2)
    machine.run(2)
    assert machine.find_page(1, 64 << 10) == machine.find_page(2, 1 << 20)
    assert machine.m.frame[machine.find_page(2, 1 << 20) * FRAME + FRAME_MAPS] == 2
    assert byte(machine, 2, 1 << 20) == 7
    assert check(machine) == []


def test_a_file_is_read_zero_filled_and_ends(folder: Path) -> None:
    text = 'region file 64K 16K rw file="five.bin"\nread 64K\nread 64K + 5000\nread 64K + 8K'
    machine = boot(folder, text)
    (folder / "five.bin").write_bytes(b"changed")
    machine.run(2)
    assert byte(machine, 1, 64 << 10) == ord("H")
    assert byte(machine, 1, (64 << 10) + 4999) == ord("o")
    assert byte(machine, 1, (64 << 10) + 5000) == 0
    machine.run(3)
    assert machine.counts()["signal"] == 1
    assert (folder / "five.bin").read_bytes() == b"changed"
    assert check(machine) == []


def test_an_offset_counts_from_the_start_of_the_file(folder: Path) -> None:
    machine = boot(folder, 'mmap 64K, 4K, r file="five.bin" offset=4K\nread 64K\nread 64K')
    machine.run(2)
    assert byte(machine, 1, 64 << 10) == b"Hello"[4096 % 5]


def test_what_is_written_to_a_shared_file_outlives_its_page(folder: Path) -> None:
    """Its page leaves memory, the region goes, and the next one reads what was written; the host does not."""
    machine = boot(
        folder,
        'mmap 64K, 4K, rw file="five.bin" shared\nwrite 64K, 0x41\nmunmap 64K, 4K\n'
        'mmap 1M, 4K, r file="five.bin"\nread 1M\nread 1M',
    )
    machine.run(2)
    machine.swap_out(1, 64 << 10)
    assert machine.counts()["file-write"] == 1
    machine.run(5)
    assert byte(machine, 1, 1 << 20) == 0x41
    assert (folder / "five.bin").read_bytes().startswith(b"Hello")


def test_memory_without_a_name_is_shared_with_children_alone(folder: Path) -> None:
    machine = boot(
        folder,
        "mmap 64K, 4K, rw shared\nmmap 1M, 4K, rw shared\nwrite 64K, 1\nfork child\nloop\nread 64K\nend\n"
        "child:\nwrite 64K, 2\nloop\nread 64K\nend",
    )
    machine.run(4)
    put_on_cpu(machine.k, 0, 2)
    machine.run(5)
    assert byte(machine, 1, 64 << 10) == byte(machine, 2, 64 << 10) == 2
    assert check(machine) == []


def test_fixed_replaces_and_without_it_the_call_is_refused(folder: Path) -> None:
    machine = boot(
        folder,
        "region data 64K 16K rw\nwrite 68K, 1\nmmap 68K, 4K, rw\nmmap 68K, 4K, rw fixed\nread 68K\nread 0",
    )
    machine.run(2)
    assert machine.counts()["syscall-error"] == 1
    machine.run(4)
    assert machine.counts()["syscall-error"] == 1
    assert byte(machine, 1, 68 << 10) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('region file 0 4K r file="none"', "none: No such file or directory"),
        ('region file 0 4K r file="in"', "in: Is a directory|in: not a regular file"),
        ("region file 0 4K r", 'a region of kind file needs file="PATH"'),
        ('region shared 0 4K r file="five.bin"', "a region of kind shared maps no file"),
        ('region heap 0 4K rw file="five.bin"', "a region of kind heap is memory of its own"),
        ("region guard 0 4K r", "a guard allows nothing: its rights are none"),
        (
            'region file 0 4K r file="five.bin" offset=1',
            "the offset is not a multiple of the page size, 4 KiB",
        ),
        ("region data 0 4K r offset=4K", "an offset without a file or a name"),
        ("region data 0 2M r page=2M shared", "files and shared memory are mapped in base pages"),
        ("region shared 0 2M r page=2M", "files and shared memory are mapped in base pages"),
        ('region file 0 4K r file="five.bin" shared=box', "a file has no name beside its own"),
        ('region file 0 4K r file="five.bin', "the quotes are not closed"),
        ('region file 0 4K r file=""', "expected a file name in quotes, not an empty one"),
        ("region file 0 4K r file=five", 'expected a file name in quotes, not "five"'),
        ('region file 0 4K r file="five.bin" file="five.bin"', "file is there already"),
        ("region data 0 4K r fixed", 'expected page=SIZE, .* or the end of the line, not "fixed"'),
    ],
)
def test_what_is_refused(folder: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"(?m)^.*:1:\d+: ({message})$"):
        parse_vmp(f"{line}\nread 0".encode(), str(folder / "t.vmp"), va_bits=48, page_size=PAGE)


def test_a_name_in_quotes_may_have_blanks_and_a_hash(folder: Path) -> None:
    text = 'region file 0 4K r file="in/a # b" # and a comment'
    program = parse_vmp(text.encode() + b"\nread 0", str(folder / "t.vmp"), va_bits=48, page_size=PAGE)
    wanted = program.processes[0].regions[0].object
    assert wanted is not None
    assert (wanted.name, wanted.content) == ("a # b", b"x")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "link", "~/x"])
def test_restricted_no_file_outside_the_programs_folder(folder: Path, name: str) -> None:
    (folder / "outside").write_bytes(b"secret")
    (folder / "in" / "link").symlink_to(folder / "outside")
    text = f'region file 0 4K r file="{name}"\nread 0'.encode()
    with pytest.raises(UserError, match="are not allowed in a restricted session"):
        parse_vmp(
            text,
            str(folder / "in" / "t.vmp"),
            va_bits=48,
            page_size=PAGE,
            approve=Permissions(True, str(folder / "in")).path,
        )


def test_shared_memory_is_as_large_as_its_largest_mapping(folder: Path) -> None:
    machine = boot(
        folder,
        "process a\nregion shared 64K 4K rw shared=box\nread 64K\n"
        "process b\nregion shared 64K 16K rw shared=box\nwrite 64K + 12K, 1",
    )
    machine.run(10)
    assert "signal" not in machine.counts()


@pytest.mark.long
def test_a_program_names_a_thousand_objects_at_most(folder: Path) -> None:
    lines = [f"mmap 0, 4K, r shared=n{number}" for number in range(1001)]
    with pytest.raises(InputError, match="more than 1000 files and names of shared memory"):
        parse_vmp("\n".join(lines).encode(), "t.vmp", va_bits=48, page_size=PAGE)
    machine = boot(folder, "\n".join(lines[:1000]))
    machine.run(1000)
    assert machine.counts()["syscall-error"] == 999
    assert check(machine) == []
