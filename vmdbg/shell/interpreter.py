"""Executes command lines: look-up, trace, hooks, arguments, the command, its result; and blocks."""

# Long: one class, whose methods are the stages of a line.
from __future__ import annotations

import sys
from contextlib import suppress

from vmdbg.errors import LimitError, UserError
from vmdbg.shell.command import CONTINUE, NO_REPEAT, Args, Command
from vmdbg.shell.grammar import is_comment, parse_arguments
from vmdbg.shell.registry import Node
from vmdbg.shell.script import (
    BadBlock,
    Block,
    LoopBreak,
    LoopContinue,
    Source,
    Statement,
    UserArguments,
    read_block,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from vmdbg.shell.registry import Registry
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Result

NOT_TOP_LEVEL = "This command cannot be used at the top level."
# What an isolated script would leave something behind with, or look outside: output, files, machines.
NOT_ISOLATED = (
    "append",
    "dump",
    "expect",
    "file",
    "load",
    "machine",
    "make",
    "pipe",
    "restore",
    "save",
    "shell",
    "sweep",
    "target",
    "tutorial",
)
FRAMES_PER_CALL = 24  # Python frames that one call of a user-defined command takes, at most
MAX_FRAMES = 60_000  # Python frames at all: the C stack of 8 MiB holds more
MAX_SOURCE_DEPTH = 256
LONGEST_LINE = 1 << 20


def make_room(depth: int) -> None:
    """Python may recurse as deep as so many calls need; beyond MAX_FRAMES it ends with RecursionError."""
    needed = (depth + 8) * FRAMES_PER_CALL + 1000
    if sys.getrecursionlimit() < needed:
        sys.setrecursionlimit(min(needed * 2, MAX_FRAMES))


class Interpreter:
    """Executes lines for one session.  `sources` is the stack of what lines are read from."""

    def __init__(self, session: Session, registry: Registry) -> None:
        self.session, self.registry = session, registry
        session.interpreter = self
        self.sources: list[Source] = []
        self.arguments: list[UserArguments] = []
        self.depth = 0
        self.verbose = False
        self.loops = 0
        self.repeat_line = ""
        self.previous_line = ""
        self.running = ""  # the innermost command, as it was typed
        self.isolated = False
        self.watcher: Callable[[str, bool], None] | None = None  # sees each typed line, and whether it worked
        self.command_history: list[str] = []
        self.typed = 0  # how many of its lines, the last ones, this session added
        self.history_shown = 0  # where `show commands +` goes on
        self._hooks: set[str] = set()

    # -- lines

    def command_line(self, line: str) -> bool:
        """A line typed at the prompt or piped in: blank repeats the last one.  Whether it worked."""
        if not line.strip():
            line = self.repeat_line
            if not line.strip():
                return True
        else:
            self.previous_line, self.repeat_line = self.repeat_line, line
        if is_comment(line):
            self.repeat_line = ""
            return True
        worked = self.try_line(line, from_tty=True)
        if self.watcher is not None:
            self.attempt(lambda: self.watcher(line, worked) if self.watcher is not None else None)
        return worked

    def remember(self, line: str) -> None:
        """Adds a typed line to the history of commands, within its size."""
        if not line.strip():
            return
        settings = self.session.settings
        look_back = settings.number("history remove-duplicates")
        start = 0 if look_back is None else max(0, len(self.command_history) - look_back)
        for index in range(len(self.command_history) - 1, start - 1, -1):
            if self.command_history[index] == line:
                self.typed -= index >= len(self.command_history) - self.typed
                del self.command_history[index]
        self.command_history.append(line)
        self.typed += 1
        size = settings.number("history size")
        if size is not None and len(self.command_history) > size:
            del self.command_history[: len(self.command_history) - size]
            self.typed = min(self.typed, size)

    def try_line(self, line: str, from_tty: bool = False) -> bool:
        """Executes a line; errors are printed.  Whether it worked."""
        return self.attempt(lambda: self.execute(line, from_tty))

    def attempt(self, action: Any) -> bool:
        """Runs `action()`; whatever it raises is reported in the way of a top level."""
        from vmdbg.shell.report import report

        depth, loops, hooks = self.depth, self.loops, set(self._hooks)
        sources, arguments, verbose = list(self.sources), list(self.arguments), self.verbose
        try:
            action()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last door: bugs are reported
            report(self.session, error)
            self.session.errors += 1
            return False
        finally:
            self.depth, self.loops, self._hooks, self.verbose = depth, loops, hooks, verbose
            self.sources[:], self.arguments[:] = sources, arguments
        return True

    def execute(self, line: str, from_tty: bool = False) -> None:
        """Executes one line; block commands read on from the innermost source."""
        text = line.lstrip(" \t")
        if is_comment(text):
            return
        if len(text) > LONGEST_LINE:
            raise UserError("Command line too long.")
        if "\0" in text:
            raise UserError("A command line cannot have a NUL character.")
        self.session.from_tty = from_tty
        node, rest = self.find(text)
        command = node.declared()
        if command is not None and command.block and not node.user:
            self.open_block(command, node, text, rest)
            return
        self.trace(text)
        self.invoke(node, rest, from_tty=from_tty)

    def find(self, text: str) -> tuple[Node, str]:
        """The command of a line and the rest of the line; settings belong to `set` and `show`."""
        return self.registry.command_of(text, self.session.settings)

    def complete(self, text: str) -> list[str]:
        """Every full line that may continue `text`, sorted."""
        from vmdbg.shell.completion import complete_line

        return complete_line(self.session, text)

    def relaunch(self) -> str:
        """The command before the running one, for `with` and `pipe` that are given none."""
        if not self.previous_line:
            raise UserError("No previous command to relaunch")
        self.repeat_line, self.previous_line = self.previous_line, self.repeat_line
        return self.repeat_line

    def trace(self, text: str) -> None:
        """Echoes a command if `set trace-commands on` or `source -v` asks for it."""
        if self.verbose or self.session.settings.flag("trace-commands"):
            self.session.output.line("+" * (self.depth + 1) + text)

    # -- commands

    def invoke(
        self, node: Node, rest: str, body: list[list[Statement]] | None = None, from_tty: bool = False
    ) -> None:
        """Runs the command of a node with its hooks."""
        target = node.target
        command = target.declared()
        untouched = command is not None and command.name in ("set", "complete")
        rest = rest if untouched else rest.rstrip(" \t")
        if node.arguments:
            rest = f" {node.arguments} {rest.strip()}"
        if command is None or command.function is None:
            self.list_prefix(target, rest)
            return
        self.run_hook(target, "hook-")
        self.run_command(command, rest, node.name, body, from_tty)
        self.run_hook(target, "hookpost-")

    def run_command(
        self, command: Command, rest: str, invoked: str, body: list[list[Statement]] | None, from_tty: bool
    ) -> None:
        """Parses the arguments, runs the function, shows its result."""
        if self.isolated and command.words[0] in NOT_ISOLATED and command.group != "user-defined":
            raise LimitError(f'No "{command.words[0]}" in an isolated script.')
        self.running = invoked + rest
        self.check_needs(command)
        args = parse_arguments(self.session, command, rest, invoked)
        if from_tty and command.repeat == NO_REPEAT:
            self.repeat_line = ""
        elif from_tty and command.repeat == CONTINUE:
            self.repeat_line = command.name
        args.__dict__["declared"] = command.name
        args.__dict__["from_tty"] = from_tty
        args.__dict__["body"] = body
        args.__dict__["raw"] = rest[1:]
        function = command.function
        assert function is not None
        self.show(function(self.session, args), args)

    def result_of(self, line: str) -> Result:
        """What a command returns, not shown.  UserError if it has no JSON form."""
        from vmdbg.views.result import Result, joined

        node, rest = self.find(line)
        command = node.declared()
        if command is None or command.function is None or "json" not in command.forms:
            raise UserError(f'"{node.name}" has no JSON form.')
        self.check_needs(command)
        if node.arguments:
            rest = f" {node.arguments} {rest.strip()}"
        self.running = node.name + rest
        args = parse_arguments(self.session, command, rest, node.name)
        args.__dict__.update(form="json", declared=command.name, from_tty=False, body=None, raw=rest[1:])
        result: Any = command.function(self.session, args)
        if isinstance(result, Result):
            return result
        if result is None or isinstance(result, str):
            raise UserError(f'"{node.name}" has no JSON form.')
        return joined(result)

    def check_needs(self, command: Command) -> None:
        """UserError if the target cannot do what the command needs."""
        if not command.needs:
            return
        target = self.session.target
        if target is None:
            raise UserError("No machine.", 'Use "machine NAME" to boot one.')
        target.check(command.needs, f'"{command.name}"')

    def show(self, result: Any, args: Args) -> None:
        """Writes what a command returned, in the form that was asked for."""
        if result is None:
            return
        output = self.session.output
        if isinstance(result, str):
            output.line(result)
            return
        from vmdbg.views.result import Result, joined, render

        settings = self.session.settings
        if not isinstance(result, Result):
            if args.form != "json":
                for part in result:
                    self.show(part, args)
                return
            result = joined(result)
        hexadecimal = settings.string("json addresses") == "hex"
        indent = settings.number("json indent") or (2 if settings.flag("print pretty") else None)
        output.lines(render(result, args.form, hex_addresses=hexadecimal, indent=indent))

    def list_prefix(self, node: Node, rest: str) -> None:
        """A prefix alone lists what may follow it."""
        from vmdbg.shell.help import list_subcommands

        if node.user:
            self.session.output.line(f'"{node.name}" must be followed by the name of a subcommand.')
        self.session.output.lines(list_subcommands(self, node))

    def run_stop_hooks(self, action: Any) -> None:
        """Runs `action()`, which shows a stop, between `hook-stop` and `hookpost-stop`."""
        stop = self.registry.find(("stop",)) or Node(("stop",))
        self.run_hook(stop, "hook-")
        action()
        self.run_hook(stop, "hookpost-")

    def run_hook(self, node: Node, kind: str) -> None:
        """Runs `hook-NAME` or `hookpost-NAME` if the user defined it, but not inside either."""
        if not self.registry.hooks or not node.path:
            return
        hook = self.registry.find((*node.path[:-1], kind + node.path[-1]))
        key = node.name
        if hook is None or hook.command is None or key in self._hooks:
            return
        self._hooks.add(key)
        try:
            self.invoke(hook, "")
        finally:
            self._hooks.discard(key)

    # -- blocks

    def open_block(self, command: Command, node: Node, text: str, rest: str) -> None:
        """A line that opens a block: reads the rest of it from the source, then runs it."""
        if command.name in ("if", "while"):
            self.trace(text)
            if not rest.strip():
                raise UserError(f"{command.name} command requires an argument.")
            bodies = self.read_bodies(command.name, 1)
            if bodies is not None:
                self.run_block(Block(command.name, text, bodies), rest)
            return
        self.trace(text)
        self.invoke(node, rest, from_tty=self.session.from_tty)

    def read_bodies(self, keyword: str, depth: int = 0) -> list[list[Statement]] | None:
        """The bodies of a block from the innermost source; None if it was malformed (warned)."""
        if not self.sources:
            raise UserError("No input to read the block from.")
        try:
            return read_block(self.sources[-1], self.registry, keyword, depth)
        except BadBlock:
            self.session.output.warning("Error reading in canned sequence of commands.")
            return None

    def run(self, statements: Sequence[Statement]) -> None:
        """Runs the statements of a body."""
        for statement in statements:
            self.run_statement(statement)

    def run_statement(self, statement: Statement) -> None:
        """Runs a line, an `if`, a `while` or a command with a body."""
        text = self.arguments[-1].insert(statement.text) if self.arguments else statement.text
        if not isinstance(statement, Block):
            self.execute(text)
            return
        node, rest = self.find(text)
        self.trace(statement.text if statement.keyword in ("if", "while") else text)
        if statement.keyword in ("if", "while"):
            self.run_block(statement, rest)
        else:
            self.invoke(node, rest, body=statement.bodies)

    def run_block(self, block: Block, condition: str) -> None:
        """Runs an `if` or a `while`."""
        if block.keyword == "if":
            self.nest(self.run_if, condition, block.bodies)
        else:
            self.nest(self.run_while, condition, block.bodies[0])

    def nest(self, action: Any, *parameters: Any) -> None:
        """Runs `action` one level deeper for the trace."""
        self.depth += 1
        try:
            action(*parameters)
        finally:
            self.depth -= 1

    def run_if(self, condition: str, bodies: list[list[Statement]]) -> None:
        """The body that the condition chooses."""
        if self.session.truth(condition):
            self.run(bodies[0])
        elif len(bodies) > 1:
            self.run(bodies[1])

    def run_while(self, condition: str, body: list[Statement]) -> None:
        """The body as long as the condition holds."""
        self.loops += 1
        try:
            while self.session.truth(condition):
                with suppress(LoopContinue):
                    self.run(body)
        except LoopBreak:
            pass
        finally:
            self.loops -= 1

    def call_user(self, name: str, body: Sequence[Statement], text: str) -> None:
        """Runs a user-defined command with its arguments."""
        limit = self.session.settings.number("max-user-call-depth")
        if limit is not None and len(self.arguments) >= limit:
            raise UserError("Max user call depth exceeded -- command aborted.")
        make_room(len(self.arguments))
        self.arguments.append(UserArguments(text))
        loops, self.loops = self.loops, 0
        try:
            self.nest(self.run, body)
        finally:
            self.arguments.pop()
            self.loops = loops

    # -- files

    def run_lines(self, name: str, lines: Sequence[str], verbose: bool = False) -> None:
        """Runs the lines of a script; an error stops it and gets its place in front."""
        if sum(type(source) is Source for source in self.sources) >= MAX_SOURCE_DEPTH:
            raise UserError("Too many nested scripts -- command aborted.")
        make_room(len(self.sources))
        source = Source(name, lines)
        self.sources.append(source)
        before, self.verbose = self.verbose, self.verbose or verbose
        arguments, self.arguments = self.arguments, []
        loops, self.loops = self.loops, 0
        try:
            while (line := source.read()) is not None:
                self.execute(line)
        except UserError as error:
            place = f"{name}:{source.line_number}: Error in sourced command file:\n"
            wrapped = UserError(place + str(error), error.hint)
            raise wrapped from error
        finally:
            self.sources.pop()
            self.verbose, self.arguments, self.loops = before, arguments, loops
