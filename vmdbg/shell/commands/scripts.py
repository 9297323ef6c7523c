"""source, define, document, hooks, alias, if, while and what belongs to them."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, Argument, Command, Option, command
from vmdbg.shell.grammar import WORD_CHARS
from vmdbg.shell.isolated import source_isolated
from vmdbg.shell.kinds import COMMAND_NAME, DEFINITION, NUMBER, REST, REST_EXPRESSION, REST_FILE, WORD
from vmdbg.shell.script import LoopBreak, LoopContinue, Statement
from vmdbg.shell.source import source_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.registry import Node, Registry
    from vmdbg.shell.session import Session

NAME_REQUIRED = "Argument required (name of command to define)."


@command(
    "source",
    group="support",
    arguments=[Argument("file", REST_FILE, optional=True, help="file of commands")],
    options=[
        Option("-v", help="echo each command before it runs"),
        Option("-s", help="GDB's option for a search path; accepted"),
        Option("-isolated", help="definitions, settings, output and quit of the file end with it"),
        Option("-seconds", NUMBER, help="with -isolated: time that it has"),
        Option("-keep", WORD, default="", help="with -isolated: variables that stay, such as answer,q1"),
    ],
    usage="source [-v] [-isolated [-seconds N] [-keep NAME,...]] FILE",
    summary="Read commands from a file named FILE.",
    help="""
The file stops at its first error, which is shown with the file and the line.
With -isolated the file runs as a stranger's: its output is not shown, its definitions, variables, settings,
displays and stops are gone afterwards, "quit" ends it alone, and only what it did to the machine remains,
with the variables that -keep names, if they are numbers or strings.
It cannot write files, start programs, or take another machine, and what happened before it began is no past
that it can go back to.  An error ends it and is shown, as does the end of its time; the script that reads it
goes on, unless --strict was given.""",
)
def source_command(session: Session, args: Args) -> object:
    if args.isolated:
        if args.seconds is not None and args.seconds < 1:
            raise UserError("Seconds from 1 on expected.")
        names = [name.strip().removeprefix("$") for name in args.keep.split(",") if name.strip()]
        for name in names:
            if not (name.isascii() and name.isidentifier()):
                raise UserError(f'"{name}": expected names of variables, such as answer,q1.')
        source_isolated(session, args.file or "", args.seconds, names)
    else:
        source_file(session, args.file or "", verbose=args.v, must_exist=args.from_tty)
    return None


def check_name(session: Session, text: str) -> tuple[tuple[str, ...], Node | None]:
    """The path that a definition names: its prefix words in full, and what is there already."""
    registry: Registry = session.interpreter.registry
    words = text.split()
    if not words:
        raise UserError(NAME_REQUIRED)
    for word in words:
        junk = next((position for position, char in enumerate(word) if char not in WORD_CHARS), None)
        if junk is not None:
            raise UserError(f'Junk in argument list: "{word[junk:]}"')
    path: tuple[str, ...] = ()
    for word in words[:-1]:
        parent = registry.find(path)
        found = parent.matches(word) if parent is not None else []
        if len(found) != 1:
            raise UserError(f'Undefined command: "{word}".  Try "help".')
        path = found[0].target.path
        if not found[0].target.children and not is_user_prefix(registry, found[0]):
            raise UserError(f'"{" ".join(words[:-1])}" is not a prefix command.')
    path = (*path, words[-1])
    return path, registry.find(path)


def is_user_prefix(registry: Registry, node: Node) -> bool:
    """Made by `define-prefix`."""
    return node.target.user and node.target.path in registry.prefixes


@command(
    "define",
    group="support",
    arguments=[Argument("name", COMMAND_NAME, optional=True)],
    usage="define COMMAND",
    summary="Define a new command name.  Command name is argument.",
    help="""
Definition appears on following lines, one command per line.  End with a line of just "end".
Use the "document" command to give documentation for the new command.
Commands defined in this way accept an unlimited number of arguments, accessed via "$arg0" ..
"$argN".  "$argc" tells how many arguments have been passed, "$arg*" stands for all of them.
A command "hook-NAME" runs before each NAME, "hookpost-NAME" after it.""",
    block=True,
    repeat=NO_REPEAT,
)
def define_command(session: Session, args: Args) -> object:
    path, existing = check_name(session, args.name or "")
    name = " ".join(path)
    if existing is not None and existing.target.declared() is not None and existing.alias_of is None:
        what = (
            f'Redefine command "{name}"? '
            if existing.user
            else f'Really redefine built-in command "{name}"? '
        )
        if not session.query(what):
            raise UserError(f'Command "{name}" not redefined.')
    warn_about_hook(session, path)
    header(session, args, f'Type commands for definition of "{name}".')
    bodies = args.body or session.interpreter.read_bodies("define")
    if bodies is not None:
        define(session.interpreter.registry, path, bodies[0])
    return None


def header(session: Session, args: Args, text: str) -> None:
    """What a person sees before typing a block."""
    sources = session.interpreter.sources
    if args.body is None and sources and sources[-1].interactive:
        session.output.line(text)
        session.output.line('End with a line saying just "end".')


def warn_about_hook(session: Session, path: tuple[str, ...]) -> None:
    """A hook of a command that is not there is allowed after a question."""
    for lead in ("hook-", "hookpost-"):
        if path[-1].startswith(lead):
            hooked = (*path[:-1], path[-1][len(lead) :])
            node = session.interpreter.registry.find(hooked)
            if (node is None or node.alias_of is not None) and hooked != ("stop",):
                name = " ".join(path)
                session.output.warning(f"Your new `{name}' command does not hook any existing command.")
                if not session.query("Proceed? "):
                    raise UserError("Not confirmed.")


def define(registry: Registry, path: tuple[str, ...], body: list[Statement]) -> None:
    """Makes or replaces a user-defined command; its documentation and subcommands stay."""
    node = registry.make_node(path)
    old = node.command if node.user else None
    name = " ".join(path)

    def call(session: Session, args: Args) -> None:
        session.interpreter.call_user(name, body, args.text)

    node.alias_of, node.arguments, node.user, node.load = None, "", True, None
    node.command = Command(
        name,
        call,
        group="user-defined",
        arguments=[Argument("words", REST, optional=True)],
        summary="User-defined.",
        allow_unknown=old is not None and old.allow_unknown and not node.children,
    )
    if old is not None:
        node.command.summary, node.command.help = old.summary, old.help
    registry.bodies[path] = body


@command(
    "define-prefix",
    group="support",
    arguments=[Argument("name", COMMAND_NAME, optional=True)],
    usage="define-prefix COMMAND",
    summary="Define or mark a command as a user-defined prefix command.",
    help="User defined prefix commands can be used as prefix commands for other user defined\ncommands.",
)
def define_prefix(session: Session, args: Args) -> object:
    path, existing = check_name(session, args.name or "")
    if existing is not None and not existing.target.user:
        raise UserError(f'Command "{" ".join(path)}" is built-in.')
    if existing is not None and existing.children:
        return None
    registry = session.interpreter.registry
    node = registry.make_node(path)
    node.user = True
    if node.command is None:
        node.command = Command(" ".join(path), None, group="user-defined", summary="User-defined.")
    registry.prefixes.add(path)
    return None


@command(
    "document",
    group="support",
    arguments=[Argument("name", COMMAND_NAME, optional=True)],
    usage="document COMMAND",
    summary="Document a user-defined command or user-defined alias.",
    help="""
Give command name as argument.  Give documentation on following lines.  End with a line of just
"end".""",
    block=True,
    repeat=NO_REPEAT,
)
def document_command(session: Session, args: Args) -> object:
    path, node = check_name(session, args.name or "")
    name = " ".join(path)
    if node is None:
        raise UserError(f'Undefined command: "{path[-1]}".')
    if not node.user:
        raise UserError(f'Command "{name}" is built-in.')
    header(session, args, f'Type documentation for "{name}".')
    bodies = args.body or session.interpreter.read_bodies("document")
    if bodies is None:
        return None
    lines = [statement.text for statement in bodies[0]] or ["User-defined."]
    if node.alias_of is not None:
        node.doc = "\n".join(lines)
    elif node.command is not None:
        node.command.summary, node.command.help = lines[0], "\n".join(lines[1:])
    return None


@command(
    "if",
    group="support",
    arguments=[Argument("condition", REST_EXPRESSION)],
    usage="if EXPR",
    summary="Execute nested commands once IF the conditional expression is non zero.",
    help="""
The conditional expression must follow the word "if" and must in turn be followed by the commands,
one per line, and a line of just "end".  The word "else" on a line of its own may part two lists.""",
    block=True,
)
def if_command(session: Session, args: Args) -> object:
    raise AssertionError("an if is run by the interpreter")


@command(
    "while",
    group="support",
    arguments=[Argument("condition", REST_EXPRESSION)],
    usage="while EXPR",
    summary="Execute nested commands WHILE the conditional expression is non zero.",
    help="""
The conditional expression must follow the word "while" and must in turn be followed by the
commands, one per line, and a line of just "end".  "loop_break" leaves the loop, "loop_continue"
goes on with its next turn.""",
    block=True,
)
def while_command(session: Session, args: Args) -> object:
    raise AssertionError("a while is run by the interpreter")


@command(
    "loop_break",
    group="support",
    summary="Leave the innermost while loop.",
    hidden=True,
)
def loop_break(session: Session, args: Args) -> object:
    if not session.interpreter.loops:
        raise session.interpreter.registry.undefined(session.interpreter.registry.root, "loop_break")
    raise LoopBreak


@command(
    "loop_continue",
    group="support",
    summary="Go on with the next turn of the innermost while loop.",
    hidden=True,
)
def loop_continue(session: Session, args: Args) -> object:
    if not session.interpreter.loops:
        raise session.interpreter.registry.undefined(session.interpreter.registry.root, "loop_continue")
    raise LoopContinue


@command("end", group="support", summary="Ends a block.", hidden=True)
def end_command(session: Session, args: Args) -> object:
    raise UserError("This command cannot be used at the top level.")


@command(
    "dont-repeat",
    group="support",
    summary="Don't repeat this command.",
    help="Primarily used inside of user-defined commands that should not be repeated when hitting\nreturn.",
)
def dont_repeat(session: Session, args: Args) -> object:
    session.interpreter.repeat_line = ""
    return None


@command(
    "alias",
    group="support",
    arguments=[Argument("definition", DEFINITION, optional=True)],
    options=[Option("-a", help="an abbreviation: not listed in help and not completed")],
    usage="alias [-a] [--] ALIAS = COMMAND [DEFAULT-ARGS...]",
    summary="Define a new command that is an alias of an existing command.",
    help="""
DEFAULT-ARGS are put before the arguments that are given when the alias is used.
"alias NAME = set SETTING" makes one word of several; "alias set NAME = set SETTING" is another name for
a subcommand.""",
    examples=["alias pxx = print /x", "alias ib = info breakpoints"],
)
def alias_command(session: Session, args: Args) -> object:
    usage = "Usage: alias [-a] [--] ALIAS = COMMAND [DEFAULT-ARGS...]"
    text = args.definition or ""
    if text.startswith("-") and not text.startswith("--"):
        raise UserError(f"Unrecognized option at: {text}")
    left, equals, right = text.partition("=")
    names, wanted = left.split(), right.strip()
    if not equals or not names or not wanted:
        raise UserError(usage)
    registry = session.interpreter.registry
    registry.adopt_settings(session.settings)
    node, rest = registry.resolve(wanted)
    if node.arguments:
        raise UserError("Cannot define an alias of an alias that has default args")
    if node.declared() is None and not node.children and node.setting is None:
        raise UserError(f"Invalid command to alias to: {wanted}")
    for word in names:
        if any(char not in WORD_CHARS for char in word):
            raise UserError(f"Invalid command name: {word}")
    place_alias(registry, tuple(names), node, rest.strip()).unlisted = args.a
    return None


def place_alias(registry: Registry, names: tuple[str, ...], node: Node, arguments: str) -> Node:
    """Enters an alias: one word for any command, or beside the command; GDB's errors if the name is
    taken."""
    if 1 < len(names) != len(node.path):
        raise UserError("Mismatched command length between ALIAS and COMMAND.")
    parent = registry.root
    for word in names[:-1]:
        found = parent.matches(word)
        if len(found) != 1:
            raise UserError("ALIAS and COMMAND prefixes do not match.")
        parent = found[0].target
    if parent.path not in ((), node.path[:-1]):
        raise UserError("ALIAS and COMMAND prefixes do not match.")
    there = parent.target.children.get(names[-1])
    if there is not None:
        if there.alias_of is not None or there.user:
            raise UserError(f"Alias already exists: {' '.join(names)}")
        raise UserError(f"Alias {' '.join(names)} is the name of an existing command")
    alias = registry.make_node((*parent.path, names[-1]))
    alias.alias_of, alias.arguments, alias.user = (
        node.target,
        arguments,
        True,
    )
    return alias
