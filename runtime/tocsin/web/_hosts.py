"""Which `Host` headers are answered: a page in the operator's browser must not read us by a name of its own that leads
here (DNS rebinding).
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
# An address cannot be rebound, as there is no name to point elsewhere; and probes ask for the address of the pod, which
# nobody knows beforehand.
ANY_ADDRESS: Final = ("localhost", "0.0.0.0/0", "::/0")


@final
@frozen
class AllowedHosts:
    """Names, and networks of addresses, that a `Host` header may carry, whatever the port."""

    names: frozenset[str]
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, hosts: Iterable[str]) -> AllowedHosts:
        """Take *hosts* apart: names, addresses ("127.0.0.1", "[::1]") and networks ("10.0.0.0/8"). Raise TypeError for
        a single text, ValueError for what can be no host.
        """
        if isinstance(hosts, str):
            raise TypeError(f"allowed_hosts={hosts!r}: must be several texts, not one: write ({hosts!r},)")
        names: set[str] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for host in hosts:
            network = _network(host)
            if network is not None:
                networks.append(network)
            elif _is_name(host):
                names.add(host.lower().rstrip("."))
            else:
                raise ValueError(
                    f"allowed_hosts: {host!r} is no host: allowed are names without a port (example.org), addresses "
                    "(127.0.0.1, [::1]) and networks of addresses (10.0.0.0/8)"
                )
        return cls(frozenset(names), tuple(networks))

    def allows(self, header: str) -> bool:
        """Say whether a request whose `Host` header is *header* is to be answered."""
        host = _without_port(header)
        try:
            address = ip_address(host)
        except ValueError:
            return host.lower().rstrip(".") in self.names
        return any(address in network for network in self.networks)


def _network(host: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    return bool(host.strip(".")) and all(char.isalnum() or char in "-._" for char in host)


def _without_port(header: str) -> str:
    """Give "::1" of "[::1]:80", "a" of "a:80"; nothing of what is malformed."""
    host, bracket, port = header.partition("]")
    if bracket:
        return host[1:] if host.startswith("[") and _is_port(port) else ""
    host, colon, port = header.partition(":")
    return host if _is_port(colon + port) else ""


def _is_port(text: str) -> bool:
    digits = text.removeprefix(":")
    return not text or (text != digits and (not digits or (digits.isascii() and digits.isdigit())))
