"""Tells buses that they have been forked.

This is the one module-level state of the package: a fork copies a running bus into a process in which none of its
tasks run. The hook cannot be taken back, so it is set once, with the first bus, and finds those that still exist.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that must know when it was copied into a child process."""

    def note_fork(self) -> None:
        """Called in the child."""


_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_hooked: list[bool] = []


def watch_forks(bus: Forkable) -> None:
    """Have `bus.note_fork` called in every forked child, for as long as the bus exists."""
    if not _hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_forks)
        _hooked.append(True)
    _watched.add(bus)


def _note_forks() -> None:  # pragma: no cover  # runs in forked children only, where coverage is not collected
    for bus in list(_watched):
        bus.note_fork()
