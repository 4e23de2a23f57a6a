"""What a bind says, and whether others could reach it."""

from __future__ import annotations

import pytest

from tocsin.web._binding import Binding


@pytest.mark.parametrize(
    ("bind", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464, True),
        ("127.9.9.9:0", "127.9.9.9", 0, True),
        ("[::1]:65535", "::1", 65535, True),
        ("localhost:1", "localhost", 1, True),
        ("LocalHost:1", "LocalHost", 1, True),
        ("0.0.0.0:9464", "0.0.0.0", 9464, False),
        ("[::]:9464", "::", 9464, False),
        ("10.0.0.1:9464", "10.0.0.1", 9464, False),
        ("localhost.example.org:1", "localhost.example.org", 1, False),
    ],
)
def test_an_address_and_a_port_are_told_apart(bind: str, host: str, port: int, is_loopback: bool) -> None:
    binding = Binding.of(bind)
    assert binding == Binding(host, port)
    assert binding.is_loopback == is_loopback
    assert str(binding) == bind


@pytest.mark.parametrize(
    "bind",
    ["", "9464", ":9464", "localhost", "localhost:", "localhost:http", "[]:1", "::1:9464", "a:65536", "a:-1", "a:٣"],
)
def test_what_is_no_address_with_a_port_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="must be an address and a port"):
        Binding.of(bind)
