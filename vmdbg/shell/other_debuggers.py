"""Commands of other debuggers, each with one line that names the command for it in vmdbg.

They are not commands here: if one is typed, its line is shown, and nothing else happens.
"""

from __future__ import annotations

STACK = 'Programs have no stack here; "info program" and "list" say where one stands.'
THREADS = 'There are no threads; "ps" lists processes, "process PID" chooses one.'
SYMBOLS = 'Names of addresses: "info address NAME", of an ELF file "symbol-file FILE".'
CODE = 'There are no instructions; "list" shows the operations of the program.'
RECORDING = 'The past is always recorded: "reverse-step", "goto", "when", "undo".'
SCREEN = '"layout" names the layouts of the full screen, "focus" its panes.'
TRANSLATE = '"translate ADDRESS" says where it goes, "walk ADDRESS" each entry on the way.'
TABLES = '"map" lists what is mapped, "tables" the page tables, "pte" one entry.'
REGISTERS = '"info registers" shows registers, "print $cr4.pge" one field of one.'
BREAKPOINTS = '"break", "watch" and "catch" stop; "info breakpoints" lists what stops.'
MEMORY = '"x/4gx ADDRESS" shows memory, "xp" physical memory, "find" searches it.'
STORE = '"write ADDRESS VALUE" stores as the CPU does, "poke" and "set var" below it.'
ATTACHING = '"machine NAME" boots a machine, "target dump FILE" opens a real one\'s memory.'
LANGUAGE = 'Scripts are made of commands: "define", "if", "while", "eval", "source FILE".'
INVALIDATE = '"tlb flush ADDRESS" drops a page from the TLB, "tlb flush" a whole space.'

#: From what was typed, in full words, to what is shown.
WORDS: dict[str, str] = {
    # GDB
    **dict.fromkeys(("backtrace", "bt", "where", "frame", "up", "down", "faas", "info stack"), STACK),
    **dict.fromkeys(("info locals", "info args", "select-frame"), STACK),
    **dict.fromkeys(("thread", "taas", "tfaas", "info threads", "inferior", "info inferiors"), THREADS),
    **dict.fromkeys(("add-inferior", "clone-inferior", "remove-inferiors"), THREADS),
    **dict.fromkeys(("add-symbol-file", "info functions", "info variables"), SYMBOLS),
    **dict.fromkeys(
        ("info types", "info scope", "info sharedlibrary", "sharedlibrary", "directory"), SYMBOLS
    ),
    **dict.fromkeys(("disassemble", "jump", "return", "compile", "info macro", "skip"), CODE),
    **dict.fromkeys(("nexti", "ni"), '"stepi" goes on by one event, "next" by one line.'),
    **dict.fromkeys(("record", "info record", "tstart", "tstop", "tstatus", "stop"), RECORDING),
    "info win": SCREEN,
    **dict.fromkeys(("attach", "detach", "core-file", "exec-file", "generate-core-file"), ATTACHING),
    **dict.fromkeys(("info os", "info auxv", "starti"), ATTACHING),
    **dict.fromkeys(("python", "py", "python-interactive", "guile", "gu"), LANGUAGE),
    **dict.fromkeys(("hbreak", "thbreak", "rbreak", "tbp"), BREAKPOINTS),
    **dict.fromkeys(("info vector", "info float"), REGISTERS),
    "signal": '"catch fault" stops at faults, "handle" says which signals stop.',
    "queue-signal": '"catch fault" stops at faults, "handle" says which signals stop.',
    "search": '"find" searches memory, "list" shows the program, "apropos" the help.',
    "forward-search": '"find" searches memory, "list" shows the program, "apropos" the help.',
    "reverse-search": '"find" searches memory, "list" shows the program, "apropos" the help.',
    "info mem": TABLES,
    "mem": TABLES,
    "monitor": 'There is no monitor behind the prompt; "help looking" lists what can be asked.',
    "mon": 'There is no monitor behind the prompt; "help looking" lists what can be asked.',
    # QEMU's monitor
    **dict.fromkeys(("gva2gpa", "gva2hva", "gpa2hva"), TRANSLATE),
    **dict.fromkeys(("info pg", "info mtree", "info ramblock"), TABLES),
    "pmemsave": '"dump memory FILE START STOP" writes memory to a file.',
    "memsave": '"dump memory FILE START STOP" writes memory to a file.',
    "savevm": '"save machine FILE" and "checkpoint" keep the machine.',
    "loadvm": '"load machine FILE" and "restart N" bring a machine back.',
    "system_reset": '"machine NAME" boots the machine again.',
    # Bochs
    **dict.fromkeys(("page", "info tab", "set_cr3"), TABLES),
    **dict.fromkeys(("creg", "sreg", "regs", "reg", "info cr", "info cpu", "dreg"), REGISTERS),
    **dict.fromkeys(("vbreak", "lbreak", "pbreak", "vb", "lb", "pb", "blist", "bpe", "bpd"), BREAKPOINTS),
    **dict.fromkeys(("setpmem", "writemem", "loadmem"), STORE),
    **dict.fromkeys(("trace-mem", "trace-on", "trace-off", "modebp"), 'Use "catch" and "events FROM..TO".'),
    "print-stack": STACK,
    # the instructions of CPUs
    **dict.fromkeys(("invlpg", "invpcid", "sfence.vma", "sfence", "tlbi", "invept"), INVALIDATE),
    # GEF, pwndbg, PEDA
    **dict.fromkeys(("vmmap", "vmap", "xinfo", "procmap", "maps", "pagemap", "ptdump", "pagewalk"), TABLES),
    **dict.fromkeys(("telescope", "tele", "hexdump", "hd", "dereference", "dq", "dd", "dw", "db"), MEMORY),
    **dict.fromkeys(("registers", "context", "ctx"), REGISTERS),
    **dict.fromkeys(("v2p", "p2v", "virt2phys", "phys2virt", "va2pa", "pa2va", "ksymaddr"), TRANSLATE),
    "search-pattern": '"find" searches memory, "findp" physical memory.',
    "searchmem": '"find" searches memory, "findp" physical memory.',
    "checksec": REGISTERS,
    # crash, LLDB, WinDbg
    **dict.fromkeys(("vtop", "ptov", "kvtop", "vtophys"), TRANSLATE),
    **dict.fromkeys(("rd", "memory", "dump-memory", "dc", "da"), MEMORY),
    **dict.fromkeys(("kmem", "vm"), TABLES),
    **dict.fromkeys(("eb", "ed", "ew", "eq", "poke-memory"), STORE),
    **dict.fromkeys(("register", "rdmsr", "wrmsr"), REGISTERS),
    **dict.fromkeys(("breakpoint", "bp", "bl", "be", "bd", "bc", "ba", "bu", "watchpoint"), BREAKPOINTS),
    "expression": '"print EXPR" shows a value, "set var" changes one.',
    "expr": '"print EXPR" shows a value, "set var" changes one.',
    "platform": ATTACHING,
    "script": LANGUAGE,
    "settings": '"show" lists the settings, "set NAME VALUE" changes one.',
}


def meaning(words: str) -> str:
    """The line for a command of another debugger, or an empty text."""
    return WORDS.get(words, "")
