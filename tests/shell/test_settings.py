"""Settings: parsing, sentences, `set`, `show`, `with`, sources."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmdbg.debugger.settings import SHELL_SETTINGS, Settings
from vmdbg.errors import UserError
from vmdbg.machine import setting as kinds
from vmdbg.machine.setting import Setting


class Machine:
    """A source of settings."""

    settings = (
        Setting("machine.ram", kinds.SIZE, 64 << 20, "size of the memory", low=1024),
        Setting(
            "kernel.policy", kinds.ENUM, "clock", "page-replacement policy", choices=("fifo", "clock", "cold")
        ),
        Setting("machine.base", kinds.ADDRESS, 0x80000000, "first address"),
        Setting("machine.kind", kinds.PLAIN_STRING, "x", "kind of machine", readonly=True),
    )

    def __init__(self) -> None:
        self.values = {setting.name: setting.default for setting in self.settings}

    def get(self, name: str) -> object:
        return self.values[name]

    def set(self, name: str, value: object) -> None:
        self.values[name] = value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.BOOLEAN, "", True),
        (kinds.BOOLEAN, "on", True),
        (kinds.BOOLEAN, "of", False),
        (kinds.BOOLEAN, "y", True),
        (kinds.BOOLEAN, "dis", False),
        (kinds.BOOLEAN, "0", False),
        (kinds.AUTO_BOOLEAN, "auto", None),
        (kinds.AUTO_BOOLEAN, "off", False),
        (kinds.UINTEGER, "0", None),
        (kinds.UINTEGER, "unl", None),
        (kinds.UINTEGER, "0x10", 16),
        (kinds.ZUINTEGER, "0", 0),
        (kinds.ZUINTEGER_UNLIMITED, "-1", None),
        (kinds.ZUINTEGER_UNLIMITED, "0", 0),
        (kinds.INTEGER, "-3", -3),
        (kinds.SIZE, "4K", 4096),
        (kinds.SIZE, "0x1000", 4096),
        (kinds.STRING, "a\\nb\\101\\ ", "a\nbA "),
        (kinds.PLAIN_STRING, "a\\n", "a\\n"),
        (kinds.OPTIONAL_FILENAME, "", ""),
    ],
)
def test_values(kind: str, text: str, value: object) -> None:
    assert Setting("s", kind, None, "thing").parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (kinds.BOOLEAN, "o", '"on" or "off" expected.'),
        (kinds.AUTO_BOOLEAN, "x", '"on", "off" or "auto" expected.'),
        (kinds.AUTO_BOOLEAN, "", '"on", "off" or "auto" expected.'),
        (kinds.UINTEGER, "", 'Argument required (integer to set it to, or "unlimited").'),
        (kinds.INTEGER, "", "Argument required (integer to set it to.)."),
        (kinds.UINTEGER, "99999999999", "integer 99999999999 out of range"),
        (kinds.ZUINTEGER_UNLIMITED, "-2", "only -1 is allowed to set as unlimited"),
        (kinds.FILENAME, "", "Argument required (filename to set it to.)."),
        (kinds.ENUM, "x", 'Undefined item: "x".'),
        (kinds.ENUM, "c", 'Ambiguous item "c".'),
        (kinds.ENUM, "fifo 5", 'Junk after item "fifo": 5'),
        (kinds.ENUM, "", "Requires an argument. Valid arguments are fifo, clock, cold."),
    ],
)
def test_mistakes(kind: str, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        Setting("s", kind, None, "thing", choices=("fifo", "clock", "cold")).parse(text)
    assert str(error.value) == message


def test_bounds_say_what_is_allowed() -> None:
    with pytest.raises(UserError) as error:
        Setting("s", kinds.INTEGER, 1, "thing", low=1, high=64).parse("65")
    assert (str(error.value), error.value.hint) == ("integer 65 out of range", "Allowed: 1 to 64.")
    with pytest.raises(UserError) as error:
        Setting("s", kinds.SIZE, 1024, "thing", low=1024).parse("5")
    assert error.value.hint == "Allowed: 1 KiB or more."


@pytest.mark.parametrize("setting", SHELL_SETTINGS, ids=lambda setting: setting.name)
def test_what_is_shown_can_be_set(setting: Setting) -> None:
    text = setting.text(setting.default)
    if setting.kind != kinds.STRING:
        assert setting.parse(text) == setting.default
    sentence = setting.sentence(setting.default)
    assert sentence[0].isupper() or sentence.startswith(("on:", "off:"))
    assert sentence.endswith((".", '"')) or setting.name.startswith("style ")


def test_bad_declarations_are_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        Setting("s", "nonsense", 1, "thing")
    with pytest.raises(ValueError, match="full stop"):
        Setting("s", kinds.BOOLEAN, True, "Thing.")


def test_machine_settings_join(shell) -> None:
    shell.session.settings.attach(Machine())
    assert shell.run("show machine.ram", "show kernel policy", "show machine.base") == (
        'Size of the memory is 64 MiB.\nPage-replacement policy is "clock".\nFirst address is 0x80000000.\n'
    )
    shell.run("set machine.ram 16K", "set kernel pol fifo")
    assert shell.run("show machine ram", "show kernel.policy") == (
        'Size of the memory is 16 KiB.\nPage-replacement policy is "fifo".\n'
    )
    assert shell.errors("set machine.kind y") == 'Setting "machine.kind" cannot be changed.\n'
    assert shell.errors("set machine.ram 5") == "integer 5 out of range\nAllowed: 1 KiB or more.\n"


def test_a_source_can_go(shell) -> None:
    machine = Machine()
    shell.session.settings.attach(machine)
    shell.run("show machine.ram")
    shell.session.settings.detach(machine)
    assert shell.errors("show machine.ram").startswith('Undefined show command: "machine')


def test_a_source_that_is_made_when_it_is_needed(shell) -> None:
    made = []

    def make() -> Machine:
        made.append(1)
        return Machine()

    shell.session.settings.attach_later(make)
    shell.run("echo", "print 1")
    assert made == []
    assert shell.run("show machine.ram") == "Size of the memory is 64 MiB.\n"
    assert made == [1]


def test_show_as_json(shell) -> None:
    assert shell.run("show/j confirm").startswith('[{"name": "confirm", "value": true, "default": true,')
    assert shell.run("show/csv history").splitlines()[0] == "name,value,default,kind,unit,readonly,help"


def test_a_value_may_be_an_expression(shell) -> None:
    assert shell.run("set $n = 7", "set height $n * 2", "show height").endswith("in a page is 14.\n")
    assert shell.run('print $_gdb_setting("height")') == "$1 = 14\n"


def test_a_radix_that_was_set_before_anything_was_computed_is_that_of_what_follows(shell) -> None:
    """A plain hexadecimal number is read without the evaluator, which is made later."""
    assert shell.run("set input-radix 0x10", "print 10") == "$1 = 16\n"


def test_with_restores_after_an_error(shell) -> None:
    assert shell.errors("with confirm off -- foo") == 'Undefined command: "foo".  Try "help".\n'
    assert shell.run("show confirm").endswith("is on.\n")


def test_a_refused_change_leaves_the_old_value() -> None:
    settings = Settings()

    def refuse(value: object) -> None:
        raise UserError("No.")

    settings.watch("confirm", refuse)
    with pytest.raises(UserError):
        settings.set("confirm", False)
    assert settings.flag("confirm")


def test_logging_to_a_file(make_shell: Callable[..., object], tmp_path) -> None:
    shell = make_shell()
    shell.run(
        "set logging file log.txt",
        "set logging enabled on",
        "print 5",
        "foo",
        "set logging enabled off",
        "print 6",
    )
    text = (tmp_path / "here" / "log.txt").read_text()
    assert text == '$1 = 5\nUndefined command: "foo".  Try "help".\n'
    shell.run("set logging overwrite on", "set logging redirect on", "set logging enabled on")
    assert shell.run("print 7") == ""
    shell.run("set logging enabled off")
    assert (tmp_path / "here" / "log.txt").read_text() == "$3 = 7\n"
