"""`--store`: the file that a bus keeps its durable deliveries in, chosen by who runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._extras import lack_of

if TYPE_CHECKING:
    from tocsin import EventBus

SCHEME = "sqlite:"


class CannotStore(Exception):
    """The bus cannot have such a store, or needs one. Its text says why."""


def give_store(bus: EventBus, where: str | None) -> None:
    """Have *bus* keep what is durable in the file that *where* names; raise CannotStore.

    A store that the bus declares itself lends all but its path: how events become bytes, what a commit waits for.
    Without *where* nothing is changed, but a bus that cannot do without a store is refused.
    """
    if where is not None:
        _replace_store(bus, where)
    elif missing := bus.without_a_store():
        raise CannotStore(f"{missing}, or say --store FILE")


def lack_of_store() -> str | None:
    """Say what is not installed that a store in a file needs; None if there is nothing."""
    return lack_of("msgspec", wanted_by="--store", extra="durable")


def path_in(where: str) -> str:
    """Give the path in "bus.db" or "sqlite:bus.db"; raise ValueError for what names no file."""
    path = where.removeprefix(SCHEME)
    if not path:
        raise ValueError(f"store={where!r}: must be a file, such as bus.db or sqlite:bus.db.")
    return path


def _replace_store(bus: EventBus, where: str) -> None:
    if lack := lack_of_store():
        raise CannotStore(lack)
    from tocsin.durable import SQLiteStore

    declared = bus.store
    if declared is None:
        bus.store = SQLiteStore(path_in(where))
    elif isinstance(declared, SQLiteStore):
        bus.store = attrs.evolve(declared, path=path_in(where))
    else:
        kind = type(declared).__qualname__
        raise CannotStore(f"--store {where}: the bus declares a store that is no file, {kind}; leave --store out")
