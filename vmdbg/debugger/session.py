"""A session: settings, values, variables, output, target.  It knows no terminal and no command.

The shell gives it an interpreter; whoever wants a line to be executed says `session.execute(line)`.
"""

# Long: what all commands share stands here.
from __future__ import annotations

import os
import stat

from vmdbg import progress
from vmdbg.debugger.output import Output
from vmdbg.debugger.settings import Settings
from vmdbg.errors import LimitError, UserError
from vmdbg.formats.registers import is_register_name
from vmdbg.machine.setting import ZUINTEGER_UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_FILES = 16  # that a restricted session writes
BITS_LENGTH = 8  # of zeros and ones that look like binary
LITERAL_LENGTH = 17  # of 0x and fifteen digits: positive in 64 bits


class Policy:
    """What a session may do.  `restricted` is for scripts from strangers: no shell, no pipe, no file
    outside `folder` (links are followed before the test), and few that are written.

    Whatever name a file is opened by, one of `path`, `reading` and `writing` is asked first.
    """

    def __init__(self, restricted: bool = False, folder: str = ".") -> None:
        self.restricted = restricted
        self.folder = os.path.realpath(folder)
        self.written: set[str] = set()

    def require_open(self, what: str) -> None:
        """Refuses `what` (`shell`, `pipe`, ...) in a restricted session."""
        if self.restricted:
            raise LimitError(f"{what} is not allowed in a restricted session.")

    def path(self, name: str) -> str:
        """A file name with `~` expanded; refused if it leads outside the folder of a restricted
        session."""
        if not self.restricted:
            return os.path.expanduser(name)
        if "\0" in name:
            raise UserError("A file name cannot have a NUL character.")
        real = os.path.realpath(name)
        if real != self.folder and not real.startswith(self.folder.rstrip("/") + "/"):
            raise LimitError(f"{name}: files outside {self.folder} are not allowed in a restricted session.")
        what = strangeness(real)
        if what:
            raise LimitError(f"{name}: {what} are not allowed in a restricted session.")
        return real

    def reading(self, name: str) -> str:
        """As `path`, for a file that a machine or its program names: those that come with vmdbg are open."""
        from vmdbg.machine.config import PRESETS

        real = os.path.realpath(os.path.expanduser(name)) if "\0" not in name else ""
        return real if os.path.dirname(real) == os.path.realpath(PRESETS) else self.path(name)

    def writing(self, name: str) -> str:
        """As `path`, for a file that is to be written."""
        path = self.path(name)
        if self.restricted and path not in self.written:
            if len(self.written) >= MOST_FILES:
                raise LimitError(f"{name}: a restricted session writes {MOST_FILES} files, not more.")
            self.written.add(path)
        return path


def strangeness(path: str) -> str:
    """What sort of file inside the folder leads outside or makes one wait for ever; nothing for a file with
    one name, a folder, or what is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    if stat.S_ISDIR(found.st_mode):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return "pipes and devices"
    return "files with several names (hard links)" if found.st_nlink > 1 else ""


class SessionScope:
    """What expressions see: the target's `scope`, if it has one, and the session's settings.

    A target's scope has `read_memory(address, size)`, `write_memory(address, data)`, `register(name)`,
    `set_register(name, value)`, `symbol(name)`, `call(name, arguments)` as
    `vmdbg.expressions.evaluator.Scope` describes them; it may have `symbolize(address) -> str`,
    `read_physical(address, size)`, and the widths `bits` and `physical_bits`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def width(self, physical: bool = False) -> int:
        """The width of addresses in bits, to which they are padded up to 32."""
        return int(getattr(self._machine, "physical_bits" if physical else "bits", 64))

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes at a physical address."""
        read = getattr(self._machine, "read_physical", None)
        if read is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        return bytes(read(address, size))

    @property
    def _machine(self) -> Any:
        return getattr(self._session.target, "scope", None)

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address; without a machine there are none."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        return bytes(machine.read_memory(address, size))

    def write_memory(self, address: int, data: bytes) -> None:
        """Stores bytes: acts on the machine."""
        machine = self._machine
        if machine is None:
            raise UserError(f"Cannot access memory at address {address:#x}")
        machine.write_memory(address, data)

    def register(self, name: str) -> Any:
        """A register of the machine as a Value, or None."""
        machine = self._machine
        return None if machine is None else machine.register(name)

    def set_register(self, name: str, value: Any) -> None:
        """Sets a register that `register` knows."""
        self._machine.set_register(name, value)

    def is_register_name(self, name: str) -> bool:
        """Is it the name of a register of some CPU, whether or not the machine has it?"""
        return is_register_name(name)

    def symbol(self, name: str) -> int | None:
        """The address of a name of the program, or None."""
        machine = self._machine
        return None if machine is None else machine.symbol(name)

    def call(self, name: str, arguments: list[Any]) -> Any:
        """A function of the machine, or None if there is none of that name."""
        machine = self._machine
        return None if machine is None else machine.call(name, arguments)

    def symbolize(self, address: int) -> str:
        """The name of an address, such as `buf+8`, or nothing."""
        find = getattr(self._machine, "symbolize", None)
        return find(address) if find is not None else ""

    def setting(self, name: str, as_text: bool = False) -> int | str | bool | None:
        """A setting's value, 0 for unlimited, or its text; None if there is none of that name."""
        setting = self._session.settings.find(name)
        if setting is None:
            return None
        value = self._session.settings.get(setting.name)
        if as_text:
            return setting.text(value)
        if value is None:
            return -1 if setting.kind == ZUINTEGER_UNLIMITED else 0
        return value if isinstance(value, (bool, int, str)) else setting.text(value)


class Session:
    """What all commands share.

    Displays, breakpoints and the like are kept by those who make them, in `extras`.  `exit_code`
    is the least exit status that a batch run ends with (a failed `expect` sets 1); `at_exit` is
    called before the process ends; `from_tty` says that the running line was typed, not sourced.
    """

    def __init__(self, output: Output | None = None, policy: Policy | None = None) -> None:
        self.output = output or Output()
        self.policy = policy or Policy()
        self.settings = Settings()
        self.settings.watch("input-radix", self.read_numbers_in)
        self.open_target: Callable[[], Any] | None = None
        self._target: Any = None
        self.interpreter: Any = None  # given by the shell: `execute(line)`
        self.spell: Callable[[], str] | None = None  # the running command, as it can be typed again
        self.extras: dict[str, Any] = {}
        self.batch = False
        self.strict = False
        self.errors = 0
        self.exit_code: int | None = None
        self.ask: Callable[[str], str] | None = None
        self.toolbar: Callable[[], str] | None = None
        self.from_tty = False
        self.at_exit: list[Callable[[], None]] = []
        self.program_arguments: list[str] = []
        self._evaluator: Any = None
        self._timeline: Any = None
        self._stops: Any = None
        self._values: Any = None
        self._variables: Any = None

    @property
    def target(self) -> Any:
        """What commands ask: None or an object with `name` and `capabilities`.  A target that is
        still to be opened (`open_target`) is opened by the first command that asks."""
        if self._target is None and self.open_target is not None:
            opener, self.open_target = self.open_target, None
            self._target = opener()
        return self._target

    @target.setter
    def target(self, target: Any) -> None:
        self._target, self.open_target = target, None

    @property
    def opened(self) -> Any:
        """The target if it is open already, else None: asking opens nothing."""
        return self._target

    # -- time

    @property
    def stops(self) -> Any:
        """All stops: they outlive machines."""
        if self._stops is None:
            from vmdbg.debugger.stops.stops import Stops

            self._stops = Stops()
        return self._stops

    @property
    def timeline(self) -> Any:
        """The timeline of the target's machine, made when it is first asked.  Whoever runs or changes
        the machine does it through this.  UserError if the target is no simulated machine."""
        machine = getattr(self.target, "machine", None)
        if machine is None:
            raise UserError("No machine.", 'Use "machine NAME" to boot one.')
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
        """Whether the machine stands where it was neither booted, nor loaded, nor saved ("saved" among the
        extras is the digest of what was)."""
        timeline, machine = self._timeline, getattr(self._target, "machine", None)
        if machine is None or timeline is None or timeline.machine is not machine:
            return False
        moved = timeline.position != (timeline.booted, 0)
        return moved and bool(machine.digest() != self.extras.get("saved"))

    @property
    def runs(self) -> bool:
        """Whether the timeline runs or changes the machine at this instant: it may be in no whole state."""
        return self._timeline is not None and self._timeline.runner.interrupts.entered

    def close_timeline(self) -> None:
        """Nothing of the machine is running when the session ends, and what is compiled is in the cache."""
        import sys

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
    def values(self) -> Any:
        """The value history."""
        if self._values is None:
            from vmdbg.expressions.values import ValueHistory

            self._values = ValueHistory()
        return self._values

    @property
    def variables(self) -> Any:
        """The convenience variables."""
        if self._variables is None:
            from vmdbg.expressions.values import Variables

            self._variables = Variables()
        return self._variables

    @property
    def evaluator(self) -> Any:
        """Evaluates expressions in the scope of this session."""
        if self._evaluator is None:
            from vmdbg.expressions.evaluator import Evaluator

            scope = SessionScope(self)
            self._evaluator = Evaluator(scope, self.values, self.variables, self.output.warning)
            self._evaluator.radix = self.settings.number("input-radix")
        return self._evaluator

    def read_numbers_in(self, radix: object) -> None:
        """From now on numbers without a prefix have this radix: `set input-radix`."""
        if self._evaluator is not None:
            self._evaluator.radix = radix

    def evaluate(self, text: str) -> Any:
        """The value of an expression.  One that writes to memory or registers acts: the target's
        `perform(text, action)`, if it has that, makes an operation with a time of it."""
        evaluator = self.evaluator
        node = evaluator.parse(text)
        if evaluator.acts(node):
            perform = getattr(self.target, "perform", None)
            if perform is not None:
                return perform(text, lambda: evaluator.run(node))
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
        check = getattr(self.target, "check_address", None)
        bits = len(text) >= BITS_LENGTH and not text.strip("01")
        try:
            value = self.integer(text)
            found = int(check(value)) if check is not None else value
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
        offered = getattr(self.target, "names", None)
        own = [f"${name}" for name in (*self.variables.values, *self.evaluator.functions)]
        return sorted({*own, *(offered() if offered is not None else ())})

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

    def keep_values(self) -> tuple[Any, Any]:
        """The value history and the variables as they are, for `put_values`."""
        import copy

        return copy.deepcopy(self.values), copy.deepcopy(self.variables)

    def put_values(self, kept: tuple[Any, Any]) -> None:
        """Puts back what `keep_values` gave."""
        self._values, self._variables = kept
        self._evaluator = None

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
