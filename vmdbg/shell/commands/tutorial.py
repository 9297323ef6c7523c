"""tutorial: the story of virtual memory, step by step at the prompt."""

from __future__ import annotations

from vmdbg.exercises.lessons import lessons
from vmdbg.shell.command import NO_REPEAT, Argument, command
from vmdbg.shell.kinds import choice
from vmdbg.shell.tutor import Tutor
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

LETTERS = [lesson.letter for lesson in lessons()]
LESSON = choice(*LETTERS, label="LESSON")


def tutor_of(session: Session) -> Tutor:
    """The session's tutor."""
    return session.state(Tutor, lambda: Tutor(session))


@command(
    "tutorial",
    group="support",
    arguments=[
        Argument("lesson", LESSON, optional=True, help="its letter, A to F; without it, where you left")
    ],
    repeat=NO_REPEAT,
    summary="Learn virtual memory in lessons, step by step.",
    help="""
A step says what to do.  Type the commands of vmdbg that do it, as many and as often as you like; when it is
done, the next step follows.  The machine of the lesson takes the place of yours.  "tutorial hint" helps,
"tutorial next" does the step for you, "tutorial back" goes to the one before, "tutorial again" puts the
machine back to where the step began, "tutorial quit" leaves.  Where you are is kept for the next session.""",
    examples=["tutorial A"],
)
def tutorial_command(session: Session, args: Args) -> object:
    tutor = tutor_of(session)
    if args.lesson:
        tutor.enter(LETTERS.index(args.lesson), 0)
    else:
        tutor.enter(tutor.lesson, tutor.number)
    return None


@command(
    "tutorial list",
    group="support",
    forms=("json", "csv"),
    summary="List the lessons, and which of them are done.",
    examples=["tutorial list"],
)
def tutorial_list(session: Session, args: Args) -> object:
    tutor = tutor_of(session)
    rows = []
    for place, lesson in enumerate(lessons()):
        here = place == tutor.lesson and (tutor.active or tutor.number > 0)
        state = "done" if lesson.letter in tutor.done else "open"
        rows.append(
            [lesson.letter, lesson.title, len(lesson.steps), f"step {tutor.number + 1}" if here else state]
        )
    return Table([Column("lesson"), Column("title"), Column("steps", kind="number"), Column("state")], rows)


@command("tutorial next", group="support", repeat=NO_REPEAT, summary="Have the step done, and go on.")
def tutorial_next(session: Session, args: Args) -> object:
    tutor_of(session).forward()
    return None


@command("tutorial back", group="support", repeat=NO_REPEAT, summary="Go to the step before.")
def tutorial_back(session: Session, args: Args) -> object:
    tutor_of(session).back()
    return None


@command("tutorial hint", group="support", repeat=NO_REPEAT, summary="Say how the step is done.")
def tutorial_hint(session: Session, args: Args) -> object:
    tutor_of(session).hint()
    return None


@command(
    "tutorial again",
    group="support",
    repeat=NO_REPEAT,
    summary="Put the machine back to where the step began.",
)
def tutorial_again(session: Session, args: Args) -> object:
    tutor_of(session).again()
    return None


@command("tutorial quit", group="support", repeat=NO_REPEAT, summary="Leave the tutorial; the place is kept.")
def tutorial_quit(session: Session, args: Args) -> object:
    tutor_of(session).leave()
    return None
