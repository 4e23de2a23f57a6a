"""Overflow policies: which exist, and what they refuse to be made with."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest

from tocsin._overflow import Coalesce, DeadLetterNewest, DropNewest, DropOldest, Overflow, Reject, WaitForRoom


def test_the_policies_are_a_closed_set() -> None:
    assert set(get_args(Overflow)) == {WaitForRoom, Reject, DropOldest, DropNewest, DeadLetterNewest, Coalesce}


@pytest.mark.parametrize("policy", [WaitForRoom, Reject, DropOldest, DropNewest, DeadLetterNewest])
def test_policies_are_values(policy: type[Any]) -> None:
    assert policy() == policy()
    assert hash(policy()) == hash(policy())
    with pytest.raises(AttributeError):
        policy().limit = 3


def test_waiting_for_room_has_no_limit_unless_one_is_given() -> None:
    assert WaitForRoom().limit is None
    assert WaitForRoom(limit=0.5).limit == 0.5
    assert WaitForRoom(3).limit == 3


@pytest.mark.parametrize("limit", [0, 0.0, -1, math.inf, math.nan, True, "1"])
def test_a_limit_that_is_no_time_is_refused_with_what_to_do_instead(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"limit=.*seconds above 0.*not to wait at all, use Reject\(\)"):
        WaitForRoom(limit)


def test_coalescing_needs_a_function_for_the_key() -> None:
    assert Coalesce(by=str).by("a") == "a"
    for wrong in (None, "symbol", 7):
        with pytest.raises(TypeError, match=r"by=.*must be a function that gives the key of an event"):
            Coalesce(wrong)  # type: ignore[arg-type]
