"""The kernel half of every address space: its map of all memory, made at boot."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_W
from vmdbg.state.tables import (
    BANK_BASE,
    BANK_SIZE,
    CONTROL_STEPS,
    CPU,
    CPU_CONTROL6,
    KERNEL_ROOT,
    PATH,
    PATH_ADDRESS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.engine import Linked
    from vmdbg.formats.record import Format


def map_kernel(k: Linked, form: Format) -> None:
    """Make the kernel half: all of memory at `kernel_base`, in the largest global pages that fit."""
    if form.kernel_base is None:
        return
    m = k.m
    root = m.kernel[KERNEL_ROOT] = k.table_take(m, 0, 0, 0)
    size, base = m.bank[BANK_SIZE], m.bank[BANK_BASE]
    leaves = [depth for depth, level in enumerate(form.levels) if level.leaf]
    fitting = [depth for depth in leaves if (size | base) % (1 << form.levels[depth].shift) == 0]
    if root < 0 or not fitting:
        raise UserError("Memory is too small, or no multiple of a page, for the kernel's map of it.")
    for row in range(0, len(m.cpu) if form.split else 0, CPU):
        m.cpu[row + CPU_CONTROL6] = root
    depth = fitting[0]
    for offset in range(0, size, 1 << form.levels[depth].shift):
        address = kernel_entry(k, form, root, form.kernel_base + offset, depth)
        leaf = k.globalized(k.make_leaf(base + offset, RIGHT_R | RIGHT_W, depth))
        k.store_entry(m, address, k.touched(leaf, 1))


def kernel_entry(k: Linked, form: Format, root: int, va: int, depth: int) -> int:
    """Physical address of the kernel's entry for `va` at a depth.

    Tables that are missing on the way are made.
    """
    m = k.m
    k.walk(m, root, va)
    while m.control[CONTROL_STEPS] <= depth:
        steps = m.control[CONTROL_STEPS]
        address = m.path[(steps - 1) * PATH + PATH_ADDRESS]
        table = k.table_take(m, 0, steps, address)
        if table < 0:
            raise UserError("Memory is too small for the kernel's map of it.")
        k.store_entry(m, address, k.touched_table(k.make_table(table, steps - 1), steps - 1))
        k.walk(m, root, va)
    return int(m.path[depth * PATH + PATH_ADDRESS])
