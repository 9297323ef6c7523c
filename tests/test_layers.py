"""Imports run one way: from the prompt down to the tables, never back."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.sources import tree_of

PACKAGE = Path(__file__).resolve().parent.parent / "vmdbg"

# Lowest first.  A module imports from its own layer and from those before it.
LAYERS = (
    ("errors", "files", "units", "regex", "progress", "engine"),
    ("expressions",),
    ("formats",),
    ("state",),
    ("hardware",),
    ("kernel",),
    ("machine",),
    ("dumps",),
    ("programs",),
    ("inspect",),
    ("sweep",),
    ("debugger",),
    ("exercises",),
    ("views",),
    ("shell",),
    ("library",),
    ("grading",),
    ("cli", "__main__"),
)
#: What the package itself hands out.
FRONT = ("errors", "library")
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """`vmdbg.state.tables` for its file; a package's name for its `__init__.py`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, name: str, is_package: bool) -> list[tuple[int, str]]:
    """Line and full name of everything that a module imports, also inside functions and by name."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
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


def upward_imports(tree: ast.Module, name: str, is_package: bool = False) -> list[str]:
    """The imports that run the wrong way, as `line: layer imports layer`."""
    own = layer(name)
    wrong = []
    for line, other in imported(tree, name, is_package):
        if layer(other) in RANK and (
            layer(other) not in FRONT if not own else RANK[layer(other)] > RANK[own]
        ):
            wrong.append(f"{line}: {own or 'vmdbg'} imports {other}")
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    assert upward_imports(tree_of(path), module_name(path), path.name == "__init__.py") == []


def test_every_module_has_a_layer() -> None:
    tops = {layer(module_name(path)) for path in MODULES} - {""}
    assert tops <= set(RANK), "say in LAYERS where these stand"


def test_the_picture_shows_the_layers() -> None:
    picture = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8").split("```")[1]
    shown = [line.split() for line in picture.splitlines() if line[:1] == " " and line[1:2].isalpha()]
    tops = [word[0].rstrip("/") for word in shown]
    assert tops == [*(names[0] for names in reversed(LAYERS[1:])), "engine", "errors"]


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
    assert len(upward_imports(ast.parse(line), "vmdbg.state.tables")) == 1


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
    assert upward_imports(ast.parse(line), "vmdbg.state.tables") == []
    assert upward_imports(ast.parse(line), "vmdbg.state", is_package=True) == []


# -- no circles, and imports inside functions only where they spare something

MOST_IN_FUNCTIONS = 100
#: What is imported inside functions of modules that no start loads, and why.
SOMETIMES = {
    "vmdbg.engine": "only where something is compiled",
    "vmdbg.shell.repl": "only where prompt_toolkit is installed",
    "llvmlite": "only where something is compiled; it may be missing",
    "elftools": "it may be missing",
    "joblib": "it may be missing",
    "distributed": "it may be missing",
    "pygments": "it may be missing",
    "pyarrow": "it may be missing",
    "zstandard": "it may be missing",
    "matplotlib": "it may be missing, and takes long to import",
    "plotext": "it may be missing, and takes longer to import than all commands",
    "readline": "it may be missing",
    "termios": "not on every system",
    "lzma": "it may be missing",
    "gzip": "it may be missing",
    "zlib": "it may be missing",
    "hashlib": "takes longer to import than what else is done",
}


def statements(tree: ast.AST, inside: bool = False) -> list[tuple[bool, ast.Import | ast.ImportFrom]]:
    """Every import that is executed, and whether it stands inside a function."""
    found: list[tuple[bool, ast.Import | ast.ImportFrom]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append((inside, node))
        elif not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            found += statements(node, inside or isinstance(node, (ast.FunctionDef, ast.Lambda)))
    return found


def modules_of(node: ast.Import | ast.ImportFrom, known: set[str]) -> set[str]:
    """The modules that an import names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    names = {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name in known} or {node.module or ""}


@cache
def imports_of_all() -> dict[str, list[tuple[bool, str]]]:
    """For each module what it imports when it runs, and whether inside a function."""
    known = {module_name(path) for path in MODULES}
    return {
        module_name(path): [
            (inside, other) for inside, node in statements(tree_of(path)) for other in modules_of(node, known)
        ]
        for path in MODULES
    }


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import one another, directly or not: what is left when those without imports are taken
    away, again and again."""
    left = {name: others & set(graph) - {name} for name, others in graph.items()}
    while True:
        free = {name for name, others in left.items() if not others}
        if not free:
            return [sorted(left)] if left else []
        left = {name: others - free for name, others in left.items() if name not in free}


def test_no_circle_of_imports() -> None:
    graph = {name: {other for _, other in found} for name, found in imports_of_all().items()}
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["a", "b", "c"]]


# -- views draw what others have found out

#: What views import when they run; with TYPE_CHECKING they may name other types.
FOR_VIEWS = ("views", "inspect", "debugger", "expressions", "units", "errors", "files")


def of_machine(tree: ast.Module) -> list[str]:
    """Where a module takes something from the tables of a machine (`.m`) or from its kernel (`.k`)."""
    return sorted(
        f"{node.lineno}: .{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("k", "m")
    )


def test_views_decide_nothing() -> None:
    found = imports_of_all()
    views = {name: others for name, others in found.items() if layer(name) == "views"}
    assert views
    wrong = [
        f"{name} imports {other}"
        for name, others in views.items()
        for _, other in others
        if layer(other) and layer(other) not in FOR_VIEWS
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "views").glob("*.py")), ids=module_name)
def test_views_look_at_no_machine(path: Path) -> None:
    assert of_machine(tree_of(path)) == []


def test_a_look_at_a_machine_is_found() -> None:
    looking = "sets = machine.m.array[0] + 1\nkind = k.classify(machine.k, 2)"
    assert of_machine(ast.parse(looking)) == ["1: .m", "2: .k"]


def loaded_by(line: str) -> set[str]:
    """The modules of vmdbg that are loaded once a batch run has executed a line."""
    program = (
        "import sys\nfrom vmdbg.cli import main\n"
        f"try:\n    main(['-nx', '-batch', '-ex', {line!r}])\nexcept SystemExit:\n    pass\n"
        "print(*[name for name in sys.modules if name.startswith('vmdbg')], file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(done.stderr.split())


def test_imports_inside_functions_spare_something() -> None:
    """A module that start-up loads need not load what few commands use.  Elsewhere such an import has to have
    a reason of its own."""
    start, first = loaded_by("pwd"), loaded_by("translate 0x401000")
    found = imports_of_all()
    inner = [(name, other) for name, ones in found.items() for inside, other in ones if inside]
    assert len(inner) <= MOST_IN_FUNCTIONS
    for name, other in inner:
        reason = any(other == key or other.startswith(key + ".") for key in SOMETIMES)
        assert name in start | first or reason, f"{name} imports {other} in a function"
