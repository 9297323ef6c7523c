"""Looking changes nothing: by the state before and after, and by what the sources could call."""

from __future__ import annotations

import ast
import csv
import importlib
import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import ends_with, tree_of
from vmdbg.engine import link
from vmdbg.shell.boot import open_target
from vmdbg.shell.command import PURE, Command
from vmdbg.shell.registry import Registry
from vmdbg.shell.session import Session
from vmdbg.shell.startup import make_session

SOURCES = Path(link.__file__).parents[1]
MACHINES = ["default", "tutorial16"]
# Whose methods an attribute of unknown type may be.
METHODS = ("inspect", "views", "debugger.machine_scope")
# What recomputes the past runs it again and puts the present back, and what compares policies runs machines
# of its own: the digests alone speak for it.
ROLLS_BACK = {"info cost", "events", "policy table", "policy compare", "why victim"}
# What acts: a pure command that calls it acts too.
DOORS = {"act", "set_register", "write_memory", "restore", "swap_out"}


@cache
def pure_commands() -> list[Command]:
    registry = Registry()
    registry.index()
    registry.load_all()
    return [command for command in registry.commands() if command.effect == PURE]


EXAMPLES = [(command.name, example) for command in pure_commands() for example in command.examples]


def shell(machine: str) -> tuple[Session, io.StringIO, io.StringIO]:
    """A session at a machine in whose every kind of page something happened, and its streams."""
    out, err = io.StringIO(), io.StringIO()
    session = make_session(out, err)
    session.target = open_target(session, machine, "")
    session.target.machine.run(20)
    return session, out, err


@pytest.mark.parametrize(
    "machine", [MACHINES[0], *(pytest.param(name, marks=pytest.mark.long) for name in MACHINES[1:])]
)
@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_a_pure_command_leaves_the_machine_as_it_was(machine: str, name: str, example: str) -> None:
    session, out, err = shell(machine)
    target = session.target.machine
    state, counts = target.digest(), target.counts()
    worked = session.interpreter.try_line(example)
    assert (target.digest(), target.counts()) == (state, counts)
    assert worked or err.getvalue()
    if machine == "default":
        assert worked, err.getvalue()
        assert out.getvalue() or name in ROLLS_BACK


def test_pure_commands_have_examples() -> None:
    assert [command.name for command in pure_commands() if not command.examples and command.needs] == []


# -- what the sources could call


class Function:
    """A function of the sources: the names that it uses, plain, of `k`, of a machine, of anything."""

    def __init__(self, module: str, name: str, owner: str, node: ast.AST) -> None:
        self.module, self.name, self.owner = module, name, owner
        self.plain: set[str] = set()
        self.hot: set[str] = set()
        self.machine: set[str] = set()
        self.attributes: set[str] = set()
        self.imported: dict[str, tuple[str, str]] = {}
        body = [part for statement in getattr(node, "body", []) for part in ast.walk(statement)]
        for part in body:
            if isinstance(part, ast.Name):
                self.plain.add(part.id)
            elif isinstance(part, ast.Attribute) and not part.attr.startswith("__"):
                if ends_with(part.value, "k"):
                    self.hot.add(part.attr)
                elif ends_with(part.value, "machine"):
                    self.machine.add(part.attr)
                else:
                    self.attributes.add(part.attr)
        self.imported = imports(node)


def imports(node: ast.AST) -> dict[str, tuple[str, str]]:
    """Local name -> (module, name) of everything that is imported below a node."""
    return {
        alias.asname or alias.name: (part.module or "", alias.name)
        for part in ast.walk(node)
        if isinstance(part, ast.ImportFrom)
        for alias in part.names
    }


class Graph:
    """All functions of the sources, and the hot ones that each could reach."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str, str], Function] = {}
        self.methods: dict[str, list[Function]] = {}
        self.imports: dict[str, dict[str, tuple[str, str]]] = {}
        self.calls: dict[int, list[Function]] = {}
        for path in SOURCES.rglob("*.py"):
            module = ".".join(["vmdbg", *path.relative_to(SOURCES).with_suffix("").parts])
            tree = tree_of(path)
            self.imports[module] = imports(tree)
            for node in tree.body:
                if isinstance(node, ast.FunctionDef):
                    self.add(Function(module, node.name, "", node))
                elif isinstance(node, ast.ClassDef):
                    for part in node.body:
                        if isinstance(part, ast.FunctionDef):
                            self.add(Function(module, part.name, node.name, part))

    def add(self, function: Function) -> None:
        self.functions[function.module, function.owner, function.name] = function
        if function.owner:
            self.methods.setdefault(function.name, []).append(function)

    def called(self, function: Function) -> Iterator[Function]:
        """The functions that a function could call."""
        known = {**self.imports[function.module], **function.imported}
        for name in function.plain:
            module, original = known.get(name, (function.module, name))
            yield from self.named(module, original)
        for name in function.attributes | function.machine:
            for other in self.methods.get(name, ()):
                inside = other.module.removeprefix("vmdbg.").startswith(METHODS)
                of_machine = (other.module, other.owner) == ("vmdbg.machine.machine", "Machine")
                own = (other.module, other.owner) == (function.module, function.owner)
                if (name in function.attributes and (inside or own)) or (
                    name in function.machine and of_machine
                ):
                    yield other

    def named(self, module: str, name: str) -> Iterator[Function]:
        """A function of a module, or what making an object of a class of it runs."""
        for owner, found in (("", name), (name, "__init__")):
            function = self.functions.get((module, owner, found))
            if function is not None and owner != "Machine":  # which writes its own new memory alone
                yield function

    def reachable(self, start: Function) -> set[str]:
        """Names of the hot functions, and of the doors, that a function could reach."""
        seen: set[int] = set()
        waiting, found = [start], set()
        while waiting:
            function = waiting.pop()
            if id(function) in seen:
                continue
            seen.add(id(function))
            found |= function.hot | ((function.attributes | function.machine) & DOORS)
            if id(function) not in self.calls:
                self.calls[id(function)] = list(self.called(function))
            waiting += self.calls[id(function)]
        return found


@cache
def graph() -> Graph:
    return Graph()


@cache
def writers() -> set[str]:
    """The hot functions that change the machine, by their own word."""
    for path in SOURCES.rglob("*.py"):
        if path.parent.name in ("hardware", "kernel", "policies", "state"):
            importlib.import_module(".".join(["vmdbg", *path.relative_to(SOURCES).with_suffix("").parts]))
    return {name for name, function in link.FUNCTIONS.items() if function.hot["writes"]}


def start_of(command: Command) -> Function:
    function = command.function
    assert function is not None
    return graph().functions[function.__module__, "", function.__name__]


@pytest.mark.long
@pytest.mark.parametrize("name", [c.name for c in pure_commands() if c.name not in ROLLS_BACK])
def test_no_writer_can_be_reached_from_a_pure_command(name: str) -> None:
    command = next(command for command in pure_commands() if command.name == name)
    assert graph().reachable(start_of(command)) & (writers() | DOORS) == set()


@pytest.mark.long
def test_the_graph_finds_writers_and_doors() -> None:
    registry = Registry()
    registry.index()
    registry.load_all()
    commands = {command.name: command for command in registry.commands()}
    assert "act" in graph().reachable(start_of(commands["process"]))
    switch = graph().functions["vmdbg.kernel.calls.processes", "", "put_on_cpu"]
    assert {"switch_to", "ready_put"} <= graph().reachable(switch) & writers()
    walking = graph().reachable(start_of(commands["walk"]))
    assert {"walk", "canonical"} <= walking


def test_no_reader_calls_a_writer() -> None:
    writers()
    known = link.FUNCTIONS
    for name, function in known.items():
        if not function.hot["writes"]:
            inside = link.reachable(known, name)
            assert [other for other in inside if known[other].hot["writes"]] == [], name


FORMS = [
    (example, form)
    for command in pure_commands()
    if command.needs and not isinstance(command.forms, str)
    for example in command.examples
    for form in ("json", "csv")
    if form in command.forms and "/" not in example.split(" 0x")[0] and " -names" not in example
]


def with_form(example: str, form: str) -> str:
    """The example with a form behind the command's last word."""
    registry = Registry()
    registry.index()
    _, rest = registry.resolve(example)
    registry.load_all()
    words = example.split(" ")
    count = len(example[: len(example) - len(rest)].split()) if rest else len(words)
    return " ".join([*words[: count - 1], f"{words[count - 1]}/{form}", *words[count:]])


@pytest.mark.long
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("example", "form"), FORMS, ids=[f"{example} {form}" for example, form in FORMS])
def test_every_table_has_json_and_csv(machine: str, example: str, form: str) -> None:
    session, out, err = shell(machine)
    worked = session.interpreter.try_line(with_form(example, form))
    session.output.flush()
    if not worked:
        assert machine != "default", err.getvalue()
        return
    if form == "json":
        json.loads(out.getvalue())
        return
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows
    assert {len(row) for row in rows} == {len(rows[0])}
