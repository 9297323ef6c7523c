"""Look-up of commands: words, abbreviations, aliases, messages, and the index of the sources."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vmdbg.errors import UserError
from vmdbg.shell.command import FIRST, GROUPS, Command, command
from vmdbg.shell.registry import Registry


def registry_of(*names: str, **aliases: tuple[str, ...]) -> Registry:
    registry = Registry()
    for name in names:
        registry.add(
            Command(name, lambda session, args: None, aliases=aliases.get(name, ()), summary="Do it.")
        )
    return registry


def test_the_index_is_what_the_modules_declare() -> None:
    indexed, loaded = Registry(), Registry()
    indexed.index()
    loaded.index()
    loaded.load_all()
    names = {node.path for node in indexed.nodes()}
    assert names == {node.path for node in loaded.nodes()}
    assert {n.path: n.target.path for n in indexed.nodes()} == {n.path: n.target.path for n in loaded.nodes()}
    assert len(names) > 40


def test_every_prefix_has_a_declaration() -> None:
    registry = Registry()
    registry.index()
    registry.load_all()
    bare = [node.name for node in registry.nodes() if node.children and node.declared() is None]
    assert bare == []


def test_start_up_imports_no_command_module() -> None:
    code = (
        "import sys; from vmdbg.shell.startup import make_session; make_session();"
        "print([m for m in sys.modules if m.startswith('vmdbg.shell.commands.')"
        " or m in ('prompt_toolkit', 'pygments', 'llvmlite', 'argparse', 'inspect')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_one_command_imports_one_module() -> None:
    code = (
        "import sys; from vmdbg.shell.startup import make_session; make_session().execute('pwd');"
        "print([m for m in sys.modules if m.startswith('vmdbg.shell.commands.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["['vmdbg.shell.commands.host']"]


def test_unique_prefixes_at_every_word() -> None:
    registry = registry_of("info frames", "info faults", "step", "stepi", "status")
    assert registry.resolve("inf fr 1")[0].name == "info frames"
    assert registry.resolve("step 5") == (registry.find(("step",)), " 5")
    assert registry.resolve("  stepi")[0].name == "stepi"


def test_ambiguous_words() -> None:
    registry = registry_of("info frames", "info faults", "step", "stepi", "status")
    with pytest.raises(UserError) as error:
        registry.resolve("st")
    assert str(error.value) == 'Ambiguous command "st": status, step, stepi.'
    with pytest.raises(UserError) as error:
        registry.resolve("info f")
    assert str(error.value) == 'Ambiguous info command "f": faults, frames.'


def test_long_lists_are_cut_as_gdb_cuts_them() -> None:
    registry = registry_of(*[f"stop-number-{number}" for number in range(20)])
    with pytest.raises(UserError) as error:
        registry.resolve("stop")
    listed = str(error.value).removeprefix('Ambiguous command "stop": ')
    assert listed.startswith("stop-number-0, stop-number-1, stop-number-10, ")
    assert listed.endswith("...")
    assert len(listed) <= 100


def test_aliases_of_one_command_are_not_ambiguous() -> None:
    registry = registry_of("translate", translate=("t", "tr", "tra"))
    assert registry.resolve("t")[0].target.name == "translate"
    assert registry.resolve("tran")[0].target.name == "translate"


def test_undefined_commands_say_what_they_may_have_meant() -> None:
    registry = registry_of("translate", "walk")
    with pytest.raises(UserError) as error:
        registry.resolve("tanslate 5")
    assert str(error.value) == 'Undefined command: "tanslate".  Try "help".'
    assert error.value.hint == 'Did you mean "translate"?'
    with pytest.raises(UserError) as error:
        registry.resolve("xyzzy")
    assert error.value.hint == ""


def test_a_slash_ends_the_words() -> None:
    registry = registry_of("tlb", "tlb lookup")
    assert registry.resolve("tlb/j lookup") == (registry.find(("tlb",)), "/j lookup")
    assert registry.resolve("tlb lookup/j 5") == (registry.find(("tlb", "lookup")), "/j 5")


def test_a_name_is_declared_once() -> None:
    registry = registry_of("walk")
    with pytest.raises(ValueError, match="twice"):
        registry.add(Command("walk", None, summary="Again."))
    with pytest.raises(ValueError, match="taken"):
        registry.add(Command("go", None, aliases=("walk",), summary="Go."))


@pytest.mark.parametrize(
    "bad",
    [{"summary": "no stop"}, {"summary": "Yes.", "group": "nowhere"}, {"summary": "Yes.", "effect": "odd"}],
)
def test_bad_declarations_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="command x"):
        Command("x", None, **bad)


def test_the_decorator_keeps_the_function() -> None:
    @command("one", summary="One.")
    def one(session: object, args: object) -> str:
        return "one"

    assert one(None, None) == "one"
    assert [declared.name for declared in one.declarations] == ["one"]


def test_every_command_has_help_and_every_argument_a_kind() -> None:
    registry = Registry()
    registry.index()
    for declared in registry.commands():
        assert declared.summary[0].isupper() or declared.summary[0] == "`", declared.name
        assert all(argument.kind for argument in declared.arguments), declared.name
        assert declared.usage[0].startswith(declared.name.split()[0]), declared.name


# Short forms that are documented or in the fingers: nothing added later may make them ambiguous.
FIXED = {
    "p": "print",
    "x": "x",
    "h": "help",
    "i": "info",
    "w": "with",
    "q": "quit",
    "inf": "info",
    "sho": "show",
    "so": "source",
    "defi": None,
    "doc": "document",
    "wh": "winheight",
    "out": "output",
    "ec": "echo",
    "pri": None,
    "al": "alias",
    "apr": "apropos",
    "comp": "complete",
    "undisp": "undisplay",
    "disp": "display",
    "whi": "while",
    "ev": "eval",
    "pi": "pipe",
    "sh": None,
}


@pytest.mark.parametrize("short", FIXED)
def test_fixed_short_forms(short: str) -> None:
    registry = Registry()
    registry.index()
    wanted = FIXED[short]
    if wanted is None:
        with pytest.raises(UserError, match="Ambiguous"):
            registry.resolve(short)
    else:
        assert registry.resolve(short)[0].target.name == wanted


def test_no_command_has_the_name_of_a_class() -> None:
    registry = Registry()
    registry.index()
    assert not set(registry.root.children) & set(GROUPS)


# What the docs and fingers rely on: a word, and the command that it stands for.
DOCUMENTED = dict(
    pair.split(" = ")
    for line in (
        "t = translate, wk = walk, m = map, i = info, h = help, q = quit, l = list, p = print, x = x",
        "w = with, u = until, r = run, c = continue, s = step, n = next, si = stepi, fin = finish",
        "b = break, br = break, tb = tbreak, wa = watch, d = delete, dis = disable, en = enable",
        "fg = continue, rc = reverse-continue, rs = reverse-step, rn = reverse-next, rsi = reverse-stepi",
        "inf = info, pt = ptype, und = undisplay, ev = eval, exit = quit, ! = shell, | = pipe",
        "info b = info breakpoints, info r = info registers, info f = info frames, info tlb = tlb",
        "info swap = swap, info processes = ps, set p = set print, set var = set variable",
        "show conv = show convenience",
    )
    for pair in line.split(", ")
)


def test_documented_words_stand_for_what_they_stood_for() -> None:
    registry = Registry()
    registry.index()
    registry.load_all()
    assert {word: registry.resolve(word)[0].target.name for word in DOCUMENTED} == DOCUMENTED


def test_a_later_command_takes_no_documented_word() -> None:
    """An exact name, of a command or an alias, is never ambiguous, whatever longer names there will be."""
    registry = Registry()
    registry.index()
    declared = {alias: found.name for found in registry.commands() for alias in found.aliases}
    words = {**DOCUMENTED, **declared}
    for word in words:
        later = registry.make_node(tuple(f"{word}zz".split()))
        later.command = Command(later.name, summary="Do it.")
    assert {word: registry.resolve(word)[0].target.name for word in words} == words


def test_lists_begin_with_commands_that_exist() -> None:
    registry = Registry()
    registry.index()
    names = {node.name for node in registry.nodes()}
    assert [name for name in FIRST if name not in names] == []
    assert len(FIRST) == len(set(FIRST))
