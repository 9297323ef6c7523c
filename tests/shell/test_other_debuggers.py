"""Words of other debuggers: one line each, nothing is done, and a suggestion is never the word itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.shell.other_debuggers import WORDS
from vmdbg.shell.registry import Registry

WIDTH = 79
QUOTED = re.compile(r'"([a-z][^"]*)"')


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.index()
    made.load_all()
    return made


@pytest.mark.parametrize("words", WORDS)
def test_the_word_is_unknown_and_gets_its_line(words: str, registry: Registry) -> None:
    with pytest.raises(UserError) as caught:
        registry.resolve(words)
    assert str(caught.value).startswith("Undefined")
    assert caught.value.hint == WORDS[words]
    assert len(WORDS[words]) <= WIDTH


@pytest.mark.parametrize("line", sorted(set(WORDS.values())))
def test_what_a_line_names_exists(line: str, registry: Registry) -> None:
    named = QUOTED.findall(line)
    assert named
    for text in named:
        registry.resolve(text)


def test_nothing_is_done(shell: Any) -> None:
    for words in WORDS:
        assert shell.run(words) == ""


@pytest.mark.parametrize("word", ["end1", "loop_breek", "prin", "wlk", "unmmap", "inf0"])
def test_a_suggestion_is_another_word(word: str, make_shell: Callable[..., Any]) -> None:
    found = re.search(r'Did you mean "(.*)"\?', make_shell().errors(word))
    assert found is None or found[1] not in (word, "end", "loop_break", "loop_continue")


def test_a_word_that_exists_elsewhere_is_not_suggested_to_itself(make_shell: Callable[..., Any]) -> None:
    assert "Did you mean" not in make_shell().errors("loop_break")
