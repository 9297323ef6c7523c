"""A session: settings, values, variables, output, target, time.  It knows no terminal and no command.

An interpreter executes its lines; other code calls `session.execute(line)`.
"""

# Long: what all commands share stands here.
from __future__ import annotations

import copy
import sys

from vmdbg import progress
from vmdbg.debugger.output import Output
from vmdbg.debugger.settings import Settings
from vmdbg.errors import UserError
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.scope import SessionScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from vmdbg.debugger.machine_scope import MachineScope
    from vmdbg.debugger.stops.stops import Stop, Stops
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.expressions.evaluator import Evaluator
    from vmdbg.expressions.values import Value, ValueHistory, Variables
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.target import Target
    from vmdbg.machine.machine import Machine
    from vmdbg.shell.full_screen import FullScreen
    from vmdbg.shell.interpreter import Interpreter

    T = TypeVar("T")

BITS_LENGTH = 8  # of zeros and ones that look like binary
LITERAL_LENGTH = 17  # of 0x and fifteen digits: positive in 64 bits
NO_MACHINE = ("No machine.", 'Use "machine NAME" to boot one.')


class Session:
    """What all commands share.

    `kept` holds an object for each file of commands that share something, by its class: see `state`.
    `next_target` is a machine with other settings that waits for `run`; `first_values` are settings that
    were given before the first boot, None once they cannot be given.  `exit_code` is the least exit status
    that a batch run ends with (a failed `expect` sets 1); `at_exit` is called before the process ends;
    `from_tty` says that the running line was typed, not sourced; `tap`, that `expect` speaks the Test
    Anything Protocol; `bugs` counts internal errors; `torn`: time ran out while the machine ran.
    """

    interpreter: Interpreter  # set by the interpreter that is made for the session

    def __init__(self, output: Output | None = None, permissions: Permissions | None = None) -> None:
        self.output = output or Output()
        self.permissions = permissions or Permissions()
        self.settings = Settings()
        self.settings.watch("input-radix", self.read_numbers_in)
        self.open_target: Callable[[], Target] | None = None
        self.next_target: Target | None = None
        self.first_values: dict[str, Any] | None = None
        self.spell: Callable[[], str] | None = None  # the running command, as it can be typed again
        self.ask: Callable[[str], str] | None = None  # asks the person at the terminal, if there is one
        self.read_line: Callable[[str], str | None] | None = None  # a line of the person; None at the end
        self.toolbar: Callable[[], str] | None = None
        self.draws = False  # there is a terminal whose prompt leaves room for panes
        self.screen: FullScreen | None = None  # while the full screen is on
        self.kept: dict[type, Any] = {}
        self.scope = SessionScope(self)
        self.last_stop: Stop | None = None  # the stop with a number that halted the machine last
        self.saved_digest = ""  # of the machine as it was last saved or loaded
        self.batch = self.strict = self.tap = self.from_tty = self.torn = False
        self.errors = self.bugs = 0
        self.exit_code: int | None = None
        self.mark = ""  # what stands behind the totals of `expect`: a token that scripts do not know
        self.at_exit: list[Callable[[], None]] = []
        self.program_arguments: list[str] = []
        self._evaluator: Evaluator | None = None
        self._target: Target | None = None
        self._machine_scope: MachineScope | None = None
        self._stops: Stops | None = None
        self._timeline: Timeline | None = None

    def state(self, kind: type[T], make: Callable[[], T] | None = None) -> T:
        """The session's one object of a class, made when it is first asked for: by `make`, or without
        arguments."""
        if kind not in self.kept:
            self.kept[kind] = (make or kind)()
        found: T = self.kept[kind]
        return found

    # -- the target

    @property
    def target(self) -> Target | None:
        """The target, or None.  If it is not open yet (`open_target`), this opens it."""
        if self._target is None and self.open_target is not None:
            opener, self.open_target = self.open_target, None
            self._target = opener()
        return self._target

    @target.setter
    def target(self, target: Target | None) -> None:
        self._target, self.open_target, self._machine_scope = target, None, None

    @property
    def opened(self) -> Target | None:
        """The target if it is already open, else None.  This does not open it."""
        return self._target

    @property
    def machine(self) -> Machine:
        """The target's machine.  UserError without one."""
        if self.target is None:
            raise UserError(*NO_MACHINE)
        return self.target.machine

    @property
    def notation(self) -> Notation:
        """How the numbers of the target's machine read.  UserError without one."""
        if self.target is None:
            raise UserError(*NO_MACHINE)
        return self.target.notation

    @property
    def machine_scope(self) -> MachineScope | None:
        """The scope of expressions on the machine; their changes go through the timeline."""
        if self._machine_scope is None and self.target is not None:
            from vmdbg.debugger.machine_scope import MachineScope

            self._machine_scope = MachineScope(self.target.machine, self.perform)
        return self._machine_scope

    def perform(self, what: str, action: Callable[[], T]) -> T:
        """Changes the machine, at a time of its own; `what` says what it was.  What `action` returns.
        UserError if the target cannot be changed."""
        if self.target is not None:
            self.target.check(frozenset({"act"}), what)
        result: T = self.timeline.act(what, lambda machine: action())[0]
        return result

    # -- time

    @property
    def stops(self) -> Stops:
        """All stops: they outlive machines."""
        if self._stops is None:
            from vmdbg.debugger.stops.stops import Stops

            self._stops = Stops()
        return self._stops

    @property
    def timeline(self) -> Timeline:
        """The timeline of the target's machine, made when it is first asked.  Whoever runs or changes
        the machine does it through this.  UserError without a machine."""
        machine = self.machine
        if self._timeline is None or self._timeline.machine is not machine:
            from vmdbg.debugger.time.timeline import Timeline

            if self._timeline is None:
                self.at_exit.append(self.close_timeline)
            else:
                self._timeline.close()
                for line in self.stops.aim(machine):
                    self.output.error(line)
            self._timeline = Timeline(machine, self.stops, self.tell, self.query)
            self._timeline.spell = self.spell
        self._timeline.runner.engine = self.settings.string("engine")
        self._timeline.runner.verbose = self.settings.flag("verbose")
        return self._timeline

    @property
    def unsaved(self) -> bool:
        """Whether the machine stands where it was neither booted, nor loaded, nor saved."""
        timeline, target = self._timeline, self._target
        if target is None or timeline is None or timeline.machine is not target.machine:
            return False
        moved = timeline.position != (timeline.booted, 0)
        return moved and target.machine.digest() != self.saved_digest

    @property
    def runs(self) -> bool:
        """Whether the timeline runs or changes the machine now: its state may not be consistent."""
        return self._timeline is not None and self._timeline.runner.interrupts.entered

    def close_timeline(self) -> None:
        """Ends the threads of the timeline; code that they have compiled is in the cache then."""
        if self._timeline is not None:
            self._timeline.close()
        build = sys.modules.get("vmdbg.engine.build")
        if build is not None:
            build.finish(lambda: progress.show("Finishing the compiled code, for the next time ..."))
            progress.clear()

    def tell(self, line: str, unattended: bool = False) -> None:
        """A line that all should see; with `unattended`, one about runs that nobody attends."""
        if self.ask is None or not unattended:
            self.output.error(line)

    # -- values

    @property
    def evaluator(self) -> Evaluator:
        """Evaluates expressions in the scope of this session; it has the value history and the variables."""
        if self._evaluator is None:
            from vmdbg.expressions.evaluator import Evaluator
            from vmdbg.expressions.values import ValueHistory, Variables

            self._evaluator = Evaluator(self.scope, ValueHistory(), Variables(), self.output.warning)
            self._evaluator.radix = self.settings.number("input-radix") or 10
        return self._evaluator

    @property
    def values(self) -> ValueHistory:
        """The value history."""
        return self.evaluator.value_history

    @property
    def variables(self) -> Variables:
        """The convenience variables."""
        return self.evaluator.variables

    def read_numbers_in(self, radix: object) -> None:
        """From now on numbers without a prefix have this radix: `set input-radix`."""
        assert isinstance(radix, int)
        if self._evaluator is not None:
            self._evaluator.radix = radix

    def evaluate(self, text: str) -> Value:
        """The value of an expression.  One that writes to memory or registers acts: it becomes an operation
        with a time."""
        evaluator = self.evaluator
        node = evaluator.parse(text)
        if evaluator.acts(node) and self.target is not None:
            return self.perform(text, lambda: evaluator.run(node))
        return evaluator.run(node)

    def integer(self, text: str) -> int:
        """The value of an expression as an integer; UserError if it is none."""
        # A plain hexadecimal number, the commonest argument, needs no evaluator.
        if text[:2] == "0x" and 2 < len(text) <= LITERAL_LENGTH and text.isalnum():
            try:
                return int(text, 16)
            except ValueError:
                pass
        return int(self.evaluate(text))

    def truth(self, text: str) -> bool:
        """Whether the value of an expression is neither zero nor void."""
        return bool(self.evaluate(text).truth())

    def address(self, text: str) -> int:
        """The value of an expression as an address of the target, which may refuse it.  Who writes bits
        without 0b is told how to."""
        bits = len(text) >= BITS_LENGTH and not text.strip("01")
        try:
            value = self.integer(text)
            from vmdbg.inspect.context import check_address

            found = value if self.target is None else check_address(self.target.machine, value)
        except UserError as error:
            if bits:
                raise UserError(str(error), f"In binary it is 0b{text.lstrip('0') or 0}.") from None
            raise
        if bits:
            how = "octal" if text.startswith("0") else "decimal"
            self.output.warning(f"{text} is read as {how}: {value:#x}.  In binary it is 0b{text}.")
        return found

    def names(self) -> list[str]:
        """Names that an expression may use: for completion."""
        own = [f"${name}" for name in (*self.variables.values, *self.evaluator.functions)]
        scope = self.machine_scope
        return sorted({*own, *(scope.names() if scope is not None else ())})

    def set_variable(self, name: str, value: int | str | None) -> None:
        """Gives a convenience variable (without its `$`) a value; None makes it void."""
        from vmdbg.expressions.values import VOID_VALUE, make_integer, make_string

        if value is None:
            self.variables.set(name, VOID_VALUE)
        elif isinstance(value, str):
            self.variables.set(name, make_string(value))
        else:
            fits = -(1 << 31) <= value < 1 << 31
            self.variables.set(name, make_integer(value, 32 if fits else 64))

    def keep_values(self) -> tuple[ValueHistory, Variables]:
        """The value history and the variables as they are, for `put_values`."""
        return copy.deepcopy(self.values), copy.deepcopy(self.variables)

    def put_values(self, kept: tuple[ValueHistory, Variables]) -> None:
        """Puts back what `keep_values` gave."""
        self.evaluator.value_history, self.evaluator.variables = kept

    # -- doing

    def execute(self, line: str) -> None:
        """Executes one command line."""
        self.interpreter.execute(line)

    def execute_to_string(self, line: str) -> str:
        """Executes one command line; the results it wrote."""
        with self.output.capture() as text:
            self.execute(line)
        return text()

    def query(self, question: str, default: str = "y") -> bool:
        """Asks `question` (without its `(y or n)`).  Not on a terminal, or with `confirm off`, the
        answer is `default`, and GDB's remark says so."""
        if not self.settings.flag("confirm"):
            return default == "y"
        choices = "(y or n)" if default == "y" else "(y or [n])"
        if self.ask is None:
            self.output.write(f"{question}{choices} [answered {default.upper()}; input not from terminal]\n")
            return default == "y"
        while True:
            answer = self.ask(f"{question}{choices} ").strip().lower()
            if answer[:1] in ("y", "n"):
                return answer[0] == "y"
            if not answer and default == "n":
                return False
            self.output.write("Please answer y or n.\n")
