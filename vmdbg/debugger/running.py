"""Running in slices: which engine, when to look for Ctrl-C, and how the compiled engine gets ready."""

from __future__ import annotations

import time
import weakref

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Any, Self

    from vmdbg.jit import Compiled
    from vmdbg.machine.machine import Machine

AUTO, INTERPRETED, COMPILED = "auto", "interpreted", "compiled"
ENGINES = (AUTO, INTERPRETED, COMPILED)
PATIENCE = 1.0  # seconds of interpreted running after which the compiled engine is worth its while
SLICE_TIME = 0.05  # seconds that a slice should take
SMALLEST, FIRST, LARGEST = 256, 20_000, 4_000_000  # operations of a slice


class Interrupts:
    """While it is entered Ctrl-C is noted instead of tearing the machine apart.

    A Ctrl-C that nobody `take`s is raised at the end, when the machine is whole.
    """

    def __init__(self) -> None:
        self.came = False
        self._depth = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        self._depth += 1
        if self._depth == 1:
            import signal

            self.came = False
            try:
                self._before = signal.signal(signal.SIGINT, self._note)
            except ValueError:  # not in the main thread: nobody presses Ctrl-C here
                self._before = None
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._before is not None:
            import signal

            signal.signal(signal.SIGINT, self._before)
            if self.take() and kind is None:
                raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.came = True

    def take(self) -> bool:
        """Was Ctrl-C pressed since the last question?"""
        came, self.came = self.came, False
        return came


class Background:
    """The process that fills the cache of compiled code while this one runs interpreted."""

    def __init__(self, machine: Machine) -> None:
        import json
        import os
        import subprocess
        import sys

        import vmdbg

        folder = os.path.dirname(os.path.dirname(os.path.abspath(vmdbg.__file__)))
        before = os.environ.get("PYTHONPATH")
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-P", "-m", "vmdbg.machine.compile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the debugger alone
            env={**os.environ, "PYTHONPATH": folder + (os.pathsep + before if before else "")},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(machine.config.values).encode())
        self.process.stdin.close()
        self.close = weakref.finalize(self, end, self.process)  # or when nobody waits for it any more,
        self.close.atexit = False  # but not at the end of this program: the next one finds the code

    def ended(self) -> int | None:
        """The exit status, or None while it works."""
        return self.process.poll()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process if it still works."""
    if process.poll() is None:
        process.kill()
    process.wait()


class Runner:
    """Runs one machine.  `tell` gets lines for a person at a terminal, and those that all should see
    with `notice=True`."""

    def __init__(self, machine: Machine, tell: Callable[..., None]) -> None:
        self.machine, self.tell = machine, tell
        self.engine = AUTO
        self.interrupts = Interrupts()
        self.size = FIRST
        self.patience = PATIENCE
        self.ran = 0.0  # seconds that the machine ran
        self._waited = 0.0  # seconds that the present command ran interpreted
        self._background: Background | None = None
        self._given_up = False

    def begin(self) -> None:
        """A command starts to run the machine."""
        self._waited = 0.0
        if self.engine == COMPILED and self.machine.compiled is None:
            self.compile_now()

    def compile_now(self) -> None:
        """Compile before going on.  UserError if this Python cannot."""
        from vmdbg import jit

        if not jit.available():
            raise UserError("The compiled engine needs numba, which is not installed.")
        self.tell("Compiling this machine (once; a few seconds)...")
        self.machine.compile()

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
        if self.machine.operations - before == self.size:
            if took < SLICE_TIME / 2:
                self.size = min(LARGEST, 2 * self.size)
            elif took > 2 * SLICE_TIME:
                self.size = max(SMALLEST, self.size // 2)
        if not compiled and self.engine == AUTO:
            self._waited += took
            if self._waited > self.patience:
                self.consider()
        return reason

    # -- the way to the compiled engine

    def consider(self) -> None:
        """The run is long: get the compiled engine, from the cache or from another process."""
        if self._given_up or self.machine.compiled is not None:
            return
        if self._background is None:
            self.look_for_engine()
            return
        status = self._background.ended()
        if status == 0:
            self._background = None
            self.machine.compile()
        elif status is not None:
            self._background, self._given_up = None, True
            self.tell("The machine could not be compiled; it runs interpreted.")

    def look_for_engine(self) -> None:
        """Load compiled code from the cache, or start to make some."""
        from vmdbg import jit

        if not jit.available():
            self._given_up = True
            self.tell("numba is not installed: the machine runs interpreted.", notice=True)
            return
        ready = cached(self.machine.prepare())
        if ready is None:
            self._given_up = True
            self.tell("No folder for compiled code can be written: the machine runs interpreted.")
        elif ready:
            self.machine.compile()
        else:
            self.tell("Compiling this machine in the background (once); it runs interpreted meanwhile.")
            self._background = Background(self.machine)

    def close(self) -> None:
        """The session ends, or the machine goes."""
        if self._background is not None:
            self._background.close()
            self._background = None


def cached(compiled: Compiled) -> bool | None:
    """Is there compiled code in the cache?  None if there can be no cache."""
    import os

    if not compiled.cache:
        return None
    return any(name.endswith(".nbc") for _, _, files in os.walk(compiled.cache) for name in files)
