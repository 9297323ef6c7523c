"""Completion, derived from the declarations: command words, settings, options, arguments."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.machine.setting import FILENAME, OPTIONAL_FILENAME
from vmdbg.shell.command import FORMAT_LETTERS
from vmdbg.shell.grammar import first_word, looks_like_option, split_words, word_length
from vmdbg.shell.text_completion import complete_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.shell.command import Command
    from vmdbg.shell.registry import Node, Registry
    from vmdbg.shell.session import Session


def complete_line(session: Session, text: str) -> list[str]:
    """Every full line that may continue `text`, sorted."""
    start, words = complete_word(session, text)
    return sorted({text[:start] + word for word in words})


def complete_word(session: Session, text: str) -> tuple[int, list[str]]:
    """Where the word at the end of `text` starts, and the words that may stand there."""
    registry: Registry = session.interpreter.registry
    registry.load_all()
    registry.adopt_settings(session.settings)
    node, position = registry.root, len(text) - len(text.lstrip(" \t"))
    while True:
        length = word_length(text, position)
        if position + length == len(text) and has_children(node):
            words = child_words(node, text[position:])
            if words or node is registry.root or length == 0 and not takes_words(node):
                return position, words
            break
        if not has_children(node) or not length:
            break
        found = below(node, text[position : position + length])
        if len(found) != 1:
            if node is registry.root or len(found) > 1 or not takes_words(node):
                return len(text), []
            break
        node = found[0]
        position += length
        if text[position : position + 1] == "/":
            return complete_form(session, node, text, position)
        while text[position : position + 1] in (" ", "\t") and position < len(text):
            position += 1
    command = node.declared()
    if command is not None and command.forms == FORMAT_LETTERS and text[position : position + 1] == "/":
        return complete_form(session, node, text, position)
    return complete_arguments(session, node, text, position)


def has_children(node: Node) -> bool:
    """Whether further command words may follow."""
    return bool(node.target.children)


def takes_words(node: Node) -> bool:
    """Whether something other than a subcommand may follow."""
    command = node.declared()
    return command is not None and (command.allow_unknown or bool(command.arguments or command.options))


def below(node: Node, word: str) -> list[Node]:
    """Children of a node that a word names or abbreviates; a setting's words may be joined by dots."""
    found = node.matches(word)
    if found or "." not in word:
        return found
    first, _, rest = word.partition(".")
    inner = node.matches(first)
    return below(inner[0], rest) if len(inner) == 1 else []


def child_words(node: Node, word: str) -> list[str]:
    """Names below a node that start with `word`; short forms of the same name are left out."""
    out: list[str] = []
    first, dot, rest = word.partition(".")
    if dot:
        inner = node.matches(first)
        return [f"{first}.{name}" for name in child_words(inner[0], rest)] if len(inner) == 1 else out
    for name, child in node.target.children.items():
        if not name.startswith(word) or not name[0].isalnum():
            continue
        command = child.command
        if child.unlisted or (command is not None and command.hidden):
            continue
        if child.alias_of is not None and not child.user and is_short(name, child.target.path[-1]):
            continue
        out.append(name)
    return sorted(out)


def is_short(alias: str, name: str) -> bool:
    """A fixed short alias, which needs no completion."""
    return len(alias) <= 2 or name.startswith(alias)


def complete_form(session: Session, node: Node, text: str, slash: int) -> tuple[int, list[str]]:
    """Forms after the slash, or what follows them.  Format letters are whole as they are."""
    command = node.declared()
    typed = text[slash + 1 :]
    if command is None:
        return len(text), []
    end = len(first_word(typed))
    if end < len(typed):
        blanks = len(typed) - end - len(typed[end:].lstrip(" \t"))
        return complete_arguments(session, node, text, slash + 1 + end + blanks)
    if isinstance(command.forms, str):
        return len(text), [""] if typed else []
    start = typed.rfind("/") + 1
    return slash + 1 + start, [name for name in command.forms if name.startswith(typed[start:])]


def complete_arguments(session: Session, node: Node, text: str, position: int) -> tuple[int, list[str]]:
    """Options and arguments of a command whose words end at `position`."""
    target = node.target
    if target.setting is not None and target.command is None:
        if target.path[0] == "set":
            typed = text[position:]
            if target.setting.kind in (FILENAME, OPTIONAL_FILENAME):
                return position, complete_file(session, typed)
            return position, target.setting.complete(typed)
        return len(text), []
    command = target.declared()
    if command is None:
        return len(text), []
    rest = text[position:]
    words = [word for _, word in split_words(rest, command.separators)]
    last_start = len(text) if not rest or rest[-1] in command.separators else position + rest.rfind(words[-1])
    last = text[last_start:]
    done = words if last_start == len(text) else words[:-1]
    if last.startswith("-") and command.options:
        return last_start, [option.name for option in command.options if option.name.startswith(last)]
    if done and looks_like_option(done[-1]):
        option = safe_option(command, done[-1])
        if option is not None and option.kind is not None:
            return last_start, option.kind.complete(session, last)
    if not command.arguments:
        return len(text), []
    if command.raw:
        return position, command.arguments[0].kind.complete(session, rest)
    count = count_plain(command, done)
    argument = command.arguments[min(count, len(command.arguments) - 1)]
    if count >= len(command.arguments) and not argument.many:
        return len(text), []
    return last_start, argument.kind.complete(session, last)


def safe_option(command: Command, word: str) -> Any:
    """The option that a word names, or None."""
    try:
        return command.option(word)
    except UserError:
        return None


def count_plain(command: Command, words: list[str]) -> int:
    """How many of the words are arguments, not options or their values."""
    count, value = 0, False
    for word in words:
        if value:
            value = False
        elif option := safe_option(command, word):
            value = option.kind is not None
        else:
            count += 1
    return count
