"""Installing and starting: the scripts, a clean clone, what a start loads."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).resolve().parent.parent

MOST = 220  # MiB that an installation may take, most of them llvmlite's

# Stands for the Python of a virtual environment: notes each call of pip, refuses llvmlite if told to.
STUB = """#!/bin/bash
here=$(dirname "$0")
case "$*" in
*'pip --version') exit 0 ;;
*'pip install'*)
    printf '%s\\n' "$*" >>"$here/calls"
    echo 'noise of pip'
    [[ ! -e $here/slow ]] || sleep 1.5
    [[ ! -e $here/refuse-all ]] || exit 1
    [[ ! -e $here/refuse-llvmlite || $* == *--no-deps* || $* == *prompt_toolkit* && $* != *' llvmlite'* ]]
    ;;
-*) exec REAL "$@" ;;
esac
"""


class Tree:
    """The scripts and the project file alone, with a stub where the environment's Python would be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.program("python", STUB.replace("REAL", sys.executable))
        self.program("vmdbg", '#!/bin/sh\necho "vmdbg: $*"; pwd\n')

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def refuse(self, what: str) -> None:
        (self.bin / f"refuse-{what}").touch()

    def calls(self) -> list[str]:
        """What pip was asked so far."""
        noted = self.bin / "calls"
        return noted.read_text().splitlines() if noted.exists() else []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / "scripts" / "run"), *arguments]
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "a tree")


def test_run_installs_once_and_prints_only_the_program(tree: Tree) -> None:
    first = tree.run("-ex", "print 1")
    assert first.stdout == "vmdbg: -ex print 1\n/\n"
    assert first.stderr == "Installing vmdbg in .venv ...\n"
    assert len(tree.calls()) == 1
    again = tree.run()
    assert (again.stdout, again.stderr) == ("vmdbg: \n/\n", "")
    assert len(tree.calls()) == 1


def test_on_a_terminal_an_installation_says_that_it_moves(tree: Tree) -> None:
    """A line with the time and what pip does, gone at the end; the next start says nothing."""
    (tree.bin / "slow").touch()
    command = shlex.quote(str(tree.folder / "scripts" / "run"))
    environment = {**os.environ, "TERM": "dumb"}
    said = pexpect.run(command, env=environment, dimensions=(24, 60)).decode()
    first, *moving, last = re.split("\r\n?|\n", said.partition("vmdbg: ")[0])
    assert first == "Installing vmdbg in .venv ..."
    assert (last, moving[-1].strip()) == ("", "")
    seen = {text.rstrip() for text in moving if text.strip()}
    assert len(seen) > 1
    assert [text for text in seen if not re.fullmatch(r"\d+ s(  noise of pip)?", text)] == []
    assert any(text.endswith("  noise of pip") for text in seen)
    assert {len(text) for text in moving if text} == {59}
    assert pexpect.run(command, env=environment).decode().splitlines()[0] == "vmdbg: "


def test_run_installs_again_when_the_project_file_changes(tree: Tree) -> None:
    tree.run()
    with (tree.folder / "pyproject.toml").open("a") as stream:
        stream.write("# changed\n")
    tree.run()
    assert len(tree.calls()) == 2


def test_run_is_content_with_a_wider_installation(tree: Tree) -> None:
    tree.run()
    (tree.bin.parent / "installed-run").rename(tree.bin.parent / "installed-dev")
    assert tree.run().stderr == ""


def test_run_installs_again_in_a_tree_that_was_moved(tree: Tree, tmp_path: Path) -> None:
    tree.run()
    moved = tmp_path / "moved"
    tree.folder.rename(moved)
    finished = subprocess.run([str(moved / "scripts/run")], capture_output=True, text=True, check=True)
    assert finished.stderr == "Installing vmdbg in .venv ...\n"


def test_without_a_wheel_of_llvmlite_the_rest_is_installed(tree: Tree) -> None:
    tree.refuse("llvmlite")
    finished = tree.run("-q")
    assert finished.returncode == 0
    assert finished.stdout == "vmdbg: -q\n/\n"
    assert finished.stderr.splitlines()[1:] == ["No llvmlite for this Python: everything runs interpreted."]
    rest = tree.calls()[1]
    assert "pyelftools" in rest
    assert " llvmlite" not in rest
    assert "--no-deps" in tree.calls()[2]
    assert tree.run().stderr == ""


def test_a_failed_installation_shows_why_and_is_tried_again(tree: Tree) -> None:
    tree.refuse("all")
    for attempt in (1, 2):
        finished = tree.run()
        assert finished.returncode != 0, attempt
        assert finished.stdout == ""
        assert "noise of pip" in finished.stderr


def test_no_python_that_is_new_enough(tree: Tree, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "dirname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    old = tools / "python3"
    old.write_text("#!/bin/bash\nexit 1\n")
    old.chmod(0o755)
    (tree.bin / "python").unlink()
    finished = subprocess.run(
        [str(tree.folder / "scripts/run")],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode != 0
    assert "vmdbg needs Python 3.11 or newer; set PYTHON to one." in finished.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_first_command_works_in_a_clean_clone(tmp_path: Path) -> None:
    """From a clone and an empty home folder, with nothing installed but Python and what is on the PATH."""
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    inside = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != inside)
    pip = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.endswith("_proxy")
    }
    environment = {"HOME": str(home), "PATH": path, "PYTHON": sys._base_executable, **pip}
    for said in ("Installing vmdbg in .venv ...\n", ""):
        finished = subprocess.run(
            ["scripts/run", "-batch", "-ex", "print 1"],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "$1 = 1\n", said)
    blocks = sum(path.lstat().st_blocks for path in (clone / ".venv").rglob("*"))
    assert blocks * 512 <= MOST << 20
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


@pytest.mark.skipif(not importlib.util.find_spec("vmdbg.cli"), reason="there is no command line yet")
def test_a_batch_run_loads_nothing_heavy(user_environment: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "sys.argv = ['vmdbg', '-nx', '-batch', '-ex', 'translate 0x401000']\n"
        "from vmdbg.cli import main\n"
        "try:\n"
        "    status = main()\n"
        "except SystemExit as left:\n"
        "    status = left.code\n"
        "heavy = 'llvmlite numpy prompt_toolkit pygments inspect asyncio argparse'.split()\n"
        "print(status or 0, [name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**user_environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.startswith("0x401000 -> ")
    assert finished.stderr == "0 []\n"
