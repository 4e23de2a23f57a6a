"""Each option of a subscription: its default, and what is refused at the door, with which words."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from attrs import exceptions as attrs_exceptions

from tocsin import (
    Backoff,
    Coalesce,
    Deduplicate,
    InvalidPriority,
    Priority,
    RestartIntensity,
    RestartPolicy,
    RetryPolicy,
    Settings,
    WaitForRoom,
)
from tocsin._settings import Options, settings_of

DEFAULTS: dict[str, object] = {
    "name": None,
    "when": None,
    "mailbox": 1000,
    "overflow": WaitForRoom(),
    "concurrency": 1,
    "key": None,
    "strict_order": False,
    "retry": RetryPolicy(),
    "timeout": 30.0,
    "restart": RestartPolicy.PERMANENT,
    "intensity": RestartIntensity(3, 5.0),
    "backoff": Backoff(),
    "suspension": Backoff(initial=1.0, maximum=30.0),
    "stable_after": 60.0,
    "on_exhausted": "escalate",
    "unpark_after": math.inf,
    "needs": (),
    "on_failure": "restart",
    "sick_after": 5,
    "grace_period": 5.0,
    "start_timeout": 30.0,
    "priorities": frozenset(Priority),
    "deduplicate": None,
    "context": "actor",
    "activation": "start",
    "durable": False,
}


def settings(**options: Any) -> Settings:
    return Settings(**options)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_is_the_documented_one(name: str) -> None:
    assert getattr(Settings(), name) == DEFAULTS[name]


def test_the_options_of_a_subscription_are_the_fields_of_settings_and_no_others() -> None:
    assert set(Options.__annotations__) == set(DEFAULTS) == set(Settings.__annotations__)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="mailbx"):
        settings(mailbx=7)
    misspelt: Any = {"mailbx": 7}
    with pytest.raises(
        TypeError, match=r"unknown option of a subscription: mailbx; allowed are activation, backoff, .*, mailbox,"
    ):
        settings_of(misspelt)


NOT_SECONDS = [-1, -0.5, math.nan, "5", None, True, [5]]


@pytest.mark.parametrize("value", NOT_SECONDS)
@pytest.mark.parametrize("name", ["stable_after", "grace_period", "start_timeout", "unpark_after"])
def test_a_duration_is_seconds_from_zero_on(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.*: must be seconds, 0 or more \(math.inf for no limit\)"):
        settings(**{name: value})


@pytest.mark.parametrize("value", [0, 0.0, 5, math.inf])
@pytest.mark.parametrize("name", ["stable_after", "grace_period", "start_timeout", "unpark_after"])
def test_a_duration_may_be_nothing_or_without_end(name: str, value: float) -> None:
    assert getattr(settings(**{name: value}), name) == value


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "5", True])
def test_the_time_limit_of_an_attempt_is_seconds_above_zero(value: object) -> None:
    with pytest.raises(ValueError, match=r"timeout=.*: must be seconds above 0, or None for no limit"):
        settings(timeout=value)


@pytest.mark.parametrize("value", [0.001, 5, None])
def test_an_attempt_may_have_any_time_limit_or_none(value: float | None) -> None:
    assert Settings(timeout=value).timeout == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, math.inf])
@pytest.mark.parametrize("name", ["mailbox", "concurrency", "sick_after"])
def test_a_number_is_whole_and_at_least_one(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.*: must be a whole number of at least 1"):
        settings(**{name: value})


@pytest.mark.parametrize("name", ["when", "key"])
def test_what_is_asked_about_events_must_be_a_function(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}='repo': must be a plain function of the event, or None"):
        settings(**{name: "repo"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 7),
        ("overflow", "drop"),
        ("strict_order", 1),
        ("retry", 3),
        ("restart", "permanent"),
        ("intensity", (3, 5)),
        ("backoff", 1.0),
        ("suspension", None),
        ("deduplicate", True),
    ],
)
def test_a_policy_must_be_of_its_kind(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("name", ["on_exhausted", "on_failure", "context"])
def test_a_choice_must_be_one_of_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}='shrug' must be one of '"):
        settings(**{name: "shrug"})


def test_an_empty_name_addresses_nobody() -> None:
    with pytest.raises(ValueError, match=r"name='': must not be empty"):
        Settings(name="")


def test_priorities_may_be_any_iterable_of_them() -> None:
    assert Settings(priorities=iter([Priority.LOW, Priority.LOW])).priorities == {Priority.LOW}


def test_a_subscription_without_priorities_would_get_nothing() -> None:
    with pytest.raises(ValueError, match=r"priorities=\(\).*name at least one"):
        Settings(priorities=[])


def test_what_is_no_priority_cannot_be_chosen() -> None:
    with pytest.raises(InvalidPriority, match="'high'"):
        settings(priorities=["high"])


def test_strict_order_of_several_at_a_time_needs_a_key() -> None:
    with pytest.raises(ValueError, match=r"strict_order=True with concurrency=2 has no order to keep.*key"):
        Settings(strict_order=True, concurrency=2)


def test_strict_order_per_key_goes_with_concurrency() -> None:
    assert Settings(strict_order=True, concurrency=2, key=str).concurrency == 2


def test_coalescing_and_a_key_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"overflow=Coalesce\(by=…\) and key=… exclude each other"):
        Settings(overflow=Coalesce(by=str), key=str)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(attrs_exceptions.FrozenInstanceError):
        cast("Any", Settings()).mailbox = 3


def test_all_options_can_be_set_at_once() -> None:
    assert Settings(deduplicate=Deduplicate(), key=str, when=bool, name="a").name == "a"
