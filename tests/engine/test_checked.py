"""Checked code: an index out of range ends the run at once, and says function, line and table."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType

import pytest

from vmdbg.engine import language
from vmdbg.engine.checked import Failure

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
]

ENTRY = """
@hot
def read(m, table, at):
    m.log[0] = 1
    found = table[at]
    m.log[0] = 2
    return found

@cold
def deep(m, at):
    n = 0
    while n < 9:
        m.log[1] += 1
        if n == 3:
            read(m, m.one, at)
            m.log[2] = 1
        n += 1
    m.log[3] = 1
    return 5

@hot
def entry(m):
    m.log[4] = 1
    deep(m, m.word[0])
    m.log[5] = 1
    return 7
"""


def failing(hot: ModuleType, text: str, memory: object, tier: str) -> Failure:
    with pytest.raises(Failure) as raised:
        hot.run(hot.module(text, True), tier, memory)
    return raised.value


def test_it_ends_the_function_its_loop_and_its_callers_at_once(model: Callable[[str], ModuleType]) -> None:
    hot = model("hot")
    for tier in hot.TIERS:
        for wild in (8, -1, 1 << 62, -(1 << 63)):
            memory = hot.memory(word=[wild])
            failure = failing(hot, ENTRY, memory, tier)
            assert failure.said == f"m.one[{wild}] is out of range, in read"
            assert failure.path.endswith(".py")
            assert failure.line == 5
            assert failure.caller is None
            assert list(memory.view("log")[:6]) == [1, 4, 0, 0, 1, 0]
        for right in (0, 7):
            memory = hot.memory(word=[right])
            assert hot.run(hot.module(ENTRY, True), tier, memory) == 7
            assert list(memory.view("log")[:6]) == [2, 9, 1, 1, 1, 1]


FAILURES = {
    "m.four[n] = 1": "m.four[{n}] is out of range",
    "m.two[n] += 1": "m.two[{n}] is out of range",
    "n = m.more[n + 100]": "m.more[{more}] is out of range",
    "while m.one[n]:\n  n += 1": "m.one[{n}] is out of range",
    "if n and m.word[n]:\n  pass": "m.word[{n}] is out of range",
    "n = 1 if m.pair[n + 64] else 2": "m.pair[{pair}] is out of range",
    "return n // (n - n)": "division by zero",
    "return n % (n - n)": "division by zero",
    "n //= m.one[0]": "division by zero",
    "m.word[1] %= m.one[0]": "division by zero",
    "return 1 << n": "a shift by {n}",
    "return n >> n": "a shift by {n}",
    "n <<= -n": "a shift by -{n}",
    "m.one[0] = n * 4": "{four} does not fit m.one",
    "m.two[0] = -n": "-{n} does not fit m.two",
    "m.four[0] -= n": "-{n} does not fit m.four",
    "m.one[n - n] += n * 3": "{three} does not fit m.one",
    "zero_words(m.more, n, 1)": "m.more[{n}] is out of range",
    "zero_words(m.more, 0, n)": "m.more has no {n} words",
    "zero_words(m.more, 15, 2)": "m.more[15] is out of range",
    "zero_words(m.more, 1, 0 - n)": "m.more has no -{n} words",
    "copy_words(m.more, n, m.word, 0, 1)": "m.more[{n}] is out of range",
    "copy_words(m.log, 0, m.word, 0 - n, 1)": "m.word[-{n}] is out of range",
    "copy_words(m.log, 0, m.word, 0, n)": "m.word has no {n} words",
}


@pytest.mark.parametrize("body", FAILURES)
def test_each_mistake_has_its_words_and_its_line(model: Callable[[str], ModuleType], body: str) -> None:
    hot = model("hot")
    n = 90
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    text = f"@hot\ndef entry(m):\n    n = m.word[0]\n{lines}    m.log[0] = 1\n    return 3\n"
    wrong = FAILURES[body].format(n=n, more=n + 100, pair=n + 64, four=n * 4, three=n * 3)
    for tier in hot.TIERS:
        memory = hot.memory(word=[n])
        failure = failing(hot, text, memory, tier)
        assert failure.said == f"{wrong}, in entry"
        assert failure.line == 4
        assert memory.view("log")[0] == 0
        assert str(failure) == f"{failure.said} ({failure.path}:4)"


def test_after_a_failure_the_code_runs_again(model: Callable[[str], ModuleType]) -> None:
    hot = model("hot")
    made = hot.module(ENTRY, True)
    code = hot.native.Code(hot.native.compiled(made.text(), "full"), "entry", "full")
    memory = hot.memory(word=[99])
    tables = hot.native.Tables(memory.buffers, hot.LAYOUT)
    for _ in range(3):
        memory.view("word")[0] = 99
        with pytest.raises(Failure, match=r"m\.one\[99\]"):
            code(tables)
        memory.view("word")[0] = 2
        assert code(tables) == 7


USERS = """
@hot
def inner(m, at):
    n = 0
    while n < m.word[1]:
        n += 1
    return m.one[at] + n

@hot
def outer(m, at):
    return inner(m, at)

@users
def helping(m, at):
    found = 1
    found += outer(m, at)
    return found

@users
def policy(m, at):
    m.log[0] += 1
    found = helping(m, at)
    m.log[0] += 1
    return found

@hot
def entry(m):
    a = policy(m, m.word[0])
    m.log[0] += 1
    return a + inner(m, 1)
"""


def test_a_users_function_tells_its_innermost_line(model: Callable[[str], ModuleType]) -> None:
    """Where nothing else is checked: what the user's function calls is, and what calls it ends with it."""
    hot = model("hot")
    assert hot.module(USERS).text().count('define internal i64 @"inner') == 2  # checked, and as it is
    for tier in hot.TIERS:
        memory = hot.memory(word=[50])
        with pytest.raises(Failure, match=r"m\.one\[50\] is out of range, in inner") as raised:
            hot.run(hot.module(USERS), tier, memory)
        assert raised.value.line == 7
        assert raised.value.caller == (raised.value.path, 16)
        assert memory.view("log")[0] == 1
        memory = hot.memory(word=[2], one=[0, 4, 5])
        assert hot.run(hot.module(USERS), tier, memory) == 1 + 5 + 4
        assert memory.view("log")[0] == 3
        direct = USERS.replace(
            "    m.log[0] += 1\n    found", "    m.log[0] += m.log[at << 40]\n    found", 1
        )
        with pytest.raises(Failure, match=r", in policy") as raised:
            hot.run(hot.module(direct), tier, hot.memory(word=[2]))
        assert raised.value.caller == (raised.value.path, 21)


@pytest.mark.parametrize("endless", ["inner", "policy"])
def test_a_loop_without_end_ends(
    model: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, endless: str
) -> None:
    """In a user's function, and in one that it calls; a loop of another one goes on."""
    monkeypatch.setattr("vmdbg.engine.lowering.MOST_ROUNDS", 1000)
    hot = model("hot")
    text = (
        USERS
        if endless == "inner"
        else USERS.replace("found = helping", "while at:\n        pass\n    found = helping")
    )
    for tier in hot.TIERS:
        memory = hot.memory(word=[1, 1001])
        with pytest.raises(Failure, match=rf"a loop of more than 1000 rounds, in {endless}") as raised:
            hot.run(hot.module(text), tier, memory)
        assert raised.value.caller == (raised.value.path, 16 if endless == "inner" else 22)
    if endless == "inner":
        assert hot.run(hot.module(text), "full", hot.memory(word=[1, 1000])) == 2001
        alone = text.replace("policy(m, m.word[0])", "inner(m, 0)")
        assert hot.run(hot.module(alone), "full", hot.memory(word=[1, 5000])) == 10000


def test_a_machines_loops_are_not_counted_in_a_checked_build(
    model: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmdbg.engine.lowering.MOST_ROUNDS", 1000)
    hot = model("hot")
    assert language.MOST_ROUNDS > 20_000_000
    text = USERS.replace("policy(m, m.word[0])", "inner(m, 0)")
    assert hot.run(hot.module(text, True), "full", hot.memory(word=[1, 5000])) == 10000
