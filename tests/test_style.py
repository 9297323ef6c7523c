"""Rules of the house that no linter knows.  Each one names the file and line that breaks it."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import tree_of

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "vmdbg", "tests", "scripts", "docs"}
FILE_LINES = 400
FUNCTION_LINES = 60
VAGUE = re.compile(r"^(utils?|common|helpers?|managers?|misc)$")
TERMINAL_LIBRARIES = {"prompt_toolkit", "pygments"}
ARCHITECTURE = re.compile(
    r"(?<![a-z0-9])(x86|i386|amd64|sv(32|39|48|57)|risc_?v|arm64|aarch64|armv\d)", re.IGNORECASE
)
# The output object of the session, and what stands in front of it.
WRITERS = ("vmdbg/debugger/output.py", "vmdbg/shell/", "vmdbg/cli.py", "vmdbg/grading/command.py",
           "vmdbg/library/gdb_child.py")  # fmt: skip
PAGE_NUMBERS = {4096, 4095, ~4095}
# Where bit numbers and architectures are at home: records of formats, and the decode bound to them.
HOME_OF_ARCHITECTURES = (
    "vmdbg/formats/",
    "vmdbg/dumps/",  # of real processors
    "vmdbg/inspect/check_cpu.py",
    "vmdbg/inspect/fault_codes.py",
)
# Places of somebody's machine and of notes that are not part of the project.
FOREIGN = re.compile("|".join(["/wo" + "rk/", "/tm" + "p/", r"\.\./sha" + "red", r"(?<!\w)\.libr" + "ary"]))


@cache
def project_files() -> tuple[Path, ...]:
    """The files of the project: those under version control and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {name for name in listed.stdout.decode().split("\0") if name}
    return tuple(sorted(ROOT / name for name in names if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[Path]:
    wanted = [ROOT / folder for folder in folders]
    return [
        path
        for path in project_files()
        if any(folder in path.parents for folder in wanted)
        and (path.suffix == ".py" or is_python_script(path))
    ]


def is_python_script(path: Path) -> bool:
    if path.suffix:
        return False
    with path.open("rb") as stream:
        return re.match(rb"#!.*python", stream.readline(200)) is not None


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def inside(path: Path, *prefixes: str) -> bool:
    return path.relative_to(ROOT).as_posix().startswith(prefixes)


@cache
def comments(source: str) -> dict[int, str]:
    """Line number to comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


def test_the_top_level_is_fixed() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert {name for name in tops if not name.startswith(".")} <= TOP_LEVEL


def long_files(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) <= FILE_LINES or any(re.match(r"# Long: \S", line) for line in lines[:20]):
        return []
    return [f"{place(path, len(lines))}: {len(lines)} lines"]


def test_files_are_short_or_say_why_not() -> None:
    assert [found for path in python_files("vmdbg", "tests", "scripts") for found in long_files(path)] == []


def long_functions(tree: ast.Module, source: str) -> list[tuple[int, str, int]]:
    """Line, name and length of each function that is too long and does not say why."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            remarks = comments(source)
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            excuses = [remarks.get(line, "") for line in range(first - 3, node.body[0].lineno + 1)]
            if not any(re.match(r"# Long: \S", text) for text in excuses):
                found.append((node.lineno, node.name, length))
    return found


def test_functions_fit_a_screen_or_say_why_not() -> None:
    assert [
        f"{place(path, line)}: {name} has {length} lines"
        for path in python_files("vmdbg", "tests", "scripts")
        for line, name, length in long_functions(tree_of(path), path.read_text(encoding="utf-8"))
    ] == []


def test_a_long_function_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES
    for remark, found in (("", ["f"]), ("# Long: a table of cases\n", [])):
        source = f"{remark}def f():\n{body}"
        assert [name for _, name, _ in long_functions(ast.parse(source), source)] == found


def test_no_vague_names() -> None:
    vague = [
        str(path)
        for path in project_files()
        for part in path.relative_to(ROOT).parts
        if VAGUE.match(Path(part).stem)
    ]
    for path in python_files("vmdbg"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helpers?|Manager)$", node.name):
                vague.append(f"{place(path, node.lineno)}: {node.name}")
    assert vague == []


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def test_only_the_shell_knows_the_terminal_libraries() -> None:
    assert [
        f"{place(path, line)}: imports {name}"
        for path in python_files("vmdbg")
        if not inside(path, "vmdbg/shell/")
        for line, name in imports_of(tree_of(path))
        if name.split(".")[0] in TERMINAL_LIBRARIES
    ] == []


def test_only_the_shell_writes() -> None:
    """Commands compute, views draw, and one object writes: no print, no sys.stdout below."""
    found = []
    for path in python_files("vmdbg"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(f"{place(path, node.lineno)}: print()")
            elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
                if isinstance(node.value, ast.Name) and node.value.id == "sys" and not inside(path, *WRITERS):
                    found.append(f"{place(path, node.lineno)}: {ast.unparse(node)}")
    assert found == []


def docstrings(tree: ast.Module) -> set[int]:
    """The ids of the nodes that are docstrings or other free-standing texts."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def architecture_facts(tree: ast.Module, source: str) -> list[tuple[int, str]]:
    """Page sizes in digits and names of architectures in code and texts, but for docstrings."""
    free = docstrings(tree)
    found = []
    for node in ast.walk(tree):
        facts = [name for name in names_in(node) if ARCHITECTURE.search(name)]
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in PAGE_NUMBERS:
            facts.append(str(node.value))
        if facts and id(node) not in free:
            first = getattr(node, "lineno", 0)
            said = [comments(source).get(line, "") for line in (first, getattr(node, "end_lineno", first))]
            if not any(re.search(r"# Architecture: \S", text) for text in said):
                found += [(first, fact) for fact in facts]
    return found


def facts_in(source: str) -> list[tuple[int, str]]:
    return architecture_facts(ast.parse(source), source)


def names_in(node: ast.AST) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return [name]
        case (
            ast.FunctionDef(name=name)
            | ast.ClassDef(name=name)
            | ast.arg(arg=name)
            | ast.keyword(arg=str() as name)
        ):
            return [name]
    return []


def test_architectures_live_in_the_formats() -> None:
    assert [
        f"{place(path, line)}: {what}"
        for path in python_files("vmdbg")
        if not inside(path, *HOME_OF_ARCHITECTURES)
        for line, what in architecture_facts(tree_of(path), path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    "code", ["f(4096)", "a & 0xfff", "if m.name == 'x86_64': pass", "def sv39_walk(): pass"]
)
def test_an_architecture_fact_is_found(code: str) -> None:
    assert len(facts_in(code)) == 1
    assert facts_in(f"{code}  # Architecture: of the tests") == []


def test_a_text_of_many_lines_is_excused_at_its_end() -> None:
    assert len(facts_in('HELP = """\nsv39\n"""')) == 1
    assert facts_in('HELP = """\nsv39\n"""  # Architecture: of the tests') == []


def test_nothing_names_places_outside_the_project() -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{place(path, number)}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if FOREIGN.search(line)
        ]
    assert found == []
