"""The text of `help` and `apropos`, derived from the declarations."""

from __future__ import annotations

from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.expressions.functions import HELP
from vmdbg.machine.setting import ENUM_OR_FILE
from vmdbg.regex import Pattern
from vmdbg.shell.command import FIRST, GROUPS, PURE, USER_GROUP_TEXT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmdbg.machine.setting import Setting
    from vmdbg.shell.interpreter import Interpreter
    from vmdbg.shell.registry import Node, Registry

    Line = str | Sequence[tuple[str, str]]

WIDTH = 80
HARD = "\xa0"
FUNCTION_WORDS = ("function", "functions")
APROPOS = (
    'Type "apropos word" to search for commands related to "word".',
    'Type "apropos -v word" for full documentation of commands related to "word".',
    "Command name abbreviations are allowed if unambiguous.",
)


def trailer(what: str = "", of: str = "command name") -> list[str]:
    """The lines that end every list."""
    return ["", f'Type "help{what}" followed by {of} for full documentation.', *APROPOS]


def list_classes() -> Iterator[Line]:
    """`help` alone."""
    yield "List of classes of commands:"
    yield ""
    for name, text in GROUPS.items():
        yield entry(name, [], text)
    yield ""
    yield 'Type "help" followed by a class name for a list of commands in that class.'
    yield 'Type "help all" for the list of all commands, "help functions" for $functions.'
    yield from trailer()[1:]


def entry(name: str, aliases: Sequence[str], text: str) -> Line:
    """`tlb, tl -- List the TLB.`"""
    return [("command", ", ".join([name, *aliases])), ("", f" -- {first_line(text)}")]


def first_line(text: str) -> str:
    """The first line of a documentation."""
    return text.split("\n", 1)[0]


def aliases_of(registry: Registry, node: Node) -> list[str]:
    """The aliases of a command that stand beside it, with the path of its prefix, user's first."""
    parent = registry.find(node.path[:-1])
    children = parent.children.values() if parent else ()
    found = [child for child in children if child.alias_of is node and not child.unlisted]
    found.sort(key=lambda child: (not child.user, -len(child.path[-1]), child.path[-1]))
    return [child.name for child in found]


def summary_of(node: Node) -> str:
    """The one line that lists show for a node."""
    if node.setting is not None and node.command is None:
        return setting_summary(node.path[0], node.setting)
    command = node.declared()
    if command is not None:
        return command.summary
    verb = {"set": "Set", "show": "Show"}.get(node.path[0], "")
    return (
        f"{verb or 'Commands of'} {' '.join(node.path[1:] or node.path)} {'settings' if verb else ''}".strip()
        + "."
    )


def setting_summary(verb: str, setting: Setting) -> str:
    """`Set state of output pagination.`"""
    return f"{'Set' if verb == 'set' else 'Show'} {setting.help}."


def list_group(interpreter: Interpreter, group: str) -> Iterator[Line]:
    """`help CLASS`."""
    yield from (USER_GROUP_TEXT if group == "user-defined" else GROUPS[group]).split("\n")
    yield ""
    yield "List of commands:"
    yield ""
    yield from group_entries(interpreter, group)
    yield from trailer()


def group_entries(interpreter: Interpreter, group: str) -> Iterator[Line]:
    """The commands of a class, one a line."""
    registry = interpreter.registry
    registry.load_all()
    if group == "aliases":
        for node in registry.nodes():
            if node.alias_of is not None and node.user and not node.unlisted:
                yield entry(node.name, [], node.doc or summary_of(node.target))
                if node.arguments:
                    yield f"  alias {node.name} = {node.target.name} {node.arguments}"
        return
    listed = [
        node
        for node in registry.nodes()
        if node.command is not None and node.command.group == group and not node.command.hidden
    ]
    listed.sort(key=lambda node: FIRST.index(node.name) if node.name in FIRST else len(FIRST))
    for node in listed:
        command = node.command
        if command is not None:
            yield entry(node.name, aliases_of(registry, node), command.summary)


def list_all(interpreter: Interpreter) -> Iterator[Line]:
    """`help all`."""
    for group in GROUPS:
        yield ""
        yield f"Command class: {group}"
        yield ""
        yield from group_entries(interpreter, group)
    yield ""
    yield from APROPOS


def list_subcommands(interpreter: Interpreter, node: Node) -> Iterator[Line]:
    """`List of info subcommands:` and so on."""
    registry = interpreter.registry
    registry.load_all()
    registry.adopt_settings(interpreter.session.settings)
    yield f"List of {node.name} subcommands:"
    yield ""
    for child in subcommands(node):
        yield entry(child.name, aliases_of(registry, child), summary_of(child))
    yield from trailer(f" {node.name}", f"{node.name} subcommand name")


def subcommands(node: Node) -> list[Node]:
    """The children of a node that lists show, by name."""
    children = [node.target.children[name] for name in sorted(node.target.children)]
    return [child for child in children if child.alias_of is None and not is_hidden(child)]


def is_hidden(node: Node) -> bool:
    """Whether lists and completion leave the node out."""
    return node.command is not None and node.command.hidden


def help_on(interpreter: Interpreter, text: str) -> Iterator[Line]:
    """`help COMMAND`, `help CLASS`, `help all`."""
    registry = interpreter.registry
    registry.load_all()
    registry.adopt_settings(interpreter.session.settings)
    words = text.split()
    if not words:
        yield from list_classes()
        return
    if text.strip() == "all":
        yield from list_all(interpreter)
        return
    if words[0] in FUNCTION_WORDS or words[0].startswith("$"):
        yield from help_functions(words)
        return
    group = find_group(text.strip())
    if group:
        yield from list_group(interpreter, group)
        return
    setting = interpreter.session.settings.find(text.strip()) if "." in text else None
    node = registry.find(("set", *setting.words)) if setting is not None else None
    yield from help_node(interpreter, node or registry.resolve(text)[0])


def help_functions(words: list[str]) -> Iterator[Line]:
    """`help functions`, and `help function NAME` or `help $NAME` of one."""
    names = [word.removeprefix("$") for word in words if word not in FUNCTION_WORDS]
    for name in names:
        if name not in HELP:
            raise UserError(f"There is no function ${name}.", 'Try "help functions".')
        arguments, text = HELP[name]
        yield [("command", f"${name}({arguments})"), ("", f" -- {text}.")]
    if not names:
        yield "Functions for expressions.  They are pure: nothing is changed."
        yield ""
        yield "List of functions:"
        yield ""
        for name, (arguments, text) in sorted(HELP.items(), key=lambda item: (item[0][0] == "_", item[0])):
            yield [("command", f"${name}({arguments})"), ("", f" -- {text}.")]
        yield ""
        yield 'Registers are $names too: "info registers".  Variables: "show convenience".'


def find_group(word: str) -> str:
    """The class that the word names in full.  No command should have the name of a class."""
    return word if word in GROUPS else ""


def help_node(interpreter: Interpreter, node: Node) -> Iterator[Line]:
    """The full documentation of one command, prefix or setting."""
    registry, target = interpreter.registry, node.target
    if node.doc:
        yield from node.doc.split("\n")
        return
    names = [target.name, *aliases_of(registry, target)]
    if len(names) > 1:
        yield [("command", ", ".join(names))]
    for child in aliased_with_arguments(registry, target):
        yield f"  alias {child.name} = {target.name} {child.arguments}"
    if target.setting is not None and target.command is None:
        yield from setting_help(target.path[0], target.setting)
    else:
        command = target.declared()
        if command is not None:
            yield from command_help(command)
        else:
            yield summary_of(target)
    if target.children or target.path in registry.prefixes:
        yield ""
        yield from list_subcommands(interpreter, target)


def aliased_with_arguments(registry: Registry, node: Node) -> list[Node]:
    """Aliases of a command that carry default arguments."""
    parent = registry.find(node.path[:-1])
    children = parent.children.values() if parent else ()
    return [child for child in children if child.alias_of is node and child.arguments]


def setting_help(verb: str, setting: Setting) -> Iterator[Line]:
    """`help set NAME`: what it is, its values, its unit and default."""
    yield setting_summary(verb, setting)
    if setting.details:
        yield from wrapped(setting.details)
    facts = []
    if setting.choices:
        file = f", or a file {setting.unit}" if setting.kind == ENUM_OR_FILE else ""
        facts.append(f"Values: {', '.join(setting.choices)}{file}.")
    if setting.unit and setting.kind != ENUM_OR_FILE:
        facts.append(f"Unit: {setting.unit}.")
    facts.append(f"Default: {setting.text(setting.default)}." if str(setting.default) else "Default: empty.")
    yield " ".join(facts)


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Paragraphs filled to 80 columns; those with lines that begin with a blank stay as they are.
    All lines but the first are indented."""
    out: list[str] = []
    for paragraph in text.split("\n\n"):
        if out:
            out.append("")
        lines = paragraph.split("\n")
        if any(line.startswith(" ") for line in lines):
            out += lines
            continue
        line, limit = "", WIDTH - indent
        joined = " ".join(line + " " if line.endswith(".") else line for line in lines).strip()
        for word in joined.replace(".  ", ".\0 ").split(" "):
            word = word.replace("\0", " ")
            if line and len(line) + 1 + len(word.rstrip()) > limit:
                out.append(line.rstrip())
                line = word
            else:
                line = f"{line} {word}" if line else word
        out.append(line.rstrip())
    return [out[0], *[" " * indent + line if line else "" for line in out[1:]]]


def hard_blanks(usage: str) -> str:
    """A usage line whose brackets are not broken over lines."""
    out, depth = [], 0
    for char in usage:
        depth += (char == "[") - (char == "]")
        out.append(HARD if char == " " and depth else char)
    return "".join(out)


def command_help(command: Command) -> Iterator[Line]:
    """The text of a declaration."""
    yield command.summary
    if command.group == "user-defined":
        yield from command.help.split("\n") if command.help else ()
        return
    if command.function is None:
        yield from wrapped(command.help) if command.help else ()
        return
    for number, usage in enumerate(command.usage):
        lead = "Usage: " if number == 0 else "       "
        yield from (line.replace(HARD, " ") for line in wrapped(lead + hard_blanks(usage), 9))
    explained = [
        (argument.usage.strip("[]"), argument.help) for argument in command.arguments if argument.help
    ]
    options = [(option.usage.strip("[]"), option.help) for option in command.options]
    for title, pairs in (("Arguments", explained if not command.raw else []), ("Options", options)):
        if pairs:
            yield ""
            yield f"{title}:"
            width = max(len(name) for name, _ in pairs)
            for name, text in pairs:
                first, *more = wrapped(text, width + 4)
                yield [("", "  "), ("option", f"{name:{width}}"), ("", f"  {first}")]
                yield from more
    if command.help:
        yield ""
        yield from wrapped(command.help)
    if command.examples:
        yield ""
        yield "Examples:"
        for example in command.examples:
            yield [("", "  "), ("command", example)]
    if command.effect == PURE and command.needs:
        yield ""
        yield "Pure: nothing is changed, not even an accessed bit or a counter."


def documentation(interpreter: Interpreter, node: Node) -> str:
    """All text that `apropos` searches for a node."""
    if node.setting is not None and node.command is None:
        return "\n".join(line_text(line) for line in setting_help(node.path[0], node.setting))
    command = node.declared()
    return "\n".join(line_text(line) for line in command_help(command)) if command is not None else ""


def apropos(interpreter: Interpreter, pattern: str, verbose: bool) -> Iterator[Line]:
    """Commands and settings whose name or text matches, as `name, aliases -- summary`."""
    search = Pattern(pattern, ignore_case=True)
    registry = interpreter.registry
    registry.load_all()
    registry.adopt_settings(interpreter.session.settings)
    for node in registry.nodes():
        if node.alias_of is not None or is_hidden(node):
            continue
        if node.command is None and node.setting is None:
            continue
        text = documentation(interpreter, node)
        names = [node.name, *aliases_of(registry, node)]
        if not any(search.found_in(name) for name in names) and not search.found_in(text):
            continue
        if verbose:
            yield ""
            yield [("command", ", ".join(names))]
            yield from text.split("\n")
        else:
            yield entry(node.name, names[1:], text)
