"""Opens the target of a session and adds its settings to the shell's."""

from __future__ import annotations

import os

from vmdbg.errors import InputError, UserError
from vmdbg.inspect.target import boot
from vmdbg.kernel.policies import POLICIES
from vmdbg.machine.config import SETTINGS, load_config
from vmdbg.machine.swapfile import attach
from vmdbg.shell.limits import make_room
from vmdbg.shell.permissions import Permissions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vmdbg.inspect.target import Target
    from vmdbg.machine.setting import Setting
    from vmdbg.shell.session import Session


def open_target(
    session: Session,
    machine: str,
    program: str,
    trusted: bool = False,
    values: Mapping[str, object] | None = None,
) -> Target:
    """Boots a machine by name or file (empty: the default); a program that is named replaces the
    machine's own, `values` its settings.  Trusted names, from the command line, may lead anywhere.

    UserError if a file is not there, not allowed, or wrong: then nothing was started.
    """
    name = machine or "default"
    own = "/" in name or name.endswith(".toml")
    permissions = Permissions() if trusted else session.permissions
    config = load_config(permissions.path(name) if own else name)
    if trusted:
        make_room(session, config)
    if own and config["machine.program"]:
        permissions.reading(str(config["machine.program"]))  # refused if it lies outside
    approve(permissions, config.values)
    if values:
        approve(session.permissions, values)
        config = config.with_(values)
    try:
        target = boot(config, permissions.path(program) if program else "", approve=permissions.reading)
    except InputError:
        raise
    except UserError as error:
        if not own or program:
            raise
        raise InputError(str(error), name) from None
    target.origin = os.path.abspath(permissions.path(name)) if own else name
    return tell_remarks(session, target)


def open_first(session: Session, machine: str, program: str) -> Target:
    """The target of the command line, with its swap file and the settings that were given before it."""
    values, session.first_values = session.first_values, None
    target = open_target(session, machine, program, trusted=True, values=values)
    attach(target.machine)
    return target


def approve(permissions: Permissions, values: Mapping[str, Any]) -> None:
    """Refuses settings of a machine with files that a restricted session may not have: a page-replacement
    policy (it is code), or a format or a swap area outside its folder."""
    if values.get("machine.swap.file"):
        permissions.writing(values["machine.swap.file"])
    if values.get("machine.format", "").endswith(".toml"):
        permissions.path(values["machine.format"])
    if values.get("kernel.policy", POLICIES[0]) not in POLICIES:
        permissions.require_open("A file as kernel.policy")


def tell_remarks(session: Session, target: Target) -> Target:
    """Prints the remarks of the reader of the target's program; returns the target."""
    program = target.machine.program
    for line in program.remarks if program is not None else ():
        session.output.error(line)
    return target


def boot_again(
    session: Session, values: Mapping[str, object], program: str = "", resident: bool = False
) -> Target:
    """A new target like the one that the session has or that waits for `run`, some settings changed.

    UserError if it cannot boot; the session's own target stays as it is.
    """
    approve(session.permissions, values)
    old = session.next_target or session.target
    assert old is not None
    changed = program or "machine.program" in values
    if old.again is not None and not changed:
        return old.again(old.machine.config.with_(values))
    target = boot(
        old.machine.config.with_(values),
        program,
        resident or (not program and old.resident),
        approve=session.permissions.reading if changed else old.approve,
    )
    target.origin = old.origin
    return target


def boot_changed(session: Session, values: Mapping[str, object]) -> bool:
    """Boots a machine like the present one with other values, which may be the same ones where their files
    have changed.  True: it is the session's; False: something has happened there, and it waits for `run`.

    UserError if it cannot boot; then nothing has changed.
    """
    if session.interpreter.isolated:
        raise UserError("An isolated script keeps the machine that it was given.")
    untouched = session.timeline.untouched
    target = boot_again(session, values)
    if untouched:
        replace_target(session, target)
    else:
        session.next_target = target
    return untouched


def replace_target(session: Session, target: Target) -> None:
    """Gives the session another target.  UserError if its swap file cannot be made."""
    attach(target.machine)
    session.next_target, session.target = None, target


class MachineSettings:
    """The machine's settings as a source of the shell's: shown as the machine was configured."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._settings = tuple(SETTINGS)

    @property
    def booted(self) -> bool:
        """Whether the command line's machine is known, so that it boots when it is asked."""
        session = self._session
        return session.first_values is None or session.opened is not None or session.open_target is not None

    @property
    def settings(self) -> Sequence[Setting]:
        """All declarations."""
        return self._settings

    def get(self, name: str) -> object:
        """The value, or the one from the next boot on; the default if there is no machine."""
        first = None if self.booted else self._session.first_values
        if first is not None and name in first:
            return first[name]
        target = self._session.next_target or self._session.target
        if target is None:
            return next(setting.default for setting in self._settings if setting.name == name)
        return target.machine.config[name]

    def set(self, name: str, value: object) -> None:
        """Changes the machine: costs at once, the others by booting it again; that waits for `run`
        unless nothing has happened since the last boot.  Before the first boot it is kept for that."""
        session = self._session
        if not self.booted and session.first_values is not None:
            session.first_values[name] = value
            return
        machine = session.machine
        if value == self.get(name):
            return
        assert session.target is not None
        session.target.check(frozenset({"run"}), f"set {name}")
        if name.startswith("cost."):
            machine.config = machine.config.with_({name: value})
            if session.next_target is not None:
                waiting = session.next_target.machine
                waiting.config = waiting.config.with_({name: value})
            return
        if not boot_changed(session, {name: value}):
            session.output.line(f'{name} takes effect at the next "run".')
