"""The way to the service manager: a datagram to the socket that it has named, or nothing where it has named none."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Protocol, final

from ._log import OURS
from ._notifications import address_of
from ._showing import shown

logger = logging.getLogger(OURS)


class ServiceManager(Protocol):
    """Whoever has started the daemon and wants to know how it is."""

    @property
    def is_there(self) -> bool:
        """True if there is one to be told."""
        ...

    def tell(self, message: str) -> None:
        """Tell *message*; neither wait nor raise."""
        ...


@final
class NotifySocket:
    """Tells; never waits and never raises: a service manager that does not listen must not stop the bus."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._has_failed = False

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> NotifySocket:
        """Give the one that NOTIFY_SOCKET names."""
        return cls(address_of(environment))

    @property
    def is_there(self) -> bool:
        """See `ServiceManager`."""
        return self._address is not None

    def tell(self, message: str) -> None:
        """Send *message*. What does not get through is told in the log, once."""
        if self._address is None:
            return
        try:
            # A socket for each message, as sd_notify does: the service manager may have a new one by then.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.connect(self._address)
                sender.send(message.encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("the service manager cannot be told anything: %s", shown(error))
