"""Imports run one way: from the prompt down to the tables, never back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vmdbg"

# Lowest first.  A module imports from its own layer and from those before it.
LAYERS = (
    ("errors", "units", "regex", "progress", "engine"),
    ("expressions",),
    ("formats",),
    ("state",),
    ("hardware",),
    ("kernel",),
    ("machine",),
    ("programs",),
    ("inspect",),
    ("debugger",),
    ("views",),
    ("shell",),
    ("cli", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """`vmdbg.state.tables` for its file; a package's name for its `__init__.py`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, name: str, is_package: bool) -> list[tuple[int, str]]:
    """Line and full name of everything that a module imports, also inside functions and by name."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, *([base] if base else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                found.append((node.lineno, node.args[0].value))
    return found


def layer(name: str) -> str:
    """The top-level part below `vmdbg`, or an empty string for `vmdbg` itself and other packages."""
    parts = name.split(".")
    return parts[1] if parts[0] == "vmdbg" and len(parts) > 1 else ""


def upward_imports(source: str, name: str, is_package: bool = False) -> list[str]:
    """The imports that run the wrong way, as `line: layer imports layer`."""
    own = layer(name)
    wrong = []
    for line, other in imported(source, name, is_package):
        if layer(other) in RANK and (not own or RANK[layer(other)] > RANK[own]):
            wrong.append(f"{line}: {own or 'vmdbg'} imports {other}")
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert upward_imports(source, module_name(path), path.name == "__init__.py") == []


def test_every_module_has_a_layer() -> None:
    tops = {layer(module_name(path)) for path in MODULES} - {""}
    assert tops <= set(RANK), "say in LAYERS where these stand"


@pytest.mark.parametrize(
    "line",
    [
        "import vmdbg.shell.repl",
        "from vmdbg import shell",
        "from vmdbg.shell import repl",
        "from ..shell import repl",
        "from .. import shell",
        "def f():\n    import vmdbg.cli",
        "import importlib\nimportlib.import_module('vmdbg.shell')",
    ],
)
def test_an_upward_import_is_found(line: str) -> None:
    assert len(upward_imports(line, "vmdbg.state.tables")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "from vmdbg.errors import UserError",
        "from . import events",
        "import llvmlite",
        "from .events import emit",
    ],
)
def test_a_downward_import_is_fine(line: str) -> None:
    assert upward_imports(line, "vmdbg.state.tables") == []
    assert upward_imports(line, "vmdbg.state", is_package=True) == []
