"""From a file to a machine: which sort of dump it is, its format, its root, its registers."""

from __future__ import annotations

from vmdbg.dumps.elf_core import elf_image
from vmdbg.dumps.image import Image, file_kind, map_file, raw_image
from vmdbg.dumps.lime import lime_image
from vmdbg.dumps.machine import DumpMachine
from vmdbg.dumps.paging import KEEP, Paging, default_format, paging_of
from vmdbg.dumps.pasted_registers import MOST_TEXT, pasted_registers
from vmdbg.errors import UserError

FIND = '"find root" looks for it; "-root PA" names it.'
NOT_RAW = '"-base" is for raw images; this file says itself where its memory lies.'


def open_image(path: str, base: int | None = None) -> Image:
    """The memory of a dump; `base` is the first physical address of a raw image.  UserError."""
    view = map_file(path)
    kind = file_kind(view)
    if kind == "raw":
        return raw_image(path, view, base or 0)
    if base is not None:
        raise UserError(NOT_RAW)
    return elf_image(path, view) if kind == "elf" else lime_image(path, view)


def read_registers(path: str) -> list[dict[str, int]]:
    """The registers of a file into which a monitor's text was pasted.  UserError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return pasted_registers(file.read(MOST_TEXT + 1), path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None


def machine_of(
    image: Image, registers: list[dict[str, int]], format: str = "", root: int | None = None
) -> DumpMachine:
    """The machine of a dump.  `registers` of CPUs are added to those that the dump has; `format` and `root`
    are
    the user's word, against what the registers say.  UserError for a format that there is not.
    """
    count = max(len(image.cpus), len(registers))
    known = [list(cpus) + [{}] * (count - len(cpus)) for cpus in (image.cpus, registers)]
    cpus = [{**old, **new} for old, new in zip(*known, strict=True)]
    pagings = [paging_of(cpu, image.processor) for cpu in cpus] or [Paging()]
    named = format or image.format or next((paging.format for paging in pagings if paging.format), "")
    machine = DumpMachine(image, named or default_format(image.processor), cpus)
    machine.format_known = bool(named)
    for number, paging in enumerate(pagings):
        if root is not None:
            machine.set_root(number, root)
        elif paging.root is not None:
            machine.set_root(number, paging.root)
        elif not paging.off and cpus and machine.format.root_register in cpus[number]:
            machine.set_root(number, cpus[number][machine.format.root_register])
    machine.no_root = missing_root(pagings[0], cpus)
    return machine


def missing_root(paging: Paging, cpus: list[dict[str, int]]) -> tuple[str, str]:
    """What is said where a root is needed and there is none: the sentence, and what helps."""
    if paging.off:
        hint = KEEP if cpus and "cr0" in cpus[0] else ""
        return paging.off, f"{hint}  {FIND}".strip()
    if cpus:
        return "The registers do not name the root of the page tables.", FIND
    return (
        "This dump has no registers, and so no root of the page tables.",
        f'{FIND[:-1]}; so does "-regs FILE".',
    )
