"""Everything outside the hot language is refused: by the lint, and by the translation with file and line."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from types import ModuleType

import pytest

from vmdbg.engine import language
from vmdbg.engine.language import NotHotError

#: A statement or expression for each node of Python's that is not of the language.
STATEMENTS = {
    "AnnAssign": "n: int = 1",
    "Assert": "assert n",
    "AsyncFor": "async for i in n:\n  pass",
    "AsyncFunctionDef": "async def g():\n  pass",
    "AsyncWith": "async with n:\n  pass",
    "ClassDef": "class C:\n  pass",
    "Delete": "del n",
    "For": "for i in 1, 2:\n  pass",
    "FunctionDef": "def g():\n  pass",
    "Global": "global X",
    "Import": "import os",
    "ImportFrom": "from os import path",
    "Match": "match n:\n  case 1:\n    pass",
    "Nonlocal": "nonlocal X",
    "Raise": "raise n",
    "Try": "try:\n  pass\nfinally:\n  pass",
    "TryStar": "try:\n  pass\nexcept* IndexError:\n  pass",
    "TypeAlias": "type X = int",
    "With": "with n:\n  pass",
}
EXPRESSIONS = {
    "Await": "await n",
    "Dict": "{1: 2}",
    "DictComp": "{i: i for i in m.word}",
    "FormattedValue": "f'{n}'",
    "GeneratorExp": "(i for i in m.word)",
    "Interpolation": "t'{n}'",
    "JoinedStr": "f''",
    "Lambda": "lambda: 1",
    "List": "[1]",
    "ListComp": "[i for i in m.word]",
    "NamedExpr": "(k := n)",
    "Set": "{1}",
    "SetComp": "{i for i in m.word}",
    "Slice": "m.word[1:2]",
    "Starred": "f(*n)",
    "TemplateStr": "t''",
    "Tuple": "(1, 2)",
    "Yield": "(yield)",
    "YieldFrom": "(yield from n)",
}
OPERATORS = {
    "Div": "n / 2", "MatMult": "n @ 2", "Pow": "n ** 2", "UAdd": "+n", "Is": "n is 1", "IsNot": "n is not 1",
    "In": "n in 1", "NotIn": "n not in 1",
}  # fmt: skip
#: What has nodes of the language alone, but means nothing in it.
OTHERS = (
    "return 1.5", "return 'x'", "return b'x'", "return None", "return ...", "return 2j", "return 1 << 64",
    "return n + 18446744073709551616", "return -9223372036854775809", "return n << 64", "return n << -1",
    "n >>= 64", "return 1 << 2 - 3", "a = b = n", "while n:\n  n -= 1\nelse:\n  n = 2", "m = 3", "m += 1",
    "return m", "return m + 1", "return m.word", "k = m.word", "return m.word + 1", "return -m.word",
    "return m.word < 3", "if m.word:\n  pass", "return n[0]", "n[0] = 1", "n[0] += 1", "return m.word[0][1]",
    "return m.nothing[0]", "m.nothing[0] = 1", "m.word = n", "m.word += 1", "return m.word.real", "n.x = 1",
    "return n.real", "return m.word[m.word]", "m.word[m] = 1", "return f(m)", "return f(m, 1, 2)",
    "return f(m, n=1)", "return f(n, m)", "return f(m, m)", "return f(1, 2)", "return f(m.word, 1)",
    "return f(m, m.word)", "return int(m)", "return int(m.word)", "return int()", "return int(1, 2)",
    "return len(n)", "return len(m)", "return len(3)", "return len()", "return print(n)", "return m.word(1)",
    "return n(1)", "return f(m, 1)(2)", "return X", "X += 1", "return nothing", "zero_words(m.word, 0)",
    "copy_words(m.word, 0, n, 0, 1)", "zero_words(n, 0, 1)", "[n] = 1", "n, k = 1", "return *n,",
    "return entry", "return f", "entry(m)", "g(m)", "return starred(m)", "return usual(m)", "return named(m)",
)  # fmt: skip
HEAD = """
@hot
def f(m, n):
    return n

@hot
def g(m):
    return h(m)

@hot
def h(m):
    return g(m)

@hot
def starred(m, *n):
    return 1

@hot
def usual(m, n=1):
    return 1

@hot
def named(m, *, n):
    return 1

@hot
def entry(m):
    n = m.word[0]
"""
FIRST = HEAD.count("\n") + 1
KNOWN = dict.fromkeys(("f", "g", "h", "starred", "usual", "named", "int", "len", "zero_words"), False)
#: What only the translation sees: it knows the tables, the parameters and the values of names.
UNSEEN = (
    "return 1 << 64", "return n + 18446744073709551616", "return -9223372036854775809", "return 1 << 2 - 3",
    "return m.nothing[0]", "m.nothing[0] = 1", "return n[0]", "n[0] = 1", "n[0] += 1", "return len(n)",
    "return f(m)", "return f(m, 1, 2)", "return f(n, m)", "return f(m, m)", "return f(1, 2)", "return X",
    "return f(m.word, 1)", "return f(m, m.word)", "return int()", "return int(1, 2)", "return len()",
    "return nothing", "zero_words(m.word, 0)", "zero_words(n, 0, 1)", "return entry", "return f", "g(m)",
    "return starred(m)", "return usual(m)", "return named(m)",
)  # fmt: skip


def indented(body: str) -> str:
    return "".join(f"    {line}\n" for line in body.splitlines())


def cases() -> list[str]:
    found = [text for name, text in STATEMENTS.items() if hasattr(ast, name)]
    for name, text in {**EXPRESSIONS, **OPERATORS}.items():
        if hasattr(ast, name):
            found.append(f"return {text}")
    return [*found, "n @= 2", "n /= 2", "n **= 2", "m.word[0] /= 2", *OTHERS]


def is_python(text: str) -> bool:
    try:
        compile(HEAD + text, "", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


@pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed")
@pytest.mark.parametrize("body", cases())
def test_it_is_refused_with_file_and_line(model: Callable[[str], ModuleType], body: str) -> None:
    text = HEAD + "    n += 1\n" + indented(body)
    if not is_python(indented(body)):
        return
    hot = model("hot")
    names = hot.functions(text)
    with pytest.raises(NotHotError) as raised:
        hot.Module(names, "entry", hot.LAYOUT)
    assert raised.value.path == names["entry"].__code__.co_filename
    assert raised.value.line >= (FIRST + 1 if raised.value.function == "entry" else 1)
    assert str(raised.value).startswith(f"{raised.value.path}:{raised.value.line}: {raised.value.function}: ")
    assert raised.value.wrong.isprintable()


@pytest.mark.parametrize("body", [body for body in cases() if body not in UNSEEN])
def test_the_lint_sees_it_too(body: str) -> None:
    (node,) = ast.parse("@writes\ndef entry(m):\n    n = m.word[0]\n" + indented(body)).body
    assert isinstance(node, ast.FunctionDef)
    wrong = list(language.mistakes(node, KNOWN))
    assert wrong
    assert all(getattr(part, "lineno", 0) >= 2 for part, _ in wrong)


def test_each_node_of_python_is_of_the_language_or_refused() -> None:
    allowed = {node.__name__ for node in (*language.NODES, *language.OPERATORS)}
    for kind, examples in ((ast.stmt, STATEMENTS), (ast.expr, EXPRESSIONS)):
        names = {node.__name__ for node in kind.__subclasses__()} - {"Constant", "Attribute"}
        assert names - allowed == {name for name in examples if hasattr(ast, name)}
    symbols = {node.__name__ for kind in language.SYMBOLS for node in kind.__subclasses__()}
    assert symbols - allowed == OPERATORS.keys()


# -- names without a value

EARLY = (
    "k += 1", "k = k + 1", "if n:\n  k = 1\nreturn k", "if n:\n  k = 1\nelse:\n  pass\nreturn k",
    "while n:\n  k = 1\n  n -= 1\nreturn k", "while n:\n  n -= k\n  k = 1", "while k:\n  k = 1",
    "while True:\n  if n:\n    break\n  k = 1\nreturn k",
    "while n:\n  if n > 3:\n    continue\n  k = n\n  break\nreturn k",
    "while n:\n  k = 3\n  if n:\n    break\nreturn k", "if n and k:\n  k = 1", "m.word[k] = 1\nk = 2",
    "k = 1 if n else k", "f(m, k)\nk = 2", "while True:\n  k = k + 1",
    "while True:\n  while True:\n    if n:\n      break\n    k = 1\n    return k\n  return k",
    "if n:\n  k = 1\nelif n > 2:\n  n = 3\nelse:\n  k = 2\nreturn k", "return k\nk = 1",
)  # fmt: skip
FINE = (
    "k = 1\nreturn k", "if n:\n  k = 1\nelse:\n  k = 2\nreturn k",
    "if n:\n  return 1\nelse:\n  k = 2\nreturn k", "return 1\nreturn k\nk = 1",
    "while True:\n  k = 1\n  if n:\n    break\nreturn k", "while True:\n  k = 1\n  break\nreturn k",
    "if not n:\n  return 0\nk = 3\nk += n\nreturn k", "while n:\n  k = n\n  n -= k\nreturn n",
    "while n:\n  k = 1\n  while k:\n    k -= 1\n  n -= 1\nreturn n", "if n:\n  k = 1\n  n += k\nreturn n",
    "while True:\n  if n:\n    return 3\n  else:\n    k = n\n    break\nreturn k",
    "while 1:\n  k = n\n  if k > 3:\n    continue\n  if k < 9:\n    break\nreturn k",
)  # fmt: skip


@pytest.mark.parametrize("body", EARLY)
def test_a_name_that_may_have_no_value_is_refused(body: str) -> None:
    (node,) = ast.parse("def entry(m, n):\n" + indented(body)).body
    assert isinstance(node, ast.FunctionDef)
    assert {name.id for name in language.unassigned(node)} == {"k"}
    assert any(wrong == "k may have no value yet" for _, wrong in language.mistakes(node, KNOWN))


@pytest.mark.parametrize("body", FINE)
def test_a_name_that_has_a_value_on_every_way_is_not(body: str) -> None:
    (node,) = ast.parse("def entry(m, n):\n" + indented(body)).body
    assert isinstance(node, ast.FunctionDef)
    assert language.unassigned(node) == []


@pytest.mark.skipif(importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed")
def test_the_translation_refuses_names_without_a_value(model: Callable[[str], ModuleType]) -> None:
    hot = model("hot")
    for body in EARLY:
        with pytest.raises(NotHotError, match=r":\d+: entry: k may have no value yet"):
            hot.module(HEAD + indented(body))
    for body in FINE:
        hot.module(HEAD + indented(body))
