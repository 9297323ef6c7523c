"""Sessions without a prompt: `Session`."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vmdbg.errors import UserError
from vmdbg.library.results import CommandResult, marked
from vmdbg.library.state import State
from vmdbg.shell.boot import open_first
from vmdbg.shell.command import ACTING, FORMAT_LETTERS, Args
from vmdbg.shell.interpreter import Interpreter
from vmdbg.shell.script import Source
from vmdbg.shell.startup import attach_machine_settings, make_session
from vmdbg.views.document import Document
from vmdbg.views.pictures import picture_of_walk
from vmdbg.views.result import Result, joined, json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from vmdbg.shell.command import Command
    from vmdbg.shell.registry import Node, Registry
    from vmdbg.shell.session import Session as ShellSession
    from vmdbg.views.drawing import Drawing

QUOTED = " \t,\"'"  # characters for which a word is put into quotes


class Collector(Interpreter):
    """An interpreter that keeps the data of what it shows."""

    def __init__(self, session: ShellSession, registry: Registry) -> None:
        super().__init__(session, registry)
        self.shown: list[Any] = []
        self.pictures: list[Drawing] = []
        self.name = ""  # of the command whose data came last

    def show(self, result: Any, args: Args) -> None:
        """Writes what a command returned, and keeps what its JSON form says."""
        node = self.registry.find(tuple(args.declared.split()))
        command = node.declared() if node is not None else None
        if command is None or "json" not in command.forms:
            super().show(result, args)
            return
        whole, spoken = result, result is None or isinstance(result, str)
        if spoken and command.effect != ACTING and command.function is not None:
            # A sentence takes the place of an empty table: the table is asked for.
            whole = command.function(self.session, Args(**{**vars(args), "form": "json"}))
        if whole is None or isinstance(whole, str):
            super().show(result, args)
            return
        whole = whole if isinstance(whole, Result) else joined(whole)
        whole.keep()
        self.shown.append(json.loads("\n".join(str(line) for line in json_lines(whole))))
        self.name = args.declared
        if isinstance(whole, Document) and whole.walk is not None:
            with suppress(UserError):  # it read nothing
                self.pictures.append(picture_of_walk(*whole.walk))
        super().show(result if spoken else whole, args)


class CommandCall:
    """A command of the prompt as a function, made from its declaration.

    Arguments come in the order of the command's usage, or by name; options are keywords without their dash
    (`pid=2`, `n=True`), and so are the forms behind a slash (`v=True`; `format="x"` for letters as in
    `print/x`).  The commands behind a word are attributes: `session.tlb.lookup(0x401000)`.
    """

    def __init__(self, session: Session, node: Node) -> None:
        self._session, self._node = session, node
        command = node.declared()
        if command is not None:
            self.__doc__ = "\n\n".join([command.summary, "\n".join(command.usage), command.help]).strip()

    def __call__(self, *arguments: Any, **named: Any) -> CommandResult:
        command = self._node.declared()
        if command is None or command.function is None:
            raise TypeError(f'"{self._node.name}" is followed by {", ".join(self._node.target.children)}')
        return self._session.run(spelled(command, arguments, named))

    def __getattr__(self, name: str) -> CommandCall:
        child = child_of(self._node, name)
        if child is None:
            raise AttributeError(f'no command "{self._node.name} {name}"')
        return CommandCall(self._session, child)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *names_of(self._node)]

    def __repr__(self) -> str:
        return f"<command {self._node.name}>"


class Session:
    """A session of vmdbg without its prompt.

    `machine` is the name of a machine that comes with vmdbg or a TOML file, `program` takes the place of its
    own program, and `settings` are settings of both by name, such as `{"tlb.l1": "16x4"}`.

    `run(line)` executes a command; each command is a method, too: `session.walk(0x401234)`,
    `session.tlb.lookup(0x401000, pid=1)`; where a name is a keyword of Python's, with an underscore behind
    it, `continue_`.  Both give a `CommandResult`.  Questions are answered as in a script.  A mistake raises
    `UserError`, and then nothing has changed.

    Sessions know nothing of one another.  `with Session() as session:` closes it at the end.
    """

    def __init__(
        self,
        machine: str | os.PathLike[str] = "default",
        program: str | os.PathLike[str] = "",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._out, self._remarks = io.StringIO(), io.StringIO()
        self._shell = make_session(self._out, self._remarks, color="never", interpreter=Collector)
        self._shell.output.paint = marked
        interpreter = self._shell.interpreter
        assert isinstance(interpreter, Collector)
        self._interpreter = interpreter
        self._closed = False
        attach_machine_settings(self._shell)
        for line in ("set confirm off", "set pagination off"):
            interpreter.execute(line)
        for name, value in (settings or {}).items():
            interpreter.execute(f"set {name} {word_of(value)}")
        self._shell.target = open_first(self._shell, os.fspath(machine), os.fspath(program))

    def run(self, line: str) -> CommandResult:
        """Execute a command line, or several lines; what they gave.

        Where several commands have data, `data` is the array of them.  UserError.
        """
        if self._closed:
            raise ValueError("the session is closed")
        interpreter = self._interpreter
        for stream in (self._out, self._remarks):
            stream.seek(0)
            stream.truncate()
        interpreter.shown.clear()
        interpreter.pictures.clear()
        source = Source("run", line.split("\n"))
        interpreter.sources.append(source)
        try:
            while (text := source.read()) is not None:
                interpreter.execute(text)
        except SystemExit:
            raise UserError("A command cannot end the session; close() does.") from None
        finally:
            interpreter.sources.clear()
            interpreter.arguments.clear()
            interpreter.depth, interpreter.loops, interpreter.verbose = 0, 0, False
        shown = interpreter.shown
        data = None if not shown else shown[0] if len(shown) == 1 else list(shown)
        remarks = tuple(self._remarks.getvalue().splitlines())
        name = interpreter.name.title().replace(" ", "").replace("-", "")
        return CommandResult(line, self._out.getvalue(), data, remarks, name, interpreter.pictures)

    @property
    def state(self) -> State:
        """The tables of the machine as buffers."""
        return State(self._shell.machine)

    def close(self) -> None:
        """End the session."""
        if not self._closed:
            self._closed = True
            for action in self._shell.at_exit:
                action()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> CommandCall:
        child = None if name.startswith("_") else child_of(self._interpreter.registry.root, name)
        if child is None:
            raise AttributeError(f"no command {name}")
        return CommandCall(self, child)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *names_of(self._interpreter.registry.root)]

    def __repr__(self) -> str:
        return f"<Session {self._shell.machine.config.name}>"


def names_of(node: Node) -> Iterable[str]:
    """The commands behind a word, as Python spells them."""
    return [name.replace("-", "_") for name in node.target.children]


def child_of(node: Node, name: str) -> Node | None:
    """The command of a name that Python spells."""
    children = node.target.children
    plain = name.removesuffix("_")
    return children.get(name) or children.get(plain) or children.get(plain.replace("_", "-"))


def spelled(command: Command, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """The line of a command.  TypeError for what it does not take."""
    left, letters = dict(named), ""
    if command.forms == FORMAT_LETTERS and "format" in left:
        letters = f"/{left.pop('format')}"
    for form in command.forms if not isinstance(command.forms, str) else ():
        if left.pop(form, False):
            letters += f"/{form}"
    words = [command.name + letters]
    for option in command.options:
        value = left.pop(option.target, None)
        if option.kind is None and value:
            words.append(option.name)
        elif option.kind is not None and value is not None:
            words += [option.name, word_of(value)]
    if command.raw and words[1:] and command.arguments[0].kind.minus:
        words.append("--")
    given = list(arguments)
    for argument in command.arguments:
        value = left.pop(argument.name, None)
        if given and value is not None:
            raise TypeError(f"{command.name}: {argument.name} is given twice")
        if argument.many or command.raw:
            taken, given = ([value] if value is not None else given), []
        else:
            taken = [value] if value is not None else given[:1]
            given = given[1:] if value is None else given
        free = argument.kind.rest or argument.kind.expression
        for item in taken:
            items = item if isinstance(item, (list, tuple)) else [item]
            words += [str(one) if free and isinstance(one, str) else word_of(one) for one in items]
    if left or given:
        wrong = [*left, *map(str, given)]
        raise TypeError(f"{command.name} does not take {', '.join(wrong)}; usage: {command.usage[0]}")
    return " ".join(words)


def word_of(value: object) -> str:
    """A value as a word of a command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:#x}" if abs(value) > 9 else str(value)
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if text and not any(char in QUOTED for char in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
