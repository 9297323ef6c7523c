"""LLVM's intermediate representation to machine code, by llvmlite, and calling it.

Nothing else in vmdbg imports llvmlite, and this file does so only when something is compiled or loaded.
"""

from __future__ import annotations

import ctypes
import threading

from vmdbg.engine.checked import Failure
from vmdbg.engine.module import FAILURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

    from vmdbg.engine.module import Layout

QUICK, FULL = "quick", "full"
_ROUND = ("jump_threading", "new_gvn", "simplify_cfg", "instruction_combine")
#: The passes of full code, by their names in llvmlite.  Every function that is not cold is inlined; what
#: follows is the shortest list that left no row of the bench behind LLVM's own O2.
PASSES = (
    "sroa", "simplify_cfg", "instruction_combine", "always_inliner", "global_dead_code_eliminate", "sroa",
    "instruction_combine", *_ROUND, *_ROUND,
)  # fmt: skip
#: Those of full code with bounds checks: it is there to find mistakes, so that a fourth of the time to make
#: it counts for more than its speed.
CHECKED_PASSES = ("sroa", "simplify_cfg", "instruction_combine")
_lock = threading.Lock()
_initialized = False


def available() -> bool:
    """Can this Python compile?  Imports llvmlite: one that cannot be imported is none."""
    try:
        import llvmlite.binding  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def llvm() -> ModuleType:
    """llvmlite's binding, ready for this processor."""
    import llvmlite.binding

    global _initialized
    with _lock:
        if not _initialized:
            llvmlite.binding.initialize_native_target()
            llvmlite.binding.initialize_native_asmprinter()
            _initialized = True
    binding: ModuleType = llvmlite.binding
    return binding


def target() -> dict[str, str]:
    """What machine code depends on besides its source: the version of LLVM and the processor."""
    import llvmlite

    binding = llvm()
    return {
        "llvmlite": llvmlite.__version__,
        "llvm": ".".join(map(str, binding.llvm_version_info)),
        "processor": binding.get_host_cpu_name(),
        "features": binding.get_host_cpu_features().flatten(),
        "triple": binding.get_default_triple(),
    }


def compiled(text: str, tier: str, checked: bool = False) -> bytes:
    """The object file of a module (`checked`: all of it).  Leaves Python's lock alone while LLVM works."""
    binding = llvm()
    module = binding.parse_assembly(text, binding.create_context())
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=2 if tier == FULL else 0,
        reloc="pic",
        codemodel="default",
    )
    if tier == FULL:
        passes = binding.create_new_module_pass_manager()
        for name in CHECKED_PASSES if checked else PASSES:
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, binding.create_pass_builder(machine, binding.PipelineTuningOptions()))
    return bytes(machine.emit_object(module))


class Tables:
    """The row of words that compiled code takes for `m`: addresses and lengths of the buffers."""

    def __init__(self, buffers: Mapping[str, Any], layout: Layout) -> None:
        """`buffers` has one for each table of the layout; they are held, and must keep their size."""
        from vmdbg.engine.lowering import WIDTHS

        self.failure = layout.failure
        self.held = []
        words = []
        for name, code in layout.codes.items():
            memory = ctypes.c_char.from_buffer(buffers[name])
            self.held.append(memory)
            words += [ctypes.addressof(memory), len(buffers[name]) * 8 // WIDTHS[code]]
        self.words = (ctypes.c_int64 * layout.words)(*words)
        self.address = ctypes.addressof(self.words)

    def check(self) -> None:
        """Raise the Failure that compiled code has left, if it did."""
        if self.words[self.failure]:
            raise self.taken()

    def taken(self) -> Failure:
        """The failure, which is removed; None if there is none."""
        path, line, function, what = texts(self.words[self.failure], 4)
        failure = Failure(path, int(line), function, what, self.words[self.failure + 1])
        if self.words[self.failure + 2]:
            path, line = texts(self.words[self.failure + 2], 2)
            failure.caller = path, int(line)
        for number in range(len(FAILURE)):
            self.words[self.failure + number] = 0
        return failure


def texts(address: int, count: int) -> list[str]:
    """`count` texts that follow one another at an address, each with a zero byte at its end."""
    found = []
    for _ in range(count):
        text = ctypes.string_at(address)
        address += len(text) + 1
        found.append(text.decode("utf-8", "surrogateescape"))
    return found


class Code:
    """Machine code in this process; it lives as long as this object."""

    def __init__(self, found: bytes, entry: str, tier: str, from_cache: bool = False) -> None:
        binding = llvm()
        self.tier, self.from_cache = tier, from_cache
        self._jit = binding.create_lljit_compiler(use_jit_link=True)
        library = binding.JITLibraryBuilder().add_object_img(found).export_symbol(entry)
        self._library = library.link(self._jit, "vmdbg")
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self._library[entry])

    @property
    def full(self) -> bool:
        """Is it optimised?"""
        return self.tier == FULL

    def __call__(self, tables: Tables) -> int:
        """Run the entry.  Failure if a checked function failed: the tables are in no whole state then."""
        result = int(self._function(tables.address))
        tables.check()
        return result
