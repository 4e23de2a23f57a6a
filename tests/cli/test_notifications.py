"""The protocol of sd_notify(3), as texts."""

from __future__ import annotations

import pytest

from tests.cli.snapshots import actor, snapshot
from tocsin.cli import _notifications as notifications
from tocsin.cli._notifications import address_of, state_of, watchdog_interval


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@abstract", "\0abstract"),
        ("@a", "\0a"),
        ("", None),
        ("@", None),
        ("relative", None),
        ("vsock:2:1234", None),
    ],
)
def test_the_address_is_a_path_or_an_abstract_name(value: str, address: str | None) -> None:
    assert address_of({"NOTIFY_SOCKET": value}) == address


def test_without_the_variable_nobody_is_to_be_told() -> None:
    assert address_of({}) is None


def test_the_watchdog_is_petted_twice_in_its_patience() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 7) == 1.5
    assert watchdog_interval({"WATCHDOG_USEC": "3000000"}, 7) == 1.5


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "²"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "6"},
    ],
)
def test_there_is_no_watchdog_for_this_process(environment: dict[str, str]) -> None:
    assert watchdog_interval(environment, 7) is None


def test_the_messages_are_those_of_the_manual_page() -> None:
    assert notifications.ready("up") == "READY=1\nSTATUS=up"
    assert notifications.stopping("down") == "STOPPING=1\nSTATUS=down"
    assert notifications.status("well") == "STATUS=well"
    assert notifications.extend(10.0) == "EXTEND_TIMEOUT_USEC=10000000"
    assert notifications.WATCHDOG == "WATCHDOG=1"
    assert notifications.reloading(1.5).split("\n")[:2] == ["RELOADING=1", "MONOTONIC_USEC=1500000"]


def test_a_status_cannot_forge_another_assignment() -> None:
    assert notifications.status("a\nREADY=1") == "STATUS=a\\nREADY=1"


def test_the_state_names_phase_queue_and_rate() -> None:
    actors = (actor("a", depth=3, waiting_retry=1), actor("b", depth=4))
    assert state_of(snapshot(*actors), 12.345) == "running: 8 queued, 12.3 handled a second"


@pytest.mark.parametrize("state", ["suspended", "parked", "waiting"])
def test_the_state_counts_actors_that_are_down(state: str) -> None:
    statistics = snapshot(actor("a", state=state), actor("b"), phase="draining")
    assert state_of(statistics, 0.0) == "draining: 0 queued, 0.0 handled a second; 1 of 2 actors down for now"
