"""Opens the target of a session and lets its settings join the shell's."""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from vmdbg.debugger.session import Session
    from vmdbg.machine.setting import Setting


def open_target(session: Session, machine: str, program: str) -> Any:
    """Boots a machine by name or file (empty: the default); a program that is named replaces the
    machine's own.  UserError if a file is not there, not allowed, or wrong: then nothing was started."""
    from vmdbg.targets.simulated import open_machine

    name = machine or "default"
    if "/" in name or name.endswith(".toml"):
        name = session.policy.path(name)
    target = open_machine(name, session.policy.path(program) if program else "")
    target.make_scope = make_scope
    return target


def make_scope(target: Any) -> Any:
    """What expressions see of a machine."""
    from vmdbg.debugger.registers import MachineScope

    return MachineScope(target)


class MachineSettings:
    """The machine's settings as a source of the shell's: shown as the machine was configured."""

    def __init__(self, session: Session) -> None:
        from vmdbg.machine.config import SETTINGS

        self._session = session
        self._settings = tuple(SETTINGS)

    @property
    def settings(self) -> Sequence[Setting]:
        """All declarations."""
        return self._settings

    def get(self, name: str) -> object:
        """The value in the running machine, or the default if there is none."""
        target = self._session.target
        if target is None:
            return next(setting.default for setting in self._settings if setting.name == name)
        return target.machine.config[name]

    def set(self, name: str, value: object) -> None:
        """Changes the running machine; it says which settings need another boot."""
        target = self._session.target
        if target is None:
            raise UserError("No machine.", 'Use "machine NAME" to boot one.')
        change = getattr(target, "change_setting", None)
        if change is None:
            raise UserError(f'Setting "{name}" takes effect at boot.', 'Boot a machine with "machine NAME".')
        change(name, value)
