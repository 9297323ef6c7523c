"""The same scripts through GDB and through vmdbg: same stdout, same stderr, same exit status.

Names differ (gdb and vmdbg, their prompts, their files); nothing else may.  The cases have no
program, so that what GDB does with one takes no part.
"""

# ruff: noqa: E501 - scripts stand on one line
# Long: tables of cases.

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.errors import UserError
from vmdbg.shell.registry import Registry

GDB = shutil.which("gdb")
pytestmark = pytest.mark.skipif(GDB is None, reason="gdb is not installed")

# Name of the case to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "undefined commands": [
        "foo",
        "foo bar",
        "info foo",
        "show foo",
        "help foo",
        "help info foo",
        "$x",
        "PRINT 1",
    ],
    "undefined names": ["foo-bar/x 1", "1", "zq 1", "show history foo", "set history foo"],
    "numbers": ["print 1", "p 1+2*3", "p 10/3", "p -5 % 3", "p 0x10", "p 0b101", "p 077", "p 1==1", "p 3>4"],
    "formats": ["p/x 255", "p/d 0x10", "p/t 5", "p/o 8", "p/c 65", "p/x -1", "p/u 7", "p/zz 1", "p/a 16"],
    "formats refused": ["p/3x 1", "p/i 1", "p/q 1", "p/w 1", "output/3x 1", "output/i 1", "output/q 1"],
    "syntax": ["p 1 +", "p 1 # c", "p (1", "p 1/0", "p 1 2", "p )", "p 1%0"],
    "history of values": [
        "p 5",
        "p 6",
        "p $",
        "p $$",
        "p $$2",
        "p $1",
        "p $99",
        "p",
        "p $$99",
        "show values",
    ],
    "an empty history": ["p", "p $", "output $", "p $1", "show values"],
    "variables": ["set $a = 5", "p $a", "p $a++", "p $a", "set $a += 2", "p $a", "p $nope", "p $nope + 1"],
    "assignments": [
        "set 1/0",
        "set $a + 1",
        "set $a",
        "set var $b = 3",
        "p $b",
        "set variable $b",
        "set",
        "set var",
        "p $b = 4",
        "p $b",
    ],
    "output": ["output 1", "output/x 17", "output", "output $nope", "output 1+"],
    "echo": [
        "echo",
        "echo hi\\n",
        "echo  a \\",
        "echo \\101\\n",
        'echo "a" b\\n',
        "echo a\\tb\\n",
        "echo x\\",
    ],
    "printf": [
        'printf "a %d\\n", 3',
        "printf",
        'printf "a',
        "printf a",
        'printf "%d"',
        'printf "%d\\n", 1, 2',
    ],
    "printf more": [
        'printf "%c %x %%\\n", 65, 255',
        'printf "%d" 1',
        'printf "%5d|%-5d|\\n", 1, 2',
    ],
    "eval": ['eval "p %d", 5', "eval", 'eval "foo"', 'eval "echo %x\\n", 31'],
    "booleans": [
        "set confirm o",
        "set confirm y",
        "show confirm",
        "set confirm 1",
        "set confirm of",
        "show confirm",
    ],
    "booleans wrong": [
        "set confirm on off",
        "set pagination foo",
        "set pagination",
        "show pagination",
        "set confirm 2",
    ],
    "integers": [
        "set history size",
        "set history size -5",
        "set width 99999999999",
        "show width",
    ],
    "unlimited": [
        "set height unl",
        "show height",
        "set height 5",
        "show height",
        "set height 0",
        "show height",
    ],
    "expressions as values": ["set listsize 2*3", 'set height $_gdb_setting("width")', "show height"],
    "strings": ["show history save", "show history expansion", "show history remove-duplicates"],
    "files": ["set history filename", "set logging file", "show logging overwrite", "show logging redirect"],
    "sentences": [
        "show confirm",
        "show max-user-call-depth",
        "show editing",
        "show verbose",
        "show style enabled",
    ],
    "depth": [
        "set max-user-call-depth 0",
        "show max-user-call-depth",
        "set max-user-call-depth 7",
        "show max-user-call-depth",
    ],
    "subcommands of settings": ["set history", "help set history", "show history s"],
    "with": [
        "with",
        "with confirm off",
        "with confirm foo -- p 1",
        "with confirm off -- show confirm",
        "show confirm",
    ],
    "with and blanks": ["with confirm off --", "w confirm off -- p 1", "with height 5 -- show height"],
    "with print": [
        'with print elements 3 -- p "abcdef"',
        "with print elements 3 --",
        'with p elements 3 -- p "abcdef"',
    ],
    "with more": ["with confirm=off -- p 1", "with height 5 -- foo", "show height", "with print -- p 1"],
    "help of nothing": ["help 5", "info nothing", "help info nothing"],
    "pipe": [
        "pipe",
        "pipe p 1",
        "pipe p 1 |",
        "pipe p 1 | cat",
        "| p 2 | cat -n",
        "pipe -d @@ p 1 @@ cat",
        "pipe -d",
    ],
    "pipe fails": ["pipe foo | cat", "pipe p 1 | exit 3", "p $_shell_exitcode", "| | cat"],
    "shell": [
        "shell echo hi",
        "!echo ho",
        "shell exit 4",
        "p $_shell_exitcode",
        "shell true",
        "p $_shell_exitcode",
    ],
    "alias": [
        "alias zz=print",
        "zz 1",
        "alias zz=print",
        "alias z y",
        "alias zq=foo",
        "alias px = print /x",
        "px 255",
    ],
    "alias refused": ["alias print=echo", "alias a b=print", "alias", "alias -q a=b", "help aliases"],
    "define-prefix": ["define-prefix abc", "abc", "abc foo", "help abc", "define-prefix"],
    "define refused": [
        "define",
        "define foo bar",
        "define foo$",
        "document",
        "document foo",
        "document print",
    ],
    "blocks at the top": ["else", "end", "loop_continue", "loop_break", "if", "while"],
    "source": ["source", "source missing", "p 1"],
    "folders": ["pwd", "cd missing", "cd ..", "cd", "cd /", "pwd"],
    "completion": ["complete set conf", "complete set confirm o", "complete foo", "complete show history "],
    "completion more": ["complete define-p", "complete with confi", "complete apro", "complete show hist"],
    "apropos": ["apropos", "apropos zzzzz"],
    "logging": [
        "set logging file l.txt",
        "set logging enabled on",
        "p 1",
        "foo",
        "set logging enabled on",
        "set logging enabled off",
        "shell cat l.txt",
    ],
    "logging redirect": [
        "set logging redirect on",
        "set logging file m.txt",
        "set logging enabled on",
        "p 1",
        "set logging enabled off",
        "p 2",
        "shell cat m.txt",
    ],
    "logging old": ["set logging on", "set logging off"],
    "types": [
        "whatis 5",
        "ptype 1+1",
        "whatis 'a'",
        "whatis 1.5",
        "ptype 0xffffffff",
        "p sizeof(int)",
    ],
    "call": ["call 5", "call (void)0", "p (void)0", "inspect 6"],
    "functions": [
        'p $_streq("a","a")',
        "p $_isvoid($x)",
        'p $_regex("abc","a.c")',
        'p $_strlen("abc")',
        'p $_gdb_setting("confirm")',
    ],
    "strings and arrays": ['p "abc"', "p 'a'", 'p sizeof("abc")', "p {1,2,3}", "p 1@2"],
    "memory": ["x 0", "x/2x 0", "x/q 0", "x", "x/x", "p *0", "p {int}0", "x/s 0"],
    "user": ["show user", "show user foo", "show user print", "help user-defined", "help aliases"],
    "help of a group": ["help user-defined"],
    "comments": ["", "  p 3", "p 4  "],
    "last command decides": ["foo", "p 1"],
    "last command fails": ["p 1", "foo"],
    "dont-repeat": ["dont-repeat", "show convenience_"],
    "display": ["info display", "undisplay 9", "undisplay", "display", "delete display 3", "info display"],
    "elements": ['p -elements 3 -- "abcdefgh"', 'p -elem 3 -- "abcdefgh"', "p -5", "p -", "p -- 5"],
    "quit": ["quit 7", "foo"],
    "quit an expression": ["quit 1+2", "foo"],
    "quit wrong": ["quit 1+", "p 1"],
    "exit": ["exit"],
}

# Name of the case to scripts; the first is run with -x.
SCRIPTS: dict[str, dict[str, str]] = {
    "if without a condition inside": {"a.gdb": "if 1\nif\nend\nend\np 1\n"},
    "while without a condition inside": {"a.gdb": "if 1\nwhile\np 1\nend\nend\np 2\n"},
    "odd names": {"a.gdb": "define a-b\np 1\nend\na-b\ndefine .x\np 2\nend\n.x\ndefine a.b\np 3\nend\na.b\n"},
    "document nothing": {"a.gdb": "document nothere\n"},
    "arguments keep their quotes": {
        "a.gdb": "define foo\np $arg0\nend\nfoo \"a b\"\nfoo 'c'\nfoo (1+2)\nfoo 1 + 2\n"
    },
    "source inside a function": {
        "a.gdb": "define foo\nsource b.gdb\nend\nfoo 7\n",
        "b.gdb": "p $argc\np $arg0\n",
    },
    "breaks in branches": {
        "a.gdb": "while 1\nif 1\nloop_break\nelse\np 2\nend\nend\nset $i=3\nwhile $i\nset $i--\nif $i==1\nloop_continue\nend\np $i\nend\n"
    },
    "hooks by the full name": {
        "a.gdb": "define hook-p\necho hook\\n\nend\np 1\nprint 2\ndefine hook-print\necho hp\\n\nend\np 3\nprint 4\n"
    },
    "continuation of nothing": {"a.gdb": "p 1\\\n\np 2\n"},
    "blanks": {"a.gdb": "  \t p 1\t \necho a b \\\n\necho c\n"},
    "quotes in arguments": {"a.gdb": 'define t\necho $argc\\n\nend\nt a,b c\nt "x\nt \\"y z\nt a\\ b\n'},
    "branches by argc": {
        "a.gdb": "define t\nif $argc == 0\necho none\\n\nelse\nif $argc == 1\necho one\\n\nelse\necho many\\n\nend\nend\nend\nt\nt 1\nt 1 2\n"
    },
    "conditions on void": {
        "a.gdb": "set $x = 1\nif $x == 1\necho yes\\n\nend\nif $x != 1\necho no\\n\nelse\necho else\\n\nend\nif $nope\necho v\\n\nend\n"
    },
    "aliases of aliases": {
        "a.gdb": "alias a1 = echo A\na1 b\\n\nalias a2 = a1 C\na2 d\\n\nalias -a -- a3 = print\na3 5\nhelp a1\nalias show zz = show confirm\nshow zz\nalias info zz = info\n"
    },
    "echo and newlines": {"a.gdb": 'echo \\\n\nprintf "\\n"\necho a\\n\\\nb\\n\n'},
    "stops at an error": {"a.gdb": "p 1\nfoo\np 2\n"},
    "nested": {"a.gdb": "echo a\\n\nsource b.gdb\necho after\\n\n", "b.gdb": "echo b\\n\nfoo\n"},
    "three deep": {"a.gdb": "source b.gdb\n", "b.gdb": "\nsource c.gdb\n", "c.gdb": "p 1\n\np 1/0\n"},
    "if": {"a.gdb": "if 1\n p 1\nelse\n p 2\nend\nif 0\n p 3\nelse\n p 4\nend\n"},
    "nested if": {"a.gdb": "if 1\nif 0\np 1\nelse\np 2\nend\nend\n"},
    "while": {
        "a.gdb": "set $i = 0\nwhile $i < 5\nset $i = $i + 1\nif $i == 2\nloop_continue\nend\nif $i == 4\nloop_break\nend\np $i\nend\n"
    },
    "an error in a loop": {"a.gdb": "while 1\nfoo\nend\n"},
    "an error in a condition": {"a.gdb": "if 1 +\np 1\nend\n"},
    "two else": {"a.gdb": "if 1\n p 1\nelse\np 2\nelse\np 3\nend\n"},
    "no end": {"a.gdb": "if 1\n p 1\n"},
    "no end of define": {"a.gdb": "define f\nif $argc\np 1\n"},
    "continuation": {"a.gdb": "p 1 + \\\n 2\n# c \\\np 3\np\\\n 4\n"},
    "blank lines do nothing": {"a.gdb": "p 1\n\n\np 2\n   \n# x\n"},
    "define": {
        "a.gdb": "define f\necho f $argc $arg0 $arg1 | $argx \"$argc1\"\\n\nend\nf 1 'x y'\nf 1 2 3\n"
    },
    "missing argument": {"a.gdb": "define f\np $arg1\nend\nf 1\n"},
    "an error aborts the callers": {"a.gdb": "define f\np 1\nfoo\np 2\nend\ndefine g\nf\np 3\nend\ng\np 4\n"},
    "redefine": {"a.gdb": "define f\np 1\nend\ndefine f\np 2\nend\nf\n"},
    "redefine a builtin": {"a.gdb": "define print\necho mine\\n\nend\nprint 1\n"},
    "hooks": {"a.gdb": "define hook-echo\nprint 1\nend\ndefine hookpost-echo\nprint 2\nend\necho hi\\n\n"},
    "a hook of nothing": {"a.gdb": "define hook-nope\np 3\nend\n"},
    "document": {
        "a.gdb": "define w\np 1\nend\ndocument w\nDoc of w.  More.\n  Line two.\nend\nhelp w\nhelp user-defined\nshow user w\n"
    },
    "no document": {"a.gdb": "define w\nend\nhelp w\nw\nshow user\n"},
    "show user": {
        "a.gdb": "define w\nif $argc == 2\n echo two\\n\nelse\n while $i\n  p 1\n end\nend\nend\nshow user w\n"
    },
    "endless recursion": {"a.gdb": "set max-user-call-depth 20\ndefine r\nr\nend\nr\n"},
    "deep recursion": {"a.gdb": "define r\nr\nend\nr\n"},
    "prefixes": {
        "a.gdb": "define-prefix abc\ndefine abc def\necho abc def $argc\\n\nend\nabc def 1 2\nabc d\nabc x\n"
    },
    "quit in a script": {"a.gdb": "p 1\nquit 3\np 2\n"},
    "quit in a function": {"a.gdb": "define q2\nquit 4\nend\nif 1\nq2\nend\np 2\n"},
    "trace": {
        "a.gdb": "set trace-commands on\ndefine f\nif $argc\np 1\nend\nend\nf 1\nif 1\nf 2\nend\nset trace-commands off\n"
    },
    "verbose source": {
        "a.gdb": "source -v b.gdb\n",
        "b.gdb": "while 1\nset $i = 1\nif 1\nloop_break\nend\nend\n  p 1\n",
    },
    "eval in a loop": {
        "a.gdb": 'set $i = 0\nwhile $i < 3\neval "set $v%d = %d", $i, $i * $i\nset $i++\nend\np $v2\n'
    },
    "document a builtin": {"a.gdb": "document print\nx\nend\n"},
    "indented": {"a.gdb": "   define f\n\tp 1\n   end\n  f\n"},
    "user arguments": {"a.gdb": "define f\np $argc\np $arg0 + $arg1\nend\nf 1 2\nf 1+1 (2)\n"},
    "nested define": {"a.gdb": "define outer\ndefine inner\np 42\nend\nend\nouter\ninner\n"},
    "end in the open": {"a.gdb": "p 1\nend\np 2\n"},
    "while counts": {"a.gdb": "set $n = 3\nwhile $n--\np $n\nend\n"},
    "pipe in a script": {"a.gdb": "pipe p 5 | tr 5 6\n| p 7 | cat\n"},
    "with in a script": {"a.gdb": "with trace-commands on -- p 1\np 2\n"},
}

# Name of the case to what is piped in, without -batch.
PIPED: dict[str, str] = {
    "a function and repeats": "define f\np 1\nend\nf\nf\n\nsource x.gdb\n\n",
    "an if without its end": "if 1\np 1\n",
    "a define without its end": "define f\np 1\n",
    "no history of piped lines": "set history size 3\np 1\np 2\np 3\nshow commands\n",
    "prompts": "p 1\np 2\n",
    "no newline at the end": "p 1",
    "errors go on": "foo\np 1\n",
    "blank repeats": "p 1\n\n\n",
    "blank repeats an error": "foo\n\n",
    "a comment clears": "p 1\n# x\n\np 2\n",
    "blank first": "\n\np 1\n",
    "quit": "p 1\nquit 5\np 2\n",
    "define": "define f\np 1\nend\nf\n\n",
    "dont-repeat": "define f\ndont-repeat\np 1\nend\nf\n\np 3\n",
    "if": "if 1\np 1\nelse\np 2\nend\n",
    "while in define": "define f\nwhile 0\nend\nend\nf\n",
    "document": "define f\nend\ndocument f\ntext\nend\nhelp f\n",
    "continuation": "p 1 \\\n +2\nfoo\n",
    "prompt": "set prompt abc>\np 1\n",
    "question": "define f\nend\ndefine f\nend\n",
    "quiet question": "set confirm off\ndefine print\nend\n",
    "show commands": "p 1\nshow commands\n",
    "trace": "set trace-commands on\np 1\n\nif 1\np 2\nend\n",
    "repeat x": "echo a\\n\n\nshow confirm\n\n",
    "no repeat": "define f\nend\n\nshell echo x\n\npwd\n",
    "with the last": "p 1\nwith confirm off\nwith confirm off --\n",
    "pipe the last": "p 1\npipe | cat\n",
    "values": "p 5\np $+1\n\n\n",
}

# Name of the case to command lines; a file named in them is written first.
COMMAND_LINES: dict[str, list[str]] = {
    "mixed order": ["-batch", "-ex", "p 1", "-x", "two.gdb", "-ex", "p 3"],
    "early": ["-batch", "-ex", "p 2", "-iex", "p 1"],
    "early fails": ["-batch", "-iex", "bad", "-ex", "p 2"],
    "early quits": ["-batch", "-iex", "p 1", "-ix", "quit.gdb", "-ex", "p 2"],
    "missing script": ["-batch", "-x", "missing", "-ex", "p 1"],
    "missing script last": ["-batch", "-ex", "p 1", "-x", "missing"],
    "script fails, next runs": ["-batch", "-x", "bad.gdb", "-ex", "p 1"],
    "script fails last": ["-batch", "-ex", "p 1", "-x", "bad.gdb"],
    "silent": ["-batch-silent", "-ex", "p 1", "-ex", "bad"],
    "equals": ["-batch", "-x=two.gdb", "--ex=p 1"],
    "long names": ["--batch", "--eval-command", "p 1", "--command=two.gdb"],
    "nothing": ["-batch"],
    "not batch": ["-ex", "p 1", "-ex", "bad"],
    "unknown option": ["--nonsense"],
    "no value": ["-ex"],
    "define reads stdin": ["-batch", "-ex", "define f", "-ex", "f"],
    "folder": ["-batch", "-cd", "sub", "-ex", "pwd"],
    "no folder": ["-batch", "-cd", "missing", "-ex", "p 1"],
}


def normal(text: str) -> str:
    """Output without the names in which the two differ."""
    for old, new in (
        ("(vmdbg) ", "(gdb) "),
        ("vmdbg", "gdb"),
        ("GDB", "gdb"),
        ("the debugger", "gdb"),
    ):
        text = text.replace(old, new)
    return text


@pytest.fixture
def both(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]],
    user_environment: dict[str, str],
    tmp_path: Path,
) -> Callable[..., None]:
    """Runs both with the same arguments and compares."""

    def compare(*arguments: str, input: str = "", files: dict[str, str] | None = None) -> None:
        results = []
        for name in ("gdb", "vmdbg"):
            folder = tmp_path / name / "here"
            (folder / "sub").mkdir(parents=True)
            for file, text in (files or {}).items():
                (folder / file).write_text(text)
            words = ["-nx", "-q", *arguments]
            if name == "gdb":
                done = subprocess.run(
                    ["gdb", *words],
                    input=input,
                    cwd=folder,
                    env=user_environment,
                    text=True,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
            else:
                done = run_vmdbg(*words, input=input, cwd=folder)
            out, err = (normal(text.replace(str(tmp_path / name), "")) for text in (done.stdout, done.stderr))
            results.append((out, without_hints(err), done.returncode))
        assert results[1] == results[0]

    return compare


def without_hints(text: str) -> str:
    """Diagnostics without our own second lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Did you mean "))


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, both: Callable[..., None]) -> None:
    both("-batch", *[word for line in LINES[name] for word in ("-ex", line)])


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str, both: Callable[..., None]) -> None:
    both("-batch", "-x", "a.gdb", files=SCRIPTS[name])


@pytest.mark.parametrize("name", PIPED)
def test_piped_lines(name: str, both: Callable[..., None]) -> None:
    both(input=PIPED[name])


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_command_lines(name: str, both: Callable[..., None]) -> None:
    files = {"two.gdb": "p 2\n", "bad.gdb": "p 2\nbad\n", "quit.gdb": "quit 3\n"}
    both(*COMMAND_LINES[name], files=files, input="p 5\nend\n")


def test_there_are_enough_cases() -> None:
    lines = sum(len(case) for case in LINES.values())
    assert lines + len(SCRIPTS) + len(PIPED) + len(COMMAND_LINES) >= 150


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
    # The one command of our own that is the beginning of one of GDB's.
    meant = {
        word: name for word, name in meant.items() if not (name == "checkpoint" and "check".startswith(word))
    }
    found = {}
    for word in meant:
        try:
            found[word] = registry.resolve(word)[0].target.name
        except UserError as error:
            found[word] = str(error)
    assert found == meant
    assert len(meant) > 60
