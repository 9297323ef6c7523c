"""A session: settings, values, variables, output, target.  It knows no terminal and no command.

The shell gives it an interpreter; whoever wants a line to be executed says `session.execute(line)`.
"""

from __future__ import annotations

import os

from vmdbg.debugger.output import Output
from vmdbg.debugger.settings import Settings
from vmdbg.errors import LimitError, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Interpreter(Protocol):
        """Whoever executes command lines."""

        def execute(self, line: str, from_tty: bool = False) -> None: ...


class Policy:
    """What a session may do.  `restricted` is for scripts from strangers: no shell, no pipe, no file
    outside `folder` (links are followed before the test)."""

    def __init__(self, restricted: bool = False, folder: str = ".") -> None:
        self.restricted = restricted
        self.folder = os.path.realpath(folder)

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
        return real


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
        self.open_target: Callable[[], Any] | None = None
        self._target: Any = None
        self.interpreter: Interpreter | None = None
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

    # -- values

    @property
    def values(self) -> Any:
        """The value history."""
        if self._values is None:
            from vmdbg.debugger.values import ValueHistory

            self._values = ValueHistory()
        return self._values

    @property
    def variables(self) -> Any:
        """The convenience variables."""
        if self._variables is None:
            from vmdbg.debugger.values import Variables

            self._variables = Variables()
        return self._variables

    @property
    def evaluator(self) -> Any:
        """Evaluates expressions in the scope of this session."""
        if self._evaluator is None:
            from vmdbg.debugger.expressions import Evaluator

            self._evaluator = Evaluator(self)
        return self._evaluator

    def evaluate(self, text: str) -> Any:
        """The value of an expression."""
        return self.evaluator.evaluate(text)

    def integer(self, text: str) -> int:
        """The value of an expression as an integer; UserError if it is none."""
        return int(self.evaluate(text))

    def address(self, text: str) -> int:
        """The value of an expression as an address of the target, which may refuse it."""
        value = self.integer(text)
        check = getattr(self.target, "check_address", None)
        return int(check(value)) if check is not None else value

    def names(self) -> list[str]:
        """Names that an expression may use: for completion."""
        return []

    def set_variable(self, name: str, value: int | str | None) -> None:
        """Gives a convenience variable (without its `$`) a value; None makes it void."""
        self.variables.set(name, value)

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
        if self.interpreter is None:
            raise RuntimeError("the session has no interpreter")
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
            return True
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
