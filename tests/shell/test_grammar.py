"""How lines are cut, and how arguments find their places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import UserError
from vmdbg.shell.command import Argument, Command, Option
from vmdbg.shell.grammar import parse_arguments, split_words, unquote, word_length
from vmdbg.shell.kinds import ACCESS, ADDRESS, NUMBER, PROCESS, REST, SIZE, WORD, choice

WALK = Command(
    "walk",
    lambda session, args: None,
    arguments=[
        Argument("address", ADDRESS, help="virtual address"),
        Argument("access", ACCESS, optional=True, default="r"),
    ],
    options=[Option("-pid", PROCESS), Option("-all"), Option("-phys")],
    forms=("json", "csv", "v", "l"),
    summary="Walk.",
)


class Integers:
    """A session that understands sums of numbers."""

    def integer(self, text: str) -> int:
        return sum(int(part, 0) for part in text.replace(" ", "").split("+"))

    address = integer


def parse(text: str, command: Command = WALK) -> dict[str, object]:
    return parse_arguments(Integers(), command, text).__dict__


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' d", ["a", "'b c'", "d"]),
        ('"a \\" b" c', ['"a \\" b"', "c"]),
        ("$f(1, 2) {int} 3", ["$f(1, 2)", "{int}", "3"]),
        ("a, b", ["a,", "b"]),
        ("'open", ["'open"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word for _, word in split_words(text)] == words


@given(st.text(alphabet="ab \t'\"\\()[]{}/-+$,", max_size=30))
def test_words_lie_in_the_text(text: str) -> None:
    end = 0
    for start, word in split_words(text):
        assert text[start : start + len(word)] == word
        assert word
        assert text[end:start].strip(" \t") == ""
        end = start + len(word)
    assert text[end:].strip(" \t") == ""


@pytest.mark.parametrize(
    ("word", "plain"),
    [("abc", "abc"), ("'a b'", "a b"), ('"a\\"b"', 'a"b'), ("a\\ b", "a b"), ("'a\\b'", "a\\b")],
)
def test_unquote(word: str, plain: str) -> None:
    assert unquote(word) == plain


def test_command_words() -> None:
    assert [word_length(text) for text in ("walk 5", "walk/j", "!ls", "| x", "$x", "dont-repeat", "")] == [
        4,
        4,
        1,
        1,
        0,
        11,
        0,
    ]


def test_arguments_by_position() -> None:
    assert parse(" 0x1000")["address"] == 0x1000
    assert parse(" 0x1000")["access"] == "r"
    assert parse(" 0x1000 w")["access"] == "w"


def test_an_expression_may_have_blanks_around_its_operators() -> None:
    values = parse(" 1 + 2 w")
    assert (values["address"], values["access"]) == (3, "w")


def test_options_stand_anywhere() -> None:
    for text in (" -pid 2 0x10 w -all", " 0x10 -all w -pid 2", " -a 0x10 -pi 2 w", " 0x10 --all w --pid 2"):
        values = parse(text)
        assert [values[name] for name in ("address", "access", "pid", "all", "phys")] == [
            16,
            "w",
            2,
            True,
            False,
        ]


def test_option_errors() -> None:
    for text, message in (
        (" -nope 1", "Unrecognized option at: -nope 1"),
        (" 1 -pid", "-pid requires an argument"),
        (" -p 1", "-p: Ambiguous option: -pid, -phys."),
    ):
        with pytest.raises(UserError) as error:
            parse(text)
        assert str(error.value) == message


def test_dashes_end_the_options() -> None:
    with pytest.raises(UserError, match="Junk"):
        parse(" -- 1 r -all")


def test_missing_and_surplus_arguments() -> None:
    with pytest.raises(UserError) as error:
        parse("")
    assert str(error.value) == "Argument required (virtual address)."
    with pytest.raises(UserError) as error:
        parse(" 1 r 5")
    assert str(error.value) == 'Junk at end of arguments: "5".'
    assert error.value.hint == "Usage: walk[/json|/csv|/v|/l] [-pid PID] [-all] [-phys] ADDRESS [r|w|x]"


@pytest.mark.parametrize(
    ("text", "form", "flags"),
    [
        ("/j 1", "json", set()),
        ("/json 1", "json", set()),
        ("/csv 1", "csv", set()),
        ("/v 1", "", {"v"}),
        ("/vj 1", "json", {"v"}),
        ("/v/j 1", "json", {"v"}),
        ("/lv 1", "", {"l", "v"}),
        (" 1", "", set()),
    ],
)
def test_forms(text: str, form: str, flags: set[str]) -> None:
    values = parse(text)
    assert (values["form"], values["flags"]) == (form, flags)
    assert values["v"] == ("v" in flags)


def test_a_form_that_is_none() -> None:
    with pytest.raises(UserError) as error:
        parse("/z 1")
    assert str(error.value) == '"walk" has no form "/z".'
    assert error.value.hint == "Its forms are /json, /csv, /v, /l."


def test_a_slash_that_stands_apart_is_no_form() -> None:
    file = Command("file", None, arguments=[Argument("name", WORD)], forms=("json",), summary="File.")
    assert parse(" /etc/x", file)["name"] == "/etc/x"


def test_an_optional_argument_is_left_out_for_a_later_one() -> None:
    set_rights = Command(
        "mprotect",
        None,
        arguments=[
            Argument("where", ADDRESS),
            Argument("size", SIZE, optional=True),
            Argument("mode", choice("on", "off"), optional=True),
        ],
        summary="Rights.",
    )
    assert parse(" 1 off", set_rights)["size"] is None
    assert parse(" 1 off", set_rights)["mode"] == "off"
    assert parse(" 1, 4K, on", set_rights)["size"] == 4096


def test_many_arguments() -> None:
    kill = Command("kill", None, arguments=[Argument("pids", NUMBER, many=True)], summary="Kill.")
    assert parse(" 1 2 3", kill)["pids"] == [1, 2, 3]
    with pytest.raises(UserError, match="Argument required"):
        parse("", kill)


def test_raw_text_keeps_its_quotes_and_blanks() -> None:
    echo = Command(
        "echo",
        None,
        arguments=[Argument("words", REST, optional=True)],
        options=[Option("-n"), Option("-d", WORD)],
        summary="Echo.",
    )
    assert parse(' "a  b"  c ', echo)["words"] == '"a  b"  c'
    assert parse(" -n -d x  a", echo) | {} == parse(" -n -d x a", echo)
    assert parse(" -n -- -d", echo)["words"] == "-d"
    assert parse(" -5", echo)["words"] == "-5"
    assert parse("", echo)["words"] is None
