"""plot: the picture of what another command finds out."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.shell.command import SHELL, Argument, command
from vmdbg.shell.kinds import Kind
from vmdbg.shell.text_completion import complete_file
from vmdbg.views.plot_file import format_of, write_picture
from vmdbg.views.plot_file import require as require_matplotlib
from vmdbg.views.plot_terminal import require as require_plotext
from vmdbg.views.plot_terminal import terminal_lines
from vmdbg.views.result import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.views.plot import Plot


def drawn(session: Session) -> dict[str, str]:
    """The commands whose results have a picture, by the last word of their names."""
    registry = session.interpreter.registry
    registry.load_all()
    return {command.words[-1]: command.name for command in registry.commands() if command.plots}


def spelled_out(session: Session, line: str) -> str:
    """A command line whose command may be the last word of one: `curve FILE` is `trace curve FILE`."""
    word, blank, rest = line.partition(" ")
    return drawn(session).get(word, word) + blank + rest


def picture_of(session: Session, line: str) -> Plot:
    """The picture of what a command line finds out.  UserError if its command has none."""
    known = drawn(session)
    line = spelled_out(session, line)
    node, _ = session.interpreter.find(line)
    declared = node.declared()
    if declared is None or not declared.plots:
        raise UserError(
            f'"{node.name}" has no picture.', f"These have one: {', '.join(sorted(known.values()))}."
        )
    return session.interpreter.result_of(line).plot()


def complete_plot(session: Session, text: str) -> list[str]:
    """A command that has a picture, or its arguments; a file behind ">"."""
    line, sign, file = text.rpartition(">")
    if sign:
        name = file.lstrip()
        before = line + sign + file[: len(file) - len(name)]
        return [before + found for found in complete_file(session, name)]
    word, blank, _ = text.partition(" ")
    if not blank:
        return [name for name in drawn(session) if name.startswith(word)]
    whole = spelled_out(session, text)
    added = len(whole) - len(text)
    found = session.interpreter.complete(whole)
    return [word + line[len(word) + added :] for line in found]


WHAT = Kind("command and file", lambda session, text: text, complete_plot, label="WHAT", rest=True)


@command(
    "plot",
    group="looking",
    effect=SHELL,
    arguments=[Argument("line", WHAT, help="what to draw")],
    usage="plot WHAT [> FILE.svg|.png|.pdf]",
    summary="Draw what a command finds out, in the terminal or into a file.",
    help="""
WHAT is a command whose result has a picture: "trace curve", "trace reuse" and "trace workingset" of a trace,
"policy compare" (faults by frames), "info faults" (over the time of the run), "sweep".  The last word of its
name will do: "plot curve ls.lackey.xz".

In the terminal it takes 80 columns, with the colours of the theme.  A file is in greys, with text that is 20
points high on a slide, and has the same bytes each time.  Pictures need more packages: pip install
"vmdbg[plot]".""",
    examples=["plot compare fifo lru -frames 1,2,3,4,5 1 2 3 4 1 2 5 1 2 3 4 5"],
)
def plot_command(session: Session, args: Args) -> object:
    line, sign, file = args.line.rpartition(">")
    line, file = (line.strip(), file.strip()) if sign else (args.line, "")
    if sign and not file:
        raise UserError("Argument required (file to write).")
    if not line:
        raise UserError("Argument required (what to draw).")
    if not file:
        require_plotext()
        return Lines(terminal_lines(picture_of(session, line)))
    kind = format_of(file)
    require_matplotlib()
    path = session.permissions.writing(file)
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):  # before anything is computed for hours
        raise UserError(f"{file}: No such file or directory.")
    write_picture(picture_of(session, line), path, kind)
    return f"Wrote {file}."
