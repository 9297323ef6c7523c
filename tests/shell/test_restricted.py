"""A restricted session: every way out that we could think of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target


@pytest.fixture
def cage(make_shell: Callable[..., object], tmp_path: Path):
    (tmp_path / "outside.vmdbg").write_text("echo out\\n\n")
    return make_shell(restricted=True)


@pytest.mark.parametrize(
    "line",
    [
        "shell echo out",
        "!echo out",
        "make out",
        "pipe echo out | cat",
        "| echo out | cat",
        'eval "shell echo %s", "out"',
        "with confirm off -- shell echo out",
        "cd ..",
        "source ../outside.vmdbg",
        "source -isolated ../outside.vmdbg",
        "source -v ../outside.vmdbg",
        "source here/../../outside.vmdbg",
        "source ~/outside.vmdbg",
    ],
)
def test_refused(cage, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = os.getcwd()
    assert "out" not in cage.run(line)
    assert cage.err()
    assert os.getcwd() == before


def test_links_are_followed_before_they_are_judged(cage, tmp_path: Path) -> None:
    (tmp_path / "here" / "link.vmdbg").symlink_to(tmp_path / "outside.vmdbg")
    (tmp_path / "here" / "up").symlink_to(tmp_path)
    for name in ("link.vmdbg", "up/outside.vmdbg"):
        assert "are not allowed in a restricted session." in cage.errors(f"source {name}")


def test_log_files_stay_inside(cage, tmp_path: Path) -> None:
    (tmp_path / "here" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for name in ("../log.txt", str(tmp_path / "log.txt"), "link.txt"):
        assert "not allowed" in cage.errors(f"set logging file {name}")
    cage.session.settings.set("logging file", "../log.txt")
    assert "not allowed" in cage.errors("set logging enabled on")
    assert cage.run("show logging enabled") == "off: Logging is disabled.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "outside.vmdbg"]
    cage.run("set logging file mine.txt", "set logging enabled on", "echo x", "set logging enabled off")
    assert (tmp_path / "here" / "mine.txt").read_text() == "x"


def test_files_inside_are_allowed(cage, tmp_path: Path) -> None:
    (tmp_path / "here" / "a.vmdbg").write_text("echo in\\n\n")
    assert cage.run("source a.vmdbg", f"source {tmp_path}/here/a.vmdbg") == "in\nin\n"


def test_redefining_commands_opens_nothing(cage) -> None:
    cage.script(
        "define echo\nshell echo out\nend\nalias sneak = shell\ndefine hook-print\nshell echo out\nend"
    )
    assert "out" not in cage.run("echo", "sneak echo out", "print 1")


def test_init_files_are_not_read(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], home: Path, tmp_path: Path
) -> None:
    (home / ".vmdbginit").write_text("echo home\\n\n")
    (tmp_path / ".vmdbginit").write_text("echo folder\\n\n")
    assert run_vmdbg("-batch", "--restricted", "-ex", "echo x").stdout == "x"


def test_the_history_is_not_touched(cage, tmp_path: Path) -> None:
    from vmdbg.shell.history import load_history, save_history

    (tmp_path / "here" / ".vmdbg_history").write_text("print 1\n")
    load_history(cage.session)
    cage.run("set history save on")
    save_history(cage.session)
    assert cage.interpreter.history == []
    assert (tmp_path / "here" / ".vmdbg_history").read_text() == "print 1\n"


def test_endless_output_ends(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "a.vmdbg").write_text(f"while 1\necho {'x' * 10_000}\nend\n")
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "a.vmdbg")
    assert (done.stderr, done.returncode) == ("Output limit reached.\n", 1)
    assert len(done.stdout) <= 16 << 20


def test_endless_output_into_nothing_ends(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "a.vmdbg").write_text(f"while 1\necho {'x' * 10_000}\nend\n")
    done = run_vmdbg("-nx", "-batch", "--restricted", "-ex", "source -isolated a.vmdbg", "-ex", "echo on")
    assert "Output limit reached." in done.stderr


def test_endless_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a.vmdbg").write_text("while 1\nend\n")
    code = (
        "import sys; from vmdbg.shell import bounds; from vmdbg.cli import main; bounds.SECONDS = 0.2\n"
        f"sys.exit(main(['-nx', '-batch', '--restricted', '-cd', {str(tmp_path)!r}, '-x', 'a.vmdbg']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "Time limit reached.\n", 1)


def test_memory_is_bounded(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "a.vmdbg").write_text(
        'define f\neval "f %s%s", "$arg0", "$arg0"\nend\nf aaaaaaaaaaaaaaaaaaaaaaaa\n'
    )
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "a.vmdbg")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 10_000


def test_the_script_of_the_command_line_may_be_anywhere(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "lab.vmdbg").write_text("echo lab\\n\nsource ../other.vmdbg\n")
    (tmp_path / "other.vmdbg").write_text("echo other\\n\n")
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "../lab.vmdbg", cwd=inside)
    assert done.stdout == "lab\n"
    assert "not allowed" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "file ../p.vmp",
        "file up/p.vmp",
        "machine ../m.toml",
        "machine here.toml",
        "load machine ../m.vm",
        "save machine ../m.vm",
        "set machine.program ../p.vmp",
        "with machine.program ../p.vmp -- print 1",
    ],
)
def test_files_of_the_machine_stay_inside(cage, line: str, tmp_path: Path) -> None:
    secret = "secret\n"
    (tmp_path / "p.vmp").write_text(secret)
    (tmp_path / "m.toml").write_text('[machine]\nformat = "tutorial16"\n')
    (tmp_path / "here" / "up").symlink_to(tmp_path)
    (tmp_path / "here" / "here.toml").write_text(f'[machine]\nprogram = "{tmp_path}/p.vmp"\n')
    cage.session.settings.attach_later(lambda: MachineSettings(cage.session))
    cage.session.target = open_target(cage.session, "tutorial16", "")
    said = cage.errors(line)
    assert "not allowed" in said
    assert "secret" not in said + cage.out()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "m.toml", "outside.vmdbg", "p.vmp"]


def test_the_machine_of_the_command_line_may_be_anywhere(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "m.toml").write_text('[machine]\nram = "32M"\n')
    done = run_vmdbg(
        "-nx", "-batch", "--restricted", "-m", "../m.toml", "-ex", "split 0x401000", cwd=tmp_path / "inside"
    )
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_machine_that_does_not_fit(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "big.toml").write_text('[machine]\nram = "60G"\n')
    done = run_vmdbg("-nx", "-batch", "--restricted", "-ex", "machine big.toml", "-ex", "echo on")
    told = "big.toml: machine.ram: 15728640 pages of x86_64; at most 4194304 are possible.\n"
    assert (done.stdout, done.stderr) == ("on", told)
