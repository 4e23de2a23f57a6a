"""Where to listen: what "127.0.0.1:9464" says, and whether it can be reached from elsewhere."""

from __future__ import annotations

from ipaddress import ip_address
from typing import final

from attrs import frozen


@final
@frozen
class Binding:
    """A host and a port to listen at."""

    host: str
    port: int

    @classmethod
    def of(cls, bind: str) -> Binding:
        """Take *bind* apart: "127.0.0.1:9464", "[::1]:9464", "localhost:0". Raise ValueError, saying what may be."""
        host, colon, port = bind.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        is_clear = bool(bare) and (bare != host or ":" not in host)
        if not (colon and is_clear and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError(
                f"bind={bind!r}: must be an address and a port, like '127.0.0.1:9464' or '[::1]:9464'; "
                "port 0 is any that is free"
            )
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach it, as far as the text tells: a name may lead anywhere."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
