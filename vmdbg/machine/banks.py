"""The pieces in which a machine's physical memory lies."""

from __future__ import annotations

from itertools import pairwise

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.config import MachineConfig

MOST_BANKS = 1 << 12  # an address that is in none is compared with each
BANK_GRAIN = 1 << 16  # banks begin at multiples of it in the memory buffer
ADDRESSES = 1 << 63  # physical addresses are below: they are computed with in signed words


def banks_of(config: MachineConfig) -> list[tuple[int, int, int]]:
    """First physical address, size and offset in the memory buffer of each bank.  UserError."""
    text, ram = config["machine.banks"], config["machine.ram"]
    if not text:
        return [(config["machine.ram_base"], ram, 0)]
    if config["machine.kernel"]:
        raise UserError("machine.banks: only a machine without a kernel (machine.kernel off) has them.")
    found: list[tuple[int, int, int]] = []
    offset = 0
    for item in text.split():
        base, _, size = item.partition("+")
        try:
            start, length = int(base, 0), int(size, 0)
        except ValueError:
            raise UserError(f'machine.banks: expected ADDRESS+SIZE, not "{item:.40}".') from None
        if start < 0 or length < 1 or start + length > ADDRESSES:
            raise UserError(f"machine.banks: {item:.40} is no piece of memory below {ADDRESSES:#x}.")
        found.append((start, length, offset))
        offset += -(-length // BANK_GRAIN) * BANK_GRAIN
    ordered = sorted(found)
    for (start, length, _), (after, _, _) in pairwise(ordered):
        if after < start + length:
            raise UserError(f"machine.banks: the pieces at {start:#x} and {after:#x} overlap.")
    if offset > ram or len(found) > MOST_BANKS:
        raise UserError(
            f"machine.banks: {len(found)} pieces with {offset:#x} bytes; at most {MOST_BANKS}, and "
            f"machine.ram bytes ({ram:#x}), are possible."
        )
    return found
