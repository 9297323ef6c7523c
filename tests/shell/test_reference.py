"""The pages that are made from the declarations, and the lexer that docs and prompt share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.debugger.settings import SHELL_SETTINGS
from vmdbg.shell.lexer import pygments_lexer, styled_words
from vmdbg.shell.reference import pages
from vmdbg.shell.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.index()
    made.load_all()
    return made


def test_every_command_and_setting_has_its_place(registry: Registry) -> None:
    made = pages()
    headings = {line[4:] for line in made["commands.md"].splitlines() if line.startswith("### ")}
    assert headings == {command.name for command in registry.commands() if not command.hidden}
    for setting in SHELL_SETTINGS:
        assert f"| `{setting.name}` |" in made["settings.md"]


def test_the_pages_are_always_the_same() -> None:
    assert pages() == pages()


@pytest.mark.parametrize(
    ("line", "styles"),
    [
        ("print/x 5", ["command", "form", "", "number"]),
        ("  set $a = 'x'", ["", "command", "", "variable", "", "", "", "string"]),
        ("nonsense 5", ["unknown", "", "number"]),
        ("source -v a", ["command", "", "option", "", ""]),
        ("# a", ["comment"]),
        ("", []),
    ],
)
def test_typed_lines_are_coloured(registry: Registry, line: str, styles: list[str]) -> None:
    words = styled_words(registry, line)
    assert [style for style, _ in words] == styles
    assert "".join(text for _, text in words) == line


@given(st.text(max_size=40).filter(lambda text: "\n" not in text))
def test_colouring_keeps_the_text(line: str) -> None:
    empty = Registry()
    assert "".join(text for _, text in styled_words(empty, line)) == line


def test_transcripts_have_prompts_and_output(registry: Registry) -> None:
    tokens = list(pygments_lexer(registry).get_tokens("(vmdbg) print 1\n$1 = 1\n"))
    assert [(str(kind), text) for kind, text in tokens] == [
        ("Token.Generic.Prompt", "(vmdbg) "),
        ("Token.Keyword", "print"),
        ("Token.Text", " "),
        ("Token.Literal.Number", "1"),
        ("Token.Text", "\n"),
        ("Token.Generic.Output", "$1 = 1\n"),
    ]
