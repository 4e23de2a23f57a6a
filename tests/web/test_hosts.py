"""Which `Host` headers are answered."""

from __future__ import annotations

import pytest

from tocsin.web._hosts import ANY_ADDRESS, LOOPBACK_HOSTS, AllowedHosts


@pytest.mark.parametrize(
    ("header", "is_allowed"),
    [
        ("localhost", True),
        ("localhost:9464", True),
        ("LOCALHOST.:9464", True),
        ("127.0.0.1", True),
        ("127.0.0.1:80", True),
        ("127.0.0.1:", True),
        ("[::1]", True),
        ("[::1]:9464", True),
        ("[0:0:0:0:0:0:0:1]:1", True),
        ("", False),
        ("evil.example", False),
        ("evil.example:9464", False),
        ("localhost.evil.example", False),
        ("127.0.0.2", False),
        ("10.0.0.1", False),
        ("[::2]", False),
        ("::1", False),
        ("[::1", False),
        ("::1]", False),
        ("[::1]x", False),
        ("[::1]:80:80", False),
        ("localhost:80x", False),
        ("localhost:٣", False),
        ("localhost,evil.example", False),
        ("localhost\x00", False),
        ("user@localhost", False),
        ("2130706433", False),  # 127.0.0.1 in one number, as some resolvers have it
    ],
)
def test_on_loopback_its_three_names_are_answered_on_any_port(header: str, is_allowed: bool) -> None:
    assert AllowedHosts.of(LOOPBACK_HOSTS).allows(header) == is_allowed


@pytest.mark.parametrize(
    ("header", "is_allowed"),
    [("10.1.2.3:9464", True), ("[fe80::1]:9464", True), ("localhost", True), ("evil.example", False), ("", False)],
)
def test_where_others_may_ask_any_address_is_answered_since_none_can_be_rebound(header: str, is_allowed: bool) -> None:
    assert AllowedHosts.of(ANY_ADDRESS).allows(header) == is_allowed


def test_names_addresses_and_networks_can_be_named() -> None:
    hosts = AllowedHosts.of(["Metrics.Example.org.", "10.0.0.0/8", "[2001:db8::1]"])
    assert hosts.allows("metrics.example.org:9464")
    assert hosts.allows("10.200.0.1")
    assert hosts.allows("[2001:db8::1]:9464")
    assert not hosts.allows("11.0.0.1")
    assert not hosts.allows("localhost")


@pytest.mark.parametrize(
    "host", ["", ".", "example.org:80", "http://example.org", "*.example.org", "10.0.0.1/8", "a b"]
)
def test_what_can_be_no_host_is_refused_with_what_can(host: str) -> None:
    with pytest.raises(ValueError, match="is no host: allowed are names"):
        AllowedHosts.of([host])


def test_a_single_text_is_not_taken_apart_into_letters() -> None:
    with pytest.raises(TypeError, match=r"write \('localhost',\)"):
        AllowedHosts.of("localhost")
