"""A restricted session: every way out that we could think of."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.shell.boot import MachineSettings, open_target

pytestmark = pytest.mark.long


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
        "source /proc/self/cwd/../outside.vmdbg",
        "source /dev/fd/0",
        "define hook-print\nshell echo out\nend\nprint 1",
        "alias sneak = shell\nsneak echo out",
        "define echo\nshell printf out\nend\necho x",
        'set $cmd = "shell echo out"\neval "%s", $cmd',
        "with max-user-call-depth 5 -- pipe echo out | cat",
        "if 1\nshell echo out\nend",
    ],
)
def test_refused(cage, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = os.getcwd()
    assert "out" not in cage.script(line)
    assert cage.err()
    assert os.getcwd() == before


def test_links_are_followed_before_they_are_judged(cage, tmp_path: Path) -> None:
    (tmp_path / "here" / "link.vmdbg").symlink_to(tmp_path / "outside.vmdbg")
    (tmp_path / "here" / "up").symlink_to(tmp_path)
    for name in ("link.vmdbg", "up/outside.vmdbg"):
        assert "are not allowed in a restricted session." in cage.errors(f"source {name}")


def test_what_leads_outside_without_a_name_is_refused(cage, tmp_path: Path) -> None:
    """A second name of a file outside, and pipes and devices, at which one would wait for ever."""
    here = tmp_path / "here"
    (here / "hard.vmdbg").hardlink_to(tmp_path / "outside.vmdbg")
    os.mkfifo(here / "fifo")
    for line in ("source {}", "source -isolated {}", "load machine {}", "set logging file {}"):
        for name in ("hard.vmdbg", "fifo", "/dev/zero", "/dev/stdin"):
            assert "not allowed in a restricted session." in cage.errors(line.format(name)), (line, name)
    assert (tmp_path / "outside.vmdbg").read_text() == "echo out\\n\n"


def test_completion_lists_no_folder_outside(cage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here" / "up").symlink_to(tmp_path)
    (tmp_path / "here" / "mine.vmdbg").write_text("")
    for text in ("../", "/", "~/", "up/", f"{tmp_path}/"):
        assert cage.run(f"complete source {text}") == ""
    assert cage.run("complete source m") == "source mine.vmdbg\n"


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
    assert cage.interpreter.command_history == []
    assert (tmp_path / "here" / ".vmdbg_history").read_text() == "print 1\n"


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
        "machine form.toml",
        "machine link.toml",
        "machine swap.toml",
        "machine code.toml",
        "machine fifo.toml",
        "set machine.format ../form.toml",
        "set machine.swap.file ../swap",
        "set kernel.policy mine.py",
        "mmap -file ../p.vmp 0x9000 256 r",
        "break 0x10\nsave breakpoints ../stops",
        "diff ../m.vm",
    ],
)
def test_files_of_the_machine_stay_inside(cage, line: str, tmp_path: Path) -> None:
    secret = "secret\n"
    (tmp_path / "p.vmp").write_text(secret)
    (tmp_path / "m.toml").write_text('[machine]\nformat = "tutorial16"\n')
    (tmp_path / "form.toml").write_text(secret)
    here = tmp_path / "here"
    (here / "up").symlink_to(tmp_path)
    (here / "out.toml").symlink_to(tmp_path / "form.toml")
    (here / "mine.py").write_text("import os\nos.mkdir('../made')\n")
    os.mkfifo(here / "fifo.toml")
    (here / "here.toml").write_text(f'[machine]\nprogram = "{tmp_path}/p.vmp"\n')
    for name, text in {
        "form": '[machine]\nformat = "../form.toml"\n',
        "link": '[machine]\nformat = "out.toml"\n',
        "swap": '[machine]\nswap.file = "../swap"\n',
        "code": '[kernel]\npolicy = "mine.py"\n',
    }.items():
        (here / f"{name}.toml").write_text(text)
    cage.session.settings.attach_later(lambda: MachineSettings(cage.session))
    cage.session.target = open_target(cage.session, "tutorial16", "")
    shown = cage.script(line)
    said = cage.err()
    assert "not allowed" in said
    assert "secret" not in said + shown
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["form.toml", "here", "m.toml", "outside.vmdbg", "p.vmp"]


def test_the_machine_of_the_command_line_may_be_anywhere(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "m.toml").write_text('[machine]\nram = "32M"\n')
    done = run_vmdbg(
        "-nx", "-batch", "--restricted", "-m", "../m.toml", "-ex", "split 0x401000", cwd=tmp_path / "inside"
    )
    assert (done.stderr, done.returncode) == ("", 0)


Run = Callable[..., subprocess.CompletedProcess[str]]


def saved(folder: Path, **values: object) -> None:
    """A saved machine `m.vm` in a folder, its settings changed behind its back; the checksum is right."""
    from vmdbg.inspect.target import boot_named
    from vmdbg.machine.file import HASH_BYTES, MAGIC, checksum, save_machine

    save_machine(boot_named("tutorial16").machine, str(folder / "m.vm"))
    whole = (folder / "m.vm").read_bytes()
    end = whole.index(b"\n", len(MAGIC))
    header = json.loads(whole[len(MAGIC) : end])
    header["config"] |= {name.replace("__", "."): value for name, value in values.items()}
    data = MAGIC + json.dumps(header).encode() + whole[end:-HASH_BYTES]
    (folder / "m.vm").write_bytes(data + checksum(data))


@pytest.mark.parametrize("line", ["load machine m.vm", "diff m.vm"])
@pytest.mark.parametrize(
    "values",
    [{"kernel__policy": "mine.py"}, {"machine__format": "../form.toml"}, {"machine__format": "hard.toml"}],
)
def test_a_saved_machine_names_no_file_outside(
    line: str, values: dict[str, object], tmp_path: Path, run_vmdbg: Run
) -> None:
    """Neither code, nor what lies elsewhere, by whatever command it is opened."""
    here = tmp_path / "inside"
    here.mkdir()
    (tmp_path / "form.toml").write_text("secret")
    (here / "hard.toml").hardlink_to(tmp_path / "form.toml")
    (here / "mine.py").write_text("import os\nos.mkdir('../made')\n")
    saved(here, **values)
    done = run_vmdbg("-nx", "-batch", "--restricted", "-ex", line, cwd=here)
    assert "not allowed in a restricted session." in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert not (tmp_path / "made").exists()


def test_the_program_of_a_saved_machine_is_not_read_outside(tmp_path: Path, run_vmdbg: Run) -> None:
    here = tmp_path / "inside"
    here.mkdir()
    (tmp_path / "p.vmp").write_text("secret\n")
    saved(here, machine__program=str(tmp_path / "p.vmp"))
    lines = ("load machine m.vm", "set kernel.quantum 7", "run")
    done = run_vmdbg("-nx", "-batch", "--restricted", *(w for line in lines for w in ("-ex", line)), cwd=here)
    assert "files outside" in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_a_program_maps_no_second_name_of_a_file_outside(cage, tmp_path: Path) -> None:
    (tmp_path / "here" / "hard").hardlink_to(tmp_path / "outside.vmdbg")
    (tmp_path / "here" / "p.vmp").write_text('process p\nregion data 0x1000 4K r file="hard"\nread 0x1000\n')
    cage.session.settings.attach_later(lambda: MachineSettings(cage.session))
    cage.session.target = open_target(cage.session, "x86_32", "")
    assert "p.vmp:2:" in cage.errors("file p.vmp")
    assert "hard links" in cage.errors("file p.vmp")


def test_files_that_are_written_are_few(cage, tmp_path: Path) -> None:
    cage.session.target = open_target(cage.session, "tutorial16", "")
    cage.script('break 0x10\nset $i = 0\nwhile $i < 16\neval "save breakpoints s%d", $i\nset $i++\nend')
    assert "a restricted session writes 16 files, not more." in cage.errors("save breakpoints t")
    assert cage.errors("save breakpoints s3") == ""
    assert len(list((tmp_path / "here").glob("s*"))) == 16


def test_what_goes_wrong_is_output_too(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.vmdbg").write_text(f"while 1\nsource {'x' * 200}\nend\n")
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "a.vmdbg")
    assert done.returncode == 1
    assert done.stderr.endswith("Output limit reached.\n")
    assert len(done.stderr) < 17 << 20


def test_a_large_machine_of_the_command_line_boots(run_vmdbg: Run) -> None:
    done = run_vmdbg("-nx", "-batch", "--restricted", "-m", "partitions", "-ex", "ps")
    assert done.stderr == ""
