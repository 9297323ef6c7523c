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
    """Boots a machine by name or file (empty: the default) and loads a program into it, if one is
    named."""
    from vmdbg.targets.simulated import open_machine

    target: Any = open_machine(machine or "default")
    if program:
        target.load_program(session.policy.path(program))
    return target


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
