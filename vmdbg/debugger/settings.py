"""The settings of the shell, under GDB's names, and the store in which all settings live.

Machine settings are declared elsewhere with the same class and join by `Settings.attach`.
"""

# Long: every setting of the shell stands here.
from __future__ import annotations

from vmdbg.debugger.styles import THEMES, role_settings
from vmdbg.errors import UserError
from vmdbg.machine.setting import (
    BOOLEAN,
    ENUM,
    FILENAME,
    OPTIONAL_FILENAME,
    STRING,
    UINTEGER,
    ZUINTEGER,
    ZUINTEGER_UNLIMITED,
    Setting,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    class Source(Protocol):
        """Whoever keeps the values of further settings, such as a machine."""

        @property
        def settings(self) -> Sequence[Setting]: ...

        def get(self, name: str) -> object: ...

        def set(self, name: str, value: object) -> None: ...


RADIX = "decimal {0}, hex {0:x}, octal {0:o}"
PAGE_HELP = "number of lines in a page for the pager"
SHELL_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "confirm",
        BOOLEAN,
        True,
        "whether to confirm potentially dangerous operations",
    ),
    Setting(
        "pagination",
        BOOLEAN,
        True,
        "state of output pagination",
        sentence="State of pagination is {}.",
        details="When on, the output of a command pauses at the end of each screenful and asks\n"
        'whether to go on.  Off is the same as "set height unlimited".\n'
        "There is no pager when the output is not a terminal.",
    ),
    Setting(
        "height",
        UINTEGER,
        None,
        PAGE_HELP,
        sentence="Number of lines vmdbg thinks are in a page is {}.",
        details='"unlimited" or zero: never pause during output.',
    ),
    Setting(
        "width",
        UINTEGER,
        None,
        "number of characters where output wraps",
        sentence="Number of characters vmdbg thinks are in a line is {}.",
        details='"unlimited" or zero: lines are never counted as wrapped.',
    ),
    Setting("editing", BOOLEAN, False, "editing of command lines as they are typed"),
    Setting(
        "editing-mode",
        ENUM,
        "emacs",
        "the keys with which command lines are edited",
        choices=("emacs", "vi"),
        details="At a terminal it begins as ~/.inputrc says ($INPUTRC, /etc/inputrc), as for readline.",
    ),
    Setting(
        "prompt",
        STRING,
        "(vmdbg) ",
        "the prompt",
        sentence='The prompt is "{}".',
        details="Backslash escapes are understood; end the line with a backslash and a space to\n"
        "keep a blank at the end of the prompt.",
    ),
    Setting(
        "verbose",
        BOOLEAN,
        False,
        "verbosity",
        sentence="Verbose printing of informational messages is on.|Verbosity is off.",
        details="When on, what takes time tells of itself although nobody sits at the terminal, and\n"
        '"restore" says what it is about to do.',
    ),
    Setting(
        "trace-commands",
        BOOLEAN,
        False,
        "state of CLI command tracing",
        details="When on, each command is echoed before it runs, with one + for every level of\nnesting.",
    ),
    Setting(
        "max-user-call-depth",
        UINTEGER,
        1024,
        "the max call depth for user-defined commands",
    ),
    Setting(
        "listsize",
        ZUINTEGER_UNLIMITED,
        10,
        "number of program lines to list by default",
    ),
    Setting(
        "history save",
        BOOLEAN,
        False,
        "saving of the history record on exit",
        details="At a terminal it is on unless it was set; scripts save nothing.",
    ),
    Setting("history size", ZUINTEGER_UNLIMITED, 256, "the size of the command history"),
    Setting(
        "history filename",
        OPTIONAL_FILENAME,
        ".vmdbg_history",
        "the filename in which to record the command history",
        details="At a terminal it is ~/.vmdbg_history unless it was set or the working folder has a\n"
        ".vmdbg_history.  $VMDBGHISTFILE names another one.",
    ),
    Setting(
        "history expansion",
        BOOLEAN,
        False,
        "history expansion on command input",
        details="When on, a line that starts with ! stands for an earlier one: !! the last,\n"
        "!TEXT the last that starts with TEXT, !N line N, !-N the Nth before.",
    ),
    Setting(
        "history remove-duplicates",
        ZUINTEGER_UNLIMITED,
        0,
        "how far back in history to look for and remove duplicate entries",
        sentence="The number of history entries to look back at for duplicates is {}.",
    ),
    Setting(
        "style enabled",
        BOOLEAN,
        True,
        "whether output to a terminal is coloured",
        sentence="CLI output styling is enabled.|CLI output styling is disabled.",
    ),
    Setting(
        "style theme",
        ENUM,
        "default",
        "the theme: the colors of all roles",
        choices=tuple(THEMES),
        details="default can be read on black and on white, light is for white, dark for black, projector\n"
        "for white that is far away; mono has no colors, only bold.  It sets all of\n"
        '"style ROLE ...", which may be changed afterwards.',
    ),
    *role_settings(),
    Setting(
        "style sources",
        BOOLEAN,
        True,
        "whether typed commands and listed programs are coloured",
        sentence="Source code styling is enabled.|Source code styling is disabled.",
    ),
    Setting(
        "tui mouse-events",
        BOOLEAN,
        True,
        "whether the full screen takes clicks of the mouse",
        details="When on, a click on the line of time goes there, and a terminal selects text with Shift.",
    ),
    Setting(
        "logging enabled",
        BOOLEAN,
        False,
        "whether logging is enabled",
        sentence="on: Logging is enabled.|off: Logging is disabled.",
    ),
    Setting(
        "logging file",
        FILENAME,
        "vmdbg.txt",
        "the current logfile",
    ),
    Setting(
        "logging overwrite",
        BOOLEAN,
        False,
        "whether logging overwrites or appends to the log file",
        sentence="on: Logging overwrites the log file.|off: Logging appends to the log file.",
    ),
    Setting(
        "logging redirect",
        BOOLEAN,
        False,
        "the logging output mode",
        sentence="on: Output will go only to the log file."
        "|off: Output will go to both the screen and the log file.",
    ),
    Setting(
        "print elements",
        UINTEGER,
        200,
        "limit on string chars or array elements to print",
    ),
    Setting("print repeats", UINTEGER, 10, "threshold for repeated print elements"),
    Setting(
        "print symbol",
        BOOLEAN,
        True,
        "printing of symbol names when printing pointers",
        sentence="Printing of symbols when printing pointers is {}.",
    ),
    Setting(
        "print array",
        BOOLEAN,
        False,
        "pretty formatting of arrays",
        details="When on, each element of an array has a line.",
    ),
    Setting(
        "print null-stop",
        BOOLEAN,
        False,
        "printing of char arrays to stop at first null char",
    ),
    Setting(
        "print pretty",
        BOOLEAN,
        False,
        "pretty formatting of structures",
        details="The values of expressions have no structures; those of /json do: when on, each key has a\n"
        'line, indented by "json indent" or, if that is 0, by 2.',
    ),
    Setting(
        "input-radix",
        ZUINTEGER,
        10,
        "default input radix for entering numbers",
        low=2,
        high=36,
        announced=f"Input radix now set to {RADIX}.",
        refusal="Nonsense input radix ``decimal {}''; input radix unchanged.",
        details="The base of numbers in expressions that do not say theirs with 0x, 0b, 0t or 0.  Sizes\n"
        "such as 4K and numbers of lines stay decimal.",
    ),
    Setting(
        "output-radix",
        ZUINTEGER,
        10,
        "default output radix for printing of values",
        among=(8, 10, 16),
        announced=f"Output radix now set to {RADIX}.",
        refusal="Unsupported output radix ``decimal {}''; output radix unchanged.",
        details='10, 16 or 8: how "print" shows integers without a format letter.',
    ),
    Setting(
        "json addresses",
        ENUM,
        "number",
        "how addresses are written in JSON",
        choices=("number", "hex"),
        details='number: non-negative integers.  hex: strings such as "0x401000", for tools that lose\n'
        "precision above 2^53.",
    ),
    Setting("json indent", ZUINTEGER, 0, "the indentation of JSON", details="0: one object a line."),
    Setting(
        "auto-load safe-path",
        OPTIONAL_FILENAME,
        "",
        "list of directories from which it is safe to auto-load files",
        sentence="List of directories from which it is safe to auto-load files is {}.",
        details='Directories are separated by colons; "/" trusts all.  A .vmdbginit in the working\n'
        "folder is read only if its folder is on this list (set it in ~/.vmdbginit or with -iex).",
    ),
    Setting(
        "engine",
        ENUM,
        "auto",
        "how the machine is run",
        choices=("auto", "interpreted", "compiled"),
        details="auto: interpreted at first, which starts at once; a run of more than a quarter of a second\n"
        "goes on compiled, quickly compiled at first, and with optimised code about a second later.\n"
        "interpreted, compiled: always so; compiled waits for the optimised code.  Compiling needs\n"
        "llvmlite.",
    ),
    Setting(
        "exceptions verbose",
        BOOLEAN,
        False,
        "printing of the full traceback of an internal error",
    ),
)


class Settings:
    """Every setting of a session with its value.  The first attached source that declares a name
    keeps its value; the shell's own are kept here."""

    def __init__(self, declared: Sequence[Setting] = SHELL_SETTINGS) -> None:
        self._own = {setting.name: setting for setting in declared}
        self._values: dict[str, object] = {name: setting.default for name, setting in self._own.items()}
        self._sources: list[Source] = []
        self._later: list[Callable[[], Source]] = []
        self.version = 0  # changes whenever settings are added or removed
        self.chosen: set[str] = set()  # what `set` has given a value
        self._watchers: dict[str, Callable[[object], None]] = {}

    def attach(self, source: Source) -> None:
        """Settings of `source` are shown and set from now on."""
        self.version += 1
        self._sources.append(source)

    def attach_later(self, make: Callable[[], Source]) -> None:
        """As `attach`, but `make()` is called only when the shell's own settings do not suffice."""
        self.version += 1
        self._later.append(make)

    def detach(self, source: Source) -> None:
        """Settings of `source` are no longer shown or set."""
        self.version += 1
        self._sources.remove(source)

    def watch(self, name: str, changed: Callable[[object], None]) -> None:
        """`changed(value)` is called after each change of the shell's setting `name`; if it raises,
        the old value is put back."""
        self._watchers[name] = changed

    def __iter__(self) -> Iterator[Setting]:
        yield from self._own.values()
        while self._later:
            self._sources.append(self._later.pop(0)())
        for source in self._sources:
            yield from source.settings

    def find(self, name: str) -> Setting | None:
        """The setting of that full name; blanks and dots between its words are the same."""
        own = self._own.get(name)
        if own is not None:
            return own
        words = tuple(name.replace(".", " ").split())
        return next((setting for setting in self if setting.words == words), None)

    def declared(self, name: str) -> Setting:
        """As `find`; UserError where there is none."""
        setting = self.find(name)
        if setting is None:
            raise UserError(
                f'First argument of $_gdb_setting must be a valid setting of the "show" command: "{name}".'
            )
        return setting

    def get(self, name: str) -> object:
        """The value of a setting by its full name."""
        if name in self._values:
            return self._values[name]
        setting = self.declared(name)
        if setting.name in self._values:
            return self._values[setting.name]
        return self._source(setting).get(setting.name)

    def set(self, name: str, value: object) -> None:
        """Gives a parsed value to a setting."""
        setting = self.declared(name)
        if setting.readonly:
            raise UserError(f'Setting "{setting.name}" cannot be changed.')
        if setting.name not in self._own:
            self._source(setting).set(setting.name, value)
            return
        self.chosen.add(setting.name)
        before = self._values[setting.name]
        self._values[setting.name] = value
        watcher = self._watchers.get(setting.name)
        if watcher is not None:
            try:
                watcher(value)
            except BaseException:
                self._values[setting.name] = before
                raise

    def offer(self, name: str, value: object) -> None:
        """Another default for a setting of the shell: taken unless `set` has given a value already."""
        if name not in self.chosen:
            self.set(name, value)
            self.chosen.discard(name)

    def flag(self, name: str) -> bool:
        """A boolean setting of the shell."""
        return bool(self._values[name])

    def number(self, name: str) -> int | None:
        """An integer setting of the shell; None is unlimited."""
        value = self._values[name]
        return value if isinstance(value, int) else None

    def string(self, name: str) -> str:
        """A string or enum setting of the shell."""
        return str(self._values[name])

    def values(self) -> dict[str, object]:
        """A copy of the shell's own values, to be put back by `restore`."""
        return dict(self._values)

    def restore(self, values: dict[str, object]) -> None:
        """Puts back what `values` gave."""
        for name, value in values.items():
            if self._values.get(name) != value:
                self.set(name, value)

    def _source(self, setting: Setting) -> Source:
        return next(source for source in self._sources if setting in source.settings)
