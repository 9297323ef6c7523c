"""check rights, check cpu, code: what is wrong with page tables, with what a CPU needs of them, with an
access."""

from __future__ import annotations

from vmdbg.inspect.check_cpu import check_cpu
from vmdbg.inspect.check_rights import check_rights
from vmdbg.inspect.fault_codes import ERROR_CODE, ESR, SCAUSE, decode, kind_of
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.context_options import ON_CPU, ROOT, TABLES, context_of
from vmdbg.shell.kinds import NUMBER, choice
from vmdbg.views.check_cpu import KEYS, check_cpu_lines
from vmdbg.views.check_rights import rights_table
from vmdbg.views.document import Document
from vmdbg.views.result import ADDRESS as HEX
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "check rights",
    group="looking",
    needs=("translate",),
    effect=PURE,
    options=TABLES,
    forms=("json", "csv"),
    summary="Check what page tables allow, such as whether the kernel is W^X.",
    help="""
Pages that can be written and executed; pages of the kernel's half that users may access; frames that one
address may write and another execute; entries with reserved bits, or that point outside memory; page tables
that users may write; the page at address 0.  Control registers count: without EFER.NXE every page is
executable.""",
    examples=["check rights", "check rights/json"],
)
def check_rights_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    return rights_table(session.notation, list(check_rights(session.machine, context.root, context.cpu)))


@command(
    "check cpu",
    group="looking",
    effect=PURE,
    options=[ROOT, ON_CPU],
    forms=("json", "csv"),
    summary="Check that what a real CPU needs to take a fault is mapped.",
    help="""
Of x86: the instruction, the stack, the descriptors, the gates of #PF and #DF, and the handlers and stacks
that these name, each with the rights that it needs; then, in one sentence, what happens: whether a page fault
reaches its handler, or ends in a triple fault.  Of RISC-V and Arm: the instruction, the stack, the vector.
Registers come from the dump or from "target dump FILE -regs FILE".""",  # Architecture: of real CPUs
)
def check_cpu_command(session: Session, args: Args) -> object:
    machine = session.machine
    check = check_cpu(machine, context_of(session, args))
    return Document(
        lambda: {
            "cpu": check.context.cpu,
            "needs": [need.data() for need in check.needs],
            "chain": check.chain,
        },
        lambda: check_cpu_lines(machine, session.notation, check),
        [Column(key) for key in KEYS],
        lambda: [[need.data()[key] for key in KEYS] for need in check.needs],
        ("address", "pa"),
    )


@command(
    "code",
    group="looking",
    effect=PURE,
    arguments=[Argument("code", NUMBER, help="the number that the CPU reported")],
    options=[
        Option(
            "-as", choice(ERROR_CODE, SCAUSE, ESR), help="which register it is from; else as the machine's"
        )
    ],
    forms=("json", "csv"),
    summary="Say what the code of a fault means.",
    help="""
The error code of an x86 page fault, scause of RISC-V, ESR of Arm: as a line of a log has it, bit by bit, and
in a sentence.  "why ADDRESS" says what the tables make of it.""",  # Architecture: their codes
    examples=["code 0x15", "code -as scause 13", "code -as esr 0x96000046", "code/json 2"],
)
def code_command(session: Session, args: Args) -> object:
    target = session.target
    kind = getattr(args, "as") or (ERROR_CODE if target is None else kind_of(target.machine.format.name))
    narrow = target is not None and target.machine.format.va_bits <= 32
    sentence, rows = decode(args.code, kind, narrow)
    columns = [Column("field"), Column("bits"), Column("value", kind=HEX), Column("meaning", wraps=True)]
    return Table(columns, rows, title=[sentence])
