"""Whether an actor is there."""

from __future__ import annotations

import enum


@enum.unique
class Presence(enum.Enum):
    """Whether an actor can be expected to handle what it is sent."""

    UP = "up"
    DOWN = "down"  # starting, restarting or suspended: its mailbox takes deliveries for later
    PARKED = (
        "parked"  # its restart intensity was exceeded: what is in its mailbox stays, new deliveries are dead-lettered
    )
    STOPPED = "stopped"  # by an operator: the same
    GONE = "gone"  # ended for good

    @property
    def is_for_good(self) -> bool:
        """True if it stays down unless somebody asks for it: what it is sent becomes dead letters."""
        return self in (Presence.PARKED, Presence.STOPPED, Presence.GONE)
