"""What all tests share: the engines, the slow ones, and a vmdbg to start as a user would."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.drawn import ALL

if TYPE_CHECKING:
    from vmdbg.engine.native import Code
    from vmdbg.machine.machine import Machine

ROOT = Path(__file__).resolve().parent.parent
HAVE_LLVMLITE = importlib.util.find_spec("llvmlite") is not None
ENGINES = {
    "interpreted": ["interpreted"],
    "compiled": ["compiled"],
    "both": ["interpreted", "compiled"],
}

# A run that fails on one machine has to fail on the next: CI draws the same examples each time.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ci", action="store_true", help="run all that CI runs: the long tests too")
    parser.addoption("--all", action="store_true", help="run the long and the slow tests too")
    parser.addoption(
        "--engine",
        choices=sorted(ENGINES),
        help="engines of the run loop (default: both, if llvmlite is there)",
    )
    parser.addoption(
        "--update-transcripts",
        action="store_true",
        help="write what vmdbg prints into docs instead of comparing",
    )


def engines(config: pytest.Config) -> list[str]:
    """The engines that this run of the tests covers."""
    chosen = config.getoption("--engine") or ("both" if HAVE_LLVMLITE else "interpreted")
    if chosen != "interpreted" and not HAVE_LLVMLITE:
        raise pytest.UsageError(f"--engine={chosen} needs llvmlite, which is not installed")
    return ENGINES[chosen]


def pytest_report_header(config: pytest.Config) -> str:
    return f"engines: {', '.join(engines(config))}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `engine` runs once in each engine."""
    if "engine" in metafunc.fixturenames:
        names = engines(metafunc.config)
        metafunc.parametrize("engine", [pytest.param(name, marks=pytest.mark.engine) for name in names])


def pytest_configure(config: pytest.Config) -> None:
    """What tests compile is kept for the next ones, the workers of this run and later runs.

    Whoever names files or folders gets their long tests too.
    """
    os.environ.setdefault("VMDBG_CACHE", str(ROOT / ".pytest_cache" / "compiled"))
    os.environ.setdefault("MPLCONFIGDIR", str(ROOT / ".pytest_cache" / "matplotlib"))  # its list of fonts
    if config.getoption("--all"):
        os.environ[ALL] = "1"
    if {Path(argument).resolve() for argument in config.args} != {ROOT / "tests"}:
        config.option.ci = True


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of the engine ask for one by name: with `-m engine` no other file has to be read."""
    if config.option.markexpr == "engine" and collection_path.suffix == ".py":
        return re.search(rb"\b(engine|both)\b", collection_path.read_bytes()) is None or None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that compare the engines are tests of the engine (`-m engine`).

    Long ones wait for `--ci`, slow ones for `--all`.
    """
    for item in items:
        if "both" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
    if config.getoption("--all"):
        return
    waiting = ["slow"] if config.getoption("--ci") else ["slow", "long"]
    left_out = [item for item in items if any(map(item.get_closest_marker, waiting))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not any(map(item.get_closest_marker, waiting))]


@pytest.fixture(scope="session")
def model() -> Callable[[str], ModuleType]:
    """Load a module of tests/models by name: independent models, and what random tests are made of."""
    loaded: dict[str, ModuleType] = {}

    def load(name: str) -> ModuleType:
        if name not in loaded:
            path = ROOT / "tests" / "models" / f"{name}.py"
            spec = importlib.util.spec_from_file_location(f"models_{name}", path)
            assert spec is not None
            assert spec.loader is not None
            loaded[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def ready() -> Callable[[Machine], Machine]:
    """Give a machine its compiled engine: `ready(machine)`; machines with equal bindings share one."""
    builds: dict[object, Code] = {}

    def prepare(machine: Machine) -> Machine:
        bound = machine.bindings.items()
        names = [(name, getattr(it, "__module__", ""), getattr(it, "__qualname__", it)) for name, it in bound]
        key = (machine.format.name, *sorted(names))
        if key in builds:
            machine.compiled = builds[key]
        else:
            builds[key] = machine.compile()
        return machine

    return prepare


@pytest.fixture
def both(request: pytest.FixtureRequest) -> None:
    """For tests that compare the engines, or need the fast one: skip where only one takes part."""
    if "compiled" not in engines(request.config):
        pytest.skip("needs the compiled engine")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder, so that nobody's init file or history takes part."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def user_environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user with an empty home folder, 80x24, and this tree's `vmdbg` on the PATH.

    Compiled code is looked for where this session's other tests put it.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    starter = programs / "vmdbg"
    starter.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m vmdbg "$@"\n')
    starter.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VMDBG_", "PYTEST"))}
    kept.pop("NO_COLOR", None)
    kept["VMDBG_CACHE"] = os.environ["VMDBG_CACHE"]
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {**kept, "HOME": str(home), "PATH": path, "COLUMNS": "80", "LINES": "24", "TERM": "dumb"}


@pytest.fixture
def run_vmdbg(
    user_environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Start vmdbg as a process: `run_vmdbg("-batch", "-ex", "print 1", input="", cwd=folder)`.

    stdout and stderr come back apart; a run longer than `timeout` seconds (60) is an error.
    """

    def run(
        *arguments: str, input: str = "", cwd: Path = tmp_path, timeout: float = 60, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(tmp_path / "bin" / "vmdbg"), *arguments],
            input=input,
            cwd=cwd,
            timeout=timeout,
            env={**user_environment, **more},
            text=True,
            capture_output=True,
            check=False,
        )

    return run
