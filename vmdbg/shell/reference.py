"""The reference pages, made from the declarations: `python -m vmdbg.shell.reference [--check]`."""

from __future__ import annotations

import os
import sys

from vmdbg.debugger.settings import SHELL_SETTINGS
from vmdbg.exercises.lessons import page as tutorial
from vmdbg.expressions.functions import HELP
from vmdbg.machine.config import SETTINGS
from vmdbg.shell.command import FORMAT_LETTERS, GROUPS, PURE, Command
from vmdbg.shell.help import aliases_of
from vmdbg.shell.reference_formats import family_pages
from vmdbg.shell.reference_tables import TABLES
from vmdbg.shell.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmdbg.machine.setting import Setting
    from vmdbg.shell.registry import Node

COMMANDS_PAGE = "commands.md"
SETTINGS_PAGE = "settings.md"
FUNCTIONS_PAGE = "functions.md"
TUTORIAL_PAGE = "tutorial.md"
MADE_OF_LESSONS = "<!-- Made by scripts/docs from vmdbg/exercises/lessons; edit those. -->"
DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")
GENERATED = "<!-- Made by scripts/docs from the declarations; edit those. -->"
FORM_TEXTS = {
    "json": "`/json`, `/j`",
    "csv": "`/csv`, `/c`",
    FORMAT_LETTERS: "GDB's count, letter and size",
}


def commands_page(registry: Registry) -> str:
    """`docs/commands.md`: every command, by class."""
    out = [
        "# Commands",
        "",
        GENERATED,
        "",
        "Every word may be abbreviated as long as it is unambiguous.  `help COMMAND` shows the same text.",
        "",
    ]
    registry.load_all()
    grouped: dict[str, list[tuple[Node, Command]]] = {group: [] for group in GROUPS}
    for node in registry.nodes():
        if node.command is not None and not node.command.hidden and not node.user:
            grouped[node.command.group].append((node, node.command))
    for group, text in GROUPS.items():
        if not grouped[group]:
            continue
        out += [f"## {group}", "", text, ""]
        for node, command in grouped[group]:
            out += command_section(registry, node, command)
    return "\n".join(out)


def command_section(registry: Registry, node: Node, command: Command) -> Iterator[str]:
    """One command as Markdown."""
    yield f"### {node.name}"
    yield ""
    yield escape(command.summary)
    yield ""
    if command.function is not None:
        yield "```text"
        yield from command.usage
        yield "```"
        yield ""
    facts = []
    aliases = aliases_of(registry, node)
    if aliases:
        facts.append("Aliases: " + ", ".join(f"`{alias}`" for alias in aliases) + ".")
    forms = [command.forms] if isinstance(command.forms, str) and command.forms else list(command.forms)
    if forms:
        facts.append("Forms: " + "; ".join(FORM_TEXTS.get(form, f"`/{form}`") for form in forms) + ".")
    if command.needs:
        facts.append("Pure: nothing is changed." if command.effect == PURE else f"Effect: {command.effect}.")
    if facts:
        yield " ".join(facts)
        yield ""
    described = [(a.usage.strip("[]"), a.help) for a in command.arguments if a.help and not command.raw]
    described += [(o.usage.strip("[]"), o.help) for o in command.options]
    for name, text in described:
        yield f"- `{name}`: {escape(text)}"
    if described:
        yield ""
    if command.help:
        yield from (escape(line) for line in command.help.split("\n"))
        yield ""
    if command.examples:
        yield "```text"
        yield from (f"(vmdbg) {example}" for example in command.examples)
        yield "```"
        yield ""


def settings_page(title: str, settings: Iterable[Setting]) -> str:
    """`docs/settings.md`: every setting, by name."""
    out = [f"# {title}", "", GENERATED, ""]
    out += ["`set NAME VALUE` changes one, `show NAME` says what it is.", ""]
    out += ["| setting | kind | default | meaning |", "| --- | --- | --- | --- |"]
    rows = sorted(settings, key=lambda setting: setting.words)
    for setting in rows:
        default = setting.text(setting.default)
        kind = "\\|".join(setting.choices) if setting.choices else setting.kind
        unit = f" ({setting.unit})" if setting.unit else ""
        name = setting.name if "." in setting.name else " ".join(setting.words)
        out.append(f"| `{name}` | {kind} | `{default or ' '}` | {escape(setting.help)}{unit} |")
    for setting in rows:
        if setting.details:
            out += ["", f"## {setting.name}", "", *(escape(line) for line in setting.details.split("\n"))]
    return "\n".join([*out, ""])


def escape(text: str) -> str:
    """The text as Markdown, with its markup characters escaped."""
    return (
        text.replace("<", "\\<")
        .replace("*", "\\*")
        .replace("_", "\\_")
        .replace("|", "\\|")
        .replace("`", "\\`")
    )


def all_settings() -> list[Setting]:
    """The shell's settings and the machine's."""
    return [*SHELL_SETTINGS, *SETTINGS]


def with_tables(page: str, tables: dict[str, Callable[[], str]]) -> str:
    """A page that is written by hand, with the tables in it as they are declared."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        text = file.read()
    for source, table in tables.items():
        before, mark, rest = text.partition(f"<!-- Made by scripts/docs from {source}; edit that. -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = before + mark + table() + end + after
    return text


def functions_page() -> str:
    """`docs/functions.md`."""
    out = ["# Functions", "", "<!-- Made by scripts/docs from the declarations; edit those. -->", ""]
    out += ['Expressions may call them: `print $pa(0x401000)`, `break 28 if $count("fault") > 3`.', ""]
    out += ["| function | value |", "| --- | --- |"]
    for name, (arguments, text) in sorted(HELP.items(), key=lambda item: (item[0][0] == "_", item[0])):
        out.append(f"| `${name}({arguments})` | {escape(text)} |")
    return "\n".join([*out, ""])


def pages() -> dict[str, str]:
    """File name to text."""
    registry = Registry()
    registry.index()
    return {
        COMMANDS_PAGE: commands_page(registry).rstrip("\n") + "\n",
        SETTINGS_PAGE: settings_page("Settings", all_settings()),
        FUNCTIONS_PAGE: functions_page(),
        TUTORIAL_PAGE: tutorial(MADE_OF_LESSONS),
        **family_pages(),
        **{page: with_tables(page, tables) for page, tables in TABLES.items()},
    }


def main(arguments: list[str]) -> int:
    """Writes the pages into docs/; with `--check` only says which are not as they should be."""
    stale = []
    for name, text in pages().items():
        path = os.path.join(DOCS, name)
        try:
            with open(path, encoding="utf-8") as file:
                old = file.read()
        except FileNotFoundError:
            old = ""
        if old == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    if stale:
        verb = "not as the declarations say" if "--check" in arguments else "written"
        sys.stdout.write("".join(f"docs/{name}: {verb}\n" for name in stale))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
