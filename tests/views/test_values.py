"""Values, memory and printf as text.  What gdb prints for the same is compared in tests/gdb."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import UserError
from vmdbg.expressions.evaluator import EmptyScope, Evaluator
from vmdbg.expressions.values import Value, make_integer, make_string
from vmdbg.views.values import (
    ExamineState,
    PrintOptions,
    format_memory,
    format_printf,
    format_value,
    split_format,
    split_printf,
    unescape,
)

MEMORY = b"one\0two\0" + bytes(range(8)) + b"z" * 16
BASE = 0x1000


def read(address: int, size: int) -> bytes:
    if not BASE <= address <= address + size <= BASE + len(MEMORY):
        bad = address if not BASE <= address < BASE + len(MEMORY) else BASE + len(MEMORY)
        raise UserError(f"Cannot access memory at address 0x{bad:x}")
    return MEMORY[address - BASE : address - BASE + size]


class Memory(EmptyScope):
    read_memory = staticmethod(read)


def value(text: str) -> Value:
    return Evaluator(Memory()).evaluate(text)


@pytest.mark.parametrize(
    ("text", "letter", "shown"),
    [
        ("255", "x", "0xff"),
        ("-1", "x", "0xffffffff"),
        ("-1", "u", "4294967295"),
        ("0xffffffff", "d", "-1"),
        ("8", "o", "010"),
        ("5", "t", "101"),
        ("65", "c", "65 'A'"),
        ("(short)5", "z", "0x0005"),
        ("-1", "a", "0xffffffffffffffff"),
        ("0x3f800000", "f", "1"),
        ("1.5", "", "1.5"),
        ("10/3.0", "", "3.3333333333333335"),
        ("$nothing", "x", "void"),
        ('"a\\"b\\n"', "", '"a\\"b\\n"'),
        ('"abc"', "x", "{0x61, 0x62, 0x63, 0x0}"),
        ("(char*)0x1004", "", '0x1004 "two"'),
        ("(char*)0", "", "0x0"),
        ("(u8*)0x1000", "", '(u8 *) 0x1000 "one"'),
        ("(char*)0x9000", "", "0x9000 <error: Cannot access memory at address 0x9000>"),
        ("(int*)0x1000", "", "(int *) 0x1000"),
        ("{(int*)8, (int*)9}", "", "{0x8, 0x9}"),
        ("*(char*)0x1010@16", "", "'z' <repeats 16 times>"),
        ("*(char*)0x1000@4", "", '"one"'),
        ("*(u8*)0x1008@3", "x", "{0x0, 0x1, 0x2}"),
        ("(bool)7", "", "true"),
    ],
)
def test_values(text: str, letter: str, shown: str) -> None:
    assert format_value(value(text), letter, read) == shown


def test_an_unknown_letter_is_refused() -> None:
    with pytest.raises(UserError, match='Undefined output format "q"'):
        format_value(make_integer(1), "q")


def test_limits() -> None:
    assert format_value(make_string("abcdef"), options=PrintOptions(elements=3)) == '"abc"...'
    assert format_value(value("{1,2,3}"), options=PrintOptions(elements=2)) == "{1, 2...}"
    assert format_value(value("{1,1,1,2}"), options=PrintOptions(repeats=2)) == "{1 <repeats 3 times>, 2}"
    assert format_value(make_string("a\0b"), options=PrintOptions(null_stop=True)) == '"a"'
    assert format_value(value("{1,2}"), options=PrintOptions(array=True)) == "{\n  1,\n  2\n}"
    many = "x" * 500
    assert format_value(make_string(many), options=PrintOptions(0, 0)) == f'"{many}"'


def test_names_of_places() -> None:
    def name(address: int) -> str:
        return f"buf+{address - BASE}" if address >= BASE else ""

    assert format_value(value("(int*)0x1004"), symbolize=name) == "(int *) 0x1004 <buf+4>"
    assert format_value(make_integer(0x1004), "a", symbolize=name) == "0x1004 <buf+4>"
    assert format_value(make_integer(4), "a", symbolize=name) == "0x4"
    assert (
        format_value(value("(int*)0x1004"), options=PrintOptions(symbol=False), symbolize=name)
        == "(int *) 0x1004"
    )


class Session:
    """`x` as the shell gives it."""

    def __init__(self, bits: int = 64) -> None:
        self.state = ExamineState()
        self.bits = bits
        self.text = ""

    def x(self, text: str) -> str:
        letters, expression = split_format(text) if text.startswith("/") else ("", text)
        form = self.state.examine_format(letters, expression)
        address = value(expression).as_address() if expression else None
        self.text = ""
        for line in format_memory(self.state, form, read, address, bits=self.bits):
            self.text += line
        return self.text


def test_x_goes_on_where_it_ended_with_format_and_unit() -> None:
    session = Session()
    assert session.x("/4xb 0x1008") == "0x1008:\t0x00\t0x01\t0x02\t0x03\n"
    assert session.x("") == "0x100c:\t0x04\t0x05\t0x06\t0x07\n"
    assert session.x("/d 0x1008") == "0x1008:\t0\n"
    assert session.x("/2") == "0x1009:\t1\t2\n"
    assert session.x("/s 0x1000") == '0x1000:\t"one"\n'
    assert session.x("") == '0x1004:\t"two"\n'
    assert session.x("/x") == "0x1008:\t0x00\n"


def test_x_remembers_place_and_contents() -> None:
    session = Session()
    session.x("/2xh 0x1008")
    assert format_value(session.state.address) == "(int16_t *) 0x100a"
    assert session.state.value.as_integer() == 0x0302


def test_x_reads_backwards() -> None:
    session = Session()
    assert session.x("/-2xh 0x100c") == "0x1008:\t0x0100\t0x0302\n"
    assert session.x("/-2s 0x1008") == '0x1000:\t"one"\n0x1004:\t"two"\n'


def test_x_prints_the_good_part_before_the_error() -> None:
    session = Session()
    with pytest.raises(UserError, match="Cannot access memory at address 0x1020"):
        session.x("/3xg 0x1010")
    assert session.text == "0x1010:\t0x7a7a7a7a7a7a7a7a\t0x7a7a7a7a7a7a7a7a\n0x1020:\t"
    assert session.state.next_address == 0x1028


def test_x_needs_a_place_to_begin() -> None:
    with pytest.raises(UserError, match=r"Argument required \(starting display address\)\."):
        Session().x("/4xb")


def test_x_has_no_instructions() -> None:
    with pytest.raises(UserError, match='Format letter "i" is meaningless in "x" command'):
        Session().x("/i 0x1000")


def test_short_addresses_are_padded() -> None:
    assert Session(bits=16).x("/xb 0x1008").startswith("0x1008:")
    lines = format_memory(
        ExamineState(), ExamineState().examine_format("xb", "8"), lambda *_: b"\7", 8, bits=16
    )
    assert list(lines) == ["0x0008:\t0x07\n"]


def test_x_streams() -> None:
    state = ExamineState()
    lines = format_memory(state, state.examine_format("1000000xg", "0"), lambda _, size: bytes(size), 0)
    assert next(lines) == "0x0:\t0x0000000000000000\t0x0000000000000000\n"
    assert next(lines).startswith("0x10:")


@pytest.mark.parametrize(
    ("letters", "sentence"),
    [
        ("3x", 'Item count other than 1 is meaningless in "print" command.'),
        ("i", 'Format letter "i" is meaningless in "print" command.'),
        ("gx", 'Size letters are meaningless in "print" command.'),
    ],
)
def test_print_takes_letters_only(letters: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        ExamineState().print_format(letters)
    assert str(error.value) == sentence


def test_the_letter_of_print_is_the_next_one_of_x() -> None:
    state = ExamineState()
    state.print_format("d")
    assert state.examine_format("2", "0").letter == "d"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ('"%d %s|%5d|%-5d|%05d|%+d\\n", 1, "two", 3, 4, 5, 6', "1 two|    3|4    |00005|+6\n"),
        ('"%x %#x %o %#o %u %c%%\\n", 255, 255, 8, 8, -1, 65', "ff 0xff 10 010 4294967295 A%\n"),
        ('"%lu %p %p %s", -1, 0x1000, 0, (char*)0x1004', "18446744073709551615 0x1000 (nil) two"),
        ('"%.3f %g|%8.3x|%.2s|", 10/3.0, 1.5, 42, "abc"', "3.333 1.5|     02a|ab|"),
        ('"plain"', "plain"),
    ],
)
def test_printf(command: str, printed: str) -> None:
    form, arguments = split_printf(command)
    evaluator = Evaluator(Memory())
    values = [evaluator.run(node) for node in evaluator.parse_list(arguments)]
    assert format_printf(form, values, read) == printed


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ("%d %d", "Wrong number of arguments for specified format-string"),
        ("%q", "Unrecognized format specifier 'q' in printf"),
        ("%*d", "`*' not supported for precision or width in printf"),
        ("%n", "Format specifier `n' not supported in printf"),
        ("%5", "Incomplete format specifier at end of format string"),
        ("\\q", "Unrecognized escape character \\q in format string."),
        ("%05c", "Inappropriate modifiers to format specifier 'c' in printf"),
        ("%99999999d", "Numeric constant too large."),
    ],
)
def test_printf_refuses(form: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        format_printf(form, [make_integer(1)], read)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Argument required (format-control string and values to print)."),
        ("hello", "Bad format string, missing '\"'."),
        ('"hello', "Bad format string, non-terminated '\"'."),
        ('"a" 5', "Invalid argument syntax"),
    ],
)
def test_printf_needs_a_format(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        split_printf(text)
    assert str(error.value) == sentence


def test_echo() -> None:
    assert unescape("a\\tb\\n\\101\\1234\\q\\\\ \\") == "a\tb\nAS4q\\ "


@given(st.binary(max_size=60), st.integers(0, 12), st.integers(0, 12))
def test_a_string_says_whether_it_is_whole(data: bytes, elements: int, repeats: int) -> None:
    shown = format_value(make_string(data), options=PrintOptions(elements, repeats))
    assert shown.isascii()
    assert shown.isprintable()
    if not elements:
        assert not shown.endswith("...")


@given(st.text(max_size=12), st.lists(st.integers(-5, 1 << 33), max_size=3))
def test_any_format_prints_or_refuses(form: str, numbers: list[int]) -> None:
    text = sentence = None
    try:
        text = format_printf(form, [make_integer(number, 64) for number in numbers], read)
    except UserError as error:
        sentence = str(error)
    assert text is not None or sentence
