"""set, show, with: settings of the shell and of the machine."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.expressions.nodes import Variable
from vmdbg.expressions.operators import Assign
from vmdbg.machine.setting import ENUM_OR_FILE, FILENAME
from vmdbg.machine.swapfile import SETTING as SWAP_FILE
from vmdbg.shell.command import Argument, command
from vmdbg.shell.grammar import WORD_CHARS, first_word
from vmdbg.shell.kinds import REST_EXPRESSION, WITH_LINE
from vmdbg.views.result import FLAG, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmdbg.machine.setting import Setting
    from vmdbg.shell.command import Args
    from vmdbg.shell.registry import Node, Registry
    from vmdbg.shell.session import Session


def resolve_setting(session: Session, verb: str, text: str) -> tuple[Node, str]:
    """The node below `set` or `show` that the words name, and the rest; a dotted name is one word.

    The node is that of the verb itself if no word was known.
    """
    registry: Registry = session.interpreter.registry
    root = registry.find((verb,))
    assert root is not None
    if text.lstrip()[:1] not in WORD_CHARS:
        return root, text
    registry.adopt_settings(session.settings)
    return registry.resolve(text, root)


@command(
    "set",
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True, help="expression to compute")],
    usage=("set SETTING [VALUE]", "set VAR = EXPR"),
    allow_unknown=True,
    summary="Evaluate expression EXP and assign result to variable VAR, or change a setting.",
    help="""
"set $name = EXPR" gives a convenience variable a value; what is not the name of a setting is taken
for an expression.  Use "set variable" where a name could be both.  A boolean setting without a
value is turned on.  "help set" lists the settings; "show" says what they are.""",
    examples=["set $size = 4096", "set confirm off", "set history size 1000"],
)
def set_command(session: Session, args: Args) -> object:
    node, rest = resolve_setting(session, "set", args.raw)
    if node.path == ("set",):
        assign(session, args.text)
        return None
    setting = node.target.setting
    if setting is None:
        if rest.strip():
            raise session.interpreter.registry.undefined(node, rest.strip())
        session.interpreter.list_prefix(node, "")
        return None
    value = value_of(session, setting, rest)
    session.settings.set(setting.name, value)
    return setting.announced.format(value) if setting.announced and args.from_tty else None


def value_of(session: Session, setting: Setting, text: str) -> object:
    """The value that a text stands for; a file name is refused where the session may not read it."""
    value = setting.parse(text, session.integer)
    if setting.kind == FILENAME:
        session.permissions.path(str(value))
    if setting.name == SWAP_FILE and value:
        return os.path.abspath(session.permissions.path(str(value)))
    if setting.kind == ENUM_OR_FILE and value not in setting.choices:
        session.permissions.require_open(f"A file as {setting.name}")
        return os.path.abspath(session.permissions.path(str(value)))
    return value


def assign(session: Session, text: str) -> None:
    """`set EXPR`: evaluated for its effect."""
    if not text.strip():
        raise UserError("Argument required (expression to compute).")
    evaluator = session.evaluator
    node = evaluator.parse(text)
    if not evaluator.assigns(node):
        session.output.warning("Expression is not an assignment (and might have no effect)")
    evaluator.run(node)


@command(
    "set variable",
    aliases=("set var",),
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True)],
    usage="set variable VAR = EXPR",
    summary="Evaluate expression EXP and assign result to variable VAR.",
    help='The same as "set VAR = EXPR", for names that are settings as well.',
    examples=["set variable $height = 3"],
)
def set_variable(session: Session, args: Args) -> object:
    assign(session, args.expression or "")
    return None


@command(
    "init-if-undefined",
    group="data",
    arguments=[Argument("expression", REST_EXPRESSION, optional=True, help="expression to compute")],
    usage="init-if-undefined $VARIABLE = EXPR",
    summary="Initialize a convenience variable if necessary.",
    help="Set an internal VARIABLE to the result of the EXPRESSION if it has no value yet.",
    examples=["init-if-undefined $size = 4096"],
)
def init_if_undefined(session: Session, args: Args) -> object:
    evaluator = session.evaluator
    if not args.expression:
        raise UserError("Argument required (expression to compute).")
    node = evaluator.parse(args.expression)
    if not isinstance(node, Assign) or node.operator:
        raise UserError("Init-if-undefined requires an assignment expression.")
    if not isinstance(node.target, Variable) or node.target.writes(evaluator):
        raise UserError("The first parameter to init-if-undefined should be a GDB variable.")
    if node.target.run(evaluator).is_void:
        evaluator.run(node)
    return None


@command(
    "show",
    group="status",
    arguments=[Argument("setting", REST_EXPRESSION, optional=True)],
    usage="show[/json|/csv] [SETTING]",
    forms=("json", "csv"),
    summary="Generic command for showing things about the debugger and the machine.",
    help='Without a name: all settings.  A name of several settings ("show history") shows them all.',
    examples=["show", "show confirm", "show history", "show/j json"],
)
def show_command(session: Session, args: Args) -> object:
    node, rest = resolve_setting(session, "show", args.text)
    if node.target.setting is None and rest.strip():
        raise session.interpreter.registry.undefined(node, rest.strip())
    setting = node.target.setting
    found = [setting] if setting is not None else settings_below(node)
    if setting is not None:
        sentence = setting.sentence(session.settings.get(setting.name))
        return settings_table(session, found, lambda: sentence.split("\n"))
    return settings_table(session, found, lambda: show_lines(session, found))


def settings_below(node: Node) -> list[Setting]:
    """The settings at and below a node of `show`, by name."""
    found = [node.target.setting] if node.target.setting is not None else []
    for name in sorted(node.target.children):
        child = node.target.children[name]
        if child.alias_of is None:
            found += settings_below(child)
    return found


def show_lines(session: Session, settings: list[Setting]) -> Iterator[str]:
    """`history size:  The size of the command history is 256.`"""
    for setting in settings:
        yield f"{' '.join(setting.words)}:  {setting.sentence(session.settings.get(setting.name))}"


def settings_table(session: Session, settings: list[Setting], drawn: Callable[[], Iterable[str]]) -> Table:
    """Settings as rows for JSON and CSV, as sentences in text."""
    columns = [
        Column("name"),
        Column("value"),
        Column("default"),
        Column("kind"),
        Column("unit"),
        Column("readonly", kind=FLAG),
        Column("help"),
    ]
    rows = (
        (s.name, session.settings.get(s.name), s.default, s.kind, s.unit, s.readonly, s.help)
        for s in settings
    )
    return Table(columns, rows, drawn=drawn)


@command(
    "with",
    aliases=("w",),
    group="data",
    arguments=[Argument("line", WITH_LINE, optional=True)],
    usage="with SETTING [VALUE] [-- COMMAND]",
    summary="Temporarily set SETTING to VALUE, run COMMAND using the setting, and restore it.",
    help="COMMAND runs with the setting changed; without COMMAND the last command runs again.",
    examples=["with confirm off -- show confirm"],
)
def with_command(session: Session, args: Args) -> object:
    text = args.line or ""
    if not text:
        raise UserError("Missing arguments.")
    interpreter = session.interpreter
    before, line = split_at_dashes(text)
    node, rest = resolve_setting(session, "set", before)
    setting = node.target.setting
    if node.target.path == ("set", "variable"):
        raise UserError('Cannot use this setting with the "with" command')
    if setting is None:
        word = first_word(text) if node.target.path == ("set",) else text.partition(" ")[2]
        raise UserError(f'Undefined {node.target.name} command: "{word}".  Try "help {node.target.name}".')
    if rest and not rest.startswith((" ", "\t")):
        raise UserError("Argument must be preceded by space.")
    line = line or interpreter.relaunch()
    name, old = setting.name, session.settings.get(setting.name)
    session.settings.set(name, value_of(session, setting, rest))
    try:
        interpreter.execute(line)
    finally:
        session.settings.set(name, old)
    return None


def split_at_dashes(text: str) -> tuple[str, str]:
    """`history size 5 -- show history` at its `--`: before and after."""
    position = text.find("--")
    while position >= 0:
        before, after = text[position - 1 : position], text[position + 2 : position + 3]
        if before in ("", " ", "\t") and after in ("", " ", "\t"):
            return text[:position].strip(), text[position + 2 :].strip()
        position = text.find("--", position + 1)
    return text.strip(), ""
