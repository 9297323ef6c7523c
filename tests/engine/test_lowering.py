"""Each node and operator of hot code, translated, against Python: over words at the edges, in both tiers."""

# Long: every construct of the language, each once.
from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from types import ModuleType

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.engine.language import NotHotError

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"),
]

UNARY = ("-a", "~a", "not a", "a", "int(a)", "- - a", "not not a", "~-a")
BINARY = (
    "a + b", "a - b", "a * b", "a & b", "a | b", "a ^ b", "a // (b if b else 1)", "a % (b if b else 1)",
    "a << (b & 63)", "a >> (b & 63)", "a == b", "a != b", "a < b", "a <= b", "a > b", "a >= b",
    "a and b", "a or b", "not a and b", "a or not b", "a if b else 5", "a if a < b else b", "not (a < b)",
    "(a < b) + (a == b) * 2", "-(a < b)", "a < b < 7", "a <= b <= a", "a == b == 0", "0 < a < b < 1 << 40",
    "b and a // b", "a if a and b else b or 3", "(a or b) - (b and a)", "not (a or b)", "(a < b) == (b > a)",
)  # fmt: skip
#: Operations with a constant, which is translated in a way of its own for some.
WITH = (
    "a + {}", "{} - a", "a * {}", "a & {}", "a | {}", "a ^ {}", "a < {}", "a == {}", "{} >= a", "a and {}",
    "{} or a", "a if {} else 3",
)  # fmt: skip
DIVIDED = ("a // {}", "a % {}", "{} // (a if a else 1)", "{} % (a if a else 1)")

Both = Callable[..., object]


@pytest.fixture
def hot(model: Callable[[str], ModuleType]) -> ModuleType:
    return model("hot")


def each(expressions: tuple[str, ...] | list[str]) -> str:
    """A program that notes each expression for each pair in `m.log`; `m.word[0]` is the number of pairs."""
    lines = [f"    m.out[to + {n}] = {text}" for n, text in enumerate(expressions)]
    return "\n".join(
        [
            "@hot",
            "def f(m, a, b, to):",
            *lines,
            "@hot",
            "def entry(m):",
            "    at = 0",
            "    while at < m.word[0]:",
            f"        f(m, m.log[2 * at], m.log[2 * at + 1], at * {len(expressions)})",
            "        at += 1",
            "    return at",
        ]
    )


def over_pairs(
    hot: ModuleType,
    expressions: tuple[str, ...] | list[str],
    pairs: list[tuple[int, int]],
    checks: tuple[bool, ...] = (False, True),
) -> None:
    """Compare expressions of `a` and `b` for all these pairs, as many at once as the tables hold."""
    for checked in checks:
        program = hot.Both(each(expressions), checked)
        for start in range(0, len(pairs), 128):
            some = pairs[start : start + 128]
            program.compare(hot.memory(word=[len(some)], log=list(itertools.chain(*some))))


@pytest.mark.long
def test_each_operator_over_words_at_the_edges(hot: ModuleType) -> None:
    over_pairs(hot, [*UNARY, *BINARY], list(itertools.product(hot.EDGES, repeat=2)))


@pytest.mark.long
def test_each_operator_with_a_constant(hot: ModuleType) -> None:
    constants = [f"({edge})" for edge in hot.EDGES]
    expressions = [text.format(*[edge] * text.count("{}")) for text in WITH for edge in constants]
    expressions += [text.format(edge) for text in DIVIDED for edge in constants if edge != "(0)"]
    expressions += [f"a {op} {count}" for op in ("<<", ">>") for count in (0, 1, 2, 31, 32, 62, 63)]
    pairs = [(edge, 0) for edge in hot.EDGES]
    for some in [expressions[at : at + 400] for at in range(0, len(expressions), 400)]:
        over_pairs(hot, some, pairs)


words = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.mark.long
def test_each_operator_over_random_words(hot: ModuleType) -> None:
    @hypothesis.settings(max_examples=drawn(6), deadline=None)
    @hypothesis.given(st.lists(st.tuples(words, words), min_size=60, max_size=120))
    def scenario(pairs: list[tuple[int, int]]) -> None:
        over_pairs(hot, [*UNARY, *BINARY], pairs)

    scenario()


def test_what_python_leaves_to_an_exception_is_defined(hot: ModuleType) -> None:
    """Division by 0 gives 0, -2^63 // -1 does not trap, and a count is taken modulo 64."""
    expressions = [
        "a // b",
        "a % b",
        "a << b",
        "a >> b",
        "5 // b",
        "5 % b",
        "a // (b & 1)",
        "1 << b",
        "-1 >> b",
    ]
    pairs = list(itertools.product([-(1 << 63), -1, 0, 1, 7, (1 << 63) - 1], hot.EDGES))
    over_pairs(hot, expressions, pairs, (False,))


# -- constants of the build


@pytest.mark.long
@pytest.mark.parametrize(
    "op", ["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">="]
)
def test_constants_are_folded_to_what_the_same_code_gives_unfolded(hot: ModuleType, op: str) -> None:
    """Where Python's result is no word the translation is refused."""
    edges = [edge for edge in hot.EDGES if abs(edge) < 70] if op in ("<<", ">>") else hot.EDGES
    lines, unfolded, pairs = [], [], []
    for left, right in itertools.product(hot.EDGES, edges):
        if op in ("<<", ">>") and not 0 <= right < 64 or op in ("//", "%") and not right:
            continue
        text = f"({left}) {op} ({right})"
        if not -(1 << 63) <= eval(text) < 1 << 63:
            with pytest.raises(NotHotError, match=r":3: entry: a constant that needs more than 64 bits"):
                hot.module(f"@hot\ndef entry(m):\n    return {text}")
            continue
        pairs.append((left, right))
        lines.append(f"    m.out[{len(lines)}] = {text}")
        unfolded.append(eval(text))
    made = hot.module("@hot\ndef entry(m):\n    pass\n" + "\n".join(lines))
    for tier in hot.TIERS:
        memory = hot.Memory()
        assert hot.run(made, tier, memory) == 0
        assert list(memory.view("out")[: len(unfolded)]) == unfolded
    if lines:  # the same, and nothing is known while translating
        over_pairs(
            hot,
            [
                f"a {op} {'(b & 63)' if op in ('<<', '>>') else 'b'}"
                if op not in ("//", "%")
                else f"a {op} (b if b else 1)"
            ],
            pairs,
        )


FOLDED = {
    "K": 5, "not K": 0, "-K": -5, "~K": -6, "K and L": 0, "K or L": 5, "L or K": 5, "L and K": 0,
    "K if L else 7": 7, "7 if K else L": 7, "K < 6": 1, "K if K > 4 else L": 5, "(K << 3) + (L | 2)": 42,
    "1 << 63 >> 60": 8, "(1 << 62) * 8 // 16": 1 << 61, "True": 1, "K == True": 0, "~0 & 255": 255,
}  # fmt: skip


def test_names_of_the_build_are_folded_into_numbers(hot: ModuleType) -> None:
    for text, value in FOLDED.items():
        made = hot.module(f"@hot\ndef entry(m):\n    return {text}", K=5, L=0)
        assert f"ret i64 {value}\n" in made.text(), text
        assert [hot.run(made, tier, hot.Memory()) for tier in hot.TIERS] == [value, value]


@pytest.mark.parametrize(
    "body",
    [
        "if L:\n  {}",
        "if K:\n  return 1\nelse:\n  {}",
        "if not K:\n  {}",
        "if K < 3:\n  {}",
        "if L and n:\n  {}",
        "if K or n:\n  return 1\nelse:\n  {}",
        "while L:\n  {}",
        "if n and L:\n  return 0 if K else ({})",
        "n = ({}) if L else 3",
        "n = L and ({})",
        "n = K or ({})",
        "n = n and L and ({})",
        "n = n or K or ({})",
        "if n and L and ({}):\n  n = 2",
        "if n or K or ({}):\n  n = 2",
        "n = K < 3 < ({})",
        "if n < K < 3 < ({}):\n  n = 2",
        "n = 0 if K else ({})",
        "return 1\n{}",
        "while n:\n  break\n  {}",
        "while n:\n  n -= 1\n  continue\n  {}",
    ],
)
def test_a_dead_branch_is_never_translated(hot: ModuleType, body: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.format("n @ 3").splitlines())
    text = f"@hot\ndef entry(m):\n    n = m.word[0]\n{lines}    return n\n"
    hot.module(text, K=5, L=0)
    if "L" in body or "K" in body:
        with pytest.raises(NotHotError, match=r":\d: entry: the operator MatMult"):
            hot.module(text, K=0, L=1)


# -- statements, and the order in which things happen

NOTE = """
@hot
def note(m, value):
    m.log[0] += 1
    m.log[m.log[0]] = value
    return value

@hot
def entry(m):
    a = m.word[0]
    b = m.word[1]
    c = m.word[2]
"""

EFFECTS = (
    "return note(m, a) < note(m, b) <= note(m, c)",
    "return note(m, a) == note(m, b) == note(m, c) == note(m, 1)",
    "if note(m, a) < note(m, b) < note(m, c):\n  return 7\nreturn 8",
    "if not note(m, a) < note(m, b) < note(m, c):\n  return 7",
    "while note(m, a) < note(m, b) < note(m, 5):\n  a += 1\nreturn a",
    "return note(m, a) and note(m, b) and note(m, c)",
    "return note(m, a) or note(m, b) or note(m, c)",
    "return note(m, a) and note(m, b) or note(m, c)",
    "return (note(m, a) or note(m, b)) and note(m, c)",
    "if note(m, a) and note(m, b) or note(m, c):\n  return 3\nelif note(m, 9):\n  return 4",
    "return note(m, a) if note(m, b) else note(m, c)",
    "return 1 if note(m, a) and not note(m, b) else note(m, c) or 2",
    "return note(m, a) - note(m, b) * note(m, c)",
    "return note(m, note(m, a) + note(m, b))",
    "m.more[note(m, a & 7)] = note(m, b)",
    "m.more[note(m, a & 7)] += note(m, m.more[0] + 3)",
    "m.more[note(m, a & 7)] -= m.more[note(m, b & 7)] + 1\nreturn m.more[a & 7]",
    "a += note(m, a) and note(m, b)\nb ^= note(m, a)\nreturn a - b",
    "a = note(m, c)\nreturn a + b",
    "return (note(m, a) < 3) + (note(m, b) < 3 <= note(m, c))",
    "return not (note(m, a) or note(m, b))",
    "note(m, a) or note(m, b)\nnote(m, c)\npass",
    "return (note(m, a) and 0) or note(m, b)",
    "a *= 3\na -= b\na //= 3\na %= 7\na <<= 2\na |= 1\na &= 255\na ^= 4\na >>= 1\nreturn a",
)  # fmt: skip

NESTED = """
n = 0
while n < 4:
  k = 0
  while True:
    k += 1
    if k == n or k > 6:
      break
    note(m, k)
  n += 1
  note(m, -n)
return n
""".strip()
LOOPS = (
    NESTED,
    "while a:\n  a -= 1\n  if a == b:\n    continue\n  if a == c:\n    break\n  note(m, a)\nreturn a",
    "n = 0\nwhile True:\n  n += 1\n  if n > 9:\n    return n\n  if n & 1:\n    continue\n  note(m, n)",
    "while False:\n  note(m, 1)\nreturn 2",
    "while not a:\n  a = 1\n  while b < 3:\n    b += 1\n    if b == 2:\n      return 44\nreturn a + b",
    "if a:\n  if b:\n    return 1\n  else:\n    return 2\nelse:\n  if c:\n    return 3\nnote(m, 4)",
    "if a:\n  pass\nelif b:\n  return 5\nelse:\n  note(m, 6)\nreturn 7",
    "if a:\n  return\nnote(m, 3)\nreturn",
    "while a > 0:\n  if b:\n    a -= 2\n  else:\n    a -= 1\n  if a < 3:\n    return a\nreturn 99",
)


@pytest.mark.parametrize("body", [*EFFECTS, *LOOPS])
def test_what_happens_happens_in_pythons_order(hot: ModuleType, body: str) -> None:
    text = NOTE + "".join(f"    {line}\n" for line in body.splitlines())
    for checked in (False, True):
        program = hot.Both(text, checked)
        for given in itertools.product((0, 1, 2, 5), repeat=3):
            program.compare(hot.memory(word=list(given)))


# -- tables


def test_narrow_elements_are_unsigned_and_take_the_low_bits(hot: ModuleType) -> None:
    lines = ["@hot", "def entry(m):", "    at = 0", "    while at < 35:"]
    for table in ("one", "two", "four", "more"):
        lines += [
            f"        m.{table}[at & 7] = m.log[at]",
            f"        m.out[at * 16] ^= m.{table}[at & 7]",
            f"        m.{table}[at & 7] += m.log[at]",
            f"        m.out[at * 16 + 1] -= m.{table}[at & 7]",
            f"        m.{table}[at & 7] >>= 3",
            f"        m.out[at * 16 + 2] += -m.{table}[at & 7]",
        ]
    program = hot.Both(
        "\n".join([*lines, "        at += 1", "    return len(m.one) + len(m.out) * len(m.four)"])
    )
    assert len(hot.EDGES) == 35
    program.compare(hot.memory(log=hot.EDGES))


def test_tables_of_one_memory_see_each_other(hot: ModuleType) -> None:
    """As the views of physical memory do: no load is kept over a store to the other view."""
    text = """
@hot
def entry(m):
    a = m.word[1]
    m.pair[8] = m.word[0]
    b = m.word[1]
    m.word[1] = b * 3
    c = m.pair[8] + m.pair[9]
    m.pair[9] = c
    return a + b * 5 + m.word[1]
"""
    program = hot.Both(text)
    for words in itertools.product((1, 200, 255, 77), (-1, 0, 1 << 40)):
        program.compare(hot.memory(word=list(words)))


TAKING = """
@hot
def total(m, table, first, other):
    sum = 0
    at = first
    while at < len(table):
        sum += table[at] * 3 + other[at & 7]
        at += 1
    return sum

@cold
def give(table, at, value):
    table[at] = value
    return table[at]

@hot
def twice(m, table):
    table[0] += 1
    return total(m, table, 1, table) + give(table, 2, table[0])

@hot
def entry(m):
    a = total(m, m.one, 1, m.word) + total(m, m.word, 0, m.one) * 7
    a += twice(m, m.two) + twice(m, m.one) + twice(m, m.more)
    give(m.four, a & 7, a & 255)
    return a + give(m.word, 3, -5) + len(m.four)
"""


def test_a_function_that_takes_tables_has_a_copy_for_each_choice(hot: ModuleType) -> None:
    for checked in (False, True):
        hot.Both(TAKING, checked).compare(hot.memory(word=[5, -7], one=[200, 3, 9], two=[7, 8], more=[1, -1]))
    text = hot.module(TAKING).text()
    assert text.count('define internal i64 @"total.') == 5  # two of entry's, three of twice's


def test_copies_are_told_apart_by_the_place_of_the_table(hot: ModuleType) -> None:
    text = """
@hot
def either(m, a, b, first):
    return a[0] if first else b[0]

@hot
def one(m, a, b):
    return a[b]

@hot
def entry(m):
    return either(m, m.one, m.two, 0) * 100 + either(m, m.two, m.one, 0) * 10 + one(m, m.one, 1)
"""
    assert hot.Both(text).compare(hot.memory(one=[1, 4], two=[2])) == 214


def test_words_are_cleared_and_copied(hot: ModuleType) -> None:
    text = """
@hot
def entry(m):
    zero_words(m.more, m.word[0], m.word[1])
    copy_words(m.log, m.word[2], m.log, m.word[3], m.word[4])
    copy_words(m.more, m.word[0], m.log, 5, m.word[1])
    return m.more[3]
"""
    numbers = list(range(1, 100))
    for checked in (False, True):
        program = hot.Both(text, checked)
        for given in (
            [3, 0, 1, 1, 0],
            [2, 9, 4, 8, 16],
            [0, 16, 8, 4, 16],
            [15, 1, 0, 250, 6],
            [0, 1, 7, 7, 30],
        ):
            program.compare(hot.memory(word=given, more=numbers[:16], log=numbers))
    assert "llvm.memset" in hot.module(text).text()
    for wrong in ("zero_words(m.one, 0, 1)", "copy_words(m.word, 0, m.two, 0, 1)"):
        with pytest.raises(NotHotError, match=r":3: entry: no table of words: m\.(one|two)"):
            hot.module(f"@hot\ndef entry(m):\n    {wrong}\n")


def test_an_element_that_is_soon_read_changes_nothing(hot: ModuleType) -> None:
    text = """
@hot
def entry(m):
    at = 0
    while at < 3:
        prefetch(m.more, m.word[at])
        prefetch(m.one, m.word[at])
        at += 1
    return m.more[3]
"""
    for checked in (False, True):
        hot.Both(text, checked).compare(hot.memory(word=[3, -1, 1 << 40], more=[1, 2, 3, 4]))
    assert "llvm.prefetch" in hot.module(text).text()


def test_letters_that_llvm_has_not_are_names_too(hot: ModuleType) -> None:
    text = """
@hot
def größe(m, ñandú, Ω):
    ширина = ñandú * Ω
    return ширина + 1

@hot
def entry(m):
    return größe(m, m.word[0], 3)
"""
    assert hot.Both(text, True).compare(hot.memory(word=[5])) == 16
