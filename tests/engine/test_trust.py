"""What is in the cache is machine code: only whole files of the user's own are loaded, others replaced."""

from __future__ import annotations

import importlib.util
import os
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmdbg.engine import build, cache, native
from vmdbg.engine.cache import HEAD, MAGIC, CacheError
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
pytestmark = [
    pytest.mark.long,
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, empty."""
    place = tmp_path / "cache"
    monkeypatch.setenv("VMDBG_CACHE", str(place))
    return place


@pytest.fixture(scope="module")
def found() -> bytes:
    """The object of a machine."""
    return native.compiled(Machine(load_config("tutorial16")).build().text(), native.QUICK)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, found: bytes) -> Iterator[Callable[[], build.Build]]:
    """Makes a machine's build as a new process would; the object is known, so that LLVM has nothing to do."""
    first = Machine(load_config("tutorial16")).build()
    monkeypatch.setattr(native, "compiled", lambda text, tier, checked: found)
    monkeypatch.setattr(build.Build, "text", lambda self: "")

    def make() -> build.Build:
        return build.Build(first.bindings, first.entry, first.layout, first.checked, first.key)

    yield make
    build.finish()


def runs(code: native.Code) -> bool:
    """Does the code do what the interpreted engine does?"""
    one, two = Machine(load_config("tutorial16")), Machine(load_config("tutorial16"))
    two.compiled = code
    one.run(50)
    two.run(50, True)
    return one.digest() == two.digest()


def damages(whole: bytes) -> Iterator[bytes]:
    """200 files that were this one: every region of it damaged, cut off, or longer."""
    rng = random.Random(4)
    regions = [(0, len(MAGIC)), (len(MAGIC), len(MAGIC) + 8), (len(MAGIC) + 8, HEAD), (HEAD, len(whole))]
    for number in range(120):
        low, high = regions[number % 4]
        at = rng.randrange(low, high)
        yield whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
    for number in range(40):
        low, high = regions[number % 4]
        yield whole[: rng.randrange(low, high)]
    for _ in range(20):
        at, size = rng.randrange(len(whole)), rng.randrange(1, 5000)
        yield whole[:at] + rng.randbytes(size) + whole[at + size :]
    for size in range(10):
        yield whole + bytes(size + 1)
    yield from (b"", MAGIC, b"\0" * len(whole), whole[HEAD:], whole[:HEAD], whole * 2, whole[1:])
    longer = len(whole) - HEAD + 1
    yield MAGIC + longer.to_bytes(8, "little") + whole[len(MAGIC) + 8 :]
    yield MAGIC + bytes(8) + cache.checksum(b"")
    yield b"\x7fELF" + whole[4:]


def test_a_damaged_object_is_never_loaded_and_is_replaced(
    folder: Path, fresh: Callable[[], build.Build]
) -> None:
    first = fresh()
    first.full()
    build.finish()
    file = folder / first.key
    whole = file.read_bytes()
    cases = list(damages(whole))
    assert len(cases) == 200
    for number, damaged in enumerate(cases):
        if damaged == whole:
            continue
        file.write_bytes(damaged)
        again = fresh()
        code = again.full()
        assert not code.from_cache, number
        empty = damaged == MAGIC + bytes(8) + cache.checksum(b"")  # a whole file, of nothing
        assert again.trouble.startswith(f"{file} is " + ("made anew: " if empty else "damaged: ")), number
        build.finish()
        assert file.read_bytes() == whole, number
    assert os.listdir(folder) == [first.key]
    last = fresh()
    assert last.full().from_cache
    assert last.trouble == ""
    assert runs(last.full())


def test_nobody_else_can_read_or_write_what_is_kept(folder: Path) -> None:
    before = os.umask(0)
    try:
        cache.write(str(folder), "name", b"object")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "name").stat().st_mode) == 0o600


def test_an_object_that_others_may_write_to_is_not_loaded(folder: Path) -> None:
    for mode in (0o602, 0o620, 0o666, 0o677):
        cache.write(str(folder), "name", b"object")
        (folder / "name").chmod(mode)
        with pytest.raises(CacheError, match=r"name is writable to others: what is in it is not run\."):
            cache.read(str(folder), "name")
        cache.write(str(folder), "name", b"new")
        assert cache.read(str(folder), "name") == b"new"


def test_a_folder_that_others_may_write_to_is_not_used(folder: Path) -> None:
    cache.write(str(folder), "name", b"object")
    for mode in (0o777, 0o702, 0o720, 0o1777, 0o770):
        folder.chmod(mode)
        with pytest.raises(CacheError, match=r"cache is writable to others"):
            cache.read(str(folder), "name")
        with pytest.raises(CacheError, match=r"cache is writable to others"):
            cache.write(str(folder), "name", b"new")
    folder.chmod(0o755)
    assert cache.read(str(folder), "name") == b"object"


@as_root
def test_what_belongs_to_another_user_is_not_loaded(folder: Path) -> None:
    cache.write(str(folder), "name", b"object")
    os.chown(folder / "name", NOBODY, NOBODY)
    with pytest.raises(CacheError, match=r"name belongs to another user: what is in it is not run\."):
        cache.read(str(folder), "name")
    cache.write(str(folder), "name", b"new")
    assert (folder / "name").stat().st_uid == 0
    assert cache.read(str(folder), "name") == b"new"
    os.chown(folder, NOBODY, NOBODY)
    for use in (lambda: cache.read(str(folder), "name"), lambda: cache.write(str(folder), "name", b"x")):
        with pytest.raises(CacheError, match=r"cache belongs to another user"):
            use()


def test_what_is_no_file_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    """A link is replaced where it is, and what it leads to stays; a pipe is not waited for."""
    target = tmp_path / "elsewhere"
    cache.write(str(folder), "name", b"object")
    whole = (folder / "name").read_bytes()
    target.write_bytes(whole)
    target.chmod(0o600)
    (folder / "name").unlink()
    (folder / "name").symlink_to(target)
    with pytest.raises(CacheError, match=r"Too many levels of symbolic links"):
        cache.read(str(folder), "name")
    cache.write(str(folder), "name", b"new")
    assert not (folder / "name").is_symlink()
    assert (cache.read(str(folder), "name"), target.read_bytes()) == (b"new", whole)
    (folder / "name").unlink()
    os.mkfifo(folder / "name", 0o600)
    with pytest.raises(CacheError, match=r"name is no file"):
        cache.read(str(folder), "name")
    cache.write(str(folder), "name", b"new")
    assert cache.read(str(folder), "name") == b"new"
    (folder / "name").unlink()
    (folder / "name").mkdir()
    with pytest.raises(CacheError, match=r"name is no file"):
        cache.read(str(folder), "name")
    with pytest.raises(CacheError, match=r"Is a directory"):
        cache.write(str(folder), "name", b"new")
    assert sorted(os.listdir(folder)) == ["name"]


def test_a_part_that_a_killed_process_left_is_no_hindrance(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    part = folder / f"name.{os.getpid()}.part"
    part.symlink_to("/etc/passwd")
    cache.write(str(folder), "name", b"object")
    assert os.listdir(folder) == ["name"]


def test_old_objects_go_when_there_are_many(folder: Path) -> None:
    for number in range(cache.MOST + 5):
        cache.write(str(folder), f"name{number}", b"object")
        os.utime(folder / f"name{number}", (number, number))
    left = os.listdir(folder)
    assert len(left) == cache.MOST
    assert f"name{cache.MOST + 4}" in left
    assert "name0" not in left


def test_where_nothing_can_be_written_code_is_made_in_memory(
    monkeypatch: pytest.MonkeyPatch, fresh: Callable[[], build.Build]
) -> None:
    for name in ("VMDBG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    homes = ["/proc", "/sys", "/dev/null", "", "relative"]  # read-only, no folder, none
    for home in homes:
        monkeypatch.setenv("HOME", home)
        made = fresh()
        assert not made.full().from_cache
        assert runs(made.full())
        build.finish()
        assert bool(made.trouble) == home.startswith("/")
        assert "\n" not in made.trouble


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_without_space_nothing_is_left(folder: Path, size: int) -> None:
    """A file that cannot be written to its end is no file of the cache."""
    program = (
        "import resource, sys\n"
        "from vmdbg.engine import cache\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "try:\n"
        "    cache.write(sys.argv[1], 'name', bytes(20000))\n"
        "except cache.CacheError as error:\n"
        "    print(error)\n"
    )
    assert resource.RLIMIT_FSIZE
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", program, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder}: File too large.\n"
    assert os.listdir(folder) == []


def test_what_is_wrong_is_one_line_for_who_wants_to_know(run_vmdbg: Run, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    line = f"{folder} is writable to others: what is in it is not run.\n"
    commands = ("-nx", "-batch", "-m", "tutorial16", "-ex", "set engine compiled", "-ex", "run", "-ex", "run")
    quiet = run_vmdbg(*commands, VMDBG_CACHE=str(folder))
    assert (quiet.returncode, quiet.stderr) == (0, "")
    told = run_vmdbg("-ex", "set verbose on", *commands, VMDBG_CACHE=str(folder))
    assert (told.returncode, told.stdout, told.stderr) == (0, quiet.stdout, line)
    assert os.listdir(folder) == []


# -- races

RACE = """
import os, sys, time
from vmdbg.engine import build
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

machine = Machine(load_config("tutorial16"))
while not os.path.exists(sys.argv[1]):
    time.sleep(0.001)
machine.compile()
machine.run(50, True)
build.finish()
print(machine.digest())
"""
WRITE = """
import os, sys, time
from vmdbg.engine import cache

while not os.path.exists(sys.argv[1]):
    time.sleep(0.001)
for turn in range(200):
    cache.write(sys.argv[2], "name", bytes([turn]) * 50_000)
    found = cache.read(sys.argv[2], "name")
    assert found is not None and len(set(found)) == 1 and len(found) == 50_000
print("whole")
"""


def race(program: str, tmp_path: Path, cache_folder: Path, pair: int) -> set[str]:
    """Two processes that begin at once; what they print."""
    signal = tmp_path / f"go{pair}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VMDBG_CACHE": str(cache_folder)}
    command = [sys.executable, "-P", "-c", program, str(signal), str(cache_folder)]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    signal.touch()
    said = {process.communicate(timeout=120)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0]
    return said


def test_two_processes_may_write_one_object_at_once(tmp_path: Path, folder: Path) -> None:
    assert race(WRITE, tmp_path, folder, 0) == {"whole\n"}
    assert os.listdir(folder) == ["name"]


@pytest.mark.slow
def test_twenty_pairs_of_processes_may_compile_one_machine_at_once(tmp_path: Path) -> None:
    machine = Machine(load_config("tutorial16"))
    machine.run(50)
    for pair in range(20):
        folder = tmp_path / f"cache{pair}"
        assert race(RACE, tmp_path, folder, pair) == {machine.digest() + "\n"}
        (name,) = os.listdir(folder)
        assert cache.read(str(folder), name)
