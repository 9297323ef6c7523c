"""The address-space number 0, which RISC-V has as any other (Privileged, 12.1.11), is called 0 everywhere."""

from __future__ import annotations

from pathlib import Path

from tests.typed_shell import Shell
from vmdbg.shell.boot import open_target


def test_zero_is_zero(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    said = shell.type
    shell.session.target = open_target(shell.session, "sv39", "")
    said("set $satp.asid = 0")
    assert said("print $asid") == "$1 = 0\n"
    assert said("info registers asid").split()[1] == "0x0"
    said("read 0x404000")
    assert "vpn 0x404, asid 0: " in said("events")
    assert ", asid 0: hit" in said("tlb lookup 0x404000")
    rows = [line.split() for line in said("tlb -asid 0").splitlines()[1:]]
    assert {(row[1], row[8], row[-1]) for row in rows} == {("L1d", "0", "ok"), ("L2", "0", "ok")}
    assert "cached in L1" in said("translate -asid 0 0x404000")
    said("tlb set 0x500 0x80109 rw -asid 0")
    assert len(said("tlb -asid 0").splitlines()) == 4
    assert "3 TLB entries dropped" in said("tlb flush asid 0")
    assert said("tlb -asid 0").startswith("No entry")
    assert said("tlb -asid 65535").startswith("No address-space number 65535 (0..65534).")


def test_a_field_that_a_register_has_not(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.session.target = open_target(shell.session, "default", "")
    assert shell.type("set $cr4.pse = 1").startswith("There is no member named pse.")
