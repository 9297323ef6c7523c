"""Values (items 15 to 19): history, variables, formats, expressions.  More are in the `.gdb` files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "15: history of values": [
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
    "15: an empty history": ["p", "p $", "output $", "p $1", "show values"],
    "15: call": ["call 5", "call (void)0", "p (void)0", "inspect 6"],
    "16: variables": [
        "set $a = 5",
        "p $a",
        "p $a++",
        "p $a",
        "set $a += 2",
        "p $a",
        "p $nope",
        "p $nope + 1",
    ],
    "16: assignments": [
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
    "16: functions": [
        'p $_streq("a","a")',
        "p $_isvoid($x)",
        'p $_regex("abc","a.c")',
        'p $_strlen("abc")',
        'p $_gdb_setting("confirm")',
    ],
    "17: formats": ["p/x 255", "p/d 0x10", "p/t 5", "p/o 8", "p/c 65", "p/x -1", "p/u 7", "p/zz 1", "p/a 16"],
    "17: formats refused": ["p/3x 1", "p/i 1", "p/q 1", "p/w 1", "output/3x 1", "output/i 1", "output/q 1"],
    "17: output": ["output 1", "output/x 17", "output", "output $nope", "output 1+"],
    "17: elements": ['p -elements 3 -- "abcdefgh"', 'p -elem 3 -- "abcdefgh"', "p -5", "p -", "p -- 5"],
    "18: memory": ["x 0", "x/2x 0", "x/q 0", "x", "x/x", "p *0", "p {int}0", "x/s 0"],
    "19: numbers": [
        "print 1",
        "p 1+2*3",
        "p 10/3",
        "p -5 % 3",
        "p 0x10",
        "p 0b101",
        "p 077",
        "p 1==1",
        "p 3>4",
    ],
    "19: types": ["whatis 5", "ptype 1+1", "whatis 'a'", "whatis 1.5", "ptype 0xffffffff", "p sizeof(int)"],
    "19: strings and arrays": ['p "abc"', "p 'a'", 'p sizeof("abc")', "p {1,2,3}", "p 1@2"],
    "15 16: echo": [
        "echo",
        "echo hi\\n",
        "echo  a \\",
        "echo \\101\\n",
        'echo "a" b\\n',
        "echo a\\tb\\n",
        "echo x\\",
    ],
    "15 16: printf": [
        'printf "a %d\\n", 3',
        "printf",
        'printf "a',
        "printf a",
        'printf "%d"',
        'printf "%d\\n", 1, 2',
    ],
    "15 16: printf more": ['printf "%c %x %%\\n", 65, 255', 'printf "%d" 1', 'printf "%5d|%-5d|\\n", 1, 2'],
    "15: numbers of values": [
        "p 1",
        "p 2",
        "p $$1",
        "p $$0",
        "p $0",
        "p $$2",
        "p $2 + $1",
        "p",
        "p $",
        "output $",
        "show values 1",
        "show values +",
        "p $-1",
        "p $$-1",
    ],
    "16: special variables": [
        "p $_",
        "p $__",
        "p $_exitcode",
        "p $bpnum",
        "p $argc",
        "p $nope == 1",
        "p -$nope",
        'set $s = "abc"',
        "p $s",
        "p sizeof($s)",
        'p $_gdb_setting_str("height")',
        'p $_gdb_setting("nope")',
    ],
    "17: a letter that stays": [
        "p/x 10",
        "p/ 11",
        "p 12",
        "output/ 13",
        "p/c 65",
        "p/ 66",
        "p -elements 2 -- {1,2,3}",
    ],
    "18: words of x": ["x/2x", "x/zz 0", "x/3 0", "x/s $nope", "x 1.5", "x &5"],
    "19: C": [
        "p 1 ? 2 : 3",
        "p 0b101 | 010",
        "p -5 % 3",
        "p 7 / -2",
        "p 1 << 3 + 1",
        "p !0 && 2 > 1",
        "p sizeof(short)",
        "p (char)65",
        "p ~0u",
        "p 1 == 1.0",
    ],
}


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", *[word for line in LINES[name] for word in ("-ex", line)])
