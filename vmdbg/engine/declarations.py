"""Which modules of a package declare something: found by their source, so that none has to be imported."""

from __future__ import annotations

import os


def declaring(folder: str, name: str) -> tuple[str, ...]:
    """The modules in a folder with a line that begins `name = `, sorted.

    Their names have hyphens, as users write them: `second-chance` for `second_chance.py`.
    """
    mark = f"\n{name} = ".encode()
    found = []
    for file in os.listdir(folder):
        if file.endswith(".py"):
            with open(os.path.join(folder, file), "rb") as source:
                if mark in source.read().replace(b"\r\n", b"\n"):
                    found.append(file[:-3].replace("_", "-"))
    return tuple(sorted(found))
