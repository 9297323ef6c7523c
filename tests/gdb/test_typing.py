"""What is typed (items 7 to 11, 14): abbreviations, errors, repetition, comments, completion."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from vmdbg.errors import UserError
from vmdbg.shell.registry import Registry

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "7: subcommands of settings": ["set history", "help set history", "show history s"],
    "8: undefined commands": [
        "foo",
        "foo bar",
        "info foo",
        "show foo",
        "help foo",
        "help info foo",
        "$x",
        "PRINT 1",
    ],
    "8: undefined names": ["foo-bar/x 1", "1", "zq 1", "show history foo", "set history foo"],
    "8: syntax": ["p 1 +", "p 1 # c", "p (1", "p 1/0", "p 1 2", "p )", "p 1%0"],
    "8: booleans": [
        "set confirm o",
        "set confirm y",
        "show confirm",
        "set confirm 1",
        "set confirm of",
        "show confirm",
    ],
    "8: booleans wrong": [
        "set confirm on off",
        "set pagination foo",
        "set pagination",
        "show pagination",
        "set confirm 2",
    ],
    "8: integers": ["set history size", "set history size -5", "set width 99999999999", "show width"],
    "8: unlimited": [
        "set height unl",
        "show height",
        "set height 5",
        "show height",
        "set height 0",
        "show height",
    ],
    "8: expressions as values": ["set listsize 2*3", 'set height $_gdb_setting("width")', "show height"],
    "8: strings": ["show history save", "show history expansion", "show history remove-duplicates"],
    "8: files": [
        "set history filename",
        "set logging file",
        "show logging overwrite",
        "show logging redirect",
    ],
    "8: sentences": [
        "show confirm",
        "show max-user-call-depth",
        "show editing",
        "show verbose",
        "show style enabled",
    ],
    "8: depth": [
        "set max-user-call-depth 0",
        "show max-user-call-depth",
        "set max-user-call-depth 7",
        "show max-user-call-depth",
    ],
    "8: help of nothing": ["help 5", "info nothing", "help info nothing"],
    "8: blocks at the top": ["else", "end", "loop_continue", "loop_break", "if", "while"],
    "10: comments": ["", "  p 3", "p 4  "],
    "11: completion": [
        "complete set conf",
        "complete set confirm o",
        "complete foo",
        "complete show history ",
    ],
    "11: completion more": [
        "complete define-p",
        "complete with confi",
        "complete apro",
        "complete show hist",
    ],
    "9: dont-repeat": ["dont-repeat", "show convenience_"],
    "7: ambiguous words": [
        "set history s",
        "info di",
        "help set history s",
        "show history s",
    ],
    "7: abbreviations of settings": [
        "set pa off",
        "show pagin",
        "show history fil",
        "set his si 5",
        "show his si",
        "set conf of",
        "show confirm",
    ],
    "8: after a prefix": [
        "info $x y",
        "info 5 y",
        "info foo bar",
        "info #",
        "show # x",
        "show $x y",
        "set history $x y",
        "show history $x y",
        "help info foo bar",
        "info /x",
    ],
    "8: ranges": [
        "delete 3-1",
        "undisplay 4-2",
        "undisplay 1-",
        "undisplay 3",
        "delete display 7",
        "disable display 4",
        "delete 9",
    ],
    "8: bytes": ["x", "x/x", "p *0", "p {char}0", "output", "ptype", "whatis", "call"],
    "10: words that touch": [
        "print(1)",
        "p'a'",
        'p"a"',
        "p(1)+2",
        "print-1",
        "p-1",
        "echo#",
        "p # 1",
        "set confirm off # x",
        "p 1 ; p 2",
    ],
    "11: files and commands": [
        "complete define define-p",
        "complete document define-p",
        "complete alias zz = apro",
        "complete set trace-c",
        "complete help sho",
        "complete with confi",
        "complete set height u",
    ],
}

# Name of the case to scripts; the first is run with -x.
SCRIPTS: dict[str, dict[str, str]] = {
    "10: continuation": {"a.gdb": "p 1 + \\\n 2\n# c \\\np 3\np\\\n 4\n"},
    "10: continuation of nothing": {"a.gdb": "p 1\\\n\np 2\n"},
    "10: blanks": {"a.gdb": "  \t p 1\t \necho a b \\\n\necho c\n"},
    "10: echo and newlines": {"a.gdb": 'echo \\\n\nprintf "\\n"\necho a\\n\\\nb\\n\n'},
    "10: indented": {"a.gdb": "   define f\n\tp 1\n   end\n  f\n"},
}

# Name of the case to what is piped in, without -batch.
PIPED: dict[str, str] = {
    "4: prompts": "p 1\np 2\n",
    "4: no newline at the end": "p 1",
    "4: errors go on": "foo\np 1\n",
    "4: quit": "p 1\nquit 5\np 2\n",
    "4: prompt": "set prompt abc>\np 1\n",
    "9: blank repeats": "p 1\n\n\n",
    "9: blank repeats an error": "foo\n\n",
    "9: a comment clears": "p 1\n# x\n\np 2\n",
    "9: blank first": "\n\np 1\n",
    "9: repeat x": "echo a\\n\n\nshow confirm\n\n",
    "9: no repeat": "define f\nend\n\nshell echo x\n\npwd\n",
    "9: values": "p 5\np $+1\n\n\n",
    "9: dont-repeat": "define f\ndont-repeat\np 1\nend\nf\n\np 3\n",
    "9: a function and repeats": "define f\np 1\nend\nf\nf\n\nsource x.gdb\n\n",
    "10: continuation": "p 1 \\\n +2\nfoo\n",
    "12: an if without its end": "if 1\np 1\n",
    "12: a define without its end": "define f\np 1\n",
    "14: question": "define f\nend\ndefine f\nend\n",
    "14: quiet question": "set confirm off\ndefine print\nend\n",
    "15: show commands": "p 1\nshow commands\n",
    "15: no history of piped lines": "set history size 3\np 1\np 2\np 3\nshow commands\n",
    "9: what follows an error": "p 1\n\nbad\n\necho x\\n\n\n# y\n\np 3\n   \nhelp nosuch\n\nshow confirm\n\n",
    "14: a display is deleted": "display 1\nundisplay\ninfo display\n",
}


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", *[word for line in LINES[name] for word in ("-ex", line)])


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", "-x", "a.gdb", files=SCRIPTS[name])


@pytest.mark.parametrize("name", PIPED)
def test_piped_lines(name: str, alike: Callable[..., None]) -> None:
    alike(input=PIPED[name])


def test_abbreviations_mean_the_same() -> None:
    """Every word that GDB takes for a command that both have is taken for it here."""
    registry = Registry()
    registry.index()
    registry.load_all()
    tops = [node for node in registry.nodes() if len(node.path) == 1 and node.declared() is not None]
    names = sorted({node.target.path[0] for node in tops})
    words = sorted({name[:size] for name in names for size in range(1, len(name) + 1)})
    typed = "".join(f"echo \\n@@ {word}\\n\nhelp {word}\n" for word in [*names, *words] if word[0].isalpha())
    command = ["gdb", "-nx", "-q", "-ex", "set prompt", "-ex", "set confirm off"]
    done = subprocess.run(command, input=typed, text=True, capture_output=True, check=False)
    answers = dict(part.split("\n", 1) for part in done.stdout.split("\n@@ ")[1:])
    texts = {answers[name]: name for name in names if answers.get(name, "").strip()}
    meant = {word: texts[answers[word]] for word in words if answers.get(word, "") in texts}
    # "check" is a command of our own; "trace" is about files here, and about tracepoints there.
    meant = {
        word: name
        for word, name in meant.items()
        if not (name == "checkpoint" and "check".startswith(word)) and not (name == "trace" != word)
    }
    found = {}
    for word in meant:
        try:
            found[word] = registry.resolve(word)[0].target.name
        except UserError as error:
            found[word] = str(error)
    assert found == meant
    assert len(meant) > 60
