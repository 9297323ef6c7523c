"""Classes whose annotated names are the parameters of their instances: what records need of `dataclasses`.

That module imports `inspect`, which takes a twentieth of the time in which vmdbg starts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass, replace

    __all__ = ["dataclass", "replace"]
else:

    def dataclass(made):
        """Give a class `__init__`: its annotated names in their order, with values in the class as defaults.

        `__post_init__`, if there is one, is called at the end.  Calls with other names raise TypeError.
        """
        names = tuple(made.__annotations__)
        defaults = {name: vars(made)[name] for name in names if name in vars(made)}

        def initialize(self, *values, **named):
            given = dict(zip(names, values, strict=False))
            wrong = [name for name in named if name in given or name not in names]
            missing = [name for name in names if name not in given | named | defaults]
            if len(values) > len(names) or wrong or missing:
                raise TypeError(f"{made.__name__}: wrong or missing: {', '.join(wrong + missing)}")
            self.__dict__.update(defaults | given | named)
            if hasattr(self, "__post_init__"):
                self.__post_init__()

        made.__init__ = initialize
        return made

    def replace(record, **changes):
        """A copy with other values of some names; what else the record has is made anew."""
        kept = {name: getattr(record, name) for name in type(record).__annotations__}
        return type(record)(**(kept | changes))
