"""One build of the hot code, and its machine code in two tiers.

*Quick* code is ready in a fraction of a second and runs at a third of the speed of *full* code.  A thread
makes the full code meanwhile and keeps it in the cache: LLVM works without Python's lock.  Equal builds are
one object in a process, so that nothing is compiled twice.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections import OrderedDict

from vmdbg.engine import cache, link, native
from vmdbg.engine.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from vmdbg.engine.module import Layout

MOST = 16  # builds that are kept though nobody has them: the next machine of the kind need not load its code

_builds: weakref.WeakValueDictionary[str, Build] = weakref.WeakValueDictionary()
_last: OrderedDict[str, Build] = OrderedDict()
_working: set[threading.Thread] = set()


def build(bindings: Mapping[str, Any], entry: str, layout: Layout, checked: bool) -> Build:
    """The build of an entry with these bindings; nothing is compiled yet.

    `checked`: every function looks at its indices.  SourceError without the sources of hot code.
    """
    fills = {name: bound for name, bound in bindings.items() if callable(bound)}
    functions = link.reachable(link.FUNCTIONS | fills, entry)
    constants = {name: bound for name, bound in bindings.items() if not callable(bound)}
    tables = [(name, code, layout.alias[name]) for name, code in layout.codes.items()]
    options = {"entry": entry, "checked": checked, "layout": tables, **native.target()}
    key = cache.key(functions, constants, options)
    found = _builds.get(key)
    if found is None:
        found = _builds[key] = Build(bindings, entry, layout, checked, key)
    _last[key] = found
    _last.move_to_end(key)
    while len(_last) > MOST:
        _last.popitem(last=False)
    return found


class Build:
    """Hot code with its bindings, and the machine code that is made of it.

    `trouble` says in one line why the cache is not used, or is empty.
    """

    def __init__(
        self, bindings: Mapping[str, Any], entry: str, layout: Layout, checked: bool, key: str
    ) -> None:
        self.bindings, self.entry, self.layout, self.checked, self.key = bindings, entry, layout, checked, key
        self.trouble = ""
        self._text = ""
        self._quick: native.Code | None = None
        self._full: native.Code | None = None
        self._object: bytes | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def text(self) -> str:
        """The module in LLVM's representation.  NotHotError, SourceError."""
        if not self._text:
            functions = link.link(self.bindings, twins=False, entry=self.entry)
            self._text = Module(functions, self.entry, self.layout, self.checked).text()
        return self._text

    def cached(self) -> native.Code | None:
        """Full code from this process or from the cache; None if there is none."""
        if self._full is None:
            try:
                found = cache.read(cache.folder(), self.key) if cache.folder() else None
            except cache.CacheError as error:
                self.trouble = str(error)
                found = None
            try:
                if found is not None:
                    self._full = native.Code(found, self.entry, native.FULL, from_cache=True)
            except RuntimeError as error:
                self.trouble = f"{os.path.join(cache.folder(), self.key)} is made anew: {error}."
        return self._full

    def quick(self) -> native.Code:
        """Code compiled without passes.  NotHotError, SourceError."""
        if self._quick is None:
            self._quick = native.Code(native.compiled(self.text(), native.QUICK), self.entry, native.QUICK)
        return self._quick

    def start(self) -> None:
        """Start a thread that makes full code, if none does yet.  NotHotError, SourceError."""
        if self._full is None and self._thread is None:
            self.text()
            thread = threading.Thread(target=self._work, name="vmdbg-compile")
            _working.add(thread)
            thread.start()
            self._thread = thread  # only now: a signal may come before the thread has started

    def _work(self) -> None:
        """Make full code: the work of the thread."""
        try:
            self._object = native.compiled(self._text, native.FULL, self.checked)
            if cache.folder():
                cache.write(cache.folder(), self.key, self._object)
        except cache.CacheError as error:
            self.trouble = str(error)
        except BaseException as error:  # raised where the code is asked for
            self._error = error
        finally:
            _working.discard(threading.current_thread())

    @property
    def ready(self) -> bool:
        """Has the thread ended, or is there full code already?"""
        return self._full is not None or (self._thread is not None and not self._thread.is_alive())

    def full(self, late: Callable[[], None] | None = None, patience: float = 1.0) -> native.Code:
        """Full code, from the cache or made now; `late` is called once if that takes longer than a second.

        NotHotError, SourceError.
        """
        found = self._full if self._thread is not None else self.cached()
        if found is not None:
            return found
        self.start()
        assert self._thread is not None
        if late is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                late()
        self._thread.join()
        if self._error is not None:
            error, self._error, self._thread = self._error, None, None
            raise error
        assert self._object is not None
        self._full = native.Code(self._object, self.entry, native.FULL)
        self._object = None
        return self._full


def finish(late: Callable[[], None] | None = None, patience: float = 1.0) -> None:
    """Wait for the threads that still compile, so that the next process finds their code in the cache.

    Ctrl-C has to wait as well: a thread inside LLVM cannot be ended.  `late` as for `Build.full`.
    """
    if not _working:
        return
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: Ctrl-C goes elsewhere
        before = None
    try:
        for thread in list(_working):
            if thread.ident is None:  # a signal came before it started
                continue
            thread.join(patience)
            if thread.is_alive() and late is not None:
                late()
                late = None
            thread.join()
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
