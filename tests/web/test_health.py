"""Which bus is alive, which is ready, and what is said of one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.helpers import of_bus, of_subscription
from tocsin import (
    Coalesce,
    DeadLetterNewest,
    DropNewest,
    DropOldest,
    Overflow,
    Reject,
    RestartPolicy,
    Settings,
    WaitForRoom,
)
from tocsin._lifecycle import Phase
from tocsin.web._health import (
    ActorDown,
    Complaint,
    Health,
    MailboxNearlyFull,
    WrongPhase,
    liveness,
    readiness,
    sentence,
)

PERMANENT, TRANSIENT, TEMPORARY = RestartPolicy
DOWN = ["starting", "stopping", "waiting", "suspended", "parked"]


def ready(*subscriptions: Any, high_water: float = 0.9, settings: Settings | None = None, **facts: Any) -> Health:
    chosen = Settings() if settings is None else settings
    return readiness(of_bus(*subscriptions, **facts), {each.name: chosen for each in subscriptions}, high_water)


@pytest.mark.parametrize(
    ("phase", "is_alive"),
    [
        (Phase.NEW, False),
        (Phase.STARTING, True),
        (Phase.RUNNING, True),
        (Phase.DRAINING, True),
        (Phase.STOPPING, False),
        (Phase.STOPPED, False),
        (Phase.FORKED, False),
    ],
)
def test_what_a_restart_of_the_process_could_not_better_is_alive(phase: Phase, is_alive: bool) -> None:
    health = liveness("shop", str(phase))
    assert health == Health("shop", str(phase), () if is_alive else (WrongPhase(phase),))
    assert health.is_well == is_alive


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_only_a_bus_that_runs_is_ready(phase: Phase) -> None:
    assert ready(of_subscription(state="stopped"), phase=str(phase)).complaints == (WrongPhase(phase),)


def test_a_bus_with_a_dormant_subscription_is_ready() -> None:
    assert ready(of_subscription(state="dormant")).is_well


def test_a_paused_subscription_is_told_of_and_the_bus_is_ready_until_its_mailbox_is_nearly_full() -> None:
    health = ready(of_subscription(is_paused=True), of_subscription("mail"))
    assert (health.is_well, health.paused) == (True, ("bill",))
    assert not ready(of_subscription(is_paused=True, depth=1000)).is_well


def test_a_bus_without_subscriptions_is_ready_once_it_runs() -> None:
    assert ready().is_well


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("state", DOWN)
def test_an_actor_that_is_down_and_to_come_back_makes_the_bus_not_ready(policy: RestartPolicy, state: str) -> None:
    health = ready(of_subscription("bill", state=state), settings=Settings(restart=policy))
    assert health.complaints == (ActorDown("bill", state),)


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_only_a_permanent_actor_must_not_have_ended(state: str) -> None:
    ended = of_subscription("bill", state=state)
    assert ready(ended, settings=Settings(restart=PERMANENT)).complaints == (ActorDown("bill", state),)
    assert ready(ended, settings=Settings(restart=TRANSIENT)).is_well
    assert ready(ended, settings=Settings(restart=TEMPORARY)).is_well


@pytest.mark.parametrize(
    ("facts", "is_ready"),
    [
        ({"depth": 8}, True),
        ({"depth": 9}, False),
        ({"depth": 10}, False),
        ({"depth": 1, "waiting_retry": 8}, False),  # retries that wait take room as well
        ({"depth": 1, "in_flight": 9}, True),  # what a handler works on takes none
    ],
)
def test_a_mailbox_at_the_high_water_mark_makes_the_bus_not_ready(facts: dict[str, Any], is_ready: bool) -> None:
    assert ready(of_subscription(capacity=10, **facts)).is_well == is_ready


def test_a_mailbox_of_one_is_nearly_full_with_one_in_it_only() -> None:
    assert ready(of_subscription(capacity=1)).is_well
    assert ready(of_subscription("bill", capacity=1, depth=1)).complaints == (MailboxNearlyFull("bill", 1, 1),)


@pytest.mark.parametrize(
    ("overflow", "is_ready"),
    [
        (WaitForRoom(), False),
        (Reject(), False),
        (DropNewest(), False),
        (DeadLetterNewest(), False),
        (DropOldest(), True),
        (Coalesce(by=id), True),
    ],
)
def test_a_mailbox_that_makes_room_by_itself_may_be_full(overflow: Overflow, is_ready: bool) -> None:
    full = of_subscription(capacity=10, depth=10)
    assert ready(full, settings=Settings(overflow=overflow)).is_well == is_ready


def test_the_high_water_mark_may_be_another() -> None:
    half = of_subscription(capacity=10, depth=5)
    assert ready(half, high_water=0.6).is_well
    assert not ready(half, high_water=0.5).is_well


def test_everything_that_is_complained_of_is_told_in_the_order_of_declaration() -> None:
    health = ready(
        of_subscription("a", state="parked", depth=1000), of_subscription("b"), of_subscription("c", depth=900)
    )
    assert health.complaints == (
        ActorDown("a", "parked"),
        MailboxNearlyFull("a", 1000, 1000),
        MailboxNearlyFull("c", 900, 1000),
    )


def test_a_subscription_that_was_just_ended_is_not_looked_at() -> None:
    assert readiness(of_bus(of_subscription("gone", state="stopping")), {}, 0.9).is_well


@pytest.mark.parametrize(
    ("complaint", "text"),
    [
        (WrongPhase(Phase.NEW), "the bus was never started"),
        (WrongPhase(Phase.STARTING), "the bus is starting"),
        (WrongPhase(Phase.DRAINING), "the bus is draining"),
        (WrongPhase(Phase.STOPPED), "the bus has stopped"),
        (WrongPhase(Phase.FORKED), "the bus runs in the parent of this forked process, not here"),
        (WrongPhase(Phase.STOPPING), "the bus is stopping"),
        (ActorDown("bill", "parked"), "actor bill is parked"),
        (MailboxNearlyFull("bill", 95, 100), "the mailbox of bill holds 95 of 100"),
        (ActorDown("a\n\x1b[2J\u202eb", "parked"), "actor a\\n\\x1b[2J\\u202eb is parked"),
        (MailboxNearlyFull("a\rb", 1, 1), "the mailbox of a\\rb holds 1 of 1"),
    ],
)
def test_a_complaint_reads_as_one_printable_line(complaint: Complaint, text: str) -> None:
    assert sentence(complaint) == text
