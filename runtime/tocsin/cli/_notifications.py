"""What a service manager is told, as texts: the protocol of sd_notify(3). Whether anybody listens is no matter here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._showing import shown

if TYPE_CHECKING:
    from tocsin import BusStatistics

WATCHDOG = "WATCHDOG=1"


def address_of(environment: Mapping[str, str]) -> str | None:
    """Give the address of the service manager's socket, None if there is none that is spoken here.

    A path, or a name in the abstract namespace of Linux, whose `@` stands for the byte 0.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if len(address) > 1 and address[0] == "@":
        return "\0" + address[1:]
    return address if address.startswith("/") else None


def watchdog_interval(environment: Mapping[str, str], process: int) -> float | None:
    """Give how often, in seconds, the watchdog is to be petted: twice in its patience, as sd_watchdog_enabled(3) says.

    None: there is none, or it is meant for another process, such as the parent of this one.
    """
    patience = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", str(process))
    if not (patience.isascii() and patience.isdigit()) or int(patience) == 0 or meant_for != str(process):
        return None
    return int(patience) / 2e6


def ready(status: str) -> str:
    """The start, or the reading of the configuration, has ended."""
    return f"READY=1\nSTATUS={shown(status)}"


def status(text: str) -> str:
    """Something for people."""
    return f"STATUS={shown(text)}"


def stopping(text: str) -> str:
    """The end has begun."""
    return f"STOPPING=1\nSTATUS={shown(text)}"


def extend(seconds: float) -> str:
    """The end goes on: do not kill for so many seconds, in which there will be another word."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def reloading(monotonic: float) -> str:
    """The configuration is being read again, since *monotonic* on the clock CLOCK_MONOTONIC."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1e6)}\nSTATUS=reading the configuration"


def state_of(statistics: BusStatistics, rate: float) -> str:
    """Say in one line how the bus is: *rate* is how many deliveries it handles a second."""
    actors = statistics.subscriptions.values()
    queued = sum(each.depth + each.waiting_retry for each in actors)
    text = f"{statistics.phase}: {queued} queued, {rate:.1f} handled a second"
    down = sum(each.state in ("suspended", "parked", "waiting") for each in actors)
    return text if not down else f"{text}; {down} of {len(actors)} actors down for now"
