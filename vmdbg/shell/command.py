"""The declaration of a command: from it follow parsing, completion, colour, help, docs and tests.

How to add a command: put a function into a file of `vmdbg/shell/commands/` (a new file is found by
being there, nothing else to edit) and declare it.  A command computes a result; a view draws it.

    from vmdbg.shell.command import PURE, Argument, Option, command
    from vmdbg.shell.kinds import ACCESS, ADDRESS, PROCESS
    from vmdbg.views.document import Document

    @command(
        "translate",                          # the name: one word or more ("tlb lookup")
        aliases=("t",),                       # fixed short names; whole paths for longer ones
        group="looking",                      # a key of GROUPS
        needs=("translate",),                 # names in `session.target.capabilities`
        effect=PURE,                          # PURE, ACTING or SHELL
        arguments=[
            Argument("address", ADDRESS, help="virtual address to translate"),
            Argument("access", ACCESS, optional=True, default="r", help="r, w or x"),
        ],
        options=[
            Option("-pid", PROCESS, help="in that process"),
            Option("-all", help="a flag: args.all is True or False"),
        ],
        forms=("json", "csv", "v"),           # after the slash: /json /j, /csv, /v
        plots=False,                          # its result has a picture, which "plot" draws
        summary="Say where an address goes now.",
        help="Longer text, one or more paragraphs ...",
        examples=["translate 0x401000"],      # the tests run each of them
    )
    def translate_command(session, args):
        found = translate(session.machine, context_of(session, args), args.address, ACCESSES[args.access])
        return Document(found.data, lambda: [outcome_line(session.notation, found)])

What the function gets: the session, and `args` with an attribute for each argument (None or its
default where it was left out, a list where `many=True`), for each option (the dashes of its name
become underscores), and `args.form` ("" "json" "csv"), `args.flags` (the other forms given, such as
{"v"}; `args.v` is True if "v" was), `args.text` (the rest as it was typed), `args.invoked`.
A command that reads lines down to `end` says `block=True`, or ALONE if only without an argument, and asks
`bodies = args.body or session.interpreter.read_bodies(name)` (None if they were malformed);
`session.interpreter.run(bodies[0])` runs them later.  A stop is shown by
`session.interpreter.run_stop_hooks(action)`, displays by
`vmdbg.shell.commands.display.show_displays(session)`.
What it returns: None, a str, a Result of `vmdbg.views.result`, or an iterator of those (each is
shown as it comes).  A mistake of the user is `raise UserError(message, hint)`.
The first string of `@command(` and its aliases have to be literals: the index is read from the
sources, so that start-up imports none of them.
"""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from vmdbg.shell.kinds import Kind

PURE = "pure"  # changes nothing, down to A/D bits, LRU order and counters
ACTING = "acting"  # changes the machine: an operation with a time
SHELL = "shell"  # changes the shell only: settings, variables, files

REPEAT = "repeat"  # an empty line runs it again
NO_REPEAT = "no-repeat"  # an empty line does nothing
ALONE = "alone"  # as `block`: lines follow only where there is no argument
CONTINUE = "continue"  # an empty line runs it again without arguments: it goes on where it was

GROUPS: dict[str, str] = {
    "looking": "Where an address goes and why: nothing is changed.",
    "acting": "Changing the machine: accesses, mappings, swap.",
    "processes": "Processes of the machine.",
    "running": "Running the program.",
    "breakpoints": "Making the program stop at certain points.",
    "time": "Going back and asking the past.",
    "data": "Examining data.",
    "status": "Status inquiries.",
    "files": "Specifying and examining files and machines.",
    "support": "Support facilities.",
    "obscure": "Obscure features.",
    "aliases": "User-defined aliases of other commands.",
    "user-defined": "User-defined commands.",
}
# What the list of a class begins with, in the order of a first hour; the others follow by name.
FIRST: tuple[str, ...] = (
    *("map", "translate", "walk", "split", "why", "pte", "tables", "tlb", "swap"),
    *("read", "write", "fault", "mmap", "munmap", "mprotect", "swapout", "swapin", "poke"),
    *("ps", "process", "spawn", "fork", "kill"),
    *("start", "step", "stepi", "next", "continue", "run", "finish", "until"),
    *("break", "watch", "catch", "commands", "delete"),
    *("when", "undo", "redo", "reverse-step", "reverse-stepi", "reverse-continue", "goto", "last"),
    *("print", "x", "xp", "set", "display"),
    *("info", "show", "info machine", "info registers", "info stats", "info faults", "info frames"),
    *("machine", "file", "list", "save machine", "load machine"),
    *("help", "apropos", "quit", "echo", "source", "define", "expect"),
)
USER_GROUP_TEXT = (
    "User-defined commands.\nThe commands in this class are those defined by the user.\n"
    'Use the "define" command to define a command.'
)

FORM_NAMES = {"j": "json", "json": "json", "csv": "csv", "c": "csv"}
FORMAT_LETTERS = "format"  # as `forms`: GDB's count, letter and size, handed over as args.format


class Argument:
    """A positional argument.  `many` collects all that is left; `help` is a noun phrase."""

    __slots__ = ("default", "help", "kind", "many", "name", "optional")

    def __init__(
        self,
        name: str,
        kind: Kind,
        *,
        optional: bool = False,
        many: bool = False,
        default: object = None,
        help: str = "",
    ) -> None:
        self.name, self.kind, self.optional, self.many = name, kind, optional, many
        self.default, self.help = default, help

    @property
    def usage(self) -> str:
        """`ADDRESS`, `[ADDRESS]`, `[PID...]`."""
        label = (self.kind.label or self.name.replace("_", "-").upper()) + ("..." if self.many else "")
        return f"[{label}]" if self.optional else label


class Option:
    """`-name VALUE`, or a flag if `kind` is None.  The value is `args.name`."""

    __slots__ = ("default", "help", "kind", "name", "target")

    def __init__(
        self, name: str, kind: Kind | None = None, *, default: object = None, help: str = ""
    ) -> None:
        self.name, self.kind, self.help = name, kind, help
        self.default = False if kind is None and default is None else default
        self.target = name.lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        """`[-pid PID]`, `[-all]`."""
        if self.kind is None:
            return f"[{self.name}]"
        return f"[{self.name} {self.kind.label or self.target.upper()}]"


class Args:
    """What a command function gets: one attribute for each argument and option."""

    form: str
    format: str | None
    flags: frozenset[str]
    text: str
    invoked: str
    declared: str
    from_tty: bool
    raw: str

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Command:
    """A declaration: plain data and the function that does it."""

    __slots__ = (
        "aliases",
        "allow_unknown",
        "arguments",
        "block",
        "effect",
        "examples",
        "forms",
        "function",
        "group",
        "help",
        "hidden",
        "name",
        "needs",
        "options",
        "plots",
        "repeat",
        "summary",
        "usage_lines",
    )

    def __init__(
        self,
        name: str,
        function: Callable[[Any, Args], object] | None = None,
        *,
        group: str = "obscure",
        aliases: Sequence[str] = (),
        needs: Iterable[str] = (),
        effect: str = SHELL,
        arguments: Sequence[Argument] = (),
        options: Sequence[Option] = (),
        forms: Sequence[str] | str = (),
        plots: bool = False,
        summary: str = "",
        help: str = "",
        examples: Sequence[str] = (),
        repeat: str = REPEAT,
        usage: str | Sequence[str] = (),
        block: bool | str = False,
        allow_unknown: bool = False,
        hidden: bool = False,
    ) -> None:
        if not summary.endswith("."):
            raise ValueError(f"command {name}: the summary ends with a full stop")
        if group not in GROUPS:
            raise ValueError(f"command {name}: no group {group!r}")
        if effect not in (PURE, ACTING, SHELL) or repeat not in (REPEAT, NO_REPEAT, CONTINUE):
            raise ValueError(f"command {name}: effect {effect!r}, repeat {repeat!r}")
        self.name, self.function, self.group, self.aliases = name, function, group, tuple(aliases)
        self.needs, self.effect, self.repeat = frozenset(needs), effect, repeat
        self.arguments, self.options = tuple(arguments), tuple(options)
        self.forms = forms if isinstance(forms, str) else tuple(forms)
        self.plots = plots
        self.summary, self.help, self.examples = summary, help.strip("\n"), tuple(examples)
        self.usage_lines = (usage,) if isinstance(usage, str) else tuple(usage)
        self.block, self.allow_unknown, self.hidden = block, allow_unknown, hidden

    @property
    def words(self) -> tuple[str, ...]:
        """The name as words."""
        return tuple(self.name.split())

    @property
    def usage(self) -> tuple[str, ...]:
        """The lines after `Usage: `, derived unless they were declared."""
        if self.usage_lines:
            return self.usage_lines
        form = "[/FMT]" if self.forms == FORMAT_LETTERS else ""
        if self.forms and not isinstance(self.forms, str):
            form = "[/" + "|/".join(self.forms) + "]"
        parts = [self.name + form, *[option.usage for option in self.options]]
        return (" ".join([*parts, *[argument.usage for argument in self.arguments]]),)

    @property
    def raw(self) -> bool:
        """Its only argument is the rest of the line as it stands."""
        return bool(self.arguments) and self.arguments[0].kind.rest

    @property
    def separators(self) -> str:
        """What parts the words of its arguments: blanks, and commas unless an option or text takes them."""
        commas = any(option.kind is not None and option.kind.commas for option in self.options)
        return " \t" if commas or (self.raw and self.arguments[0].kind.among) else " \t,"

    def option(self, word: str) -> Option | None:
        """The option that `word` names or abbreviates; UserError if it abbreviates several.

        A whole name may have two dashes, as in the shells of operating systems.
        """
        exact = [option for option in self.options if word in (option.name, f"-{option.name}")]
        found = exact or [option for option in self.options if len(word) > 1 and option.name.startswith(word)]
        if len(found) > 1:
            raise UserError(f"{word}: Ambiguous option: {', '.join(option.name for option in found)}.")
        return found[0] if found else None


def command(name: str, **declaration: Any) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Declares the function below it as a command; see the head of this file."""

    def declare(function: Callable[..., object]) -> Callable[..., object]:
        declared = Command(name, function, **declaration)
        function.__dict__.setdefault("declarations", []).append(declared)
        return function

    return declare


def prefix(name: str, **declaration: Any) -> Command:
    """Declares a word that only other commands follow (`info`).  Bind it to a module-level name."""
    return Command(name, None, **declaration)
