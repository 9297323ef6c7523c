"""The address-space number 0, which RISC-V has as any other (Privileged, 12.1.11), is called 0 everywhere."""

from __future__ import annotations

import io

from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session


def test_zero_is_zero() -> None:
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, "sv39", "")

    def said(line: str) -> str:
        out.truncate(0)
        out.seek(0)
        session.interpreter.try_line(line)
        return out.getvalue()

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


def test_a_field_that_a_register_has_not() -> None:
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, "default", "")
    session.interpreter.try_line("set $cr4.pse = 1")
    assert out.getvalue().startswith("There is no member named pse.")
