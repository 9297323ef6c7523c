"""tui, layout, focus, winheight, refresh: the full screen, in GDB's words."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command, prefix
from vmdbg.shell.full_screen import COMMAND, LAYOUTS, disable, enable
from vmdbg.shell.kinds import WORD, choice
from vmdbg.shell.panes import VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.full_screen import FullScreen
    from vmdbg.shell.session import Session

TUI = prefix("tui", group="support", summary="Text User Interface commands.")
DIRECTIONS = ("next", "prev")


def screen_of(session: Session) -> FullScreen:
    """The full screen.  UserError if it is off."""
    if session.screen is None:
        raise UserError("The TUI is not active.", '"tui enable" shows it.')
    return session.screen


@command(
    "tui enable",
    group="support",
    effect=SHELL,
    summary="Enable TUI display mode.",
    help="""
The full screen: panes above, the prompt below, as the keys Ctrl-X A.  Panes show the program, the walk of the
last address, the TLB, the map, memory and swap, and the events of the last step; "!" marks what it changed.
Below them is the line of time.  While the line of input is empty, the arrow keys left and right step back and
forwards (with Shift by single events), and Home and End go to the ends of the record, as a click on the line
of time goes to a place in it.  Page Up and Page Down scroll the pane that has the focus.  See "layout",
"focus", "winheight".""",
    repeat=NO_REPEAT,
)
def tui_enable(session: Session, args: Args) -> None:
    enable(session)


@command(
    "tui disable",
    group="support",
    effect=SHELL,
    summary="Disable TUI display mode.",
    help="The terminal is as it was before.",
    examples=["tui disable"],
    repeat=NO_REPEAT,
)
def tui_disable(session: Session, args: Args) -> None:
    disable(session)


@command(
    "layout",
    group="support",
    effect=SHELL,
    arguments=[Argument("layout", choice(*LAYOUTS, *DIRECTIONS), help="which panes, or the next ones")],
    summary="Change the layout of windows.",
    help="""
vm shows all; walk, tlb, frames and program have more room for one thing; split has the program beside the
walk; next and prev take the next one of these.  The full screen is shown if it is not yet.""",
    repeat=NO_REPEAT,
)
def layout_command(session: Session, args: Args) -> None:
    screen = enable(session)
    screen.choose(args.layout)


@command(
    "focus",
    aliases=("fs",),
    group="support",
    effect=SHELL,
    arguments=[
        Argument("pane", choice(*VIEWS, COMMAND, *DIRECTIONS), help="a pane of the layout, cmd is the prompt")
    ],
    summary="Set focus to named window or next/prev window.",
    help="Page Up and Page Down scroll the pane that has the focus.",
    repeat=NO_REPEAT,
)
def focus_command(session: Session, args: Args) -> object:
    name = screen_of(session).move_focus(args.pane)
    return f"Focus set to {name} window."


@command(
    "winheight",
    group="support",
    effect=SHELL,
    arguments=[
        Argument("pane", choice(*VIEWS, COMMAND), help="a pane of the layout, cmd is the prompt"),
        Argument("height", WORD, help="rows, or +N or -N"),
    ],
    usage="winheight PANE [+|-]N",
    summary="Set or modify the height of a specified window.",
    help="The other windows share what is left.",
    repeat=NO_REPEAT,
)
def winheight_command(session: Session, args: Args) -> None:
    screen = screen_of(session)
    screen.set_height(args.pane, args.height)
    if args.pane == COMMAND:
        screen.arrange()


@command(
    "refresh",
    group="support",
    effect=SHELL,
    summary="Refresh the terminal display.",
    help="As the key Ctrl-L: all of the screen is drawn anew.",
    repeat=NO_REPEAT,
)
def refresh_command(session: Session, args: Args) -> None:
    if session.screen is not None:
        session.screen.arrange()
