"""quiz: questions from a seed, at the prompt and on sheets."""

from __future__ import annotations

import os
from random import Random, SystemRandom

from vmdbg.errors import LimitError, UserError
from vmdbg.exercises.of_machine import MAKERS, Source, make
from vmdbg.exercises.papers import ONE_LEVEL, TWO_LEVELS, on_paper
from vmdbg.exercises.questions import KINDS
from vmdbg.exercises.sums import cost_question, replace_question
from vmdbg.inspect.context import find_context
from vmdbg.shell.command import NO_REPEAT, Argument, Option, command
from vmdbg.shell.kinds import FILE, NUMBER, choice
from vmdbg.views.document import Document
from vmdbg.views.quiz import proof_lines, question_lines
from vmdbg.views.quiz_sheet import Part, key, sheet
from vmdbg.views.result import Column, Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.exercises.questions import Ask, Mark, Question
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

MOST_QUESTIONS = 10_000
SEEDS = 100_000
PATIENCE = 3  # answers to one step that cannot be read
SUMS = {"replace": replace_question, "cost": cost_question}
FORMS = ("html", "md", "tex")
USER = 0
KIND = choice(*KINDS, label="|".join(KINDS))


class Asker:
    """Makes the questions of a quiz.  Those about a machine take the session's, or one on paper."""

    def __init__(self, session: Session, seed: int, paper: bool) -> None:
        self.session, self.seed, self.paper = session, seed, paper
        self._sources: dict[str, Source] = {}

    def source(self, kind: str) -> Source:
        """The machine for a kind of questions."""
        name = "" if not self.paper else ONE_LEVEL if kind == "tlb" else TWO_LEVELS
        if name not in self._sources:
            if name:
                self._sources[name] = on_paper(name, self.seed)
            else:
                machine = self.session.machine
                self._sources[name] = Source(machine, find_context(machine, mode=USER))
        return self._sources[name]

    def question(self, kind: str, number: int, count: int) -> Question:
        """Question `number` of `count`; later ones are harder.  UserError if there is none of the kind."""
        rng = Random(f"{self.seed} {kind} {number}")
        hard = number / max(1, count - 1)
        if kind in SUMS:
            return SUMS[kind](rng, hard)
        return make(self.source(kind), kind, rng, hard)


def read_count(count: int) -> int:
    """The number of questions.  UserError."""
    if not 1 <= count <= MOST_QUESTIONS:
        raise UserError(f"{count} questions: expected 1 to {MOST_QUESTIONS}.")
    return count


def read_seed(seed: int | None) -> int:
    """The seed that was given, or a new one."""
    return SystemRandom().randrange(SEEDS) if seed is None else seed


@command(
    "quiz",
    group="support",
    arguments=[Argument("kind", KIND, optional=True, help="what is asked; without it, all by turns")],
    options=[
        Option("-seed", NUMBER, help="the same seed, the same questions"),
        Option("-n", NUMBER, default=1, help="how many"),
        Option("-steps", help="ask step by step"),
        Option("-paper", help="about a small machine that fits on paper, drawn from the seed"),
    ],
    forms=("json",),
    repeat=NO_REPEAT,
    summary="Ask questions about virtual memory, and judge the answers.",
    help="""
The questions are about the machine as it is now, or with -paper about a small one; those of replace and cost
need none.  They get harder from the first to the last.  An answer is a number or an expression, a word such
as fault, hit or none, or for replace a letter F or H for each reference.  With -steps each step is asked, and
the first wrong one is named.  Then it is shown why, by the command that says so.  An empty answer shows the
key; "q" ends.  /json has the questions with their keys, and asks nothing.  $_quiz is the number of right
answers.""",
    examples=["quiz/json cost -seed 1", "quiz/json translate -seed 7 -n 3 -paper"],
)
def quiz_command(session: Session, args: Args) -> object:
    count, seed = read_count(args.n), read_seed(args.seed)
    asker = Asker(session, seed, args.paper)
    kinds = [args.kind] if args.kind else list(KINDS)
    wanted = [(kinds[number % len(kinds)], number) for number in range(count)]
    if args.form == "json":
        return Document(
            lambda: [asker.question(kind, number, count).data() for kind, number in wanted],
            list,
            [Column("kind")],
            list,
        )
    return run_quiz(session, asker, wanted, args.steps)


def run_quiz(session: Session, asker: Asker, wanted: list[tuple[str, int]], steps: bool) -> Iterator[Lines]:
    """Asks the questions one after another; what is to be shown."""
    right = 0
    session.set_variable("_quiz", 0)
    for number, (kind, place) in enumerate(wanted):
        question = asker.question(kind, place, len(wanted))
        session.output.lines(question_lines(question, f"{number + 1}/{len(wanted)}  "))
        verdict = ask_all(session, question, steps)
        if verdict is None:
            yield Lines(f"{right} of {number} right (seed {asker.seed}).")
            return
        right += verdict == ""
        session.set_variable("_quiz", right)
        if verdict:
            yield Lines(verdict)
            yield Lines(list(proof_lines(question)))
        else:
            yield Lines("Right.")
    yield Lines(f"{right} of {len(wanted)} right (seed {asker.seed}).")


def ask_all(session: Session, question: Question, steps: bool) -> str | None:
    """Asks the steps, or the last one only: what is wrong, or nothing; None at the end of answers."""
    asks = question.asks if steps else question.asks[-1:]
    for number, ask in enumerate(asks, 1):
        mark = ask_one(session, ask)
        if mark is None:
            return None
        if not mark.right:
            where = f"Wrong at step {number} of {len(asks)}: " if len(asks) > 1 else "Wrong: "
            return where + mark.remark
    return ""


def ask_one(session: Session, ask: Ask) -> Mark | None:
    """Asks one step until the answer can be read; None for the end of answers."""
    for _ in range(PATIENCE):
        text = read_answer(session, f"{ask.name}? ")
        if text is None or text.strip().lower() in ("q", "quit"):
            return None
        if not text.strip():
            return ask.mark_nothing()
        try:
            mark = ask.mark(text.strip(), session.integer)
        except UserError as error:
            session.output.line(str(error))
            continue
        if mark.understood:
            return mark
        session.output.line(mark.remark)
    return ask.mark_nothing()


def read_answer(session: Session, prompt: str) -> str | None:
    """A line from the person, or the next one of the script; None at the end."""
    sources = session.interpreter.sources
    if session.read_line is not None and sources and sources[-1].interactive:
        session.output.flush()
        return session.read_line(prompt)
    return sources[-1].read(prompt) if sources else None


@command(
    "quiz sheet",
    group="support",
    arguments=[
        Argument("file", FILE, help="file of the questions: .html, .md or .tex"),
        Argument("kinds", KIND, optional=True, many=True, help="kinds of questions; without them all"),
    ],
    options=[
        Option("-key", FILE, help="file of the answers"),
        Option("-seed", NUMBER, help="the same seed, the same sheet"),
        Option("-n", NUMBER, default=3, help="how many of each kind; 3 without it"),
    ],
    usage="quiz sheet FILE.html|.md|.tex [-key FILE] [-seed N] [-n N] [KIND...]",
    repeat=NO_REPEAT,
    summary="Write a sheet of questions, and its key.",
    help="""
The questions are about machines that fit on paper: their memory is listed as OSTEP and CS:APP print it, and
drawn from the seed.  The key says each step and what the commands say.""",
)
def quiz_sheet_command(session: Session, args: Args) -> object:
    if session.interpreter.isolated:
        raise LimitError('No "quiz sheet" in an isolated script.')
    count, seed = read_count(args.n), read_seed(args.seed)
    files = {path: form_of(path) for path in (args.file, args.key) if path}
    parts = parts_of(Asker(session, seed, True), args.kinds or list(KINDS), count)
    written = [(args.file, sheet)] + ([(args.key, key)] if args.key else [])
    for path, writer in written:
        with open(session.permissions.writing(path), "w", encoding="utf-8") as file:
            file.write(writer(files[path], parts, seed))
    names = " and ".join(path for path, _ in written)
    return f"Wrote {names}: {sum(len(part.questions) for part in parts)} questions, seed {seed}."


def form_of(path: str) -> str:
    """The form that the end of a name says.  UserError for another one."""
    form = os.path.splitext(path)[1].removeprefix(".").lower()
    if form not in FORMS:
        raise UserError(f"{path}: expected a name that ends with .html, .md or .tex.")
    return form


def parts_of(asker: Asker, kinds: list[str], count: int) -> list[Part]:
    """The questions by what they are about."""
    questions: dict[str, list[Question]] = {}
    listings: dict[str, list[str]] = {}
    for kind in KINDS:
        if kind in kinds:
            source = asker.source(kind) if kind in MAKERS else None
            paper = source.paper if source is not None else ""
            if paper not in questions:
                questions[paper] = []
                listings[paper] = source.listing([]) if source is not None and source.listing else []
            questions[paper] += [asker.question(kind, number, count) for number in range(count)]
    return [Part(paper, listings[paper], found) for paper, found in questions.items()]
