"""MODULE:BUS, as a value: names only, so that nothing on a command line is ever evaluated."""

from __future__ import annotations

import keyword
from typing import final

from attrs import frozen

from tocsin_supervisors import safe_repr

SHAPE = "must be MODULE:BUS, names with dots on both sides, such as shop.daemon:bus"


@final
@frozen
class Target:
    """Where the bus is declared."""

    module: str
    attributes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}:{'.'.join(self.attributes)}"


def parse_target(text: str) -> Target:
    """Take *text* apart; raise ValueError, saying which rule it breaks.

    Each name is an identifier, and none begins with two underscores: `__builtins__` is no place for a bus.
    """
    module, colon, bus = text.partition(":")
    if not colon or not module or not bus:
        raise ValueError(f"{safe_repr(text)}: {SHAPE}")
    for name in (*module.split("."), *bus.split(".")):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"{safe_repr(text)}: {safe_repr(name)} is no name; {SHAPE}")
        if name.startswith("__"):
            raise ValueError(f"{safe_repr(text)}: {safe_repr(name)} begins with two underscores: name the bus itself")
    return Target(module, tuple(bus.split(".")))
