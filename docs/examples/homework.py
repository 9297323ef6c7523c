"""Page tables in a dictionary: an example of the library, with types."""

from __future__ import annotations

from vmdbg import Fault, Mmu, Translation

PRESENT, WRITABLE, USER = 1, 2, 4


def tables(frames: dict[int, int]) -> dict[int, int]:
    """Tables of x86-64 at 0x1000 to 0x4000 that map pages below 2 MiB, by page number and frame."""
    rights = PRESENT | WRITABLE | USER
    words = {0x1000: 0x2000 | rights, 0x2000: 0x3000 | rights, 0x3000: 0x4000 | rights}
    for page, frame in frames.items():
        words[0x4000 + 8 * page] = frame << 12 | PRESENT | USER
    return words


def describe(answer: Translation | Fault) -> str:
    """Where an access goes, in a line."""
    if isinstance(answer, Fault):
        return f"{answer.va:#x}: {answer.kind} at {answer.level}, code {answer.code:#x}: {answer.reason}"
    changed = ", ".join(f"{update.address:#x}" for update in answer.updates)
    return f"{answer.va:#x}: {answer.pa:#x} {answer.rights}, A or D set at {changed or 'no place'}"


def main() -> None:
    """Three accesses."""
    mmu = Mmu("x86_64", tables({1: 0x108, 2: 0x109}), cr3=0x1000)
    print(describe(mmu.access(0x1234, "read")))
    print(describe(mmu.access(0x1234, "write")))
    print(describe(mmu.access(0x5000, "fetch")))


if __name__ == "__main__":
    main()
