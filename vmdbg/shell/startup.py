"""Makes a session that is ready to execute lines, and reads its init files."""

from __future__ import annotations

import os
import sys

from vmdbg.debugger.output import Output, plain
from vmdbg.debugger.styles import theme_values
from vmdbg.shell.history import watch_history
from vmdbg.shell.interpreter import Interpreter
from vmdbg.shell.logfile import watch_logging
from vmdbg.shell.registry import Registry
from vmdbg.shell.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from vmdbg.debugger.settings import Source
    from vmdbg.shell.permissions import Permissions

INIT_FILE = ".vmdbginit"
UNSAFE = """\
File "{path}" auto-loading has been declined by your `auto-load safe-path' set to "{safe}".
To enable execution of this file add
	add-auto-load-safe-path {path}
line to your configuration file "{home}".
To completely disable this security protection add
	set auto-load safe-path /
line to your configuration file "{home}"."""


def make_session(
    stdout: IO[str] | None = None,
    stderr: IO[str] | None = None,
    permissions: Permissions | None = None,
    color: str = "auto",
    interpreter: type[Interpreter] = Interpreter,
) -> Session:
    """A session with all commands, no target, and settings for output that is not a terminal."""
    session = Session(Output(stdout, stderr), permissions)
    registry = Registry()
    registry.index()
    interpreter(session, registry)
    watch_acting(session)
    watch_logging(session)
    watch_history(session)
    watch_output(session, color)
    return session


def attach_machine_settings(session: Session) -> None:
    """The machine's settings join the shell's when one is asked for; those that init files and -iex set
    wait for the first boot."""

    def settings() -> Source:
        from vmdbg.shell.boot import MachineSettings

        return MachineSettings(session)

    session.first_values = {}
    session.settings.attach_later(settings)


def watch_acting(session: Session) -> None:
    """Tells the timeline which command is changing the machine."""

    def spell() -> str:
        from vmdbg.shell.session_script import spelled

        return spelled(session)

    session.spell = spell


def watch_output(session: Session, color: str) -> None:
    """Lets the settings of page, width and style act on the output."""
    output, settings = session.output, session.settings

    def page(_: object) -> None:
        output.height = settings.number("height") if settings.flag("pagination") else None
        output.width = settings.number("width")

    def style(_: object) -> None:
        if settings.flag("style enabled") and color != "never":
            from vmdbg.views.theme import painter, wants_colour

            output.paint = painter(settings) if wants_colour(output.stdout, color) else plain
        else:
            output.paint = plain

    for name in ("height", "width", "pagination"):
        settings.watch(name, page)

    def choose(theme: object) -> None:
        for name, value in theme_values(str(theme)).items():
            settings.set(name, value)

    settings.watch("style theme", choose)
    for name in ("style enabled", *theme_values("default")):
        settings.watch(name, style)
    if color == "always" or output.stdout.isatty():
        style(None)


def home_init(session: Session) -> str:
    """The init file of the home folder, if there is one."""
    path = os.path.join(os.path.expanduser("~"), INIT_FILE)
    return path if os.path.isfile(path) else ""


def folder_init(session: Session) -> str:
    """The init file of the working folder if it may be read; a warning if it may not."""
    path = os.path.join(os.getcwd(), INIT_FILE)
    home = os.path.join(os.path.expanduser("~"), INIT_FILE)
    if not os.path.isfile(path) or os.path.realpath(path) == os.path.realpath(home):
        return ""
    safe = session.settings.string("auto-load safe-path")
    if is_safe(path, safe):
        return path
    session.output.warning(UNSAFE.format(path=path, safe=safe, home=home))
    return ""


def is_safe(path: str, safe: str) -> bool:
    """Whether a file lies in one of the folders of a safe path."""
    real = os.path.realpath(path)
    for folder in safe.split(":"):
        if folder:
            base = os.path.realpath(os.path.expanduser(folder)).rstrip("/")
            if real == base or real.startswith(base + "/"):
                return True
    return False


def stdin_is_terminal() -> bool:
    """Whether a person types."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
