"""A pytest plug-in for who writes a kernel: what must hold for page tables that were dumped.

    pytest -p kernel_tables kernel_tables.py --dump ram.bin --root 0x103000 [--format x86_64] [--base 0]

The dump is physical memory from address --base on: `pmemsave 0 0x4000000 ram.bin` of QEMU's monitor, or
`dump binary memory -phys ram.bin 0 64M` of vmdbg.  The root is what CR3 (or satp) holds.
"""

from __future__ import annotations

import mmap

import pytest

from vmdbg import FORMATS, Mmu, Page


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is dumped, and how it is read."""
    group = parser.getgroup("page tables")
    group.addoption("--dump", help="file with physical memory")
    group.addoption("--root", type=lambda text: int(text, 0), help="the root register")
    group.addoption("--format", default="x86_64", choices=FORMATS, help="page-table format")
    group.addoption("--base", default=0, type=lambda text: int(text, 0), help="address of the first byte")


@pytest.fixture(scope="session")
def mmu(pytestconfig: pytest.Config) -> Mmu:
    """The dumped memory, seen through its tables."""
    name = pytestconfig.getoption("--dump")
    if name is None:
        pytest.skip("no --dump")
    with open(name, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    unit = Mmu(pytestconfig.getoption("--format"), memory, ram_base=pytestconfig.getoption("--base"))
    unit.registers[unit.format.root_register] = pytestconfig.getoption("--root")
    return unit


@pytest.fixture(scope="session")
def pages(mmu: Mmu) -> list[Page]:
    """Every page that is mapped."""
    return list(mmu.map())


def told(pages: list[Page]) -> str:
    """The first of some pages, for a message."""
    return ", ".join(f"{page.va:#x} {page.rights}" for page in pages[:5])


def test_there_are_pages(pages: list[Page]) -> None:
    """A wrong root would make the other tests pass."""
    assert pages


def test_no_page_is_writable_and_executable(pages: list[Page]) -> None:
    """W^X."""
    wrong = [page for page in pages if page.writable and page.executable]
    assert not wrong, told(wrong)


def test_page_0_is_not_mapped(mmu: Mmu) -> None:
    """Who follows a null pointer has to fault."""
    assert not mmu.walk(0).ok


def test_no_user_page_in_the_kernel_half(mmu: Mmu, pages: list[Page]) -> None:
    """The upper half is the kernel's."""
    half = 1 << 63 if mmu.format.sign_extended else 1 << mmu.format.va_bits - 1
    wrong = [page for page in pages if page.va >= half and page.user]
    assert not wrong, told(wrong)
