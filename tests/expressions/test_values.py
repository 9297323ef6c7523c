"""Values, their types, the value history and the convenience variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import (
    CHAR,
    DOUBLE,
    INT_TYPE,
    LONG,
    SINGLE,
    SPELLINGS,
    UNSIGNED_CHAR,
    UNSIGNED_INT,
    UNSIGNED_LONG,
    array_of,
    common,
    describe,
    function_of,
    pointer_to,
)
from vmdbg.expressions.values import (
    VOID_VALUE,
    Value,
    ValueHistory,
    Variables,
    from_bytes,
    make,
    make_array,
    make_integer,
    make_string,
    read_string,
    text_of,
)

INTEGER_TYPES = [kind for kind in SPELLINGS.values() if kind.code == INT_TYPE.code]


@given(st.sampled_from(INTEGER_TYPES), st.integers(-(1 << 70), 1 << 70))
def test_a_number_survives_memory(kind: object, number: int) -> None:
    value = make(kind, number)  # type: ignore[arg-type]
    assert (value.as_integer() - number) % (1 << value.type.size * 8) == 0
    assert from_bytes(value.type, value.as_bytes()) == value


def test_types_as_c_writes_them() -> None:
    assert describe(pointer_to(pointer_to(CHAR))) == "char **"
    assert describe(array_of(array_of(INT_TYPE, 3), 2)) == "int [2][3]"
    assert describe(pointer_to(array_of(INT_TYPE, 2))) == "int (*)[2]"
    assert describe(array_of(pointer_to(INT_TYPE), 2)) == "int *[2]"
    assert describe(pointer_to(function_of(INT_TYPE))) == "int (*)()"


def test_the_common_type_of_two_numbers() -> None:
    assert common(CHAR, UNSIGNED_CHAR) is INT_TYPE
    assert common(INT_TYPE, UNSIGNED_INT) is UNSIGNED_INT
    assert common(LONG, UNSIGNED_INT) is LONG
    assert common(LONG, UNSIGNED_LONG) is UNSIGNED_LONG
    assert common(SINGLE, LONG) is SINGLE
    assert common(SINGLE, DOUBLE) is DOUBLE


def test_what_is_no_integer_says_so() -> None:
    with pytest.raises(UserError, match="Value can't be converted to integer"):
        VOID_VALUE.as_integer()
    with pytest.raises(UserError, match="requires the target program to be active"):
        make_string("abc").as_integer()
    assert make(DOUBLE, 1.9).as_integer() == 1
    assert make(DOUBLE, float("inf")).as_integer() == (1 << 63) - 1
    assert make(DOUBLE, float("nan")).as_integer() == (1 << 63) - 1


def test_addresses_are_unsigned() -> None:
    assert make_integer(-1).as_address() == (1 << 64) - 1


def test_arrays() -> None:
    value = make_array([make_integer(1), make_integer(-2)])
    assert [element.as_integer() for element in value.elements()] == [1, -2]
    with pytest.raises(UserError, match="no such vector element"):
        value.element(2)
    with pytest.raises(UserError, match="array elements must all be the same size"):
        make_array([make_integer(1), make_integer(1, 64)])


def test_the_element_of_an_array_in_memory_is_there_too() -> None:
    array = from_bytes(array_of(INT_TYPE, 2), bytes(8), 0x1000)
    assert array.element(1).address == 0x1004


def memory(address: int, size: int) -> bytes:
    """A string that runs to the end of what is there, at 0xfff0."""
    if address + size > 0x10000:
        raise UserError(f"Cannot access memory at address 0x{max(address, 0x10000):x}")
    return b"0123456789abcdef"[address - 0xFFF0 :][:size]


def test_strings_are_read_up_to_what_cannot_be_read() -> None:
    data, whole, error = read_string(memory, 0xFFF8, 200)
    assert (data, whole, str(error)) == (b"89abcdef", False, "Cannot access memory at address 0x10000")
    assert read_string(memory, 0xFFF0, 4) == (b"0123", False, None)


def test_the_text_of_a_value() -> None:
    assert text_of(make_string("abc"), memory) == "abc"
    with pytest.raises(UserError, match="inappropriate type `long'"):
        text_of(make_integer(1, 64), memory)


def numbers(history: ValueHistory, *arguments: object) -> list[int]:
    return [number for number, _ in history.rows(*arguments)]  # type: ignore[arg-type]


def test_the_history_counts_from_one_and_back() -> None:
    history = ValueHistory()
    assert [history.record(make_integer(number)) for number in (10, 20, 30)] == [1, 2, 3]
    assert [history.get(number).as_integer() for number in (1, 3, 0, -1, -2)] == [10, 30, 30, 20, 10]
    assert history.last() == make_integer(30)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (0, "The history is empty."),
        (1, "History has not yet reached $1."),
        (-2, "History does not go back to $$2."),
    ],
)
def test_an_empty_history_says_so(number: int, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        ValueHistory().get(number)
    assert str(error.value) == sentence


def test_ten_values_are_shown_at_a_time() -> None:
    history = ValueHistory()
    assert history.rows() == []
    for number in range(30):
        history.record(make_integer(number))
    assert numbers(history) == list(range(21, 31))
    assert numbers(history, 10) == list(range(5, 15))
    assert numbers(history, None, True) == list(range(15, 25))
    assert numbers(history, 2) == list(range(1, 11))


def test_variables_are_void_until_set() -> None:
    variables = Variables()
    assert variables.get("x").is_void
    variables.set("x", make_integer(1))
    variables.set("y", make_integer(2))
    assert [name for name, _ in variables.rows()] == ["y", "x"]


def test_equal_values_have_equal_type_and_bytes() -> None:
    assert make_integer(1) == make_integer(1)
    assert make_integer(1) != make_integer(1, 64)
    assert len({make_integer(1), make_integer(1), Value(INT_TYPE, 2)}) == 2
