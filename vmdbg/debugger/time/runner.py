"""Running in slices: which engine and which code, and when to look for Ctrl-C."""

from __future__ import annotations

import signal
import time

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.machine import op_breakpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from vmdbg.engine.build import Build
    from vmdbg.machine.machine import Machine

AUTO, INTERPRETED, COMPILED = "auto", "interpreted", "compiled"
ENGINES = (AUTO, INTERPRETED, COMPILED)
PATIENCE = 0.25  # seconds of interpreted running after which compiled code is worth its while
SLICE_TIME = 0.05  # seconds that a slice should take
SMALLEST, FIRST, LARGEST = 256, 20_000, 4_000_000  # operations of a slice
FOREVER = 1 << 62  # more operations than any run has


class Interrupts:
    """While it is entered, Ctrl-C is noted instead of raised in the middle of a change of the machine.

    At its end, when the machine is whole, `at_end` is called, and a Ctrl-C that was not taken is raised.  It
    may be entered again inside: its end is that of the outermost block.
    """

    def __init__(self, at_end: Callable[[], None] = lambda: None) -> None:
        self.came = False
        self._at_end = at_end
        self._depth = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        self._depth += 1
        if self._depth == 1:
            self.came = False
            try:
                self._before = signal.signal(signal.SIGINT, self._note)
            except ValueError:  # only the main thread gets Ctrl-C
                self._before = None
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._at_end()
        if self._depth == 0 and self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            if self.take() and kind is None:
                raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.came = True

    @property
    def entered(self) -> bool:
        """Is Ctrl-C noted, instead of raised, at present?"""
        return self._depth > 0

    def take(self) -> bool:
        """Was Ctrl-C pressed?  It is then taken: not raised at the end."""
        came, self.came = self.came, False
        return came


class Runner:
    """Runs one machine.

    `tell` gets lines that all should see: with `verbose` also why the cache is not used.  `engine` is the
    setting of that name.
    """

    def __init__(self, machine: Machine, tell: Callable[..., None]) -> None:
        self.machine, self.tell = machine, tell
        self.engine = AUTO
        self.verbose = False
        self.interrupts = Interrupts(self.rest)
        self.size = FIRST
        self.patience = PATIENCE
        self.ran = 0.0  # seconds that the machine ran
        self._waited = 0.0  # seconds that the present command ran interpreted
        self._task: progress.Task | None = None  # of the present command
        self._done = 0  # operations that it executed
        self._build: Build | None = None  # of the full code that is awaited
        self._given_up = False
        self._said = ""  # why the cache is not used, as far as that was told

    def begin(self) -> None:
        """A command starts to run the machine.  UserError if it is to run compiled and cannot."""
        self._waited = 0.0
        if self.engine == COMPILED:
            self.compile_now()

    def compile_now(self) -> None:
        """Have full code before going on.  UserError if this Python cannot."""
        # Here, for the compiler's modules take longer to import than most sessions run.
        from vmdbg.engine import native
        from vmdbg.engine.language import NotHotError
        from vmdbg.engine.sources import SourceError

        if not native.available():
            raise UserError("The compiled engine needs llvmlite, which is not installed.")
        if self.machine.compiled is not None and self.machine.compiled.full:
            return
        try:
            build = self.machine.build()
            self.machine.compiled = build.full(lambda: progress.show("Compiling this machine (once) ..."))
            progress.clear()
            self.say_trouble(build)
        except (NotHotError, SourceError) as error:
            raise UserError(f"This machine cannot be compiled: {error}.") from None

    @property
    def compiled(self) -> bool:
        """Is the next slice run compiled?"""
        return self.engine != INTERPRETED and self.machine.compiled is not None

    def slice(self, limit: int) -> int:
        """Run towards `limit` for about SLICE_TIME; returns the reason of `Machine.run`."""
        compiled = self.compiled
        started = time.monotonic()
        before = self.machine.operations
        reason = self.machine.run(min(limit, before + self.size), compiled)
        took = time.monotonic() - started
        self.ran += took
        if self.interrupts.entered:
            self.show(self.machine.operations - before, limit)
        if self.machine.operations - before == self.size:
            if took < SLICE_TIME / 2:
                self.size = min(LARGEST, 2 * self.size)
            elif took > 2 * SLICE_TIME:
                self.size = max(SMALLEST, self.size // 2)
        if self.engine == AUTO:
            if not compiled:
                self._waited += took
            if self._build is not None:
                self.take_full()
            elif not compiled and self._waited > self.patience and not self._given_up:
                self.look_for_code()
        return reason

    def slice_to_breakpoint(self, limit: int, break_rows: set[int]) -> int:
        """As `slice`, or to before an operation of these rows of the program: then CONTROL_STOP is -1."""
        if not break_rows:
            return self.slice(limit)
        op_breakpoints.put(self.machine, break_rows)
        try:
            return self.slice(limit)
        finally:
            op_breakpoints.take(self.machine)

    # -- what the user sees meanwhile

    def show(self, executed: int, limit: int) -> None:
        """So many operations were executed on the way to `limit`."""
        if self._task is None:
            self._task = progress.task("Running", "operations")
        self._done += executed
        if self._task.due():
            if executed > 1:  # single ones are steps on a longer way
                left = self.left(limit)
                self._task.total = None if left is None else self._done + left
            self._task.at(self._done)

    def left(self, limit: int) -> int | None:
        """The operations that are still to be executed, if that can be known."""
        program = self.machine.program
        if limit >= FOREVER and program is not None:
            limit = program.length or limit
        return None if limit >= FOREVER else max(0, limit - self.machine.operations)

    def rest(self) -> None:
        """The command has ended, or waits for the user."""
        progress.clear()
        self._task, self._done = None, 0

    # -- the way to compiled code

    def look_for_code(self) -> None:
        """The run is long: take full code from the cache, or make quick code and let full code be made."""
        # Here, for the compiler's modules take longer to import than most sessions run.
        from vmdbg.engine import native
        from vmdbg.engine.language import NotHotError
        from vmdbg.engine.sources import SourceError

        if not native.available():
            self._given_up = True
            self.tell("llvmlite is not installed: the machine runs interpreted.")
            return
        try:
            build = self.machine.build()
            code = build.cached()
            self.say_trouble(build)
            if code is None:
                code = build.quick()
                build.start()
                self._build = build
            self.machine.compiled = code
        except (NotHotError, SourceError) as error:
            self._given_up = True
            self.tell(f"The machine runs interpreted: {error}.")

    def take_full(self) -> None:
        """Go on with full code if it is there by now."""
        if self._build is not None and self._build.ready:
            build, self._build = self._build, None
            self.machine.compiled = build.full()
            self.say_trouble(build)

    def say_trouble(self, build: Build) -> None:
        """Tell why the cache is not used, once, to who wants to know."""
        if self.verbose and build.trouble and build.trouble != self._said:
            self._said = build.trouble
            self.tell(build.trouble)

    def close(self) -> None:
        """The session ends, or the machine goes: what is being compiled is compiled to its end."""
        self._build = None
