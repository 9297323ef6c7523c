"""The command line of vmdbg: GDB's options, its order of start-up, its exit statuses."""

# Long: options, the order of start-up and the exit status are one story.
from __future__ import annotations

import codecs
import errno
import os
import sys
from importlib import import_module

from vmdbg import progress
from vmdbg.debugger.output import drop_stdout
from vmdbg.errors import Terminated, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmdbg.inspect.target import Target
    from vmdbg.shell.interpreter import Interpreter
    from vmdbg.shell.session import Session

HELP = """\
This is vmdbg, a debugger for virtual memory.  Usage:

    vmdbg [options] [program-file]
    vmdbg [options] --args program-file [program-arguments ...]

Selection of the machine and its program:

  -m NAME|FILE.toml  Boot that machine ("help machine").
  --args             Arguments after program-file are passed to the program.

Initial commands and command files:

  --command=FILE, -x Execute commands from FILE.
  --init-command=FILE, -ix
                     Like -x but before the machine boots.
  --eval-command=COMMAND, -ex
                     Execute a single command.  May be used several times and
                     mixed with --command; they run in the order given.
  --init-eval-command=COMMAND, -iex
                     Like -ex but before the machine boots.
  --nh               Do not read ~/.vmdbginit.
  --nx               Do not read any .vmdbginit files.

Output and exit:

  --batch            Exit after processing the options; status 1 if the last
                     command failed.
  --batch-silent     Like --batch, but print nothing on stdout.
  --return-child-result
                     The exit status is that of the program.
  --strict           The first error anywhere ends the run with status 1; a
                     missing script is an error.
  --restricted       For scripts from strangers: no shell, no pipe, no file
                     outside the working folder, bounds on what is run.
  --time-limit=SECONDS
                     End the run after so many seconds, with status 1.
  --color=WHEN       always, never or auto (the default: on a terminal).
  --tap              Print the results of "expect" as TAP.
  --token=WORD       Print WORD behind the totals of "expect": a script that
                     does not know it cannot forge them.
  --quiet, -q        Do not print the banner.
  --cd=DIR           Change current directory to DIR.
  --version, -v      Print version information and then exit.
  --help, -h         Print this message and then exit.
  --gdb-plugin       Print the name of a file that gives your own gdb the
                     command "vm", and then exit.

Grading: vmdbg --grade LAB.vmdbg [options] HAND-IN...

  --csv=FILE         Points of each hand-in and each check.
  --json=FILE        Gradescope's results.json; a folder for several hand-ins.
  --junit=FILE       JUnit's XML.
  --update           Leave other hand-ins in the CSV as they are.
  -j N               So many at once; as many as processors if not given.
  --time=10s         Time of each hand-in; --memory=2G, --output=1M its memory
                     and output.
  --verbose          Print each check.  --quiet: only the last line.
"""

#: Options that begin another program: the module whose `main` it is.
PROGRAMS = {
    "--grade": "vmdbg.grading.command",
    "-grade": "vmdbg.grading.command",
    "--gdb-plugin": "vmdbg.library.gdb_file",
    "-gdb-plugin": "vmdbg.library.gdb_file",
}
FLAGS = {
    "batch": "batch",
    "batch-silent": "batch_silent",
    "q": "quiet",
    "quiet": "quiet",
    "silent": "quiet",
    "nx": "nx",
    "n": "nx",
    "nh": "nh",
    "return-child-result": "return_child_result",
    "strict": "strict",
    "restricted": "restricted",
    "tap": "tap",
    "version": "version",
    "v": "version",
    "help": "help",
    "h": "help",
    "args": "args",
}
VALUES = {
    "x": "x",
    "command": "x",
    "ex": "ex",
    "eval-command": "ex",
    "ix": "ix",
    "init-command": "ix",
    "iex": "iex",
    "init-eval-command": "iex",
    "m": "machine",
    "machine": "machine",
    "cd": "cd",
    "color": "color",
    "time-limit": "time_limit",
    "token": "token",
}


class UsageError(Exception):
    """The command line itself is wrong."""


class Options:
    """The parsed command line."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.early: list[tuple[str, str]] = []
        self.commands: list[tuple[str, str]] = []
        self.machine, self.color, self.folder, self.token = "", "auto", "", ""
        self.seconds: float | None = None
        self.program: list[str] = []


def parse(arguments: Sequence[str]) -> Options:
    """Options may have one dash or two, `=VALUE` or the next word, and be abbreviated."""
    options = Options()
    position = 0
    while position < len(arguments):
        word = arguments[position]
        position += 1
        if not word.startswith("-") or word == "-":
            options.program.append(word)
            continue
        if word == "--":
            options.program += arguments[position:]
            break
        name, equals, value = word.lstrip("-").partition("=")
        name = full_name(word, name)
        if name in FLAGS:
            if equals:
                raise UsageError(f"option '{word.partition('=')[0]}' doesn't allow an argument")
            if FLAGS[name] == "args":
                options.program += arguments[position:]
                if not options.program:
                    raise UsageError("`--args' specified but no program specified")
                break
            options.flags.add(FLAGS[name])
            continue
        if not equals:
            if position >= len(arguments):
                raise UsageError(f"option '{word}' requires an argument")
            value = arguments[position]
            position += 1
        keep(options, VALUES[name], value)
    if "batch_silent" in options.flags:
        options.flags.add("batch")
    return options


def full_name(word: str, name: str) -> str:
    """The option that `name` is or abbreviates."""
    known = [*FLAGS, *VALUES]
    if name in known:
        return name
    found = [option for option in known if len(name) > 1 and option.startswith(name)]
    meanings = {FLAGS.get(option) or VALUES.get(option) for option in found}
    if len(meanings) != 1:
        option = word.partition("=")[0]
        if not found:
            raise UsageError(f"unrecognized option '{option}'")
        dashes = word[: len(word) - len(word.lstrip("-"))]
        possible = " ".join(f"'{dashes}{name}'" for name in found)
        raise UsageError(f"option '{option}' is ambiguous; possibilities: {possible}")
    return found[0]


def keep(options: Options, name: str, value: str) -> None:
    """Stores an option with a value."""
    if name in ("ix", "iex"):
        options.early.append((name[1:], value))
    elif name in ("x", "ex"):
        options.commands.append((name, value))
    elif name == "machine":
        options.machine = value
    elif name == "cd":
        options.folder = value
    elif name == "token":
        options.token = value
    elif name == "time_limit":
        if not (value.isascii() and value.isdigit() and 0 < len(value) < 7 and int(value)):
            raise UsageError(f"invalid value '{value:.40}' of --time-limit: seconds expected")
        options.seconds = int(value)
    else:
        if value not in ("always", "never", "auto"):
            raise UsageError(f"invalid value '{value}' of --color: always, never or auto expected")
        options.color = value


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs vmdbg; the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    program = next((word for word in arguments if word.partition("=")[0] in PROGRAMS), "")
    if program:
        open_streams()
        return int(import_module(PROGRAMS[program.partition("=")[0]]).main(arguments))
    try:
        options = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"vmdbg: {error}\nUse `vmdbg --help' for a complete list of options.\n")
        return 1
    open_streams()
    try:
        return run_guarded(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said.
        drop_stdout()
        return 141
    except OSError as error:
        drop_stdout()
        return cannot_write(error.strerror)


def open_streams() -> None:
    """All three standard streams are there, and take bytes that are not text; without stdout the run ends."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it stays open
    if sys.stdout is None:
        raise SystemExit(cannot_write(os.strerror(errno.EBADF)))
    codecs.register_error("vmdbg", substitute)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "vmdbg")


def substitute(error: UnicodeError) -> tuple[bytes | str, int]:
    """What cannot be encoded: the byte that a surrogate stands for, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    code = ord(error.object[error.start])
    return bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else "?", error.start + 1


def cannot_write(reason: str | None) -> int:
    """Says that results cannot be written; the exit status."""
    sys.stderr.write(f"vmdbg: write error: {reason}\n")
    return 1


def run_guarded(options: Options) -> int:
    """Texts that need no session, or the session."""
    if "help" in options.flags:
        sys.stdout.write(HELP)
        status = 0
    elif "version" in options.flags:
        from vmdbg.shell.version import version_text

        sys.stdout.write(version_text() + "\n")
        status = 0
    else:
        status = run(options)
    sys.stdout.flush()
    return status


def run(options: Options) -> int:
    """Start-up in GDB's order, then the prompt unless `-batch`; the exit status."""
    from vmdbg.shell.permissions import Permissions
    from vmdbg.shell.startup import make_session

    problem = change_folder(options.folder) if options.folder else ""
    session = make_session(permissions=Permissions("restricted" in options.flags), color=options.color)
    session.batch, session.strict = "batch" in options.flags, "strict" in options.flags
    session.output.silent = "batch_silent" in options.flags
    if session.batch and options.color == "auto":
        session.settings.set("style enabled", False)
    if session.permissions.restricted or options.seconds is not None:
        from vmdbg.shell.limits import set_limits

        set_limits(session, options.seconds)
    progress.show_on(session.output.stderr)
    if problem:
        session.output.error(problem)
    session.tap, session.mark = "tap" in options.flags, f"  [{options.token}]" if options.token else ""
    explicit, signal = False, 0
    try:
        status = start_up(session, options)
        if status is None:
            status = converse(session, options)
    except SystemExit as leave:
        explicit = leave.code is not None
        signal = leave.signal if isinstance(leave, Terminated) else 0
        status = leave.code if isinstance(leave.code, int) else 0
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last door: a bug is named in one line
        tell(session, error)
        status = 1
    if "return_child_result" in options.flags and not explicit and not status:
        status = child_result(session)
    status = finish(session, status)
    if signal:
        from vmdbg.shell.terminal import end_by

        end_by(signal)
    return status


def child_result(session: Session) -> int:
    """The exit status of the process that ended last, or GDB's 255 if none has."""
    value = session.evaluate("$_exitcode")
    return 255 if value.is_void else int(value) & 0xFF


def finish(session: Session, status: int) -> int:
    """Calls what waits for the end; the final exit status.  There is nothing left that Ctrl-C could stop."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for action in session.at_exit:
        action()
    if session.settings.flag("logging enabled"):
        session.from_tty = False
        session.settings.set("logging enabled", False)
    session.output.flush()
    if session.batch and session.bugs:
        status = status or 1
    return status or session.exit_code or 0


def start_up(session: Session, options: Options) -> int | None:
    """Init files, machine, program and the commands of the command line.  The exit status, or None
    if a conversation follows."""
    from vmdbg.shell.startup import attach_machine_settings, folder_init, home_init, stdin_is_terminal

    attach_machine_settings(session)
    quiet_home = {"nx", "nh", "restricted"} & options.flags
    if not quiet_home and (path := home_init(session)):
        step(session, "x", path)
    for kind, text in options.early:
        step(session, kind, text)
    session.program_arguments = options.program[1:]
    talk = not session.batch and stdin_is_terminal()
    open_machine(session, options, at_once=talk)
    if not {"nx", "restricted"} & options.flags and (path := folder_init(session)):
        step(session, "x", path)
    if talk and "quiet" not in options.flags:
        from vmdbg.shell.version import banner

        session.output.line(banner())
        if session.target is not None:
            from vmdbg.inspect.completions import greeting

            session.output.lines(greeting(session.target.machine))
    worked = True
    for kind, text in options.commands:
        worked = step(session, kind, text)
    if session.batch:
        return 0 if worked else 1
    return None


def step(session: Session, kind: str, text: str) -> bool:
    """One `-x` or `-ex`.  Whether it worked; with --strict a failure ends the run."""
    from vmdbg.shell.piped_input import piped_source
    from vmdbg.shell.source import source_file

    interpreter: Interpreter = session.interpreter
    interpreter.sources.append(piped_source(session))
    try:
        if kind == "ex":
            worked = interpreter.try_line(text, from_tty=not session.batch)
        else:
            worked = interpreter.attempt(lambda: source_file(session, text, trusted=True))
    finally:
        interpreter.sources.pop()
    if not worked and session.strict:
        raise SystemExit(1)
    return worked


def change_folder(folder: str) -> str:
    """`-cd`: what is wrong with the folder, or nothing.  It is the folder of a restricted session."""
    try:
        os.chdir(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}."
    return ""


def open_machine(session: Session, options: Options, at_once: bool) -> None:
    """Boots the machine that was asked for, or arranges that the first command that needs one boots
    the default.  One that cannot boot ends the run: nothing was started."""
    program = options.program[0] if options.program else ""

    def boot() -> Target:
        from vmdbg.shell.boot import open_first

        return open_first(session, options.machine, program)

    session.open_target = boot
    if at_once or options.machine or program:
        try:
            session.target  # noqa: B018 - asking opens it
        except UserError as error:
            tell(session, error)
            raise SystemExit(1) from None
        except Exception as error:  # noqa: BLE001 - a bug of ours must not take the prompt away
            tell(session, error)


def tell(session: Session, error: Exception) -> None:
    """Writes an error to stderr."""
    from vmdbg.shell.report import report

    report(session, error)


def converse(session: Session, options: Options) -> int:
    """The prompt of a person, or lines from a pipe."""
    from vmdbg.shell.startup import stdin_is_terminal

    if stdin_is_terminal():
        from vmdbg.shell.conversation import run_terminal

        return run_terminal(session)
    from vmdbg.shell.piped_input import run_piped

    return run_piped(session)
