"""Expressions: syntax, sentences, scope, effects.  Arithmetic is compared with gdb in tests/gdb."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.errors import UserError
from vmdbg.expressions.evaluator import EmptyScope, Evaluator, parse, parse_list, parse_prefix
from vmdbg.expressions.values import Value, make_integer, make_string


class Machine(EmptyScope):
    """Sixteen bytes at 0x10, two registers, one with a field, one symbol, one function."""

    def __init__(self) -> None:
        self.memory = bytearray(range(16))
        self.registers = {
            "cr3": make_integer(0x1000, 64, False),
            "cr0": make_integer(1, 64, False),
            "cr0.wp": make_integer(0),
        }
        self.reads = 0

    def read_memory(self, address: int, size: int) -> bytes:
        self.reads += 1
        if not 0x10 <= address <= address + size <= 0x20:
            raise UserError(f"Cannot access memory at address 0x{address:x}")
        return bytes(self.memory[address - 0x10 : address - 0x10 + size])

    def write_memory(self, address: int, data: bytes) -> None:
        self.read_memory(address, len(data))
        self.memory[address - 0x10 : address - 0x10 + len(data)] = data

    def register(self, name: str) -> Value | None:
        return self.registers.get(name)

    def set_register(self, name: str, value: Value) -> None:
        self.registers[name] = value

    def symbol(self, name: str) -> int | None:
        return {"buf": 0x14}.get(name)

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        if name == "twice":
            return make_integer(2 * arguments[0].as_integer())
        return None

    def setting(self, name: str, as_text: bool = False) -> int | str | bool | None:
        return {"confirm": True, "print elements": 200, "prompt": "(vmdbg) "}.get(name)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def evaluator(machine: Machine) -> Evaluator:
    return Evaluator(machine)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1 + 2 * 3", 7),
        ("-5 % 3", -2),
        ("10 / 3", 3),
        ("0b101 + 077 + 0x10", 84),
        ("buf + 4K - 2MiB + 1gb", 0x14 + 4096 - (1 << 21) + (1 << 30)),
        ("3T / 4", 3 << 38),
        ("sizeof(4K)", 4),
        ("1 ? 2 : 3", 2),
        ("3 > 2 > 1", 0),
        ("1, 2", 2),
        ("~0u >> 28", 15),
        ("1 << 31", -(1 << 31)),
        ("sizeof(u64) + sizeof(int[4])", 24),
        ("(char)200", -56),
        ("'A' + 1", 66),
        ('"abc"[1]', 98),
        ("{1, 2, 3}[2]", 3),
        ("(u8)-1", 255),
        ("(bool)5", 1),
        ("{u64}0x10", 0x0706050403020100),
        ("*(u8*)0x12", 2),
        ("*0x10@2 == 0x10", 1),
        ("((u16*)0x10)[1]", 0x0302),
        ("*&{u8}0x13", 3),
        ("$cr3 + 1", 0x1001),
        ("$cr0.wp", 0),
        ("$twice(21)", 42),
        ("buf + 4", 0x18),
        ("&buf", 0x14),
        ("{u8}buf", 4),
        ('$_streq("a", "a") + $_isvoid($nothing) + $_regex("abc", "a.c")', 3),
        ('$_strlen("four")', 4),
        ('$_memeq("abc", "abd", 2)', 1),
        ('$_gdb_setting("confirm") + $_gdb_setting("print elements")', 201),
    ],
)
def test_values(evaluator: Evaluator, text: str, number: int) -> None:
    assert evaluator.evaluate(text).as_integer() == number


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "A syntax error in expression, near `'."),
        ("1 +", "A syntax error in expression, near `'."),
        ("1 1 1", "A syntax error in expression, near `1 1'."),
        ("(1", "A syntax error in expression, near `'."),
        ("1)", "Junk after end of expression."),
        ("1 # c", "Invalid character '#' in expression."),
        ("08", 'Invalid number "08".'),
        ("0x4K", 'Invalid number "0x4K".'),
        ("07K", 'Invalid number "07K".'),
        ("4KL", 'Invalid number "4KL".'),
        ("99999999999T", "Numeric constant too large."),
        ("18446744073709551616", "Numeric constant too large."),
        ("nope", 'No symbol "nope" in current context.'),
        ("0 && nope", 'No symbol "nope" in current context.'),
        ("1 / 0", "Division by zero"),
        ("*0", "Cannot access memory at address 0x0"),
        ("$void + 1", "Argument to arithmetic operation not a number or boolean."),
        ("$", "The history is empty."),
        ("$9", "History has not yet reached $9."),
        ("$$9", "History does not go back to $$9."),
        ("5 = 6", "Left operand of assignment is not an lvalue."),
        ("&5", "Attempt to take address of value not located in memory."),
        ("5 @ 2", "Only values in memory can be extended with '@'."),
        ("int", "Attempt to use a type name as an expression"),
        ("struct page", "No struct type named page."),
        ("$cr0.nope", "Attempt to extract a component of a value that is not a structure."),
        ("$nope(1)", "You can't do that without a process to debug."),
        ("$_isvoid()", "You must provide one argument for $_isvoid."),
        (
            '$_gdb_setting("nope")',
            "First argument of $_gdb_setting must be a valid setting of the 'show' command.",
        ),
        ("$_streq(1, 2)", "Trying to read string with inappropriate type `int'."),
        ("(" * 5000 + "1" + ")" * 5000, "memory exhausted"),
        ("-" * 5000 + "1", "memory exhausted"),
        ("1" + "+1" * 20000, "memory exhausted"),
    ],
)
def test_sentences(evaluator: Evaluator, text: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        evaluator.evaluate(text)
    assert str(error.value) == sentence


def test_an_unknown_function_is_named_in_the_hint(evaluator: Evaluator) -> None:
    with pytest.raises(UserError) as error:
        evaluator.evaluate("$pet(1)")
    assert error.value.hint == "There is no function $pet."


def test_variables(evaluator: Evaluator) -> None:
    assert evaluator.evaluate("$x").is_void
    assert [
        evaluator.evaluate(text).as_integer() for text in ("$x = 5", "$x++", "$x", "--$x", "$x += 2")
    ] == [
        5,
        5,
        6,
        5,
        7,
    ]
    evaluator.evaluate('$s = "abc"')
    evaluator.evaluate("$s[1] = 'z'")
    assert evaluator.evaluate("$s") == make_string("azc")


def test_assignments_reach_memory_and_registers(evaluator: Evaluator, machine: Machine) -> None:
    evaluator.evaluate("{u16}0x12 = 0xbeef")
    evaluator.evaluate("*(u8*)0x10 += 5")
    evaluator.evaluate("((u8*)0x10)[1]++")
    evaluator.evaluate("$cr3 = 0x2000")
    evaluator.evaluate("$cr0.wp |= 1")
    assert machine.memory[:4] == bytes([5, 2, 0xEF, 0xBE])
    assert machine.registers["cr3"].as_integer() == 0x2000
    assert machine.registers["cr0.wp"].as_integer() == 1
    assert str(machine.registers["cr3"].type) == "unsigned long"


def test_a_failed_assignment_changes_nothing(evaluator: Evaluator, machine: Machine) -> None:
    before = bytes(machine.memory)
    for text in ("{u64}0x1c = 1", "{u8}0x10 = 1/0", "$cr3 = $void", "{u8}0x10 = nope"):
        with pytest.raises(UserError):
            evaluator.evaluate(text)
    assert bytes(machine.memory) == before
    assert machine.registers["cr3"].as_integer() == 0x1000


@pytest.mark.parametrize(
    "text",
    [
        "{u8}0x10 = 1",
        "*(u8*)0x10 = 1",
        "((u8*)0x10)[1]++",
        "$cr3 = 1",
        "$cr0.wp = 1",
        "--$cr3",
        "1 + ({u8}0x10 = 1)",
        "0 && ($cr3 = 1)",
        "$x = $cr3++",
        "$twice($cr3 = 1)",
        "$p[0] = 1",
        "$a = (u8*)0x10, $a[0] = 1",
        "1 ? $cr3 : $x = 5",
        "{u8}($cr3 = 0x10)",
        "buf[1] = 1",
        "(1, $cr3) = 2",
    ],
)
def test_what_acts(evaluator: Evaluator, text: str) -> None:
    evaluator.evaluate("$p = (u8*)0x10")
    evaluator.evaluate('$a = "abc"')
    assert evaluator.acts(text)


@pytest.mark.parametrize(
    "text",
    [
        "$x = 5",
        "$x++",
        "$x += $cr3",
        "$cr3",
        "{u8}0x10",
        "$twice(1)",
        "$a[1] = 'x'",
        "sizeof($cr3 = 5)",
        "$1 == 2",
    ],
)
def test_what_does_not_act(evaluator: Evaluator, text: str) -> None:
    evaluator.evaluate('$a = "abc"')
    assert not evaluator.acts(text)


def test_asking_whether_it_acts_does_not_run_it(evaluator: Evaluator, machine: Machine) -> None:
    assert evaluator.acts("$x = ({u8}0x10 = 7)")
    assert machine.memory[0] == 0
    assert evaluator.evaluate("$x").is_void


def test_types_are_found_without_reading(evaluator: Evaluator, machine: Machine) -> None:
    types = {
        "*(int*)0": "int",
        "1 / 0": "int",
        "{u64}0 @ 3": "u64 [3]",
        "&{int[2]}0": "int (*)[2]",
        "(char*)0x10 + 1": "char *",
        "1l + 1u": "long",
        "$x = 5": "void",
        "unsigned long": "unsigned long",
        "int(*)[3]": "int (*)[3]",
        "const char *": "const char *",
        "((char**)0)[1]": "char *",
    }
    assert {text: evaluator.describe(text) for text in types} == types
    assert machine.reads == 0
    assert evaluator.evaluate("$x").is_void


def test_a_parsed_expression_runs_again_and_again(evaluator: Evaluator, machine: Machine) -> None:
    node = evaluator.parse("{u8}0x10 > 2 && !$n")
    seen = []
    for number in range(5):
        machine.memory[0] = number
        seen.append(evaluator.truth(node))
    assert seen == [False, False, False, True, True]


def test_warnings_are_heard(machine: Machine) -> None:
    heard: list[str] = []
    Evaluator(machine, warn=heard.append).evaluate("1 << 40")
    assert heard == ["left shift count >= width of type"]


def test_a_prefix_ends_before_if() -> None:
    assert parse_prefix("*0x10 + 1 if $x == 2")[1] == "if $x == 2"
    assert parse_prefix("f, 2", comma=True)[1] == ", 2"
    assert parse_prefix("$g(1, 2), 3", comma=True)[1] == ", 3"


def test_lists() -> None:
    assert len(parse_list("1, $f(2, 3), {4}[0]")) == 3
    assert len(parse_list("5,")) == 1
    assert parse_list("") == []
    with pytest.raises(UserError, match="near `,5'"):
        parse_list(",5")


def test_symbols_are_looked_up_where_the_caller_wants() -> None:
    parse("nope + 1")
    with pytest.raises(UserError, match='No symbol "nope" in current context'):
        parse("nope 1", knows=lambda name: False)


def outcome(text: str) -> Value | str:
    """The value of a text, or the sentence that refuses it."""
    try:
        return Evaluator(Machine()).evaluate(text)
    except UserError as error:
        return str(error)


@pytest.mark.long
@given(st.text(alphabet="0123456789abuxl+-*/%&|^~!<>=?:,()[]{}@$_.'\"\\ # intcharsizeof", max_size=40))
def test_any_text_has_a_value_or_a_sentence(text: str) -> None:
    value = outcome(text)
    if isinstance(value, Value):
        assert len(value.as_bytes()) == value.type.size
    else:
        assert value


@pytest.mark.long
@given(st.text(max_size=20))
def test_any_character_is_taken_or_refused(text: str) -> None:
    assert outcome(text)
