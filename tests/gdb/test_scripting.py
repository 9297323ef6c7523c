"""Definitions, blocks, hooks, aliases, pipes, `with` (items 28 and 29)."""

# ruff: noqa: E501 - scripts stand on one line

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "28: eval": ['eval "p %d", 5', "eval", 'eval "foo"', 'eval "echo %x\\n", 31'],
    "28: define-prefix": ["define-prefix abc", "abc", "abc foo", "help abc", "define-prefix"],
    "28: define refused": [
        "define",
        "define foo bar",
        "define foo$",
        "document",
        "document foo",
        "document print",
    ],
    "28: user": ["show user", "show user foo", "show user print", "help user-defined", "help aliases"],
    "29: with": [
        "with",
        "with confirm off",
        "with confirm foo -- p 1",
        "with confirm off -- show confirm",
        "show confirm",
    ],
    "29: with and blanks": ["with confirm off --", "w confirm off -- p 1", "with height 5 -- show height"],
    "29: with print": [
        'with print elements 3 -- p "abcdef"',
        "with print elements 3 --",
        'with p elements 3 -- p "abcdef"',
    ],
    "29: with more": ["with confirm=off -- p 1", "with height 5 -- foo", "show height", "with print -- p 1"],
    "29: pipe": [
        "pipe",
        "pipe p 1",
        "pipe p 1 |",
        "pipe p 1 | cat",
        "| p 2 | cat -n",
        "pipe -d @@ p 1 @@ cat",
        "pipe -d",
    ],
    "29: pipe fails": ["pipe foo | cat", "pipe p 1 | exit 3", "p $_shell_exitcode", "| | cat"],
    "29: shell": [
        "shell echo hi",
        "!echo ho",
        "shell exit 4",
        "p $_shell_exitcode",
        "shell true",
        "p $_shell_exitcode",
    ],
    "29: alias": [
        "alias zz=print",
        "zz 1",
        "alias zz=print",
        "alias z y",
        "alias zq=foo",
        "alias px = print /x",
        "px 255",
    ],
    "29: alias refused": ["alias print=echo", "alias a b=print", "alias", "alias -q a=b", "help aliases"],
    "29: folders": ["pwd", "cd missing", "cd ..", "cd", "cd /", "pwd"],
    "29: aliases of several words": [
        "alias a9 = set confirm on",
        "set confirm off",
        "a9",
        "show confirm",
        "alias zp = set print elements",
        "zp 3",
        "show print elements",
        'p "abcdefgh"',
        "alias set zb = set confirm off",
        "set zb",
        "show confirm",
        "alias sc = show confirm",
        "sc",
        "alias ib = info breakpoints",
        "ib",
        "alias info zy = display",
        "alias a8 b = info b",
        "alias spe = set print",
        "spe elements 7",
        "show print elements",
    ],
    "29: words of pipe and with": [
        "pipe -d x",
        "pipe p 5 | cat | cat",
        "pipe -x",
        "| x",
        "| |",
        "with var $x=1 -- p $x",
        "with heig 3 -- show height",
        "with confirm off -- with pagination off -- show pagination",
        "shell exit 256",
        "p $_shell_exitcode",
        "shell kill -9 $$",
        "p $_shell_exitcode",
        "p $_shell_exitsignal",
    ],
    "28: words of define": [
        "define-prefix print",
        "define-prefix info",
        "show user print",
        "show user nosuch",
        'eval "echo %c\\n", 65',
        'eval ""',
        "eval 5",
        "set max-user-call-depth -1",
    ],
}

# Name of the case to scripts; the first is run with -x.
SCRIPTS: dict[str, dict[str, str]] = {
    "28: if without a condition inside": {"a.gdb": "if 1\nif\nend\nend\np 1\n"},
    "28: while without a condition inside": {"a.gdb": "if 1\nwhile\np 1\nend\nend\np 2\n"},
    "28: odd names": {
        "a.gdb": "define a-b\np 1\nend\na-b\ndefine .x\np 2\nend\n.x\ndefine a.b\np 3\nend\na.b\n"
    },
    "28: document nothing": {"a.gdb": "document nothere\n"},
    "28: arguments keep their quotes": {
        "a.gdb": "define foo\np $arg0\nend\nfoo \"a b\"\nfoo 'c'\nfoo (1+2)\nfoo 1 + 2\n"
    },
    "28: source inside a function": {
        "a.gdb": "define foo\nsource b.gdb\nend\nfoo 7\n",
        "b.gdb": "p $argc\np $arg0\n",
    },
    "28: breaks in branches": {
        "a.gdb": "while 1\nif 1\nloop_break\nelse\np 2\nend\nend\nset $i=3\nwhile $i\nset $i--\nif $i==1\nloop_continue\nend\np $i\nend\n"
    },
    "28: hooks by the full name": {
        "a.gdb": "define hook-p\necho hook\\n\nend\np 1\nprint 2\ndefine hook-print\necho hp\\n\nend\np 3\nprint 4\n"
    },
    "28: quotes in arguments": {"a.gdb": 'define t\necho $argc\\n\nend\nt a,b c\nt "x\nt \\"y z\nt a\\ b\n'},
    "28: branches by argc": {
        "a.gdb": "define t\nif $argc == 0\necho none\\n\nelse\nif $argc == 1\necho one\\n\nelse\necho many\\n\nend\nend\nend\nt\nt 1\nt 1 2\n"
    },
    "28: conditions on void": {
        "a.gdb": "set $x = 1\nif $x == 1\necho yes\\n\nend\nif $x != 1\necho no\\n\nelse\necho else\\n\nend\nif $nope\necho v\\n\nend\n"
    },
    "29: aliases of aliases": {
        "a.gdb": "alias a1 = echo A\na1 b\\n\nalias a2 = a1 C\na2 d\\n\nalias -a -- a3 = print\na3 5\nhelp a1\nalias show zz = show confirm\nshow zz\nalias info zz = info\n"
    },
    "28: if": {"a.gdb": "if 1\n p 1\nelse\n p 2\nend\nif 0\n p 3\nelse\n p 4\nend\n"},
    "28: nested if": {"a.gdb": "if 1\nif 0\np 1\nelse\np 2\nend\nend\n"},
    "28: while": {
        "a.gdb": "set $i = 0\nwhile $i < 5\nset $i = $i + 1\nif $i == 2\nloop_continue\nend\nif $i == 4\nloop_break\nend\np $i\nend\n"
    },
    "28: two else": {"a.gdb": "if 1\n p 1\nelse\np 2\nelse\np 3\nend\n"},
    "28: no end": {"a.gdb": "if 1\n p 1\n"},
    "28: no end of define": {"a.gdb": "define f\nif $argc\np 1\n"},
    "28: define": {
        "a.gdb": "define f\necho f $argc $arg0 $arg1 | $argx \"$argc1\"\\n\nend\nf 1 'x y'\nf 1 2 3\n"
    },
    "28: missing argument": {"a.gdb": "define f\np $arg1\nend\nf 1\n"},
    "28: an error aborts the callers": {
        "a.gdb": "define f\np 1\nfoo\np 2\nend\ndefine g\nf\np 3\nend\ng\np 4\n"
    },
    "28: redefine": {"a.gdb": "define f\np 1\nend\ndefine f\np 2\nend\nf\n"},
    "28: redefine a builtin": {"a.gdb": "define print\necho mine\\n\nend\nprint 1\n"},
    "28: hooks": {
        "a.gdb": "define hook-echo\nprint 1\nend\ndefine hookpost-echo\nprint 2\nend\necho hi\\n\n"
    },
    "28: a hook of nothing": {"a.gdb": "define hook-nope\np 3\nend\n"},
    "28: document": {
        "a.gdb": "define w\np 1\nend\ndocument w\nDoc of w.  More.\n  Line two.\nend\nhelp w\nhelp user-defined\nshow user w\n"
    },
    "28: no document": {"a.gdb": "define w\nend\nhelp w\nw\nshow user\n"},
    "28: show user": {
        "a.gdb": "define w\nif $argc == 2\n echo two\\n\nelse\n while $i\n  p 1\n end\nend\nend\nshow user w\n"
    },
    "28: endless recursion": {"a.gdb": "set max-user-call-depth 20\ndefine r\nr\nend\nr\n"},
    "28: deep recursion": {"a.gdb": "define r\nr\nend\nr\n"},
    "28: prefixes": {
        "a.gdb": "define-prefix abc\ndefine abc def\necho abc def $argc\\n\nend\nabc def 1 2\nabc d\nabc x\n"
    },
    "28: trace": {
        "a.gdb": "set trace-commands on\ndefine f\nif $argc\np 1\nend\nend\nf 1\nif 1\nf 2\nend\nset trace-commands off\n"
    },
    "28: verbose source": {
        "a.gdb": "source -v b.gdb\n",
        "b.gdb": "while 1\nset $i = 1\nif 1\nloop_break\nend\nend\n  p 1\n",
    },
    "28: eval in a loop": {
        "a.gdb": 'set $i = 0\nwhile $i < 3\neval "set $v%d = %d", $i, $i * $i\nset $i++\nend\np $v2\n'
    },
    "28: document a builtin": {"a.gdb": "document print\nx\nend\n"},
    "28: user arguments": {"a.gdb": "define f\np $argc\np $arg0 + $arg1\nend\nf 1 2\nf 1+1 (2)\n"},
    "28: nested define": {"a.gdb": "define outer\ndefine inner\np 42\nend\nend\nouter\ninner\n"},
    "28: end in the open": {"a.gdb": "p 1\nend\np 2\n"},
    "28: while counts": {"a.gdb": "set $n = 3\nwhile $n--\np $n\nend\n"},
    "28: what is no error": {"a.gdb": "info symbol 0\ncommands 9\np 1\ninfo symbol 5\ndelete 7\np 2\n"},
    "29: pipe in a script": {"a.gdb": "pipe p 5 | tr 5 6\n| p 7 | cat\n"},
    "29: with in a script": {"a.gdb": "with trace-commands on -- p 1\np 2\n"},
}

# Name of the case to what is piped in, without -batch.
PIPED: dict[str, str] = {
    "28: define": "define f\np 1\nend\nf\n\n",
    "28: if": "if 1\np 1\nelse\np 2\nend\n",
    "28: while in define": "define f\nwhile 0\nend\nend\nf\n",
    "28: document": "define f\nend\ndocument f\ntext\nend\nhelp f\n",
    "28: trace": "set trace-commands on\np 1\n\nif 1\np 2\nend\n",
    "29: with the last": "p 1\nwith confirm off\nwith confirm off --\n",
    "29: pipe the last": "p 1\npipe | cat\n",
    "28: prompts of blocks in blocks": "define outer\ndefine inner\np 1\ndocument inner\nx\nend\nif 1\np 2\nwhile 0\nend\nend\nend\nend\nouter\ninner\n",
    "28: definitions in branches": "if 1\ndefine g\np 1\nend\ndocument g\nhey\nend\nend\ng\nhelp g\n",
    "22: commands in a definition": "define f\ncommands 1\nsilent\np 1\nend\nend\nshow user f\n",
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
