"""All commands as a tree of words: look-up with abbreviation, GDB's messages, lazy modules.

The index (which name lives in which file of `commands/`) is read from the sources, so that a new
command needs no second list and start-up imports only the module of the command that runs.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial

from vmdbg.errors import UserError
from vmdbg.shell.command import Command
from vmdbg.shell.grammar import first_word, word_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmdbg.debugger.settings import Settings
    from vmdbg.machine.setting import Setting
    from vmdbg.shell.script import Statement

DECLARATION = re.compile(r'\n(?:@command|\w+ = prefix)\(\s*"([^"]+)"')  # begins as it does for speed
DECLARATION_END = re.compile(r"\n(?:\)|def |@|\w+ = )")
ALIASES = re.compile(r"[(,]\s*aliases=[(\[]([^)\]]*)[)\]]")
LITERAL = re.compile(r'"([^"]+)"')
#: What means one command in GDB, although another of ours begins alike; in no list, as in GDB.
SHORT = {"cal": "call", "comp": "complete", "la": "layout", "qui": "quit", "tu": "tui", "wh": "winheight"}
AMBIGUOUS_ROOM = 100
KEPT_LINES, KEPT_LENGTH = 5000, 256  # lines whose commands are kept, and their length
HOOKS = ("hook-", "hookpost-")
COMMAND_FOLDER = os.path.join(os.path.dirname(__file__), "commands")


class Node:
    """One word of the tree: a command, a prefix of commands, an alias, or several of these."""

    __slots__ = (
        "alias_of",
        "arguments",
        "children",
        "command",
        "doc",
        "load",
        "path",
        "setting",
        "unlisted",
        "user",
    )

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.children: dict[str, Node] = {}
        self.command: Command | None = None
        self.load: Callable[[], None] | None = None
        self.alias_of: Node | None = None
        self.arguments = ""  # default arguments of an alias
        self.user = False  # made by define, define-prefix or alias
        self.doc = ""  # what `document` said of an alias
        self.unlisted = False  # made by alias -a
        self.setting: Setting | None = None

    @property
    def name(self) -> str:
        """The full name, such as `info registers`."""
        return " ".join(self.path)

    @property
    def target(self) -> Node:
        """The node itself, or what it is an alias of."""
        node = self
        while node.alias_of is not None:
            node = node.alias_of
        return node

    def declared(self) -> Command | None:
        """The command, its module imported if need be; None for a bare prefix."""
        node = self.target
        if node.command is None and node.load is not None:
            node.load()
            node.load = None
        return node.command

    def matches(self, word: str) -> list[Node]:
        """Children that `word` names or abbreviates; one that it names exactly is alone."""
        children = self.target.children
        if word in children:
            return [children[word]]
        return [children[name] for name in sorted(children) if name.startswith(word)]


class Registry:
    """The tree, filled from a folder of command modules (`index`) or by `add`."""

    def __init__(self) -> None:
        self.root = Node(())
        self._modules: dict[str, str] = {}
        self._adopted = -1
        self._loaded: set[str] = set()
        self.lines: dict[str, tuple[Node, str]] = {}  # lines looked up since the tree changed last
        self._version = -1  # of the settings, when lines were looked up last
        self.hooks = False  # there is, or was, a user's hook
        self.bodies: dict[tuple[str, ...], list[Statement]] = {}  # of user-defined commands
        self.prefixes: set[tuple[str, ...]] = set()  # made by define-prefix

    # -- building

    def index(self, folder: str = COMMAND_FOLDER, package: str = "vmdbg.shell.commands") -> None:
        """Enters every command declared in the modules of `folder`, without importing them."""
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".py") or file.startswith("_"):
                continue
            with open(os.path.join(folder, file), encoding="utf-8") as source:
                text = source.read()
            module = f"{package}.{file[:-3]}"
            for match in DECLARATION.finditer(text):
                node = self.make_node(tuple(match[1].split()))
                self._modules[node.name] = module
                node.load = partial(self.load, module)
                end = DECLARATION_END.search(text, match.end())
                aliases = ALIASES.search(text, match.end(), end.start() if end else len(text))
                for alias in LITERAL.findall(aliases[1] if aliases else ""):
                    self.make_node(tuple(alias.split())).alias_of = node
        for word, name in SHORT.items():
            if (meant := self.root.children.get(name)) is not None:
                short = self.make_node((word,))
                short.alias_of, short.unlisted = meant, True

    def load(self, module: str) -> None:
        """Imports a command module and enters its declarations."""
        if module in self._loaded:
            return
        self._loaded.add(module)
        __import__(module)
        for value in list(vars(sys.modules[module]).values()):
            if isinstance(value, Command):
                self.add(value)
            for declared in getattr(value, "declarations", ()) if callable(value) else ():
                if isinstance(declared, Command) and getattr(value, "__module__", module) == module:
                    self.add(declared)

    def load_all(self) -> None:
        """Imports every command module: help, completion and docs need all declarations."""
        for module in sorted(set(self._modules.values())):
            self.load(module)

    def add(self, command: Command) -> Node:
        """Enters one declaration.  A name that is taken by another is an error of ours."""
        node = self.make_node(command.words)
        if node.command is not None and node.command is not command:
            raise ValueError(f"command {command.name} is declared twice")
        node.command = command
        for alias in command.aliases:
            other = self.make_node(tuple(alias.split()))
            if other is not node:
                if other.command is not None or other.alias_of not in (None, node):
                    raise ValueError(f"alias {alias} of {command.name} is taken")
                other.alias_of = node
        return node

    def make_node(self, path: tuple[str, ...]) -> Node:
        """The node at a path of full words, made if it is not there."""
        self.lines.clear()
        self.hooks = self.hooks or path[-1].startswith(HOOKS)
        node = self.root
        for depth, word in enumerate(path):
            node = node.target
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = Node((*node.path, word) if node.path else path[: depth + 1])
            node = child
        return node

    def remove(self, node: Node) -> None:
        """Takes a user-made node out."""
        self.lines.clear()
        parent = self.find(node.path[:-1])
        if parent is not None:
            parent.target.children.pop(node.path[-1], None)

    def snapshot(self) -> UserDefinitions:
        """What the user made so far, for `restore`."""
        return UserDefinitions(self)

    def restore(self, snapshot: UserDefinitions) -> None:
        """Undoes definitions, aliases and documentation made since `snapshot`."""
        self.lines.clear()
        snapshot.restore(self)

    def adopt_settings(self, settings: Settings) -> None:
        """Enters settings below `set` and `show`, and removes those that no longer exist."""
        if settings.version == self._adopted:
            return
        wanted = {("set", *setting.words): setting for setting in settings}
        wanted |= {("show", *path[1:]): setting for path, setting in wanted.items()}
        for node in list(self.nodes()):
            if node.setting is not None and node.path not in wanted and node.command is None:
                self.remove(node)
        for path, setting in wanted.items():
            self.make_node(path).setting = setting
        self._adopted = settings.version

    # -- looking up

    def nodes(self, below: Node | None = None) -> Iterator[Node]:
        """All nodes below one, by name."""
        start = below or self.root
        for name in sorted(start.children):
            child = start.children[name]
            yield child
            if child.alias_of is None:
                yield from self.nodes(child)

    def commands(self) -> Iterator[Command]:
        """Every declared command, by name."""
        self.load_all()
        for node in self.nodes():
            if node.command is not None:
                yield node.command

    def find(self, path: Iterable[str]) -> Node | None:
        """The node of a path of full words, or None."""
        node: Node | None = self.root
        for word in path:
            if node is None:
                return None
            node = node.target.children.get(word)
        return node

    def resolve(self, text: str, node: Node | None = None) -> tuple[Node, str]:
        """The command that a line begins with, and the rest of the line with the blanks before it
        (a slash form touches the command's last word).

        UserError with GDB's sentence where a word is unknown or ambiguous.
        """
        node = node or self.root
        rest = after = text.lstrip(" \t")
        while node is self.root or node.target.children or rest and is_prefix(node):
            length = word_length(rest)
            word = rest[:length]
            if not word and node is not self.root:
                if rest and not self.takes_arguments(node):
                    raise self.undefined(node, rest)
                break
            found = distinct(node.matches(word)) if word else []
            if len(found) > 1:
                found = [match for match in found if not is_hidden(match)]
            if len(found) > 1:
                raise ambiguous(node, word)
            if not found and "." in word:
                deeper = self.find((*node.target.path, *word.split(".")))
                found = [deeper] if deeper is not None else []
            if not found:
                if node is self.root or not self.takes_arguments(node):
                    raise self.undefined(node, rest)
                break
            node = found[0]
            after = rest[length:]
            rest = after.lstrip(" \t")
            if after.startswith("/"):
                break
        return node, after

    def command_of(self, text: str, settings: Settings) -> tuple[Node, str]:
        """The command of a line and the rest of the line; settings belong to `set` and `show`.

        The answer is kept until the tree or the settings change: a line in a loop is looked up once.
        UserError as `resolve`.
        """
        if settings.version != self._version or len(self.lines) >= KEPT_LINES:
            self.lines.clear()
            self._version = settings.version
        found = self.lines.get(text)
        if found is None:
            found = self.look_up(text, settings)
            if len(text) <= KEPT_LENGTH:
                self.lines[text] = found
        return found

    def look_up(self, text: str, settings: Settings) -> tuple[Node, str]:
        """As `command_of`, word by word."""
        verbs = self.root.matches(text[: word_length(text)])
        if len(verbs) == 1 and verbs[0].target.path in (("set",), ("show",)):
            self.adopt_settings(settings)
        node, rest = self.resolve(text)
        command = node.declared()
        bare = command is None or command.function is None
        path = node.target.path
        if node.target.setting is not None or (bare and path[0] == "show"):
            parent = self.find(path[:1])
            assert parent is not None
            words = " ".join([*path[1:], node.arguments])
            return parent, f" {words.rstrip()}{rest}"
        return node, rest

    def takes_arguments(self, node: Node) -> bool:
        """Whether something other than its subcommands may follow a prefix."""
        command = node.declared()
        if command is None:
            return False
        return command.allow_unknown or bool(command.arguments or command.options)

    def undefined(self, node: Node, text: str) -> UserError:
        """`Undefined info command: "foo".  Try "help info".` and what it may have meant.  `text` is what
        stands where a command word is missed; after a prefix GDB shows all of it."""
        from vmdbg.shell.kinds import near_hint
        from vmdbg.shell.other_debuggers import meaning

        path = node.target.name
        lead, tail = (path + " ", " " + path) if path else ("", "")
        word = text[: word_length(text)] or first_word(text)
        shown = text.rstrip(" \t") if path else word
        names = [
            name
            for name, child in node.target.children.items()
            if (not child.user or len(name) > 2) and not is_hidden(child)
        ]
        hint = meaning(lead + word) or near_hint(word, names)
        return UserError(f'Undefined {lead}command: "{shown}".  Try "help{tail}".', hint)


def is_hidden(node: Node) -> bool:
    """Whether a node has to be written in full: `end`, `loop_break`."""
    command = node.declared()
    return command is not None and command.hidden


def is_prefix(node: Node) -> bool:
    """Whether only other commands can follow the node's word."""
    command = node.declared()
    return command is not None and command.function is None


class UserDefinitions:
    """The user's definitions at one moment."""

    def __init__(self, registry: Registry) -> None:
        registry.load_all()
        self._nodes = {
            node.path: (node, node.command, node.alias_of, node.arguments, node.user)
            for node in list(registry.nodes())
        }
        self._texts = {
            id(row[1]): (row[1].summary, row[1].help) for row in self._nodes.values() if row[1] is not None
        }
        self._bodies, self._prefixes = dict(registry.bodies), set(registry.prefixes)

    def restore(self, registry: Registry) -> None:
        """Puts every node back; nodes that were not there are removed."""
        for node in list(registry.nodes()):
            kept = self._nodes.get(node.path)
            if kept is None:
                if node.setting is None:
                    registry.remove(node)
                continue
            _, node.command, node.alias_of, node.arguments, node.user = kept
            if node.command is not None:
                node.command.summary, node.command.help = self._texts[id(node.command)]
        registry.bodies, registry.prefixes = dict(self._bodies), set(self._prefixes)


def distinct(nodes: list[Node]) -> list[Node]:
    """Nodes that stand for different commands; the first name of each."""
    seen: dict[int, Node] = {}
    for node in nodes:
        key = id(node.target)
        if key not in seen or node is node.target:
            seen[key] = node if not node.arguments else seen.get(key, node)
    return list(seen.values())


def ambiguous(node: Node, word: str) -> UserError:
    """`Ambiguous command "st": start, step, stepi.`, cut as GDB cuts it."""
    names = ""
    for match in node.matches(word):
        if is_hidden(match):
            continue
        name = match.path[-1]
        if len(names) + len(name) + 6 >= AMBIGUOUS_ROOM:
            names += ".."
            break
        names += (", " if names else "") + name
    path = node.target.name
    lead = path + " " if path else ""
    return UserError(f'Ambiguous {lead}command "{word}": {names}.')
